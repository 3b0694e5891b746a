"""A two-layer net with batch normalisation: its loss, its flow, its descent."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

from flowlab.core.typing import Array, Blocks

N, D, H = 12, 4, 3


TIME, STEP, COUNT = 1.0, 0.05, 40


def instance(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Inputs (N, D), labels (N,), and weights: W (H, D), the gains g and the outer layer a, (H,) each."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(N, D)), np.where(rng.permutation(N) % 2 == 0, 1.0, -1.0)
    return x, y, {"W": rng.normal(size=(H, D)), "g": rng.uniform(0.5, 1.5, size=H), "a": rng.normal(size=H)}


def loss(weights: Blocks, x: Array, y: Array, whole: bool = True) -> jax.Array:
    """Logistic loss of a·tanh(g ŵ), ŵ the pre-activations W x to zero mean and unit variance over the whole batch, no
    ε.

    BatchNorm with its usual ε under the root is invariant up to ε only; `whole=False` leaves the division out, which is
    no longer invariant.
    """
    h = x @ weights["W"].T
    h = h - jnp.mean(h, axis=0)
    if whole:
        h = h / jnp.sqrt(jnp.mean(h * h, axis=0))
    return jnp.sum(jnp.logaddexp(0.0, -y * (jnp.tanh(weights["g"] * h) @ weights["a"])))


def flow(seed: int, whole: bool, scale: float) -> dict[str, Any]:
    """|w_j|² along gradient flow (dopri8, rtol 1e-12) by rows, at the start and at the end; and the first speed of the
    directions.
    """
    x, y, start = instance(seed)
    start = start | {"W": scale * start["W"]}
    flat, unravel = ravel(start)
    slope = jax.jit(lambda v, x, y: jax.grad(lambda v: loss(unravel(v), x, y, whole))(v))
    end = solve_ivp(
        lambda _, v: -np.asarray(slope(v, x, y)), (0.0, TIME), flat, method="DOP853", rtol=1e-12, atol=1e-13
    ).y[:, -1]
    W, g = start["W"], unravel(jnp.asarray(-slope(flat, x, y)))["W"]
    g, size = np.asarray(g), np.linalg.norm(W, axis=1)
    turn = (g - W * (np.sum(g * W, axis=1) / size**2)[:, None]) / size[:, None]
    last = np.asarray(unravel(jnp.asarray(end))["W"])
    return {
        "rows": size**2,
        "ends": np.sum(last**2, axis=1),
        "speed": float(np.linalg.norm(turn)),
        "along": float(np.abs(np.sum(g * W, axis=1)).max()),
        "gains": np.abs(np.asarray(unravel(jnp.asarray(end))["g"]) - start["g"]).max(),
    }


def ravel(weights: dict[str, np.ndarray]) -> tuple[jax.Array, Callable[[jax.Array], dict[str, jax.Array]]]:
    """Weights by block as one vector, and the way back."""
    return ravel_pytree({k: jnp.asarray(v) for k, v in weights.items()})


def by_descent(seed: int, whole: bool) -> tuple[float, float, float]:
    """Change of |W|² over COUNT steps of gradient descent, the sum of η²|g_W|² on the way, and the same with the first
    power of η.
    """
    x, y, weights = instance(seed)
    slope = jax.jit(jax.grad(lambda w, x, y: loss(w, x, y, whole)))
    before, used = float(np.sum(weights["W"] ** 2)), 0.0
    for _ in range(COUNT):
        g = {k: np.asarray(v) for k, v in slope(weights, x, y).items()}
        used += float(np.sum(g["W"] ** 2))
        weights = {k: v - STEP * g[k] for k, v in weights.items()}
    return float(np.sum(weights["W"] ** 2)) - before, STEP**2 * used, STEP * used
