"""All blocks grow equally: the squares of their norms over their degrees,
or under exponential weight normalisation the logarithms.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import sympy as sp

from derivations.notebook import Derivation
from derivations.paths import drift, path
from derivations.points import FIVE, NETS, SOME, THREE, Point, dot, everywhere, flow_of, gap
from derivations.variables import parametrised
from flowlab.language.autodiff import velocity
from flowlab.language.problem import Problem
from flowlab.symbolic.certificate import random_state

LINEAR, SQUARED = NETS[0][0], NETS[2][0]
SCHEMES = ("gradient_flow", "lagrange", "exponential_weight_normalization")


def derivation() -> Derivation:
    """Equations (1.8) and (1.9): equal growth, the conserved differences, and what weight decay does to them."""
    d = Derivation(
        "Equal growth of the norms",
        """S. Du, W. Hu, J. Lee, NeurIPS 2018 (gradient flow, degrees one); T. Poggio, A. Banburski, Q. Liao, PNAS 2020;
        claims P4, E1.8, equations (1.8), (1.9) of flowlab.""",
    )
    d.say(
        r"""A network scales with every block alone, $f(\dots, cW_k, \dots) = c^{\kappa_k} f(W)$;
        $\rho_k = \lVert W_k\rVert$ are the norms and $R = \prod_k \rho_k^{\kappa_k}$. Margins are
        $q_n = y_n f(W;x_n) = R \bar f_n$, pulls $\psi_n = -\ell'(q_n)$, and $s = \sum_n \psi_n \bar f_n$."""
    )
    _common(d)
    _squares(d)
    d.equation(
        "logs",
        r"\frac{d}{dt} \frac{\log \rho_k}{\kappa_k} = R s \qquad \text{(exponential weight normalisation)}",
        r"With $\rho_k = e^{a_k}$ the rate of the norm is $\rho_k^2$ times as large, so the logarithm takes the place"
        r" of the square.",
        check=everywhere(
            lambda p: gap(_growth(p, "exponential_weight_normalization", -1), p.each(lambda _: p.R * p.s)), SOME
        ),
        bound=1e-11,
        how=f"reverse autodiff in the variables of the scheme, at {THREE}",
    )
    d.section("What is conserved")
    d.equation(
        "differences",
        r"""\begin{gathered}
        \frac{\rho_k^2}{\kappa_k} - \frac{\rho_j^2}{\kappa_j} = \text{const} \quad \text{(gradient flow, Lagrange,
        weight normalisation)}, \\
        \frac{\log \rho_k}{\kappa_k} - \frac{\log \rho_j}{\kappa_j} = \text{const} \quad \text{(exponential)}
        \end{gathered}""",
        "The right-hand sides of [squares] and [logs] do not depend on the block.",
        check=lambda: max(_strays(net, scheme) for net in (LINEAR, SQUARED) for scheme in SCHEMES),
        bound=1e-9,
        how=(
            "the drift relative to the start along Runge-Kutta paths of the derived flows, for a linear network and one"
            " with degrees 2 and 1"
        ),
    )
    d.equation(
        "ratio",
        r"\frac{\rho_k^2/\kappa_k}{\rho_j^2/\kappa_j} - 1 = \frac{\kappa_j D}{\rho_j^2}, \qquad D ="
        r" \frac{\rho_k^2}{\kappa_k} - \frac{\rho_j^2}{\kappa_j}",
        """Hence norms that grow without bound become equal, up to degrees, and the ratio of their squares approaches
        one like one over a square; it is the squares that keep their distance and not the norms. Under the exponential
        scheme with equal degrees the ratios themselves are kept, and nothing becomes equal.""",
        check=_ratio,
        bound=0.0,
        how="both sides by simplification of the difference",
    )
    _decay(d)
    d.section("What the program finds")
    d.equation(
        "program",
        r"\Bigl\{ \frac{\rho_k^2}{\kappa_k} - \frac{\rho_{k+1}^2}{\kappa_{k+1}} \Bigr\} \subset \text{conserved}",
        "`flowlab.derive` lists one difference per pair of neighbouring blocks: of squares, or of logarithms for the"
        " exponential scheme.",
        check=_listed,
        bound=0.0,
        how="the kinds and blocks of the laws listed for the five networks under three schemes",
    )
    return d


def _common(d: Derivation) -> None:
    def classes() -> float:
        worst = 0.0
        problem = Problem("W2 @ relu(W1 @ x)**2", "cross_entropy")
        for seed in range(3):
            state = random_state(problem, seed)
            g = velocity(problem, state.weights, state.samples)
            shares = [
                dot(state.weights[k], np.asarray(g[k])) / float(kappa) for k, kappa in problem.network.degrees.items()
            ]
            worst = max(worst, gap(shares[0], shares[1]))
        return worst

    d.equation(
        "common",
        r"\Bigl\langle W_k, -\frac{\partial L}{\partial W_k}\Bigr\rangle = \kappa_k \sum_n \psi_n q_n = \kappa_k R s",
        r"""Euler's identity for $q_n$ as a function of $W_k$, weighted with $\psi_n$ and summed: up to its degree,
        every block has the same inner product with its own gradient, because all of them see the same outputs.""",
        check=everywhere(
            lambda p: gap(
                p.each(lambda k: dot(p.W[k], p.g[k])), p.each(lambda k: p.kappa[k] * float(p.psi @ p.margins(p.W)))
            )
        ),
        bound=1e-11,
        how=f"reverse autodiff of the loss, at {FIVE}",
    )
    d.equation(
        "classes",
        r"""\frac{1}{\kappa_k} \Bigl\langle W_k, \frac{\partial L}{\partial W_k}\Bigr\rangle
        = \frac{1}{\kappa_j} \Bigl\langle W_j, \frac{\partial L}{\partial W_j}\Bigr\rangle""",
        "The argument does not use that the output is one number, nor which loss it is.",
        check=classes,
        bound=1e-11,
        how="cross-entropy over three classes with degrees 2 and 1, at three random states by reverse autodiff",
    )


