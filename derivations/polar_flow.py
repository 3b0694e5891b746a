"""From gradient flow in the weights to the equations of norms and directions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from derivations.notebook import Derivation
from derivations.points import FIVE, NETS, Point, dot, everywhere, flow_of, gap
from flowlab.language.network import Network
from flowlab.symbolic.scalars import SYMBOLS


def derivation() -> Derivation:
    """Equation (1.2): the polar form of gradient flow."""
    d = Derivation(
        "Gradient flow of norms and directions",
        "T. Poggio, A. Banburski, Q. Liao, Theoretical issues in deep networks, PNAS 2020; claims P1, P2, equations"
        " (1.1), (1.2) of flowlab.",
    )
    d.say(
        r"""A network $f(W;x)$ has weight blocks $W_1, \dots, W_K$; samples are $(x_n, y_n)$ with $y_n = \pm 1$, and the
        loss of a sample depends on its margin alone. What is wanted is the motion of the lengths and of the directions
        of the blocks, because a classifier that is homogeneous in its weights decides by the directions only. Where
        activations have kinks, everything below is about states where no unit sits on one."""
    )
    _velocity(d)
    _polar_split(d)
    d.section("Homogeneity")
    d.say("So far nothing was assumed about the network. Now let the output scale with every block alone.")
    _homogeneity(d)
    _at_directions(d)
    _euler(d)
    d.section("The equations")
    d.equation(
        "rho",
        r"\dot\rho_k = \kappa_k \frac{R}{\rho_k} \sum_n \psi_n \bar f_n = \kappa_k \frac{R}{\rho_k}\, s",
        "Put [flow] and [slope] into [radial] and use [euler] under the sum.",
        check=everywhere(lambda p: gap(p.each(lambda k: p.kappa[k] * p.R / p.rho[k] * p.s), p.rates[0])),
        bound=1e-11,
        how=rf"against the rate of $\lVert W_k\rVert$ by forward autodiff, at {FIVE}",
    )
    _direction(d)
    d.say(
        r"""The norms of all blocks share the factor $R s$, and a direction rests exactly where the bracket of
        [direction], weighted by $\psi$ and summed, vanishes. Of the network only its degrees and its gradient in the
        directions are left."""
    )
    d.section("What the program derives")
    _symbols(d)
    d.equation(
        "program",
        r"(\dot\rho_k, \dot V_k)_{\text{derived}} = (\dot\rho_k, \dot V_k)_{\text{autodiff}}",
        "The same equations after back-propagation, as the straight-line program that `flowlab.lower` compiles.",
        check=everywhere(lambda p: gap(p.derived("gradient_flow"), p.rates)),
        bound=1e-11,
        how=f"the program against forward autodiff of norm and direction along [flow], at {FIVE}",
    )
    return d


def _velocity(d: Derivation) -> None:
    d.section("The flow of the weights")
    d.define(
        "objective",
        r"L(W) = \sum_n \ell(q_n), \qquad q_n = y_n f(W;x_n), \qquad \psi_n = -\ell'(q_n)",
        "The objective, the margins and the pull of a sample are",
    )
    d.equation(
        "flow",
        r"\dot W_k = -\frac{\partial L}{\partial W_k} = \sum_n \psi_n\, \frac{\partial q_n}{\partial W_k}",
        r"""Weights follow the negative gradient, and the chain rule goes through the margins. For the exponential,
        logistic and square loss $\psi$ is $e^{-q}$, $1/(1+e^{q})$ and $1-q$.""",
        check=everywhere(lambda p: gap(p.each(lambda k: np.tensordot(p.psi, p.autodiff["slopes_W"][k], 1)), p.g)),
        bound=1e-12,
        how=f"the sum, with margins differentiated one by one, against reverse autodiff of $L$ at {FIVE}",
    )


def _polar_split(d: Derivation) -> None:
    d.section("The polar split")
    d.define(
        "split",
        r"W_k = \rho_k V_k, \qquad \rho_k = \lVert W_k\rVert > 0, \qquad \lVert V_k\rVert = 1",
        "Every block is a length times a direction (Frobenius norm):",
    )
    d.equation(
        "product-rule",
        r"\dot W_k = \dot\rho_k V_k + \rho_k \dot V_k",
        "Differentiate [split] in time.",
        check=everywhere(lambda p: gap(p.each(lambda k: p.rates[0][k] * p.V[k] + p.rho[k] * p.rates[1][k]), p.g)),
        bound=1e-12,
        how=r"rates of $\lVert W\rVert$ and $W/\lVert W\rVert$ by forward autodiff along [flow]",
    )
    d.equation(
        "orthogonal",
        r"\langle V_k, \dot V_k\rangle = 0",
        r"A vector of constant length moves at a right angle to itself: differentiate $\langle V_k, V_k\rangle = 1$.",
        check=everywhere(
            lambda p: max(abs(dot(p.V[k], rate)) / float(np.linalg.norm(rate)) for k, rate in p.rates[1].items())
        ),
        bound=1e-12,
        how="the cosine of the angle between the two, by forward autodiff",
    )
    d.equation(
        "radial",
        r"\dot\rho_k = \langle V_k, \dot W_k\rangle",
        "Take the inner product of [product-rule] with $V_k$; the last term vanishes by [orthogonal].",
        check=everywhere(lambda p: gap(p.each(lambda k: dot(p.V[k], p.g[k])), p.rates[0])),
        bound=1e-12,
        how=r"against the rate of $\lVert W_k\rVert$ by forward autodiff",
    )
    d.equation(
        "tangential",
        r"\dot V_k = \frac{1}{\rho_k}\bigl(\dot W_k - \langle V_k, \dot W_k\rangle V_k\bigr)",
        r"""Insert [radial] into [product-rule] and solve for $\dot V_k$: the direction sees the velocity without its
        radial part, divided by the length.""",
        check=everywhere(
            lambda p: gap(p.each(lambda k: (p.g[k] - dot(p.V[k], p.g[k]) * p.V[k]) / p.rho[k]), p.rates[1])
        ),
        bound=1e-12,
        how=r"against the rate of $W_k/\lVert W_k\rVert$ by forward autodiff",
    )


def _homogeneity(d: Derivation, net: str | None = None) -> None:
    def scaled(p: Point) -> float:
        return max(
            gap(p.margins(p.W | {k: c * p.W[k]}), c**kappa * p.margins(p.W))
            for k, kappa in p.kappa.items()
            for c in (0.3, 1.7)
        )

    def first_block_scaled() -> float:
        rng = np.random.default_rng(0)
        network = Network(net or "")
        weights: dict[str, Any] = {
            w: rng.normal(size=shape) for w, shape in network.resolve(3, 1, None, default_width=4).items()
        }
        x = rng.normal(size=(9, 3))
        return gap(network.outputs(weights | {"W1": 1.7 * weights["W1"]}, x, np), 1.7 * network.outputs(weights, x, np))

    d.equation(
        "homogeneity",
        r"f(\dots, c\,W_k, \dots; x) = c^{\kappa_k} f(W;x), \qquad c > 0",
        r"""A product with $W_k$ scales with $c$; ReLU, leaky ReLU and the absolute value pass a positive factor on, a
        power $a$ of them raises it to the power $a$, and a block that is used twice in a row counts twice. The degrees
        $\kappa_k$ are what flowlab solves for, node by node.""",
        check=everywhere(scaled) if net is None else first_block_scaled,
        bound=1e-12,
        how=f"outputs with one block scaled by 0.3 and by 1.7, at {FIVE}",
    )


def _at_directions(d: Derivation) -> None:
    d.equation(
        "product",
        r"f(W;x) = R\, f(V;x), \qquad R = \prod_k \rho_k^{\kappa_k}",
        r"Apply [homogeneity] to the blocks one after another, with $c = \rho_k$ at $V_k$.",
        check=everywhere(lambda p: gap(p.R * p.fb, p.margins(p.W))),
        bound=1e-12,
        how=f"outputs at $W$ and at $V$, at {FIVE}",
    )
    d.define(
        "normalised",
        r"\bar f_n = y_n f(V;x_n), \qquad q_n = R \bar f_n, \qquad s = \sum_n \psi_n \bar f_n",
        "The margins at the directions, and a sum over samples that will come up:",
    )
    d.equation(
        "slope",
        r"\frac{\partial q_n}{\partial W_k} = \frac{R}{\rho_k}\, \frac{\partial \bar f_n}{\partial V_k}",
        r"""Differentiate [product] with respect to $V_k$ at fixed norms; it holds for every $V_k$, of length one or
        not, so no constraint is in the way. The left-hand side gives $\rho_k\, \partial q_n/\partial W_k$.""",
        check=everywhere(
            lambda p: gap(p.each(lambda k: p.R / p.rho[k] * p.autodiff["slopes_V"][k]), p.autodiff["slopes_W"])
        ),
        bound=1e-12,
        how="both derivatives of every margin by reverse autodiff",
    )


def _euler(d: Derivation, extra: float = 0.0) -> None:
    def one(p: Point) -> float:
        along = {k: np.tensordot(s, p.V[k], p.V[k].ndim) for k, s in p.autodiff["slopes_V"].items()}
        return gap(p.each(lambda k: (p.kappa[k] + extra) * p.fb), along)

    d.equation(
        "euler",
        r"\Bigl\langle V_k, \frac{\partial \bar f_n}{\partial V_k}\Bigr\rangle = \kappa_k\, \bar f_n",
        "Differentiate homogeneity in $c$ at $c = 1$, with $V$ in place of $W$: Euler's identity, for every sample.",
        check=everywhere(one),
        bound=1e-12,
        how=f"gradients of every output by reverse autodiff, at {FIVE}",
    )


def _direction(d: Derivation, kept: float = 1.0, power: int = 2) -> None:
    def one(p: Point) -> float:
        return gap(p.each(lambda k: p.R / p.rho[k] ** power * (p.G[k] - kept * p.kappa[k] * p.s * p.V[k])), p.rates[1])

    d.equation(
        "direction",
        r"\dot V_k = \frac{R}{\rho_k^2} \sum_n \psi_n \Bigl(\frac{\partial \bar f_n}{\partial V_k} - \kappa_k\, \bar"
        r" f_n V_k\Bigr)",
        r"""In the same way for the tangential part of the velocity. One power of $\rho_k$ comes from the slope of the
        margin, the other from the division by the length.""",
        check=everywhere(one),
        bound=1e-11,
        how=rf"against the rate of $W_k/\lVert W_k\rVert$ by forward autodiff, at {FIVE}",
    )


def _symbols(d: Derivation) -> None:
    rho, kappa, R, s = (SYMBOLS[name] for name in ("rho_k", "kappa_k", "R", "s"))
    wanted = {"rho": kappa * R * s / rho, "G": R / rho**2, "V": -kappa * R * s / rho**2}

    def size() -> float:
        found = [e for net, loss in NETS for e in flow_of(net, loss, "gradient_flow").structural]
        return float(any(sp.simplify(getattr(e, name) - expr) != 0 for e in found for name, expr in wanted.items()))

    d.equation(
        "symbols",
        r"""\dot\rho_k = \frac{\kappa_k R s}{\rho_k}, \qquad \dot V_k = \frac{R}{\rho_k^2}\, G_k -
        \frac{\kappa_k R s}{\rho_k^2}\, V_k, \qquad G_k = \sum_n \psi_n \frac{\partial \bar f_n}{\partial V_k}""",
        "`flowlab.derive` finds the coefficients by its own road, with symbols for one generic block.",
        check=size,
        bound=0.0,
        how="coefficients of all blocks of the five networks by simplification of the difference",
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "the projection dropped": lambda: _direction(fresh(), kept=0.0),
        "the projection 1% too weak": lambda: _direction(fresh(), kept=0.99),
        "one power of the norm missing": lambda: _direction(fresh(), power=1),
        "the degree one too high": lambda: _euler(fresh(), extra=1.0),
        "a network with biases": lambda: _homogeneity(fresh(), net="W2 @ relu(W1 @ x + b1) + b2"),
    }
