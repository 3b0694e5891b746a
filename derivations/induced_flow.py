"""The flow that a part of a network inherits: when it closes, when it is a mirror flow, and where it ends."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp
from scipy.linalg import sqrtm

from derivations.notebook import Derivation
from derivations.points import gap
from flowlab.dynamics import integrate, log_loss_below
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive
from flowlab.symbolic.induced.brackets import Entrywise, commutes
from flowlab.symbolic.induced.flow import InducedFlow
from flowlab.symbolic.induced.mirror import Z
from flowlab.symbolic.induced.node import node_of

NODE, D, N = "w * w - u * u + lam * v", 8, 3
ALPHA, LAM = sp.Symbol("alpha", positive=True), sp.Symbol("lam", real=True)
WHERE = "three random states in eight dimensions"


def derivation() -> Derivation:
    """Claims Z1, Z2 and Z6: push-forward, commuting fields, mirror coordinate, potential."""
    d = Derivation(
        "The flow that a part of a network inherits",
        """Z. Li, T. Wang, J. Lee, S. Arora, NeurIPS 2022 (commuting parametrisations); M. Zhou, R. Ge, ICML 2023 (the
        parametrisation of the example); claims Z1, Z2 and Z6 of flowlab.""",
    )
    d.say(
        r"""Let all weights $\theta$ act through a vector $\beta(\theta)$, so that the objective is $L(\beta(\theta))$,
        and let $J = \partial\beta/\partial\theta$. The example is $\beta = w^2 - u^2 + \lambda v$, entry by entry, from
        $w = u = \alpha$ and $v = 0$."""
    )
    _push_forward(d)
    _closed(d)
    d.section("Where fields commute")
    _commuting(d)
    _mirror(d)
    _potential(d)
    d.equation(
        "limit",
        r"\beta(\infty) = \arg\min \{\Phi(\beta) : \beta \text{ fits the samples}\}",
        r"""By [mirror] $z$ is a sum of gradients of the samples, $z = X^\top\nu$ for a loss of $X\beta$, and by
        [potential] $z = \nabla\Phi(\beta)$. A limit that fits therefore satisfies the optimality conditions of this
        convex problem.""",
        check=_limit,
        bound=1e-7,
        how="the flow in $z$ until the loss is $e^{-42}$, against Newton's method on the dual",
    )
    return d


def _push_forward(d: Derivation, factor: float = 1.0) -> None:
    d.equation(
        "pushed",
        r"\dot\beta = -K\,\frac{\partial L}{\partial\beta}, \quad K = JJ^\top, \qquad"
        r" K = \mathrm{diag}(4w^2 + 4u^2 + \lambda^2)",
        r"The chain rule twice: $\dot\theta = -J^\top\,\partial L/\partial\beta$ and $\dot\beta = J\dot\theta$. In the"
        r" example $J$ has the diagonals $2w$, $-2u$ and $\lambda$.",
        check=lambda: max(_pushed(seed, factor) for seed in range(3)),
        bound=1e-13,
        how=f"the derivative of $\\beta$ along the gradient flow of the weights, by autodiff, at {WHERE}",
    )


def _pushed(seed: int, factor: float) -> float:
    rng = np.random.default_rng(seed)
    theta = [jnp.asarray(rng.normal(size=D)) for _ in range(3)]
    lam, x, y = rng.normal(size=D), rng.normal(size=(N, D)), rng.normal(size=N)

    def beta(w: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
        return w * w - u * u + lam * v

    def loss(b: jax.Array) -> jax.Array:
        return ((x @ b - y) ** 2).sum() / 2

    slopes = jax.grad(lambda t: loss(beta(*t)))(theta)
    _, moved = jax.jvp(lambda t: beta(*t), (theta,), ([-g for g in slopes],))
    w, u, _ = theta
    K = factor * (4 * w * w + 4 * u * u) + lam * lam
    return gap(np.asarray(moved), np.asarray(-K * jax.grad(loss)(beta(*theta))))


def _closed(d: Derivation, off: float = 0.0) -> None:
    d.equation(
        "closed",
        r"\begin{aligned} A^\top A - BB^\top &= cI \quad\Rightarrow\quad"
        r" \dot\beta = -\Bigl(\tfrac c2 I + \sqrt{\tfrac{c^2}4 I + \beta\beta^\top}\Bigr) G"
        r" - G \Bigl(-\tfrac c2 I + \sqrt{\tfrac{c^2}4 I + \beta^\top\beta}\Bigr) \end{aligned}",
        r"The flow of $\beta$ closes where $K$ is a function of $\beta$ and of what the flow keeps. For a product"
        r" $\beta = AB$ and $G = \partial L/\partial\beta$ it is $KG = AA^\top G + GB^\top B$. The law"
        r" $A^\top A - BB^\top$ of gradient flow makes it one where it is a multiple of $I$:"
        r" then $\beta\beta^\top = A(A^\top A - cI)A^\top = (AA^\top)^2 - c\,AA^\top$.",
        check=lambda: max(_product(seed, off) for seed in range(3)),
        bound=1e-12,
        how="both sides at three random products of $3\\times3$ matrices with a law $cI$",
    )


def _product(seed: int, off: float) -> float:
    rng = np.random.default_rng(seed)
    A, G, c = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), -0.5
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    B = np.linalg.cholesky(A.T @ A - c * np.eye(3) + off * np.diag([1.0, 0.0, 0.0])) @ turn
    beta = A @ B
    left, right = (np.real(sqrtm(c * c / 4 * np.eye(3) + m)) for m in (beta @ beta.T, beta.T @ beta))
    pushed = A @ A.T @ G + G @ B.T @ B
    return gap(pushed, (c / 2 * np.eye(3) + left) @ G + G @ (-c / 2 * np.eye(3) + right))


def _commuting(d: Derivation, product: str = "A @ B @ x") -> None:
    d.equation(
        "commuting",
        r"[\nabla\beta_i, \nabla\beta_j] = \nabla^2\beta_j\,\nabla\beta_i - \nabla^2\beta_i\,\nabla\beta_j = 0",
        r"Entries that share no weights have fields that do not meet, and commute. Those of a product do not: of the"
        r" six pairs of entries of a $2\times2$ product $AB$ the four in one row or column fail.",
        check=lambda: abs(_pairs("(w * w - u * u + v) @ x")) + abs(_pairs(product) - 4),
        bound=0.0,
        how="brackets by autodiff at random weights: pairs that do not vanish, counted",
    )


def _pairs(net: str) -> int:
    problem = Problem(net, "square", coordinates="weights")
    node = node_of(problem, problem.network.expression.args[0])
    return len(commutes(Entrywise(node, None, None)).pairs)


@cache
def _flow() -> InducedFlow:
    network = Network(f"({NODE}) @ x", constants=["lam"])
    flow = derive(Problem(network, "square", reduction="mean", coordinates="weights"))
    start = {"w": np.full(D, 0.1), "u": np.full(D, 0.1), "v": np.zeros(D)}
    return flow.induced(NODE, start, constants={"lam": np.full(D, 0.4)})


def _mirror(d: Derivation, pace: int = 1) -> None:
    d.equation(
        "mirror",
        r"\dot z = -\frac{\partial L}{\partial\beta}, \quad z(0) = 0: \qquad"
        r" w = \alpha e^{2z}, \quad u = \alpha e^{-2z}, \quad v = \lambda z",
        r"Flows along commuting fields can be taken in any order, so that the weights are a function of the times"
        r" $z_i$ spent along each of them: $\partial\theta/\partial z_i = \nabla\beta_i(\theta)$. In the example this"
        r" is $w' = 2w$, $u' = -2u$, $v' = \lambda$. Hence $wu = \alpha^2$ and $\log(w/\alpha) = 2v/\lambda$ are kept.",
        check=lambda: _solves(pace),
        bound=0.0,
        how="the closed forms that the program finds, put into these equations, symbolically",
    )


def _solves(pace: int) -> float:
    chart = _flow().mirror
    assert chart is not None
    theta = {name: value.subs(Z, pace * Z) for name, value in chart.theta}
    fields = {"w": 2 * theta["w"], "u": -2 * theta["u"], "v": LAM}
    rest = [sp.simplify(sp.diff(theta[name], Z) - field) for name, field in fields.items()]
    begin = [theta["w"].subs(Z, 0) - ALPHA, theta["u"].subs(Z, 0) - ALPHA, theta["v"].subs(Z, 0)]
    return float(sum(value != 0 for value in [*rest, *begin]))


def _potential(d: Derivation, share: int = 2) -> None:
    d.equation(
        "potential",
        r"\beta = 2\alpha^2 \sinh 4z + \lambda^2 z = \nabla\Phi^*(z), \qquad"
        r" \Phi^*(z) = \sum_i \tfrac{\alpha^2}2(\cosh 4z_i - 1) + \tfrac{\lambda^2}2 z_i^2,"
        r" \qquad z = \nabla\Phi(\beta)",
        r"Insert [mirror] into $\beta$. Its derivative in $z$ is $K$ of [pushed], positive, so that $\Phi^*$ is convex;"
        r" $\Phi$ is its Legendre transform. The first term gives the hyperbolic entropy, the second a square; together"
        r" they are no norm.",
        check=lambda: _gradient(share),
        bound=0.0,
        how="the potential that the program finds, differentiated twice, symbolically",
    )


def _gradient(share: int) -> float:
    chart = _flow().mirror
    assert chart is not None
    told = ALPHA**2 / 2 * (sp.cosh(4 * Z) - 1) + LAM**2 / share * Z**2
    theta = dict(chart.theta)
    K = 4 * theta["w"] ** 2 + 4 * theta["u"] ** 2 + LAM**2
    rest = [
        told - chart.conjugate,
        sp.diff(told, Z) - chart.beta,
        (sp.diff(told, Z, 2) - K).rewrite(sp.exp),
    ]
    return float(sum(sp.simplify(value) != 0 for value in rest))


def _limit() -> float:
    rng = np.random.default_rng(0)
    data = Data(rng.normal(size=(N, D)), rng.normal(size=N), kind="targets")
    flow = _flow()
    path = integrate(lower(flow), flow.start, data, until=log_loss_below(-42.0), rtol=1e-11, atol=1e-14)
    return gap(np.asarray(path.last.weights()[flow.block]), flow.minimiser(data).beta)


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    def after(*labels: str) -> Derivation:
        d = fresh()
        for label in labels:
            d.define(label, "0", "")
        return d

    return {
        "K one per cent too large": lambda: _push_forward(fresh(), factor=1.01),
        "a product off balance": lambda: _closed(fresh(), off=0.3),
        "products that commute": lambda: _commuting(fresh(), product="(A * B) @ x"),
        "weights that move twice as fast": lambda: _mirror(fresh(), pace=2),
        "the square twice as large": lambda: _potential(after("mirror", "pushed"), share=1),
    }
