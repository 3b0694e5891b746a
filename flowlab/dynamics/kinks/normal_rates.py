"""How fast pre-activations on their kinks move, and what multipliers do to that; compiled once per shape."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.compiling import Program
from flowlab.core.typing import Array, PyTree
from flowlab.language.data import Data
from flowlab.lowering.vector_field import VectorField


@Program
def drifts(
    field: VectorField,
    data: Data,
    y: PyTree,
    slopes: Array,
    pairs: Array,
    live: Array,
    jump: Array,
    multipliers: Array,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Rates of pre-activations in units of the loss where the problem has that scale, else of time.

    Args:
        field: in a mode, of which only the shapes are used.
        data: samples.
        y: the state.
        slopes: (P,) with those of `pairs` on their left.
        pairs: (K,) numbers, padded.
        live: (K,) which of them are any.
        jump: (K,) what a multiplier adds to a slope.
        multipliers: (K,).

    Returns:
        Pre-activations (P,), their rates (P,), the derivatives of the rates of `pairs` by the multipliers (K, K), and
        the rate of the state (n,).
    """

    def moving(multipliers: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        told = jnp.asarray(slopes).at[pairs].add(jnp.where(live, multipliers * jump, 0.0))
        rate = field.raw_rate(y, data, told, field.own_scale(data))
        return *jax.jvp(lambda v: field.preactivations(v, data, told), (y,), (rate,)), ravel_pytree(rate)[0]

    z, rates, moved = moving(multipliers)
    answer = jax.jacfwd(lambda m: moving(m)[1][pairs])(multipliers)
    return z, rates, jnp.where(live[:, None] & live[None, :], answer, 0.0), moved
