"""The compiled parts of a batch: what `compiled_steps` does for one run, for a block of lanes at once.

Every lane takes its own steps in its own clock, so a block ends when its last lane has something to tell; lanes that
wait for it are masked. Where there are several devices each has a part of the block and a loop of its own, and none
waits for another before all are done.
"""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from flowlab.core.compiling import Program, stepping
from flowlab.core.lanes import spread
from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.dynamics.batch.stacking import Parts, one_lane
from flowlab.dynamics.clocks import Setting
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.carry import RUNNING, Carry
from flowlab.dynamics.run.observations import observed
from flowlab.language.state import State

_FINE = 1e-12
"""Part of a step to which the place of an event is found."""


class Advanced(NamedTuple):
    """What a chunk leaves of all lanes; rows come first, lanes second.

    Attributes:
        carry: of every lane.
        before: value of the clock, what is integrated and what the solver kept, before the last step of every lane.
        fired: (lanes, events).
        rows: times, states and observations of all attempts, whether kept or not.
        kept: (size, lanes), which of them are rows of their lane.
    """

    carry: Carry
    before: tuple[Scalar, PyTree, PyTree]
    fired: Array
    rows: tuple[Array, State, dict[str, Array]]
    kept: jax.Array


class Place(NamedTuple):
    """What is known of a place of a run: norms and directions, observations, values of what is watched."""

    state: State
    observations: dict[str, Array]
    values: Array


@Program
def begin(
    solver: diffrax.AbstractSolver,
    parts: Parts,
    y: PyTree,
    t: Array,
    t_end: Array,
    tolerance: tuple[Scalar, Scalar],
    first: Array,
) -> tuple[Carry, Array]:
    """As `compiled_steps.begin`, of all lanes."""

    def block(own: PyTree, y: PyTree, t: Array, t_end: Array, first: Array, shared: PyTree) -> Any:
        rest, (rtol, atol) = shared

        def one(own: PyTree, y: PyTree, t: Scalar, t_end: Scalar, first: Scalar) -> tuple[Carry, Array]:
            return compiled_steps.begin(solver, *one_lane(own, rest), y, t, t_end, rtol, atol, first)

        return jax.vmap(one)(own, y, t, t_end, first)

    return spread(block, (parts.own, y, t, t_end, first), (parts.rest, tolerance))


@Program
def enter(parts: Parts, state: State, log_t: Array, events: tuple[Event, ...]) -> compiled_steps.Entry:
    """As `compiled_steps.enter`, of all lanes."""

    def block(own: PyTree, state: State, log_t: Array, shared: PyTree) -> Any:
        rest, events = shared

        def one(own: PyTree, state: State, log_t: Array) -> compiled_steps.Entry:
            return compiled_steps.enter(*one_lane(own, rest), state, log_t, events)

        return jax.vmap(one)(own, state, log_t)

    return spread(block, (parts.own, state, log_t), (parts.rest, events))


@Program
def places(parts: Parts, s: Array, z: PyTree, events: tuple[Event, ...]) -> Place:
    """What is known of a place of every lane."""

    def block(own: PyTree, s: Array, z: PyTree, shared: PyTree) -> Any:
        rest, events = shared

        def one(own: PyTree, s: Scalar, z: PyTree) -> Place:
            clock, field, data = one_lane(own, rest)
            seen = observed(clock, field, data, s, z, events)
            return Place(field.unpack(clock.coordinates(field, z)), seen, compiled_steps.event_values(events, seen))

        return jax.vmap(one)(own, s, z)

    return spread(block, (parts.own, s, z), (parts.rest, events))


