"""How fast the norms of any number of blocks grow under an exponential loss, with constants."""

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp

from derivations.critical_points import LINEAR, SQUARED
from derivations.notebook import Derivation, control
from derivations.points import Point, gap
from derivations.resting import rest


def derivation() -> Derivation:
    """Claims P10, P11: growth of the norms and the loss."""
    d = Derivation(
        "Sharp growth",
        """K. Lyu, J. Li, ICLR 2020 (orders of growth); the constants follow from the balanced equation; claims P10,
        P11, L5 of flowlab.""",
    )
    _growth(d)
    _any_data(d)
    return d


def _growth(d: Derivation) -> None:
    a, z = sp.symbols("a z", positive=True)

    def telescoped() -> float:
        for terms in (1, 2, 5):
            series = z**-a * sp.exp(z) * sum(sp.rf(a, j) / z**j for j in range(terms))
            if (
                sp.simplify(sp.expand_func(sp.diff(series, z) / (z**-a * sp.exp(z)) - 1 + sp.rf(a, terms) / z**terms))
                != 0
            ):
                return 1.0
        return 0.0

    d.section("Any depth, a constant margin")
    d.say(
        r"""Balanced norms, exponential loss, one margin $f$ at resting directions, total degree $D = \sum_k \kappa_k$:
        then $z = f R = \log(1/L)$ obeys [closed_forms:product] with $s = f e^{-z}$, in which
        $c = \prod_k \kappa_k^{\kappa_k/2}$ is one for degrees one."""
    )
    d.define(
        "exponent", r"a = 2 - \frac2D, \qquad r_\infty = D\,(c f)^{2/D}, \qquad \dot z = r_\infty\, z^{a} e^{-z}", "Let"
    )
    d.equation(
        "expansion",
        r"""\frac{d}{dz} \Bigl( z^{-a} e^z \sum_{j < J} \frac{a (a+1) \cdots (a+j-1)}{z^j} \Bigr) = z^{-a} e^z \Bigl(1 -
        \frac{a (a+1) \cdots (a+J-1)}{z^J}\Bigr)""",
        "The derivative of each power cancels what the next term of the sum leaves: integration by parts, repeated.",
        check=telescoped,
        bound=0.0,
        how="symbolically for one, two and five terms",
    )
    _log_time(d)
    _norms(d)
    d.equation(
        "loss-rate",
        r"L\, t\, (\log t)^{2 - 2/D} \to \frac{1}{r_\infty}, \qquad L\, t\, z^{a} = \frac{1}{r_\infty} \Bigl(1 +"
        r" \frac{a}{z} + O(z^{-2})\Bigr)",
        r"""Put $L = e^{-z}$ into [log-time]. With $z$ instead of $\log t$ there are no iterated logarithms, so that the
        constant can be read off at times within reach.""",
        check=lambda: max(_left(D, z) for D in (2, 3, 4) for z in (50, 400)),
        bound=20.0,
        how="""$z^3$ times what $1 + a/z + a(a+1)/z^2$ leaves, the integral to thirty digits, $D = 2, 3, 4$, at $z = 50$
        and $400$; $a(a+1)(a+2)$ is at most 13.2""",
    )


def _left(D: int, z: int) -> float:
    a = 2 - 2 / D
    found = float(mp.exp(_log_t(D, mp.mpf(z)) - z + (2 - mp.mpf(2) / D) * mp.log(z)) * D)
    return abs(found - 1 - a / z - a * (a + 1) / z**2) * z**3


def _log_t(D: int, z: Any) -> Any:
    """The logarithm of t at z for f = c = 1, by the integral to thirty digits."""
    with mp.workdps(30):
        a = 2 - mp.mpf(2) / D
        # Scaled by e^{-z}; what lies more than 80 below z is under the digits.
        value: Any = mp.quad(lambda u: (z - u) ** -a * mp.exp(-u), [0, 1, 5, 20, min(80, z - 1)])
        return mp.mpf(z) + mp.log(value / D)


def _log_time(d: Derivation, sign: float = 1.0) -> None:
    def size() -> float:
        worst = 0.0
        for D in (1, 2, 3, 4):
            for z in (100, 400):
                a = 2 - 2 / D
                told = z - sign * a * np.log(z) - np.log(D) + np.log(1 + a / z + a * (a + 1) / z**2)
                worst = max(worst, abs(told - float(_log_t(D, mp.mpf(z)))) * z**3)
        return worst

    d.equation(
        "log-time",
        r"\log t = z - a \log z - \log r_\infty + \log\Bigl(1 + \frac{a}{z} + \frac{a(a+1)}{z^2} + O(z^{-3})\Bigr)",
        "Integrate [exponent] with [expansion]; the lower end of the integral is a constant against $e^z$.",
        check=size,
        bound=20.0,
        how=(
            "$z^3$ times what is left out, $D = 1, 2, 3, 4$, at $z = 100$ and $400$, against the integral to thirty"
            " digits; $a(a+1)(a+2)$ is at most 13.2"
        ),
    )


