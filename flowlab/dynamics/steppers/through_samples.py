"""Implicit stages through the outputs of the samples, for flows with more unknowns than a Jacobian should have.

The stiff part of the Jacobian has the rank of the outputs: it is U B, where B tells how outputs answer to the state
and U how the rate answers to the outputs that the loss sees. By the Woodbury identity

    (I - c U B)^{-1} b = b + c U y,  where  (I - c B U) y = B b,

a system of the size of the outputs. While U and B are small they are matrices, and that system is factorised whole.
Beyond, both are products with vectors, which take the memory of some states, and the system is that of the outputs
that matter alone: late in a run few samples have weight in the loss. The others are left to the iteration around it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import lu_factor, lu_solve

from flowlab.core.typing import Scalar

ENTRIES = 2**22
"""Entries of U up to which it is a matrix: 32 MiB, some times what the step itself holds at such sizes."""
_MOST = 256
"""Outputs in the system at most. Each costs about two rates, so with more a step would take longer than it is worth."""
_LEFT = 0.02
"""Share of a Newton increment that outputs left out may change together: contraction stays far below one."""
_PROBES = 4
"""Random directions in which the size of a column is seen; one alone would miss a column once in a hundred."""

Product = Callable[[jax.Array], jax.Array]


class Coupling(NamedTuple):
    """The stiff part U B of a Jacobian, through m outputs, of n unknowns of which the last one is q.

    Attributes:
        rows: B: how m outputs answer to a state, as a function of (n,). They do not answer to q.
        columns: U: how the rate answers to a shift of the outputs, as a function of (m,).
        matrix: B itself, (m, n), when it is asked for.
        outputs: m.
        unknowns: n.
        entry: the diagonal entry of q, which stands beside U B.
    """

    rows: Product
    columns: Product
    matrix: Callable[[], jax.Array]
    outputs: int
    unknowns: int
    entry: jax.Array


def inverse(coupling: Coupling, c: Scalar) -> Product:
    """(I - c (U B + the entry of q))^{-1} as a function of (n,), exact or nearly so."""
    diagonal = jnp.ones(coupling.unknowns).at[-1].set(1.0 / (1.0 - c * coupling.entry))

    def columns(y: jax.Array) -> jax.Array:
        return coupling.columns(y).at[-1].set(0.0)

    whole = coupling.outputs * coupling.unknowns <= ENTRIES
    answer = (_by_matrices if whole else _by_products)(coupling, columns, c)
    return lambda b: diagonal * (b + answer(b))


def _by_matrices(coupling: Coupling, columns: Product, c: Scalar) -> Product:
    u, b = jax.vmap(columns, out_axes=1)(jnp.eye(coupling.outputs)), coupling.matrix()
    factors = lu_factor(jnp.eye(coupling.outputs) - c * b @ u)
    return lambda v: c * u @ lu_solve(factors, b @ v)


def _by_products(coupling: Coupling, columns: Product, c: Scalar) -> Product:
    m = coupling.outputs
    most = min(m, _MOST)

    def through(y: jax.Array) -> jax.Array:
        return coupling.rows(columns(y))

    size = _column_sizes(through, m)
    order = jnp.argsort(-size)
    left = jnp.cumsum((c * size[order])[::-1])[::-1]
    # From the first place on at which all that is left out together is small.
    count = jnp.minimum(jnp.sum(left > _LEFT), most)
    chosen = order[:most]

    def add(i: jax.Array, matrix: jax.Array) -> jax.Array:
        column = through(jnp.zeros(m).at[chosen[i]].set(1.0))[chosen]
        return matrix.at[:, i].set(jnp.where(jnp.arange(most) < count, column, 0.0))

    matrix = jax.lax.fori_loop(0, count, add, jnp.zeros((most, most)))
    factors = lu_factor(jnp.eye(most) - c * matrix)

    def answer(v: jax.Array) -> jax.Array:
        right = jnp.where(jnp.arange(most) < count, coupling.rows(v)[chosen], 0.0)
        return columns(jnp.zeros(m).at[chosen].set(c * lu_solve(factors, right)))

    return answer


def _column_sizes(product: Product, m: int) -> jax.Array:
    """About how long each column of a square matrix (m, m) is, from its transpose on random vectors; (m,)."""
    back = jax.linear_transpose(product, jnp.zeros(m))
    probes = jax.random.normal(jax.random.key(0), (_PROBES, m))
    seen: jax.Array = jax.lax.map(lambda probe: back(probe)[0], probes)
    return jnp.abs(seen).max(axis=0)
