"""Late flows of deep linear nets, and the logarithm of the norm of their gradient."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.library.poggio2020.flows import DEEP, HORIZON, WIDTH, unequal
from flowlab.claims.sample_problems import integrated
from flowlab.core.typing import Blocks
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state
from flowlab.language.trajectory import Trajectory
from flowlab.late.asymptotics import asymptotics


def deep(case: Case, K: int) -> tuple[Data, Trajectory]:
    """Data and the late gradient flow of a linear net of K layers on them; shared by claims about it."""
    data, one = unequal(case)
    if K == 1:
        return data, one
    problem = Problem(DEEP[K], coordinates="weights")
    start = initial_state(problem.network, data, widths={f"W{k}": WIDTH for k in range(1, K)}, seed=case.seed)
    return data, integrated(case, f"deep K={K}", problem, start, data, log_time(HORIZON))


def log_gradients(path: Trajectory, z: np.ndarray) -> np.ndarray:
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


def late_limits(path: Trajectory, z: np.ndarray) -> dict[str, Any]:
    """Limits of the late law of a flow, extrapolated, with those of its gradient."""
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