def _norms(d: Derivation, share: float = 2.0) -> None:
    def size() -> float:
        worst = 0.0
        for D in (2, 3, 4):
            a, z = 2 - share / D, 1e12
            # At this z two terms of the expansion are exact to rounding.
            log_t = z - (2 - 2 / D) * np.log(z) - np.log(D)
            left = (2 - 2 / D) * np.log(z) + np.log(D) - a * np.log(log_t)
            worst = max(worst, abs(left - np.log(D)))
        return float(worst)

    d.equation(
        "norms",
        r"f R - \log t - \Bigl(2 - \frac2D\Bigr) \log\log t \to \log r_\infty, \qquad \rho_k = \sqrt{\kappa_k}\,"
        r" \Bigl(\frac{R}{c}\Bigr)^{1/D}",
        r"""In [log-time] $\log z = \log\log t + O((\log\log t)/\log t)$. Hence $\rho_k$ grows like $(\log t)^{1/D}$.
        For $D$ blocks of degree one and $f = 1$ the constant is $\log D$.""",
        check=size,
        bound=1e-9,
        how="the left-hand side at $z = 10^{12}$ with [log-time], $f = c = 1$, $D = 2, 3, 4$",
    )


def _any_data(d: Derivation) -> None:
    D, c, f, m = sp.symbols("D c f m", positive=True)

    def identity() -> float:
        margin = f * c * m ** (D / 2) / (D * m) ** (D / 2)
        return float(
            sp.simplify(
                sp.powsimp(
                    sp.expand_power_base(D**2 * margin ** (2 / D), force=True) / (D * (c * f) ** (2 / D)), force=True
                )
                - 1
            )
            != 0
        )

    d.section("Any data")
    d.equation(
        "margin",
        r"r_\infty = D^2\, \bar\gamma^{2/D}, \qquad \bar\gamma = \frac{f R}{\lVert\theta\rVert^D}, \qquad"
        r" \lVert\theta\rVert^2 = \sum_k \rho_k^2 = D m",
        r"The constant of [exponent] by the margin per unit of the norm of all weights.",
        check=identity,
        bound=0.0,
        how="symbolically",
    )
    _aligned(d)
    d.say(
        r"""With $\dot L = -\lVert\nabla L\rVert^2$, a flow of balanced norms whose directions come to rest in the
        limit, as those of gradient flow do by Ji and Telgarsky (2020) where the network is definable, therefore obeys
        [exponent] with $r_\infty = D^2 \bar\gamma^{2/D}$ for any number of samples, $\bar\gamma$ the limit of the
        margin, and [loss-rate] follows. That directions converge is not shown here."""
    )


def _aligned(d: Derivation, power: float = 2.0) -> None:
    def size() -> float:
        worst = 0.0
        for net in (LINEAR, SQUARED):
            for R in (20.0, 320.0):
                for seed in (0, 1):
                    q = rest(*net, R, seed)
                    total = sum(q.kappa.values())
                    m = (R / np.prod([k ** (k / 2) for k in q.kappa.values()])) ** (2 / total)
                    p = Point(q.problem, q.each(lambda k, m=m, q=q: np.asarray(np.sqrt(q.kappa[k] * m))), q.V, q.x, q.y)
                    z = -np.log(p.problem.objective(p.W, p.test_state.samples, np))
                    square, length = sum(np.sum(p.g[k] ** 2) for k in p.g), sum(np.sum(w**2) for w in p.W.values())
                    ratio = square * np.exp(2 * z) / z ** (2 - 2 / total)
                    told = total**2 * (z / length ** (total / 2)) ** (power / total) * (p.R * p.s * np.exp(z) / z) ** 2
                    share = p.R * p.s * np.exp(z) / z
                    worst = max(worst, gap(told, ratio), 1 - share, share - 1 - np.log(len(p.y)) / z)
        return float(worst)

    d.equation(
        "aligned",
        r"""\frac{\lVert \nabla L\rVert^2}{L^2 z^{a}} = D^2\, \tilde\gamma_\theta^{2/D} \Bigl(\frac{R s}{L z}\Bigr)^2,
        \qquad \tilde\gamma_\theta = \frac{z}{\lVert\theta\rVert^D}, \qquad 1 \le \frac{R s}{L z} \le 1 +
        \frac{\log N}{z}""",
        r"""At a resting direction with balanced norms, [critical_points:ray] reads $-\nabla L = (R s/m)\,\theta$, so
        $\lVert\nabla L\rVert = D R s/\lVert\theta\rVert$; insert $\lVert\theta\rVert^2 =
        (z/\tilde\gamma_\theta)^{2/D}$. The bounds are those of [smoothed_margin:entropy].""",
        check=size,
        bound=1e-9,
        how="""both sides with gradients by autodiff, and violation of the bounds, at resting points of a linear network
        with three blocks and of a squared ReLU, two data sets, $R = 20$ and $320$""",
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""
    return {
        "the iterated logarithm with the wrong sign": lambda: _log_time(control("exponent", "expansion"), sign=-1.0),
        "the exponent of unlimited depth at every depth": lambda: _norms(control("log-time"), share=0.0),
        "the margin to another power": lambda: _aligned(control(), power=1.0),
    }
