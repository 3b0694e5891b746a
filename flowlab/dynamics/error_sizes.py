"""How large the error of a step is: by norms, directions, margins and the softmax of the samples."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Blocks, PyTree, Scalar
from flowlab.language.data import Data
from flowlab.language.norm_groups import inner, scaled
from flowlab.lowering.vector_field import VectorField

_ROUND_OFF = 32.0 * 2.0**-52
"""What 32 roundings of float64 add up to; weights of size R cannot be held closer than that times R."""


def weighed(field: VectorField, W: PyTree, error: PyTree, of_q: PyTree, data: Data, tolerance: Scalar) -> jax.Array:
    """An error by what it does: to norms (relative), to directions (in units of the weights), to the softmax, to q."""
    radial, across = split(field, W, error)
    margins, moved, p = in_margins(field, W, across, data)
    shifted = p * (moved - jnp.sum(p * moved))
    # Weights and exponents of size R cannot be held closer than their own round-off.
    of_weights, of_exponents = (
        jnp.maximum(tolerance, _ROUND_OFF * jnp.max(jnp.abs(ravel_pytree(v)[0]))) for v in (W, margins)
    )
    parts = (
        rms(across) / of_weights,
        jnp.max(jnp.stack([jnp.max(jnp.abs(r)) for r in radial.values()])) / tolerance,
        jnp.sqrt(jnp.sum(shifted * shifted)) / of_exponents,
        jnp.abs(of_q) / of_exponents,
    )
    return jnp.max(jnp.stack(parts))


def split(field: VectorField, W: PyTree, error: PyTree) -> tuple[Blocks, Blocks]:
    """An error of weights as relative errors of norms, and what is across."""
    per = field.problem.per
    squares, along = inner(W, W, per), inner(W, error, per)
    # A zero block has no norm to be off by a part of.
    radial = {k: jnp.where(squares[k] > 0, along[k] / jnp.where(squares[k] > 0, squares[k], 1.0), 0.0) for k in along}
    return radial, {w: error[w] - part for w, part in scaled(radial, W, per).items()}


def in_margins(field: VectorField, W: PyTree, change: PyTree, data: Data) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Margins (N,), what a change of the weights does to them, and the parts of the samples."""
    margins, moved = jax.jvp(
        lambda w: field.problem.loss.margins(jnp, field.outputs(w, data.inputs), data.y), (W,), (change,)
    )
    return margins, moved, jax.nn.softmax(-margins)


def length(tree: PyTree) -> jax.Array:
    """The Euclidean norm of all leaves."""
    return jnp.linalg.norm(ravel_pytree(tree)[0])


def rms(tree: PyTree) -> jax.Array:
    """The root of the mean square of all leaves."""
    flat = ravel_pytree(tree)[0]
    return jnp.sqrt(jnp.mean(flat * flat))


def tangent(field: VectorField, y: PyTree, error: PyTree) -> PyTree:
    """The error without what bringing directions back to unit length removes."""
    if field.problem.coordinates != "polar" or not field.problem.scheme.unit:
        return error
    per, V = field.problem.per, y[1]
    lengths, along = inner(V, V, per), inner(V, error[1], per)
    return error[0], {
        w: error[1][w] - part for w, part in scaled({k: along[k] / lengths[k] for k in along}, V, per).items()
    }
