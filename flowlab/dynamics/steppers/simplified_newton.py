"""A simplified Newton iteration that tells round-off from divergence.

Late in a run the residual of a stage carries noise of the size λ ε ‖y‖, λ the stiffness: an iteration that has reached
it makes no further progress, and must not be taken for divergence. Here it is the increment that counts: an iteration
has converged when the next increment would be small in units of the tolerance, or when it is round-off of the state; it
has failed only when it stops contracting above both. (For the estimate see E. Hairer, G. Wanner, "Solving Ordinary
Differential Equations II", IV.8.)
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

_ITERATIONS = 12
_PART = 1e-2
"""Part of the tolerance that the next increment may have when an iteration is called converged."""
_ROUND_OFF = 4.0 * 2.0**-52
_SLOW = 0.5
"""Contraction above which a Jacobian of an earlier step is dropped."""


def jacobian(rate: Callable[[jax.Array], jax.Array], y: jax.Array) -> jax.Array:
    """Derivative of a function of (n,) with values of (n,); (n, n)."""
    return jax.jacfwd(rate)(y)


class Root(NamedTuple):
    """What an iteration ends with: the root (n,), whether it is one, and the contraction per iteration that
    was seen.
    """

    root: jax.Array
    converged: jax.Array
    speed: jax.Array


class _Carry(NamedTuple):
    root: jax.Array
    size: jax.Array
    before: jax.Array
    largest: jax.Array
    count: jax.Array
    speed: jax.Array


def newton(
    residual: Callable[[jax.Array], jax.Array],
    solve: Callable[[jax.Array], jax.Array],
    guess: jax.Array,
    size: Callable[[jax.Array], jax.Array],
    scale: jax.Array,
    speed: jax.Array,
    strict: jax.Array,
) -> Root:
    """Find a root of `residual` by increments solve(residual(·)).

    Args:
        residual: of an unknown (n,).
        solve: with minus the Jacobian of the residual, or one near it.
        guess: (n,).
        size: of an increment in units of the tolerance.
        scale: largest entry of the state, for its round-off.
        speed: contraction seen in a like iteration before, 1 where there was none; lets a first increment be the last.
        strict: whether slow contraction is failure, and a standstill is not convergence: there is a better Jacobian to
            be had.
    """
    floor = _ROUND_OFF * scale

    def ended(c: _Carry) -> jax.Array:
        contracted = (c.speed < 1) & (c.size * c.speed / (1 - jnp.minimum(c.speed, 0.999)) < _PART)
        # Small and no longer falling is round-off that the tolerance has to live with.
        settled = (c.count >= 3) & (c.size > 0.3 * c.before) & (c.size < 0.3) & ~strict
        return contracted | settled | (c.size < 0.1 * _PART) | (c.largest <= floor)

    def failing(c: _Carry) -> jax.Array:
        diverging = (c.count >= 3) & (c.size > 2 * c.before)
        return ~jnp.isfinite(c.size) | diverging | (strict & (c.count >= 2) & (c.speed > _SLOW))

    def more(c: _Carry) -> jax.Array:
        return (c.count == 0) | (~ended(c) & ~failing(c) & (c.count < _ITERATIONS))

    def iterate(c: _Carry) -> _Carry:
        d = solve(residual(c.root))
        now = size(d)
        seen = jnp.where(c.count >= 1, now / c.size, c.speed)
        return _Carry(c.root + d, now, c.size, jnp.max(jnp.abs(d)), c.count + 1, seen)

    far = jnp.asarray(jnp.inf)
    c = jax.lax.while_loop(more, iterate, _Carry(guess, far, far, far, jnp.asarray(0), speed))
    return Root(c.root, ended(c), c.speed)
