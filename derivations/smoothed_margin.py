"""The smoothed margin cannot fall once the loss is small, under gradient flow and under the normalised flows."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.special import xlogy

from derivations.notebook import Derivation, control
from derivations.paths import path
from derivations.points import SOME, Point, below, dot, gap, points
from derivations.variables import parametrised

SCHEMES = ("gradient_flow", "lagrange", "exponential_weight_normalization")
STATES = (
    "three random directions of each of three networks, with labels that they meet and norms that make the loss 0.02"
    " or 0.5"
)
EXPONENTIAL = tuple(net for net in SOME if net[1] == "exponential")


def derivation() -> Derivation:
    """Claims P14 and L1 to L4: the smoothed margin."""
    d = Derivation(
        "The smoothed margin",
        """K. Lyu, J. Li, Gradient descent maximizes the margin of homogeneous neural networks, ICLR 2020 (gradient
        flow, Theorem 4.1 and Lemma 5.1); for the normalised flows from their equations; claims P14, L1, L2, L3, L4, L9
        of flowlab.""",
    )
    d.say(
        r"""The loss is $L = \sum_n \ell(q_n)$ with $\ell(q) = e^{-q}$ or $\log(1 + e^{-q})$, margins are
        $q_n = R\bar f_n$ with $R = \prod_k \rho_k^{\kappa_k}$, $\psi = -\ell'$, $s = \sum_n \psi_n \bar f_n$ and $G_k =
        \sum_n \psi_n\, \partial\bar f_n/\partial V_k$. The least margin has kinks in time; its smooth substitute is the
        margin that a single sample would need to have for the loss to be what it is."""
    )
    d.define(
        "smoothed",
        r"z = \ell^{-1}(L), \qquad \tilde\gamma = \frac{z}{R}",
        "That margin, and the same per unit of norm:",
    )
    d.equation(
        "sandwich",
        r"\min_n \bar f_n - \frac{\log N}{R} \le \tilde\gamma \le \min_n \bar f_n \qquad (\ell = e^{-q})",
        r"The largest term of the loss is at most the loss, which is at most $N$ times that term; take logarithms.",
        check=lambda: max(_sandwich(p) for p in states(EXPONENTIAL)),
        bound=1e-12,
        how=f"by how much either side is violated, at {STATES}, of which two have the exponential loss",
    )
    d.section("One inequality")
    _inequality(d)
    d.section("The rate")
    _rate(d)
    _monotone(d)
    d.section("One norm for all blocks")
    _single_norm(d)
    return d


@cache
def states(nets: tuple[tuple[str, str], ...] = SOME, losses: tuple[float, ...] = (0.02, 0.5)) -> tuple[Point, ...]:
    """Random directions that meet all labels, at norms with a given loss."""
    return tuple(below(p, loss) for net in nets for p in points(*net) for loss in losses)


def level(p: Point) -> tuple[float, float, float]:
    """L, z and ψ(z)."""
    q = p.margins(p.W)
    if p.problem.loss.name == "exponential":
        L = float(np.sum(np.exp(-q)))
        return L, -float(np.log(L)), L
    L = float(np.sum(np.log1p(np.exp(-q))))
    return L, -float(np.log(np.expm1(L))), -float(np.expm1(-L))


def _sandwich(p: Point) -> float:
    smoothed = level(p)[1] / p.R
    return max(smoothed - p.fb.min(), p.fb.min() - np.log(len(p.y)) / p.R - smoothed, 0.0) / p.fb.min()


def _entropy(p: Point) -> float:
    share = p.psi / p.psi.sum()
    return -float(np.sum(xlogy(share, share)))


def _inequality(d: Derivation) -> None:
    _split(d)

    def violated(p: Point) -> float:
        _, z, slope = level(p)
        return max(0.0, 1 - p.R * p.s / (slope * z))

    d.equation(
        "pulled",
        r"R s = \sum_n \psi_n q_n \ge \psi(z)\, z \qquad (z > 0)",
        r"""For the exponential loss this is [entropy] without the entropy. In general, write $\psi q$ as a function $h$
        of $\ell$, for the logistic loss $h(\ell) = (1 - e^{-\ell})\, q(\ell)$. If $h(\ell)/\ell$ falls, then $\sum_n
        h(\ell_n) \ge \sum_n \ell_n h(L)/L = h(L)$, because $\ell_n \le L$; it does fall where $q > 0$, as the product
        of the positive falling functions $(1 - e^{-\ell})/\ell$ and $q(\ell)$. The condition $z > 0$ means $L < 1$ for
        the exponential and $L < \log 2$ for the logistic loss.""",
        check=lambda: max(violated(p) for p in states()),
        bound=1e-12,
        how=f"by how much it is violated, at {STATES}",
    )


def _split(d: Derivation, entropy: float = 1.0) -> None:
    d.equation(
        "entropy",
        r"""R s = L\, \Bigl( \log\frac{1}{L} + \mathcal{H}(p) \Bigr), \qquad p_n = \frac{e^{-q_n}}{L}, \quad
        \mathcal{H}(p) = -\sum_n p_n \log p_n \in [0, \log N] \qquad (\ell = e^{-q})""",
        r"""With $q_n = -\log p_n - \log L$ and $\sum_n p_n = 1$. What the pulls exceed $L \log(1/L)$ by is the entropy
        of the weights, which is zero when a single sample carries the loss.""",
        check=lambda: max(
            gap(level(p)[0] * (level(p)[1] + entropy * _entropy(p)), p.R * p.s) for p in states(EXPONENTIAL)
        ),
        bound=1e-12,
        how=f"at {STATES}, of which two have the exponential loss",
    )


def _growth(p: Point, scheme: str) -> float:
    """The rate of log R by autodiff."""
    rate, _ = parametrised(p, scheme)
    return float(sum(p.kappa[k] * rate[k] / p.rho[k] for k in p.rho))


def _descent(p: Point, scheme: str) -> float:
    """-dL/dt: the slope of the loss by reverse autodiff along the velocity of the weights."""
    rho_rate, V_rate = parametrised(p, scheme)
    return float(sum(dot(p.g[k], rho_rate[k] * p.V[k] + p.rho[k] * V_rate[k]) for k in p.V))


def _across(p: Point, scheme: str) -> float:
    """T, the part of -dL/dt that turning directions give, by its formula."""
    return float(
        sum(p.R**2 * np.sum(p.bracket[k] ** 2) * (p.rho[k] ** -2 if scheme == "gradient_flow" else 1.0) for k in p.V)
    )


def _smoothed_rate(p: Point, scheme: str) -> float:
    """The rate of log γ̃ by the chain rule, with the descent and the growth by autodiff."""
    _, z, slope = level(p)
    return _descent(p, scheme) / (slope * z) - _growth(p, scheme)


def _rate(d: Derivation) -> None:
    def growing(p: Point, scheme: str) -> float:
        speed = sum(p.kappa[k] ** 2 * (1.0 if scheme.startswith("exp") else p.rho[k] ** -2) for k in p.V)
        return gap(p.R * p.s * speed, _growth(p, scheme))

    d.equation(
        "growth",
        r"""\frac{d \log R}{dt} = R s \sum_k c_k \frac{\kappa_k^2}{\rho_k^2}, \qquad
        c_k = \begin{cases} 1 & \text{gradient flow, Lagrange} \\ \rho_k^2 & \text{exponential} \end{cases}""",
        r"Sum the rates of the norms, [polar_flow:rho] and [schemes:ewn], with their degrees. By [pulled] it is"
        r" positive once $z > 0$.",
        check=lambda: max(growing(p, scheme) for p in states() for scheme in SCHEMES),
        bound=1e-11,
        how=f"rates of the norms by autodiff in the variables of three flows, at {STATES}",
    )
    d.equation(
        "descent",
        r"""\begin{gathered}
        -\frac{dL}{dt} = R s\, \frac{d \log R}{dt} + T, \qquad T = \sum_k b_k R^2 \lVert G_k - \kappa_k s V_k\rVert^2
        \ge 0, \\
        b_k = \begin{cases} \rho_k^{-2} & \text{gradient flow} \\ 1 & \text{Lagrange, exponential} \end{cases}
        \end{gathered}""",
        r"""The loss depends on the norms through $R$ alone, with $\partial L/\partial R = -s$. The directions of every
        flow descend as well: their rate is a positive multiple of the tangential part of $-\partial L/\partial V_k$,
        see [clocks:clock] and [clocks:metric].""",
        check=lambda: max(
            gap(p.R * p.s * _growth(p, scheme) + _across(p, scheme), _descent(p, scheme))
            for p in states()
            for scheme in SCHEMES
        ),
        bound=1e-11,
        how=f"the slope of the loss along the velocity of three flows, by autodiff, at {STATES}",
    )


def _monotone(d: Derivation) -> None:
    def formula(p: Point, scheme: str) -> float:
        _, z, slope = level(p)
        told = (p.R * p.s / (slope * z) - 1) * _growth(p, scheme) + _across(p, scheme) / (slope * z)
        # Relative to the growth: the two rates it is made of are larger than it is.
        return abs(told - _smoothed_rate(p, scheme)) / (abs(told) + _growth(p, scheme))

    d.equation(
        "rate",
        r"\frac{d \log\tilde\gamma}{dt} = \Bigl(\frac{R s}{\psi(z)\, z} - 1\Bigr) \frac{d \log R}{dt} +"
        r" \frac{T}{\psi(z)\, z}",
        r"Differentiate [smoothed] with $\dot z = -\dot L/\psi(z)$ and insert [descent].",
        check=lambda: max(formula(p, scheme) for p in states() for scheme in SCHEMES),
        bound=1e-11,
        how=f"against the rates of $L$ and of $R$ along three flows by autodiff, at {STATES}",
    )
    _sign(d)
    d.equation(
        "path",
        r"\tilde\gamma(t_2) \ge \tilde\gamma(t_1) \qquad (t_2 > t_1,\ z(t_1) > 0)",
        r"The loss falls along every flow, so that $z > 0$ stays true; integrate [monotone].",
        check=lambda: max(_fallen(scheme) for scheme in SCHEMES),
        bound=1e-13,
        how=r"""the largest fall in one of 1000 steps relative to its size, along Runge-Kutta paths of three derived
        flows from a loss of one half, linear network with three blocks and logistic loss""",
    )


def _sign(d: Derivation, small: bool = True) -> None:
    def fall(p: Point, scheme: str) -> float:
        return max(0.0, -_smoothed_rate(p, scheme) / abs(_growth(p, scheme)))

    chosen = states() if small else tuple(p for net in EXPONENTIAL for p in points(*net) if level(p)[1] < 0)
    d.equation(
        "monotone",
        r"z > 0 \quad\Longrightarrow\quad \frac{d\tilde\gamma}{dt} \ge 0 \qquad \text{(gradient flow, Lagrange, weight"
        r" normalisation, exponential)}",
        r"""Both terms of [rate] are non-negative by [pulled], [growth] and [descent]. With the exponential loss the
        first bracket is $\mathcal{H}(p)/\log(1/L)$, so the smoothed margin rises either because directions turn or
        because the loss is shared by several samples.""",
        check=lambda: max(fall(p, scheme) for p in chosen for scheme in SCHEMES),
        bound=1e-12,
        how=f"the fall relative to the growth of $R$ under three flows, by autodiff, at {STATES}",
    )


def _fallen(scheme: str) -> float:
    walk = path(SOME[0][0], scheme, met=True)
    p: Point = walk["point"]
    values = []
    for i in range(len(walk["rho"]["W1"])):
        at = replace(p, rho={k: r[i] for k, r in walk["rho"].items()}, V={k: v[i] for k, v in walk["V"].items()})
        values.append(level(at)[1] / at.R)
    return float(np.max(-np.diff(values) / np.array(values[1:]), initial=0.0))


def _theta(p: Point) -> tuple[float, float, float]:
    """‖θ‖, the total degree, and the speed of θ/‖θ‖ under gradient flow from the gradient of the loss."""
    length = float(np.sqrt(sum(dot(w, w) for w in p.W.values())))
    along = sum(dot(p.W[k], p.g[k]) for k in p.W) / length
    across = sum(dot(p.g[k], p.g[k]) for k in p.W) - along**2
    return length, sum(p.kappa.values()), float(np.sqrt(max(across, 0.0))) / length


def _single_norm(d: Derivation) -> None:
    def lengths(p: Point) -> float:
        return gap(_theta(p)[1] * p.R * p.s, sum(dot(p.W[k], p.g[k]) for k in p.W))

    d.define(
        "theta",
        r"""\theta = (W_1, \dots, W_K), \qquad D = \sum_k \kappa_k, \qquad \hat\theta =
        \frac{\theta}{\lVert\theta\rVert}, \qquad \tilde\gamma_\theta = \frac{z}{\lVert\theta\rVert^D}""",
        "A margin per unit of the norm of all weights together, for gradient flow:",
    )
    d.equation(
        "length",
        r"\frac12 \frac{d \lVert\theta\rVert^2}{dt} = D\, R s \ge D\, \psi(z)\, z",
        "Sum [equal_growth:common] over the blocks and use [pulled]. With the exponential loss the right-hand side is"
        " $D L \\log(1/L)$.",
        check=lambda: max(lengths(p) for p in states()),
        bound=1e-11,
        how=f"the equality, with the gradient by reverse autodiff, at {STATES}",
    )
    _turning(d)


def _turning(d: Derivation, factor: float = 1.0) -> None:
    def both(p: Point) -> tuple[float, float]:
        _, z, slope = level(p)
        length, D, speed = _theta(p)
        growth = D * p.R * p.s / length**2
        rate = _descent(p, "gradient_flow") / (slope * z) - D * growth
        return rate, factor * D * speed**2 / growth

    def size() -> float:
        worst = 0.0
        for p in states():
            rate, least = both(p)
            worst = max(worst, (least - rate) / least)
        for p in points(*SOME[0], n=1):
            rate, least = both(below(p))
            worst = max(worst, abs(rate - least) / least)
        return worst

    d.equation(
        "turning",
        r"\frac{d \log\tilde\gamma_\theta}{dt} \ge D \Bigl(\frac{d \log\lVert\theta\rVert}{dt}\Bigr)^{-1} \Bigl\lVert"
        r" \frac{d\hat\theta}{dt} \Bigr\rVert^2",
        r"""The steps to [rate] with one block and its norm, where $T = \lVert\theta\rVert^2 \lVert
        d\hat\theta/dt\rVert^2$; its first term is dropped, and in the second $\psi(z) z \le R s$, which is
        $\lVert\theta\rVert^2/D$ times the rate of $\log\lVert\theta\rVert$ by [length]. Nothing is lost with a single
        sample, where [entropy] has no entropy.""",
        check=size,
        bound=1e-10,
        how=f"by how much it is violated at {STATES}; equality with one sample and the exponential loss",
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""
    return {
        "an entropy of half its size": lambda: _split(control(), entropy=0.5),
        "a loss that is not small yet": lambda: _sign(control("rate", "pulled", "growth", "descent"), small=False),
        "turning that counts 1% more": lambda: _turning(control("rate", "length", "entropy"), factor=1.01),
    }
