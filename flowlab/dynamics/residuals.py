"""What a loss of targets leaves, and how well a state knows it.

Such a loss is a square of residuals r = f - y, so once r is small an error of the weights within the absolute tolerance
may be all of r. When log L passes a level, or whether it ever rises, is then not answered. So once |r|² is below the
relative tolerance of the squares that r is a difference of, a step's error counts by what it does to r as well: |J e|
against the relative tolerance of |r|, down to what round-off leaves of r.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.language.data import Data
from flowlab.lowering.vector_field import VectorField

_ROUND_OFF = 8.0 * 2.0**-52
"""Some units in the last place, of targets and of the parts that outputs are a sum of."""
_GOLDEN = 0.6180339887498949


def has_residual(field: VectorField) -> bool:
    """Whether the loss is one of residuals."""
    return field.problem.loss.has_residual


def share(field: VectorField, y: PyTree, error: PyTree, data: Data, rtol: Scalar) -> jax.Array:
    """An error of coordinates by what it does to the residual, in units of what is allowed; scalar."""
    r, moved = jax.jvp(lambda v: _residual(field, v, data), (y,), (error,))
    left, parts = jnp.linalg.norm(r), scale(field, y, data)
    allowed = jnp.maximum(rtol * left, _ROUND_OFF * parts)
    # Before, tolerances of weights suffice; and what is stiff has to show in them to be found (see
    # `flowlab.dynamics.steppers.explicit_rk`).
    small = (left * left < rtol * parts * parts) & (allowed > 0)
    return jnp.where(small, jnp.linalg.norm(moved) / jnp.where(allowed > 0, allowed, 1.0), 0.0)


def noise(field: VectorField, y: PyTree, data: Data) -> jax.Array:
    """What round-off makes of the residual; scalar."""
    return _ROUND_OFF * scale(field, y, data)


def scale(field: VectorField, y: PyTree, data: Data) -> jax.Array:
    """The size of targets, and of the parts that outputs are a sum of; scalar.

    Coordinates are known to their last places. Changes of them by parts that do not agree in sign show what outputs are
    a difference of.
    """
    flat, restore = ravel_pytree(y)
    parts = 2.0 * ((_GOLDEN * jnp.arange(1, flat.size + 1)) % 1.0) - 1.0
    _, moved = jax.jvp(lambda v: _residual(field, v, data), (y,), (restore(flat * parts),))
    return jnp.linalg.norm(moved) + jnp.linalg.norm(data.y)


def unresolved(field: VectorField, y: PyTree, data: Data) -> jax.Array:
    """By how much round-off may change log L; scalar, infinite where nothing of the residual is known."""
    size = jnp.linalg.norm(_residual(field, y, data))
    return jnp.where(size > 0, 2.0 * noise(field, y, data) / jnp.where(size > 0, size, 1.0), jnp.inf)


def _residual(field: VectorField, y: PyTree, data: Data) -> Array:
    return field.problem.loss.residual(jnp, field.outputs(field.weights(y), data.inputs), data.y).ravel()
