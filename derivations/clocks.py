"""Why the normalised flows move directions at other rates than gradient flow, and when they take the same path."""

from collections.abc import Callable

import numpy as np

from derivations.notebook import Derivation
from derivations.points import NETS, SOME, THREE, Point, dot, everywhere, gap, points
from derivations.variables import parametrised

POWERS = {"gradient_flow": (0, 0), "lagrange": (0, 2), "exponential_weight_normalization": (2, 2)}
"""Powers of the norm that multiply the radial and the tangential part of -∂L/∂W, at directions of length one."""


def derivation() -> Derivation:
    """Equations (1.6) and (1.7): one loss, three metrics."""
    d = Derivation(
        "Clocks and paths of the normalised flows",
        """T. Poggio, A. Banburski, Q. Liao, PNAS 2020; D. Morwani, H. Ramaswamy, ALT 2022 (exponential form); claim P3,
        equations (1.6), (1.7) of flowlab.""",
    )
    d.say(
        r"""Blocks are $W_k = \rho_k V_k$ with degrees $\kappa_k$; $G_k = \sum_n \psi_n\, \partial \bar f_n/\partial
        V_k$ is the pull of the samples on a direction and $s = \sum_n \psi_n \bar f_n$. Where a block is projected it
        is read as one long vector. The vectors of weight normalisation have length one here, which makes it the
        Lagrange flow."""
    )
    d.say(
        r"""A direction that moves by $dV$ moves the weights by $\rho_k\, dV$. Gradient flow in $W$ therefore divides
        the tangential velocity by $\rho_k$; a flow that treats $V$ itself as the variable multiplies it by $\rho_k$,
        because the gradient with respect to $V$ is $\rho_k$ times as long. Between the two lie two powers of the
        norm."""
    )
    _clock(d)
    _metric(d, POWERS)
    _paths(d)
    return d


def _clock(d: Derivation, power: int = 2) -> None:
    def size(p: Point) -> float:
        return gap((p.rates[0], p.each(lambda k: p.rho[k] ** power * p.rates[1][k])), parametrised(p, "lagrange"))

    d.equation(
        "clock",
        r"\dot V_k^{\text{Lagrange}} = \rho_k^2\, \dot V_k^{\text{gradient flow}}, \qquad \dot\rho_k^{\text{Lagrange}}"
        r" = \dot\rho_k^{\text{gradient flow}}",
        r"""Gradient flow has $\dot V_k = R\rho_k^{-2}(G_k - \kappa_k s V_k)$. At one state the rates of a direction
        differ by a positive factor, so they vanish together.""",
        check=everywhere(size, SOME),
        bound=1e-11,
        how=(
            r"rates of norm and direction along $-\partial L/\partial W$ against the gradient in $(\rho, v)$ at length"
            rf" one, at {THREE}"
        ),
    )


def _metric(d: Derivation, powers: dict[str, tuple[int, int]]) -> None:
    def size(p: Point, scheme: str) -> float:
        (a, b), (rho_rate, V_rate) = powers[scheme], parametrised(p, scheme)
        radial = p.each(lambda k: dot(p.V[k], p.g[k]) * p.V[k])
        together = p.each(lambda k: rho_rate[k] * p.V[k] + p.rho[k] * V_rate[k])
        return gap(together, p.each(lambda k: p.rho[k] ** a * radial[k] + p.rho[k] ** b * (p.g[k] - radial[k])))

    d.equation(
        "metric",
        r"""\begin{gathered}
        \dot W_k = \bigl(\rho_k^{a}\, V_k V_k^\top + \rho_k^{b}\, (I - V_k V_k^\top)\bigr)\Bigl(-\frac{\partial
        L}{\partial W_k}\Bigr), \\
        (a, b) = \begin{cases} (0, 0) & \text{gradient flow} \\ (0, 2) & \text{Lagrange, weight normalisation, tangent}
        \\
        (2, 2) & \text{exponential} \end{cases}
        \end{gathered}""",
        r"Norm and direction are put together again with $\dot W_k = \dot\rho_k V_k + \rho_k \dot V_k$: the flows"
        r" descend one loss in three metrics.",
        check=everywhere(lambda p: max(size(p, scheme) for scheme in powers), SOME),
        bound=1e-11,
        how=rf"$\dot\rho_k V_k + \rho_k \dot V_k$ from autodiff in the variables of each scheme, at {THREE}",
    )


def _paths(d: Derivation) -> None:
    def slope(p: Point, scheme: str) -> float:
        (a, b), (rho_rate, V_rate) = POWERS[scheme], parametrised(p, scheme)
        wanted = p.each(lambda k: p.rho[k] ** (b - a) / (p.kappa[k] * p.s) * p.bracket[k])
        return gap(p.each(lambda k: V_rate[k] / (rho_rate[k] / p.rho[k])), wanted)

    def balanced() -> float:
        worst, rho = 0.0, 1.3
        for p in (*points(*NETS[0]), *points("W1 @ x", "logistic")):
            even = Point(p.problem, p.each(lambda _: np.asarray(rho)), p.V, p.x, p.y)
            slow = even.rates
            faster = tuple({k: rho**2 * v for k, v in part.items()} for part in slow)
            apart = gap(slow[0], dict.fromkeys(slow[0], slow[0]["W1"]))
            worst = max(worst, apart, gap(parametrised(even, "exponential_weight_normalization"), faster))
        return worst

    d.equation(
        "slopes",
        r"""\frac{dV_k}{d\log\rho_k} = \frac{1}{\kappa_k s}\bigl(G_k - \kappa_k s V_k\bigr) \times
        \begin{cases} 1 & \text{gradient flow, exponential} \\ \rho_k^2 & \text{Lagrange, weight normalisation, tangent}
        \end{cases}""",
        r"""Divide the rates to get rid of time. A common clock would leave this slope alone, but $\rho_k^2$ changes it,
        differently for every block and differently along the way: the flows share the points where directions rest, but
        in general not the paths.""",
        check=everywhere(lambda p: max(slope(p, scheme) for scheme in POWERS), SOME),
        bound=1e-11,
        how=f"quotients of autodiff rates, at {THREE}",
    )
    d.equation(
        "balanced",
        r"""\left.\begin{aligned} \rho_1 = \dots = \rho_K &= \rho \\ \kappa_1 = \dots = \kappa_K & \end{aligned}\right\}
        \;\Longrightarrow\;
        \begin{cases} (\dot\rho_k, \dot V_k)_{\text{exponential}} = \rho^2\, (\dot\rho_k, \dot
        V_k)_{\text{gradient flow}} \\
        \dot\rho_1 = \dots = \dot\rho_K \end{cases}""",
        r"""The exponential scheme has the slope of gradient flow block by block, but every block has its own clock
        $\rho_k^2$. Where norms and degrees are equal the clocks agree, and equal norms stay equal because their rates
        are. Then, and with a single block, it takes the path of gradient flow.""",
        check=balanced,
        bound=1e-11,
        how="linear networks of depths 3 and 1 with all norms set to 1.3, by autodiff in the variables of both",
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "one power of the norm between the flows": lambda: _clock(fresh(), power=1),
        "one clock for all flows": lambda: _clock(fresh(), power=0),
        "the exponential scheme in the metric of the Lagrange flow": lambda: _metric(
            fresh(), {"exponential_weight_normalization": (0, 2)}
        ),
    }
