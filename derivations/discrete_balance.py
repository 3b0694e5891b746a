"""What gradient descent with a finite step keeps of equal growth and balance: an exact identity per step,
a drift of first order in all.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import jax.numpy as jnp
import numpy as np

from derivations.notebook import Derivation
from derivations.paths import path
from derivations.points import FIVE, NETS, SOME, THREE, Point, dot, everywhere, gap, points
from derivations.variables import pulls
from flowlab.discrete import descend
from flowlab.language.data import Data
from flowlab.language.state import State

LINEAR, SQUARED = NETS[0][0], NETS[2][0]
SPAN = 0.5
"""Time over which drifts are measured."""


def derivation() -> Derivation:
    """Claim P20: gradient descent against the conserved differences of its flow."""
    d = Derivation(
        "Equal growth under gradient descent",
        """S. Du, W. Hu, J. Lee, NeurIPS 2018 (step sizes under which two factors stay balanced); claim P20 of flowlab,
        the discrete form of equation (1.8).""",
    )
    d.say(
        r"""Gradient descent takes $W_k^+ = W_k + \eta g_k$ with $g_k = -\partial L/\partial W_k$. The network scales
        with every block alone with degree $\kappa_k$; norms are $\rho_k$, margins $q_n$ and pulls
        $\psi_n = -\ell'(q_n)$. The flow keeps $\rho_k^2/\kappa_k - \rho_j^2/\kappa_j$; the question is what a step does
        to it."""
    )
    d.section("One step")
    d.equation(
        "radial",
        r"\langle W_k, g_k\rangle = \kappa_k \sum_n \psi_n q_n",
        "Euler's identity for the margins as functions of $W_k$, weighted with the pulls and summed.",
        check=everywhere(
            lambda p: gap(
                p.each(lambda k: dot(p.W[k], p.g[k])), p.each(lambda k: p.kappa[k] * float(p.psi @ p.margins(p.W)))
            )
        ),
        bound=1e-11,
        how=f"reverse autodiff of the loss, at {FIVE}",
    )
    d.equation(
        "square",
        r"\frac{(\rho_k^+)^2}{\kappa_k} = \frac{\rho_k^2}{\kappa_k} + 2\eta \sum_n \psi_n q_n + \frac{\eta^2}{\kappa_k}"
        r" \lVert g_k\rVert^2",
        "Expand the square of $W_k + \\eta g_k$ and insert [radial]. There is no remainder: this is not an expansion in"
        " $\\eta$.",
        check=everywhere(_square),
        bound=1e-13,
        how=rf"squares of the norms after a step of $\eta = 0.1$, at {FIVE}",
    )
    _identity(d)
    d.equation(
        "batch",
        r"g_k = \sum_{n \in B} \psi_n \frac{\partial q_n}{\partial W_k}: \qquad \text{the same, for every set } B"
        r" \text{ of samples}",
        "Nothing was used but that all blocks see the same outputs, so the identity holds step by step for stochastic"
        " gradient descent as well.",
        check=everywhere(lambda p: _off(p, batch=4)),
        bound=1e-12,
        how=f"a step on the first four samples, relative to the squared norms, at {FIVE}",
    )
    d.equation(
        "matrix",
        r"\Delta\bigl(W_k W_k^\top - W_{k+1}^\top W_{k+1}\bigr) = \eta^2 \bigl(g_k g_k^\top - g_{k+1}^\top"
        r" g_{k+1}\bigr) \qquad \text{(linear layers)}",
        r"""In the same way: the terms linear in $\eta$ cancel because $g_k W_k^\top = W_{k+1}^\top g_{k+1}$, as in the
        flow. Behind a ReLU it holds on the diagonal.""",
        check=everywhere(_matrix, SOME[:2]),
        bound=1e-12,
        how=(
            r"a step of $\eta = 0.1$, relative to $W_k W_k^\top$, all neighbours of a linear and of a ReLU network at"
            r" three random states"
        ),
    )
    _total(d)
    d.section("Weight normalisation")
    d.equation(
        "length",
        r"\lVert v_k^+\rVert^2 = \lVert v_k\rVert^2 + \eta^2 \lVert \partial L/\partial v_k\rVert^2",
        r"""The flow of $W_k = \rho_k v_k/\lVert v_k\rVert$ keeps $\lVert v_k\rVert$, since the gradient is at a right
        angle to $v_k$. A step along it is the other leg of a right triangle: lengths can only grow, and the direction's
        clock, slower by $\lVert v_k\rVert^2$, slows down with every step.""",
        check=everywhere(_length, SOME),
        bound=1e-13,
        how=rf"a step of $\eta = 0.1$ with autodiff in $v$ at length 1.7, at {THREE}",
    )
    return d


def _change(p: Point, g: dict[str, np.ndarray], eta: float) -> dict[str, float]:
    """The change of ρ²/κ of every block in one step, from the weights before and after it."""
    return p.each(lambda k: (np.sum((p.W[k] + eta * g[k]) ** 2) - np.sum(p.W[k] ** 2)) / p.kappa[k])


def _square(p: Point, eta: float = 0.1) -> float:
    rise = 2 * eta * float(p.psi @ p.margins(p.W))
    after = p.each(lambda k: np.sum((p.W[k] + eta * p.g[k]) ** 2) / p.kappa[k])
    return gap(p.each(lambda k: p.rho[k] ** 2 / p.kappa[k] + rise + eta**2 * np.sum(p.g[k] ** 2) / p.kappa[k]), after)


def _off(p: Point, batch: int | None = None, power: int = 2, eta: float = 0.1) -> float:
    """How far one step is from the identity, relative to what is subtracted in it."""
    g = p.each(lambda k: np.tensordot(p.psi[:batch], p.autodiff["slopes_W"][k][:batch], 1))
    change = _change(p, g, eta)
    squares = p.each(lambda k: eta**power * np.sum(g[k] ** 2) / p.kappa[k])
    first = next(iter(p.W))
    return max(
        abs(change[k] - change[first] - squares[k] + squares[first]) / (abs(change[k]) + p.rho[k] ** 2) for k in p.W
    )


def _identity(d: Derivation, power: int = 2) -> None:
    d.equation(
        "identity",
        r"""\Delta\Bigl(\frac{\rho_k^2}{\kappa_k} - \frac{\rho_j^2}{\kappa_j}\Bigr)
        = \eta^2 \Bigl(\frac{\lVert g_k\rVert^2}{\kappa_k} - \frac{\lVert g_j\rVert^2}{\kappa_j}\Bigr)""",
        "Subtract [square] for two blocks: what is linear in the step is common to all and cancels, what is quadratic"
        " stays.",
        check=everywhere(lambda p: _off(p, power=power)),
        bound=1e-12,
        how=rf"a step of $\eta = 0.1$, relative to the squared norms, at {FIVE}",
    )


def _matrix(p: Point, eta: float = 0.1) -> float:
    def outer(at: dict[str, np.ndarray], a: str, b: str) -> np.ndarray:
        return at[a] @ at[a].T - at[b].T @ at[b]

    after, worst = p.each(lambda k: p.W[k] + eta * p.g[k]), 0.0
    for a, b in pairwise(p.W):
        rest = outer(after, a, b) - outer(p.W, a, b) - eta**2 * outer(p.g, a, b)
        rest = np.diag(rest) if "relu" in p.problem.network.text else rest
        worst = max(worst, float(np.linalg.norm(rest) / np.linalg.norm(p.W[a] @ p.W[a].T)))
    return worst


def _length(p: Point, length: float = 1.7, eta: float = 0.1) -> float:
    v, rate = p.stretched(length).V, pulls(p, length)["normalised"][1]
    return gap(
        p.each(lambda k: np.sum(v[k] ** 2) + eta**2 * np.sum(rate[k] ** 2)),
        p.each(lambda k: np.sum((v[k] + eta * rate[k]) ** 2)),
    )


def _total(d: Derivation) -> None:
    d.section("Many steps")
    d.equation(
        "sum",
        r"""D(T) - D(0) = \eta \sum_{t} \eta \Bigl(\frac{\lVert g_k\rVert^2}{\kappa_k} -
        \frac{\lVert g_j\rVert^2}{\kappa_j}\Bigr), \qquad D = \frac{\rho_k^2}{\kappa_k} - \frac{\rho_j^2}{\kappa_j}""",
        "Add [identity] up over $T/\\eta$ steps of descent.",
        check=lambda: max(abs(drift - told) / abs(told) for net in (LINEAR, SQUARED) for _, drift, told in drifts(net)),
        bound=1e-8,
        how=(
            r"gradient descent of a linear network and of one with degrees 2 and 1 over one time in 50 to 400 steps,"
            r" relative to the drift"
        ),
    )
    d.equation(
        "integral",
        r"D(T) - D(0) = \eta \int_0^T \Bigl(\frac{\lVert g_k\rVert^2}{\kappa_k} - \frac{\lVert"
        r" g_j\rVert^2}{\kappa_j}\Bigr) dt + O(\eta^2)",
        r"""The sum in [sum] is a Riemann sum along a path that is itself $O(\eta)$ from the flow. So the drift is of
        first order in the step size, and its coefficient is known: blocks with the larger gradients, per degree,
        gain.""",
        check=lambda: max(_integral(net) for net in (LINEAR, SQUARED)),
        bound=1e-3,
        how=(
            r"drift over $\eta$, extrapolated from 200 and 400 steps to $\eta = 0$, against the integral along a"
            r" Runge-Kutta path of the derived flow"
        ),
    )
    _order(d)


def _order(d: Derivation, order: int = 1) -> None:
    def size() -> float:
        logs = [np.log(np.abs(np.array(drifts(net))[:, :2])) for net in (LINEAR, SQUARED)]
        fits = [np.polyfit(log[:, 0], log[:, 1], 1)[0] for log in logs]
        return float(max(abs(fit - order) for fit in fits))

    d.equation(
        "order",
        r"|D(T) - D(0)| \propto \eta^{1} \quad (\eta \to 0)",
        "Seen from outside, without the integral.",
        check=size,
        bound=0.1,
        how=r"the exponent fitted to the four step sizes, as a distance from one",
    )


@cache
def drifts(net: str) -> tuple[tuple[float, float, float], ...]:
    """(η, drift of the difference of the first two blocks,
    what the identity adds up to) over one time at falling step sizes.
    """
    (p,) = points(net, "logistic", count=1, n=3, d=5)
    start = State(rho=p.each(lambda k: jnp.asarray(p.rho[k])), V=p.each(lambda k: jnp.asarray(p.V[k])))
    found = []
    for count in (50, 100, 200, 400):
        walk = descend(p.problem, start, Data(p.x, p.y), step=SPAN / count, count=count, record_every=count)
        squares, steps = walk.dataset["rho"].values ** 2, walk.dataset["step_sq"].values
        first, second = (list(p.kappa).index(k) for k in ("W1", "W2"))
        ends = [values[-1] - values[0] for values in (squares, steps)]
        found.append((SPAN / count, *(float(e[first] / p.kappa["W1"] - e[second] / p.kappa["W2"]) for e in ends)))
    return tuple(found)


def _integral(net: str) -> float:
    """The extrapolated coefficient of the drift against the integral of the squared gradients along the flow."""
    walk = path(net, "gradient_flow", span=SPAN)
    (p,) = points(net, "logistic", count=1, n=3, d=5)
    h, squares = SPAN / len(walk["rho"]["W1"]), []
    for k in ("W1", "W2"):
        W = walk["rho"][k][:, None, None] * walk["V"][k]
        # The velocity of the path by central differences; its last step is not stored and is added once more.
        square = np.sum(np.gradient(W, h, axis=0, edge_order=2) ** 2, axis=(1, 2)) / p.kappa[k]
        squares.append(np.trapezoid(square, dx=h) + h * square[-1])
    (eta, rough, _), (half, fine, _) = drifts(net)[-2:]
    return gap(2 * fine / half - rough / eta, squares[0] - squares[1])


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "the step size to the first power": lambda: _identity(fresh(), power=1),
        "a drift of second order": lambda: _order(fresh(), order=2),
    }
