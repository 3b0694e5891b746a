"""P11: the sharp constant of the late gradient of deep linear nets, in terms of the largest margin."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import DEEP, HORIZON, WIDTH, machine, one_layer, unequal
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Blocks

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory


def deep(case: Case, K: int) -> "tuple[Data, Trajectory]":
    """Data and the late gradient flow of a linear net of K layers on them; shared by claims about it."""
    from flowlab.dynamics import log_time
    from flowlab.language.problem import Problem
    from flowlab.language.state import initial_state

    data, one = unequal(case)
    if K == 1:
        return data, one
    problem = Problem(DEEP[K], coordinates="weights")
    start = initial_state(problem.network, data, widths={f"W{k}": WIDTH for k in range(1, K)}, seed=case.seed)
    return data, integrated(case, f"deep K={K}", problem, start, data, log_time(HORIZON))


def log_gradients(path: "Trajectory", z: np.ndarray) -> np.ndarray:
    """Log |∇L| in all weights at every row, of a linear net under the exponential loss; by the product rule, scaled so
    that nothing overflows.
    """
    names = list(path.problem.network.weights)
    logs = []
    layers = [path.dataset["rho"].sel(block=n).values[:, None, None] * path.dataset[f"V_{n}"].values for n in names]
    for i in range(len(path)):
        W = [layer[i] for layer in layers]
        after = [np.eye(1)]
        for w in reversed(W):
            after.append(after[-1] @ w)
        before, after = z.T, after[:-1][::-1]
        q = (np.linalg.multi_dot([*reversed(W), z.T]) if len(W) > 1 else W[0] @ z.T)[0]
        p = np.exp(q.min() - q)
        square = 0.0
        for w, left in zip(W, after, strict=True):
            square += float(((left.T @ p[None, :] @ before.T) ** 2).sum())
            before = w @ before
        logs.append(0.5 * math.log(square) - q.min())
    return np.array(logs)


@claim("P11")
class SharpConstant(Claim):
    """r = ‖∇L‖²/(L² Λ^{2-2/K}), Λ = log 1/L, tends to K² ḡ^{2/K} with ḡ = γ K^{-K/2}, and L t (log t)^{2-2/K} to its
    inverse.
    """

    title = "sharp constant of the late gradient of deep linear nets"
    statement = (
        "For a linear net of K layers on separable data with exponential loss |grad L|^2/(L^2 (log 1/L)^(2-2/K)) "
        "tends to K^2 g^(2/K). Here g = gamma K^(-K/2) is the largest margin over the K-th power of the joint norm. L "
        "t (log t)^(2-2/K) tends to the inverse."
    )
    latex = (
        r"\frac{\lVert \nabla L\rVert^2}{L^2 (\log 1/L)^{2-2/K}} \to K^2 \bar g^{2/K}, \qquad "
        r"L\, t\, (\log t)^{2-2/K} \to \frac{1}{K^2 \bar g^{2/K}}, \qquad \bar g = \gamma K^{-K/2}"
    )
    source = (
        "after Lyu and Li 2020, theorem 4.3 (number not checked); the constant from dLambda/dt = |grad L|^2/L at the "
        "limit direction"
    )
    hypotheses = (one_layer(*DEEP.values()),)
    stated = Variant(joint=lambda gamma, K: gamma * K ** (-K / 2), more=lambda _: 0.0, root=1.0)
    mutants = (
        stated.but("joint norm of one layer", joint=lambda gamma, _: gamma),
        stated.but("exponent of one layer more", more=lambda K: 2 - 2 / (K + 1) - (2 - 2 / K)),
        stated.but("square root of the margin", root=0.5),
    )
    counter_example = (
        "joint norm of one layer: the margin over the product of the norms in place of that over the joint norm"
    )
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for K in (1, 2, 3):
            data, path = deep(case, K)
            w = machine(data)[0]
            z = np.asarray(data.x) * np.asarray(data.y)[:, None]
            limits = case.once(f"P11 limits K={K}", lambda path=path, z=z: _limits(path, z))
            gamma = (1.0 / float(np.linalg.norm(w))) ** variant.root
            r = K**2 * variant.joint(gamma, K) ** (2 / K)
            log_r, q, log_L = limits["log r"], limits["q"], float(path.dataset["log_loss"][-1])
            more = variant.more(K) * math.log(-log_L)
            quantities += [
                Quantity(
                    f"|grad L|^2/(L^2 (log 1/L)^(2-2/K)), K = {K}",
                    math.exp(log_r.value - more),
                    r,
                    2e-3 * r,
                    math.exp(log_r.value) * log_r.error,
                    route="flow to log t = 1e6, extrapolated in 1/log(1/L)",
                    second=math.exp(limits["autodiff"]),
                    second_route="autodiff of log L at the last row",
                ),
                Quantity(
                    f"L t (log t)^(2-2/K), K = {K}",
                    math.exp(q.value + more),
                    1 / r,
                    2e-3 / r,
                    math.exp(q.value) * q.error,
                    route="flow to log t = 1e6, extrapolated in 1/log(1/L)",
                ),
            ]
        return Measurement.of(
            quantities, "a part in 500; what the last row lacks is of order 1/R", name=unequal(case)[0].name
        )


def _limits(path: "Trajectory", z: np.ndarray) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp

    from flowlab.late.asymptotics import asymptotics

    laws = asymptotics(path, log_gradient=log_gradients(path, z))
    K = len(path.problem.network.weights)

    def log_loss(W: Blocks) -> jax.Array:
        out = jnp.asarray(z).T
        for name in path.problem.network.weights:
            out = W[name] @ out
        return jax.nn.logsumexp(-out[0])

    W = {name: jnp.asarray(w) for name, w in path.last.weights().items()}
    value, slope = jax.value_and_grad(log_loss)(W)
    square = sum(float((g**2).sum()) for g in slope.values())
    limits: dict[str, Any] = {"autodiff": math.log(square) - (2 - 2 / K) * math.log(-float(value))}
    for name in ("log r", "q"):
        limits[name] = laws[name].late
    return limits
