"""Short paths of the flows that flowlab derives and lowers, by the classical Runge-Kutta method in many small steps."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from derivations.points import Arrays, Point, below, flow_of, points
from flowlab.language.data import Data
from flowlab.lowering.lower import lower
from flowlab.lowering.vector_field import VectorField

_STAGES = (np.array([0.0, 0.5, 0.5, 1.0]), np.array([1.0, 2.0, 2.0, 1.0]))
"""How far along the last slope each slope of the method is taken, and its weight in sixths."""


@eqx.filter_jit
def _walk(field: VectorField, y: Any, data: Data, h: Any, steps: int) -> Any:
    def moved(y: Any, slope: Any, by: Any) -> Any:
        return jax.tree.map(lambda a, b: a + by * b, y, slope)

    def step(y: Any, _: None) -> tuple[Any, Any]:
        # A loop over the stages, so that the field is compiled once and not four times.
        def stage(carry: Any, at: Any) -> tuple[Any, None]:
            end, slope = carry
            slope = field.rate(0.0, moved(y, slope, at[0] * h), data)
            return (moved(end, slope, at[1] * h / 6), slope), None

        return jax.lax.scan(stage, (y, jax.tree.map(jnp.zeros_like, y)), _STAGES)[0][0], y

    return jax.lax.scan(step, y, None, length=steps)[1]


def walk(p: Point, scheme: str, *, span: float = 0.5, steps: int = 1000) -> tuple[Arrays, Arrays]:
    """Norms and directions of a flow from a state, with time as their first axis."""
    start = (p.each(lambda k: jnp.asarray(p.rho[k])), p.each(lambda k: jnp.asarray(p.V[k])))
    field = lower(flow_of(p.problem.network.text, p.problem.loss.name, scheme))
    return jax.tree.map(
        np.asarray, _walk(field, start, Data(p.x, p.y, kind="binary"), jnp.asarray(span / steps), steps)
    )


@cache
def path(
    net: str,
    scheme: str,
    *,
    loss: str = "logistic",
    length: float = 1.0,
    span: float = 0.5,
    steps: int = 1000,
    met: bool = False,
) -> dict[str, Any]:
    """A path from a random state with fewer samples than features, so that a part of the first block sees no data.

    Args:
        net: the network.
        scheme: which flow.
        loss: which loss.
        length: of the directions at the start, where the scheme has them free.
        span: time.
        steps: how many.
        met: start at a loss of one half, with labels that the start meets.

    Returns:
        `rho` and `V` by block with time as their first axis, `off`, the projection off the span of the inputs, and
        `point`, the start.
    """
    (p,) = points(net, loss, count=1, n=3, d=5)
    p = below(p) if met else p
    rho, V = walk(p.stretched(length), scheme, span=span, steps=steps)
    off = np.eye(p.x.shape[1]) - np.linalg.pinv(p.x) @ p.x
    return {"rho": rho, "V": V, "off": off, "point": p}


def drift(values: np.ndarray) -> float:
    """How far a quantity strays from its first value along a path, relative to that value."""
    return float(np.max(np.abs(values - values[0])) / np.max(np.abs(values[0])))
