"""Lie brackets of vector fields, and the span of the directions that fields and their brackets have at one point."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

NEW, _OLD = 1e-7, 1e-10
"""Part of a direction outside the span of earlier ones, relative to its length: above the first it is new, below the
second it is roundings, and between them nothing is decided.
"""
_CANCELLED = 1e-5
"""Part of its two terms below which a bracket tells little but roundings."""

Field = Callable[[Any], Any]
"""A velocity at a point; both are of one tree of arrays."""


def bracket(first: Field, second: Field) -> Field:
    """[A, B] = DB A - DA B; none where it is roundings of what it is a difference of."""

    def both(point: Any) -> Any:
        a, b = first(point), second(point)
        _, along_a = jax.jvp(second, (point,), (a,))
        _, along_b = jax.jvp(first, (point,), (b,))
        gap = jax.tree.map(jnp.subtract, along_a, along_b)
        clear = _size(gap) > _CANCELLED * (_size(along_a) + _size(along_b))
        return jax.tree.map(lambda v: jnp.where(clear, v, 0.0), gap)

    return both


def nested(fields: Sequence[Field]) -> Field:
    """[F1, [F2, …]] of one field or more."""
    return fields[0] if len(fields) == 1 else bracket(fields[0], nested(fields[1:]))


class Span:
    """The span of directions at one point, as more of them are taken in.

    Attributes:
        basis: orthonormal rows, (rank, size).
        clear: whether every direction was either new or in the span.
    """

    def __init__(self, size: int) -> None:
        self.basis, self.clear = np.zeros((0, size)), True

    @property
    def rank(self) -> int:
        return len(self.basis)

    def take(self, directions: np.ndarray) -> None:
        """Take in directions, as rows of any length."""
        some = units(directions)
        for _ in range(2):
            some = some - (some @ self.basis.T) @ self.basis
        if not some.size:
            return
        _, singular, vectors = np.linalg.svd(some, full_matrices=False)
        fresh = singular > NEW
        self.clear &= not bool((singular[~fresh] > _OLD).any())
        kept = vectors[fresh] - (vectors[fresh] @ self.basis.T) @ self.basis
        if len(kept):
            self.basis = np.vstack([self.basis, np.linalg.qr(kept.T)[0].T])


def units(directions: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths, without those of length 0."""
    sizes = np.linalg.norm(directions, axis=1)
    return directions[sizes > 0] / sizes[sizes > 0, None]


def _size(rates: Any) -> jax.Array:
    return jnp.sqrt(sum((jnp.sum(v * v) for v in jax.tree.leaves(rates)), jnp.zeros(())))
