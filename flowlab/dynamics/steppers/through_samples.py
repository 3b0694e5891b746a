"""Implicit stages through the outputs of the samples, for flows with more unknowns than a Jacobian should have.

The stiff part of the Jacobian has the rank of the outputs: it is U B, where B tells how outputs answer to the state
and U how the rate answers to the outputs that the loss sees. By the Woodbury identity

    (I - c U B)^{-1} b = b + c U y,  where  (I - c B U) y = B b,

a system of the size of the outputs. While U and B are small they are matrices, and that system is factorised whole.
Beyond, both are products with vectors, which take the memory of some states, and the system is that of the samples
that matter alone: late in a run few have weight in the loss. Both products go through those samples then, and the
system serves later steps as long as the iteration around it contracts well; what is left out is up to that iteration.
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
"""Outputs in the system at most: with more, to work it out would take longer than it is worth."""
_LEFT = 0.02
"""Share of a Newton increment that samples left out may change together: contraction stays far below one."""
_PROBES = 4
"""Random directions in which the size of a column is seen; one alone would miss a column once in a hundred."""

Product = Callable[[jax.Array], jax.Array]


class Coupling(NamedTuple):
    """The stiff part U B of a Jacobian, through m outputs, of n unknowns of which the last one is q.

    Attributes:
        rows: B: how m outputs answer to a state, as a function of (n,). They do not answer to q.
        columns: U: how the rate answers to a shift of the outputs, as a function of (m,).
        matrix: B itself, (m, n), when it is asked for.
        among: rows and columns through some samples, by their numbers, in which those left out do not take part.
        outputs: m, those of a sample next to each other.
        per: outputs of a sample.
        unknowns: n.
        entry: the diagonal entry of q, which stands beside U B.
    """

    rows: Product
    columns: Product
    matrix: Callable[[], jax.Array]
    among: Callable[[jax.Array], tuple[Product, Product]]
    outputs: int
    per: int
    unknowns: int
    entry: jax.Array

    @property
    def whole(self) -> bool:
        """Whether U and B are small enough to be matrices."""
        return self.outputs * self.unknowns <= ENTRIES


class System(NamedTuple):
    """B U through the samples that matter, which later steps may use.

    Attributes:
        matrix: (K, K), zero beyond what counts.
        chosen: numbers of samples, those that matter most first.
        count: how many of them count.
    """

    matrix: jax.Array
    chosen: jax.Array
    count: jax.Array


def inverse(coupling: Coupling, c: Scalar, system: System | None) -> Product:
    """(I - c (U B + the entry of q))^{-1} as a function of (n,), exact or nearly so; by a system unless U and B are
    matrices.
    """
    diagonal = jnp.ones(coupling.unknowns).at[-1].set(1.0 / (1.0 - c * coupling.entry))
    answer = _by_matrices(coupling, c) if system is None else _by_products(coupling, c, system)
    return lambda b: diagonal * (b + answer(b))


def system_of(coupling: Coupling, c: Scalar) -> System | None:
    """The system at a state, for steps of about this c; None where U and B are matrices."""
    if coupling.whole:
        return None
    columns = _without_q(coupling.columns)
    size = _column_sizes(lambda y: coupling.rows(columns(y)), coupling.outputs).reshape(-1, coupling.per).sum(axis=1)
    chosen = jnp.argsort(-size)[: _most(coupling)]
    left = c * jnp.cumsum(jnp.sort(size))[::-1][: len(chosen)]
    # From the first place on at which all that is left out together is small.
    count = jnp.sum(left > _LEFT)
    rows, columns = coupling.among(chosen)
    live, inner = _live(coupling, count), _without_q(columns)

    def add(i: jax.Array, matrix: jax.Array) -> jax.Array:
        return matrix.at[:, i].set(jnp.where(live, rows(inner(jnp.zeros(len(live)).at[i].set(1.0))), 0.0))

    matrix = jax.lax.fori_loop(0, coupling.per * count, add, jnp.zeros((len(live), len(live))))
    return System(matrix, chosen, count)


def no_system(coupling: Coupling) -> System | None:
    """What stands for a system before there is one."""
    size = coupling.per * _most(coupling)
    none = jnp.zeros(_most(coupling), jnp.int64), jnp.zeros((), jnp.int64)
    return None if coupling.whole else System(jnp.zeros((size, size)), *none)


def _most(coupling: Coupling) -> int:
    """Samples of a system, at most."""
    return min(coupling.outputs // coupling.per, max(1, _MOST // coupling.per))


def _live(coupling: Coupling, count: jax.Array) -> jax.Array:
    return jnp.repeat(jnp.arange(_most(coupling)) < count, coupling.per)


def _without_q(columns: Product) -> Product:
    return lambda y: columns(y).at[-1].set(0.0)


def _by_matrices(coupling: Coupling, c: Scalar) -> Product:
    u, b = jax.vmap(_without_q(coupling.columns), out_axes=1)(jnp.eye(coupling.outputs)), coupling.matrix()
    factors = lu_factor(jnp.eye(coupling.outputs) - c * b @ u)
    return lambda v: c * u @ lu_solve(factors, b @ v)


def _by_products(coupling: Coupling, c: Scalar, system: System) -> Product:
    live, (rows, columns) = _live(coupling, system.count), coupling.among(system.chosen)
    factors = lu_factor(jnp.eye(len(live)) - c * system.matrix)
    return lambda v: _without_q(columns)(c * lu_solve(factors, jnp.where(live, rows(v), 0.0)))


def _column_sizes(product: Product, m: int) -> jax.Array:
    """About how long each column of a square matrix (m, m) is, from its transpose on random vectors; (m,)."""
    back = jax.linear_transpose(product, jnp.zeros(m))
    probes = jax.random.normal(jax.random.key(0), (_PROBES, m))
    seen: jax.Array = jax.lax.map(lambda probe: back(probe)[0], probes)
    return jnp.abs(seen).max(axis=0)
