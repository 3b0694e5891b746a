"""Inside the compiled loop: whether a step has provably met no kink.

Between the ends of a step the state is the polynomial of the solver's dense output (a cubic where it has none), so on
one piece every pre-activation is a polynomial, and Bernstein coefficients of one sign prove that it kept its side: no
crossing is missed that the dense output has, also no two in one step. What cannot be proved is handed to the host,
which looks closer.
"""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Array, PyTree, Record, Scalar
from flowlab.dynamics.clocks import Clock
from flowlab.dynamics.kinks.bernstein import from_values, nodes
from flowlab.dynamics.kinks.first_root import Root, first_root
from flowlab.dynamics.steppers.explicit_rk import Explicit
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.lowering.vector_field import VectorField

_SAMPLED, _HIGHEST = 8, 12
"""Degree taken where a pre-activation is not a polynomial in the state, and the highest one that is taken."""
NOISE = 2e-14
"""Pre-activations on the wrong side by this part of the largest one, or of what they are sums of, are round-off."""
SLACK = 1e-11
"""How far a multiplier may be beyond 1, or beyond 0 in units of the terms that it is a sum of, before its
pair leaves.
"""


def certified(problem: Problem) -> bool:
    """Whether pre-activations are polynomials of the dense output of degree `degree`, so that the guard is a proof and
    not a sample.
    """
    slots = [slot for slot in problem.network.slots if slot.tracked]
    return problem.coordinates == "weights" and all(
        slot.degree is not None and 4 * slot.degree <= _HIGHEST for slot in slots
    )


def degree(problem: Problem) -> int:
    """Degree at which pre-activations are looked at over a step."""
    each = [slot.degree for slot in problem.network.slots if slot.tracked]
    known = [d for d in each if d is not None]
    factor = 4 if problem.coordinates == "weights" else 8
    return min(_HIGHEST, max([factor * max(known, default=1), _SAMPLED if len(known) < len(each) else 0]))


def along(
    solver: diffrax.AbstractSolver,
    problem: Problem,
    h: Scalar,
    z0: PyTree,
    z1: PyTree,
    ends: tuple[Any, Any],
    dense: Record,
) -> Any:
    """What is integrated at the nodes of a step, with a leading axis (degree + 1,).

    Args:
        solver: that took the step.
        problem: of the field.
        h: size of the step.
        z0: what is integrated at its start.
        z1: at its end.
        ends: the rates at both ends.
        dense: what the solver tells of the step.
    """
    t = np.asarray(nodes(degree(problem)))
    flat, restore = ravel_pytree(z0)
    last = ravel_pytree(z1)[0]
    if isinstance(solver, Explicit) and "k" in dense and solver.has_dense:
        states = flat + h * jnp.asarray(solver.dense_weights(t)) @ dense["k"]
    else:
        f0, f1 = (ravel_pytree(f)[0] for f in ends)
        s = jnp.asarray(t)[:, None]
        # Cubic Hermite.
        states = flat + s * s * (3 - 2 * s) * (last - flat) + h * s * (1 - s) * ((1 - s) * f0 - s * f1)
    return jax.vmap(restore)(states.at[-1].set(last))


def looked_at(
    clock: Clock, field: VectorField, data: Data, states: PyTree
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Pre-activations (nodes, P) along a step; multipliers, answers to them, and how far below 0 is round-off, (3,
    K + D) each at its `thirds`.
    """
    mode = field.mode
    assert mode is not None
    slopes = mode.with_deep(mode.deep_start)
    z = jax.vmap(lambda z: field.preactivations(clock.coordinates(field, z), data, slopes))(states)
    some = jax.tree.map(lambda leaf: leaf[jnp.asarray(thirds(len(z)))], states)
    shape = 3, len(mode.normal) + len(mode.deep)
    still = jnp.full(shape, 0.5), jnp.full(shape, -1.0), jnp.ones(shape)
    if not shape[1]:
        return z, *still

    def told(some: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        # Not all at once: this is compiled once instead of once per node, and there is little to gain from more.
        multipliers, answers, terms = jax.lax.map(lambda z: field.multipliers(clock.coordinates(field, z), data), some)
        return multipliers, answers, SLACK * jnp.minimum(terms, 1.0)

    return z, *jax.lax.cond(mode.slides, told, lambda _: still, some)


def terms(field: VectorField, data: Data, y: PyTree) -> jax.Array:
    """The largest product of a weight and a feature in pre-activations that are linear in both; scalar.

    Where all units have come to their kinks every pre-activation is round-off, of the size of this one.
    """
    weights = field.weights(y)
    found = [jnp.zeros(())]
    for slot in field.problem.network.slots:
        if slot.tracked and slot.degree == 1:
            largest = jnp.max(jnp.stack([jnp.max(jnp.abs(weights[name])) for name in sorted(slot.blocks)]))
            found.append(largest * jnp.max(jnp.abs(data.flat)) if slot.sampled else largest)
    return jnp.max(jnp.stack(found))


def thirds(count: int) -> list[int]:
    """Which of the nodes multipliers are looked at: the start, the middle and the end."""
    return [0, count // 2, count - 1]


def met(clock: Clock, field: VectorField, data: Data, states: PyTree, *, aims: bool) -> tuple[jax.Array, Root | None]:
    """Whether a step may have met a kink, or the end of a slide; and, if one aims at it, the first pair that left its
    side, where it is plain which.
    """
    mode = field.mode
    assert mode is not None
    z, multipliers, answers, slack = looked_at(clock, field, data, states)
    start = clock.coordinates(field, jax.tree.map(lambda leaf: leaf[0], states))
    zero = noise(field, data, start, z)
    basis = from_values(z.shape[0] - 1)
    left = jnp.any(_lowest(basis, z, mode.side) < -zero)
    ended = jnp.any((multipliers < -slack) | (multipliers > 1 + SLACK) | (answers > 0))
    if not aims:
        return left | ended, None
    return left | ended, jax.lax.cond(
        left & ~ended, lambda: first_root(mode.side * (jnp.asarray(basis) @ z), zero), Root.none
    )


def _lowest(basis: np.ndarray, z: jax.Array, side: Array) -> jax.Array:
    """The lowest coefficient of every pair on its side, (P,), in one pass over the pairs."""
    each = [side * sum(weight * value for weight, value in zip(row, z, strict=True)) for row in basis]
    return jnp.asarray(functools.reduce(jnp.minimum, each))


def noise(field: VectorField, data: Data, y: PyTree, z: jax.Array) -> jax.Array:
    """Pre-activations z (nodes, P) of this size about a state y are zero; scalar."""
    # The ends tell the size of all.
    return NOISE * jnp.maximum(jnp.max(jnp.abs(z[jnp.asarray([0, -1])])), terms(field, data, y))