def _growth(p: Point, scheme: str, power: int) -> dict[str, float]:
    """The rate of ρ²/(2κ) for power 1, of log ρ/κ for power -1, of ρ/κ for power 0; by autodiff."""
    rate, _ = parametrised(p, scheme)
    return p.each(lambda k: p.rho[k] ** power * rate[k] / p.kappa[k])


def _squares(d: Derivation, power: int = 1, with_degrees: bool = True) -> None:
    def size(p: Point) -> float:
        wanted = p.each(lambda k: p.R * p.s * (1.0 if with_degrees else 1.0 / p.kappa[k]))
        return max(gap(_growth(p, scheme, power), wanted) for scheme in ("gradient_flow", "lagrange"))

    d.equation(
        "squares",
        r"""\frac{d}{dt} \frac{\rho_k^2}{\kappa_k} = \frac{2}{\kappa_k} \langle W_k, \dot W_k\rangle = 2 R s
        \qquad \text{(gradient flow, Lagrange, weight normalisation)}""",
        r"""These flows share $\dot\rho_k = \langle V_k, -\partial L/\partial W_k\rangle$; multiply by $\rho_k$. The
        tangential velocity, in which they differ, does not change a norm.""",
        check=everywhere(size, SOME),
        bound=1e-11,
        how=f"rates by autodiff in the variables of gradient flow and of weight normalisation, at {THREE}",
    )


def _strays(net: str, scheme: str) -> float:
    walk = path(net, scheme)
    degrees = {k: float(kappa) for k, kappa in Problem(net).network.degrees.items()}
    each = [(np.log(r) if scheme.startswith("exp") else r**2) / degrees[k] for k, r in walk["rho"].items()]
    return max(drift(each[0] - other) for other in each[1:])


def _ratio() -> float:
    rho_k, rho_j, kappa_k, kappa_j = sp.symbols("rho_k rho_j kappa_k kappa_j", positive=True)
    D = rho_k**2 / kappa_k - rho_j**2 / kappa_j
    return float(sp.simplify((rho_k**2 / kappa_k) / (rho_j**2 / kappa_j) - 1 - kappa_j * D / rho_j**2) != 0)


def _decay(d: Derivation, factor: float = 4.0) -> None:
    omega = 0.3

    def size(p: Point) -> float:
        problem = Problem(p.problem.network, p.problem.loss.name, decay=omega)
        g = velocity(problem, p.W, p.test_state.samples)
        growth = [2 * dot(p.W[k], np.asarray(g[k])) / p.kappa[k] for k in p.W]
        square = [p.rho[k] ** 2 / p.kappa[k] for k in p.W]
        across = gap(p.each(lambda k: np.asarray(g[k]) + 2 * omega * p.W[k]), p.g)
        return max(across, gap(growth[0] - growth[1], -factor * omega * (square[0] - square[1])))

    d.equation(
        "decay",
        r"""\dot\rho_k = \kappa_k \frac{R}{\rho_k}\, s - 2\omega\rho_k \;\Longrightarrow\;
        \frac{d}{dt}\Bigl(\frac{\rho_k^2}{\kappa_k} - \frac{\rho_j^2}{\kappa_j}\Bigr)
        = -4\omega \Bigl(\frac{\rho_k^2}{\kappa_k} - \frac{\rho_j^2}{\kappa_j}\Bigr)""",
        r"""Weight decay $\omega \lVert W_k\rVert^2$ is radial: it adds $-2\omega\rho_k$ to the norm and nothing to the
        direction. With one coefficient for all blocks the differences are not conserved but fall like $e^{-4\omega t}$,
        whatever the loss does meanwhile.""",
        check=everywhere(size, SOME),
        bound=1e-11,
        how=rf"reverse autodiff of the loss with decay $\omega = 0.3$, at {THREE}",
    )


def _listed() -> float:
    wrong = 0
    for net, loss in NETS:
        blocks = Problem(net).network.weights
        for scheme in SCHEMES:
            kind = "norm-log" if scheme.startswith("exp") else "norm-square"
            found = [
                (law.kind, law.blocks) for law in flow_of(net, loss, scheme).conserved if law.kind.startswith("norm")
            ]
            wrong += found != [(kind, pair) for pair in pairwise(blocks)]
    return float(wrong)


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "norms instead of their squares": lambda: _squares(fresh(), power=0),
        "degrees left out": lambda: _squares(fresh(), with_degrees=False),
        "decay of the differences at half its rate": lambda: _decay(fresh(), factor=2.0),
    }