@stepping
def advance(
    solver: diffrax.AbstractSolver,
    parts: Parts,
    carry: Carry,
    t_end: Array,
    tolerance: tuple[Scalar, Scalar],
    attempts: Array,
    events: tuple[Event, ...],
    size: int,
    patience: Scalar,
) -> Advanced:
    """Attempt up to `size` steps in every lane, and no more than its `attempts` (lanes,)."""

    def block(own: PyTree, carry: Carry, t_end: Array, attempts: Array, shared: PyTree) -> Advanced:
        rest, tolerance, events, patience = shared

        def attempt(own: PyTree, carry: Carry, t_end: Scalar) -> compiled_steps.Chunk:
            args = Setting(*one_lane(own, rest), *tolerance)
            plan = compiled_steps.planned(solver, args, t_end, events, patience)
            return compiled_steps.attempted(plan, compiled_steps.unwritten(plan, carry, 1))

        def going(i: Scalar, c: Carry) -> jax.Array:
            return (c.status == RUNNING) & (c.t < t_end) & (i < attempts)

        def unfinished(loop: tuple[jax.Array, Advanced]) -> jax.Array:
            i, now = loop
            return (i < size) & jnp.any(going(i, now.carry))

        def step(loop: tuple[jax.Array, Advanced]) -> tuple[jax.Array, Advanced]:
            i, now = loop
            goes = going(i, now.carry)
            chunk = jax.vmap(attempt)(own, now.carry, t_end)
            rows = jax.tree.map(
                lambda all_rows, row: all_rows.at[i].set(row[:, 0]),
                now.rows,
                (chunk.times, chunk.rows, chunk.observations),
            )
            last = chunk.carry, (chunk.before_t, chunk.before_y, chunk.before_state), chunk.fired
            carry, before, fired = jax.tree.map(
                lambda new, old: jnp.where(goes.reshape(-1, *[1] * (new.ndim - 1)), new, old),
                last,
                (now.carry, now.before, now.fired),
            )
            return i + 1, Advanced(carry, before, fired, rows, now.kept.at[i].set(goes & (chunk.accepted > 0)))

        shapes = jax.eval_shape(jax.vmap(attempt), own, carry, t_end)
        rows = jax.tree.map(
            lambda leaf: jnp.zeros((size, leaf.shape[0], *leaf.shape[2:]), leaf.dtype),
            (shapes.times, shapes.rows, shapes.observations),
        )
        lanes = attempts.shape[0]
        before, fired = (carry.t, carry.y, carry.solver_state), jnp.zeros((lanes, len(events)), bool)
        start = Advanced(carry, before, fired, rows, jnp.zeros((size, lanes), bool))
        return jax.lax.while_loop(unfinished, step, (jnp.zeros((), jnp.int64), start))[1]

    rows_first = Advanced(False, False, False, True, True)  # type: ignore[arg-type]
    lanes = (parts.own, carry, t_end, attempts)
    return spread(block, lanes, (parts.rest, tolerance, events, patience), rows_first)


@stepping
def locate(
    solver: diffrax.AbstractSolver,
    parts: Parts,
    t0: Array,
    t1: Array,
    before: PyTree,
    after: PyTree,
    state: PyTree,
    tolerance: tuple[Scalar, Scalar],
    fired: Array,
    events: tuple[Event, ...],
) -> tuple[Array, Array, PyTree, PyTree, Array, Array]:
    """The first crossing inside a step of every lane, by re-stepping from its start, as `event_location.located`.

    Args:
        solver: of the steps.
        parts: clocks, fields and data.
        t0: where the steps begin, (lanes,).
        t1: where they end.
        before: what is integrated, at `t0`.
        after: what is integrated, at `t1`.
        state: what the solver kept from the step before.
        tolerance: relative and absolute.
        fired: (lanes, events), what had happened at the end.
        events: what is looked for.

    Returns:
        Parts of the step before and after the crossing; what is integrated, at both; which events have happened after
        it; and how many steps were tried.
    """

    def block(
        own: PyTree, t0: Array, t1: Array, before: PyTree, after: PyTree, state: PyTree, fired: Array, shared: PyTree
    ) -> Any:
        rest, (rtol, atol), events = shared

        def one(own: PyTree, t0: Array, t1: Array, before: PyTree, after: PyTree, state: PyTree, fired: Array) -> Any:
            span = t1 - t0
            finest = jnp.maximum(_FINE * span, 2.0 * (jnp.nextafter(jnp.abs(t0), jnp.inf) - jnp.abs(t0)))

            def wide(c: Any) -> jax.Array:
                return (c[1] - c[0]) * span > finest

            def halve(c: Any) -> Any:
                low, high, below, above, over, looks = c
                middle = 0.5 * (low + high)
                y, values = compiled_steps.restep(
                    solver, *one_lane(own, rest), t0, middle * span, before, rtol, atol, events, state
                )
                happened = values > 0
                late = happened.any()
                low, high = jnp.where(late, low, middle), jnp.where(late, middle, high)
                below = jax.tree.map(lambda new, old: jnp.where(late, old, new), y, below)
                above = jax.tree.map(lambda new, old: jnp.where(late, new, old), y, above)
                return low, high, below, above, jnp.where(late, happened, over), looks + 1

            begin = jnp.zeros(()), jnp.ones(()), before, after, fired, jnp.zeros((), jnp.int64)
            return jax.lax.while_loop(wide, halve, begin)

        return jax.vmap(one)(own, t0, t1, before, after, state, fired)

    lanes = (parts.own, t0, t1, before, after, state, fired)
    return spread(block, lanes, (parts.rest, tolerance, events))
