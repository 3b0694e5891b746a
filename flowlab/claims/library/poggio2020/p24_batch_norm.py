"""P24: a layer followed by batch normalisation is scale invariant, and is not the Lagrange flow."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Array, Blocks

if TYPE_CHECKING:
    import jax

N, D, H = 12, 4, 3
TIME, STEP, COUNT = 1.0, 0.05, 40


def instance(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Inputs (N, D), labels (N,), and weights: W (H, D), the gains g and the outer layer a, (H,) each."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(N, D)), np.where(rng.permutation(N) % 2 == 0, 1.0, -1.0)
    return x, y, {"W": rng.normal(size=(H, D)), "g": rng.uniform(0.5, 1.5, size=H), "a": rng.normal(size=H)}


def loss(weights: Blocks, x: Array, y: Array, whole: bool = True) -> "jax.Array":
    """Logistic loss of a·tanh(g ŵ), ŵ the pre-activations W x to zero mean and unit variance over the whole batch, no
    ε.

    BatchNorm with its usual ε under the root is invariant up to ε only; `whole=False` leaves the division out, which is
    no longer invariant.
    """
    import jax.numpy as jnp

    h = x @ weights["W"].T
    h = h - jnp.mean(h, axis=0)
    if whole:
        h = h / jnp.sqrt(jnp.mean(h * h, axis=0))
    return jnp.sum(jnp.logaddexp(0.0, -y * (jnp.tanh(weights["g"] * h) @ weights["a"])))


def _flow(seed: int, whole: bool, scale: float) -> dict[str, Any]:
    """|w_j|² along gradient flow (dopri8, rtol 1e-12) by rows, at the start and at the end; and the first speed of the
    directions.
    """
    import jax
    import jax.numpy as jnp
    from scipy.integrate import solve_ivp

    x, y, start = instance(seed)
    start = start | {"W": scale * start["W"]}
    flat, unravel = _ravel(start)
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


def _ravel(weights: dict[str, np.ndarray]) -> "tuple[jax.Array, Callable[[jax.Array], dict[str, jax.Array]]]":
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    return ravel_pytree({k: jnp.asarray(v) for k, v in weights.items()})


def _descent(seed: int, whole: bool) -> tuple[float, float, float]:
    """Change of |W|² over COUNT steps of gradient descent, the sum of η²|g_W|² on the way, and the same with the first
    power of η.
    """
    import jax

    x, y, weights = instance(seed)
    slope = jax.jit(jax.grad(lambda w, x, y: loss(w, x, y, whole)))
    before, used = float(np.sum(weights["W"] ** 2)), 0.0
    for _ in range(COUNT):
        g = {k: np.asarray(v) for k, v in slope(weights, x, y).items()}
        used += float(np.sum(g["W"] ** 2))
        weights = {k: v - STEP * g[k] for k, v in weights.items()}
    return float(np.sum(weights["W"] ** 2)) - before, STEP**2 * used, STEP * used


@claim("P24")
class BatchNorm(Claim):
    """Under batch normalisation |W| is kept by the flow and grows by η²|g|² per step; directions move at a speed of
    1/|W|².
    """

    title = "batch normalisation keeps the norms of weights, not of layers"
    statement = (
        "A layer before batch normalisation over the full batch without epsilon is scale invariant row by row. "
        "Gradient flow keeps the norm of every row, and a step of descent adds exactly eta^2 |g|^2 to its square. "
        "Directions move at a speed proportional to 1/|W|^2."
    )
    latex = (
        r"\langle w_j, \partial_{w_j} L\rangle = 0, \qquad "
        r"\Delta\lVert W\rVert^2 = \eta^2 \lVert g\rVert^2, \qquad \lVert\dot{\hat w}\rVert \propto \lVert w\rVert^{-2}"
    )
    source = (
        "Banburski et al. 2019 (Theory III) on batch normalisation as constrained optimisation; Ioffe and Szegedy 2015"
    )
    hypotheses = (own_instances,)
    stated = Variant(whole=True, change=lambda squares, _: squares, power=2.0)
    mutants = (
        stated.but("no division by the deviation", whole=False),
        stated.but("eta instead of eta^2", change=lambda _, first: first),
        stated.but("speed of the first power", power=1.0),
    )
    counter_example = "no division by the deviation: centring alone is not scale invariant"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        whole = variant.whole
        one, two = (case.once(f"P24 flow {whole} {c}", lambda c=c: _flow(case.seed, whole, c)) for c in (1.0, 2.0))
        change, squares, first = case.once(f"P24 descent {whole}", lambda: _descent(case.seed, whole))
        wanted = variant.change(squares, first)
        return Measurement.of(
            [
                Quantity(
                    "largest relative drift of a row's |w|^2",
                    float(np.abs(two["ends"] / two["rows"] - 1.0).max()),
                    0.0,
                    1e-9,
                    route="DOP853 at rtol 1e-12",
                ),
                Quantity("largest |<w, grad>|", max(one["along"], two["along"]), 0.0, 1e-11, route="autodiff"),
                Quantity(
                    "change of |W|^2 by descent",
                    change,
                    wanted,
                    1e-11 * max(squares, 1.0),
                    route="40 steps of gradient descent",
                ),
                Quantity(
                    "exponent of the directions' speed in |W|",
                    float(np.log2(one["speed"] / two["speed"])),
                    variant.power,
                    1e-10,
                    route="speeds at |W| and 2|W|",
                ),
                Quantity(
                    "change of a gain by the flow",
                    float(one["gains"]),
                    1e-3,
                    0.0,
                    relation=">=",
                    route="DOP853 at rtol 1e-12",
                ),
            ],
            "identities, so that roundings and the solver's tolerance remain; the gains move, so that scale is kept "
            "per channel and not per layer",
            steps=COUNT,
            step=STEP,
            time=TIME,
        )
