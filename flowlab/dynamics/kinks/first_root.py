"""Inside the compiled loop: the first pair that leaves its side in a step, where that is beyond doubt.

A polynomial lies in the convex hull of its Bernstein coefficients, so no root is before the place where the hull may
meet zero; one change of sign among the coefficients is one root. What is less plain than that is left to the host.
"""

from math import comb
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.typing import Array

NEAR = 1e-3
"""Part of a step by which the dense output may err about a crossing, amply."""
_CANDIDATES, _HALVINGS = 16, 30


class Root(NamedTuple):
    """The first pair that leaves its side.

    Attributes:
        plain: whether there is one, and no other pair does so near to it.
        pair: its number.
        part: of the step.
    """

    plain: jax.Array
    pair: jax.Array
    part: jax.Array

    @classmethod
    def none(cls) -> "Root":
        """No root."""
        return cls(jnp.asarray(False), jnp.zeros((), jnp.int64), jnp.zeros(()))


class _Search(NamedTuple):
    """Pairs looked at so far: where none of the others has a root before, (P,); the first root, its pair, and the next
    one; and how many they were, or too many where one has no plain root.
    """

    earliest: jax.Array
    pair: jax.Array
    part: jax.Array
    second: jax.Array
    looked: jax.Array


def first_root(coefficients: Array, noise: jax.Array) -> Root:
    """The first root of polynomials that start above zero.

    Args:
        coefficients: Bernstein coefficients (degree + 1, P); positive on the side where a pair is.
        noise: coefficients of this size are zero.
    """
    b = jnp.where(jnp.abs(coefficients) <= noise, 0.0, coefficients)
    earliest, simple = _told(b)

    def open_(now: _Search) -> jax.Array:
        return (jnp.min(now.earliest) <= now.part + NEAR) & (now.looked <= _CANDIDATES)

    def look(now: _Search) -> _Search:
        pair = jnp.argmin(now.earliest)
        root = _root(b[:, pair])
        first, second = jnp.minimum(now.part, root), jnp.minimum(now.second, jnp.maximum(now.part, root))
        return _Search(
            now.earliest.at[pair].set(jnp.inf),
            jnp.where(root < now.part, pair, now.pair),
            first,
            second,
            jnp.where(simple[pair], now.looked + 1, 2 * _CANDIDATES),
        )

    none, far = jnp.zeros((), jnp.int64), jnp.full((), 2.0)
    start = _Search(earliest, none, far, far, none)
    found = jax.lax.while_loop(open_, look, start)
    plain = (found.part <= 1.0) & (found.second > found.part + NEAR) & (found.looked <= _CANDIDATES)
    return Root(plain, found.pair, found.part)


def _told(b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where no polynomial has a root before, infinite without a root, (P,); and whether it has one root, (P,).

    The hull meets zero on a chord from a coefficient that is not below zero to a later one that is. It does so no
    sooner than the chord would from the least of the former, were that the first coefficient.
    """
    degree, least = b.shape[0] - 1, b[0]
    gone = returns = jnp.zeros(b.shape[1:], bool)
    earliest = jnp.full(b.shape[1:], jnp.inf)
    # Row by row this is one pass over the pairs.
    for k in range(1, degree + 1):
        below = b[k] < 0
        meets = (k / degree) * least / jnp.where(below, least - b[k], 1.0)
        earliest = jnp.where(below, jnp.minimum(earliest, meets), earliest)
        returns, gone = returns | (gone & (b[k] > 0)), gone | below
        least = jnp.where(below, least, jnp.minimum(least, b[k]))
    earliest = jnp.where(b[0] < 0, 0.0, earliest)
    return earliest, (b[0] > 0) & (b[-1] < 0) & ~returns


def _root(b: jax.Array) -> jax.Array:
    """The root of a polynomial (degree + 1,) with one change of sign, from above zero to below."""
    k = np.arange(len(b))
    binomials = np.array([comb(len(b) - 1, int(i)) for i in k], dtype=float)

    def halve(_: jax.Array, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        t = 0.5 * (low + high)
        above = jnp.sum(binomials * t**k * (1 - t) ** k[::-1] * b) > 0
        return jnp.where(above, t, low), jnp.where(above, high, t)

    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.zeros(()), jnp.ones(())))
    return 0.5 * (low + high)
