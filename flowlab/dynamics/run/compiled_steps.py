"""The compiled part of a run: a chunk of attempted steps, with projection and event values after each accepted one.

diffrax supplies the step and the step-size control; the loop is ours, because a chunk must be able to project, to stop
at the first event in time, to say why it stopped, and to be repeated bit for bit. Data, tolerances and times are
arguments: one compilation serves every run of the same problem, shapes and solver.
"""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.compiling import Program, stepping
from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.dynamics.clocks import Clock, Setting
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.kinks import crossing_guard
from flowlab.dynamics.kinks.first_root import Root
from flowlab.dynamics.run.carry import BENT, FIRED, NONFINITE, RUNNING, STALLED, STIFF, Carry, Chunk, Stiffness
from flowlab.dynamics.run.observations import Watch, event_values, observed, recorded, watched
from flowlab.dynamics.run.plain_crossing import After, Plan, aimed, begun, goes_on, looked, mode_in, mode_of, tries
from flowlab.dynamics.run.terms import TERM, again, along, controller, projects
from flowlab.dynamics.steppers.explicit_rk import Kept
from flowlab.dynamics.steppers.solvers import is_explicit
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField

_RESOLUTION = 64.0
"""A step below this many units in the last place of t does not count."""
UNKNOWN = np.asarray(np.nan)
"""The first step size where none is given."""
STAGES_OF_STIFF = 8
_REJECTIONS = 60
"""Rejections in a row after which a non-finite rate is called so, not a small step."""
_NEAR_LIMIT = 2.0
"""Steps times stiffness from which on stability, not accuracy, may be what bounds an explicit step; Tsit5 is stable to
about 3.3 on the real axis.
"""


class Entry(NamedTuple):
    """A state as a clock sees it: the value of the clock, what is integrated, norms and directions, observations and
    event values.
    """

    s: Scalar
    z: PyTree
    state: State
    observations: dict[str, Array]
    values: Array


def evaluations(solver: diffrax.AbstractSolver, field: VectorField) -> int:
    """Evaluations of the rate in one attempted step; of implicit solvers the stages, not what their iterations and
    Jacobians cost.
    """
    if not is_explicit(solver):
        return STAGES_OF_STIFF
    tableau = solver.tableau  # type: ignore[attr-defined]
    return int(tableau.num_stages) - (1 if tableau.fsal and not projects(field) else 0)


def _share(a: PyTree, b: PyTree) -> jax.Array:
    """The largest change of an entry, as a part of the largest entry."""
    (a, _), (b, _) = ravel_pytree(a), ravel_pytree(b)
    return jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b))


def _finite(tree: PyTree) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


@Program
def begin(
    solver: diffrax.AbstractSolver,
    clock: Clock,
    field: VectorField,
    data: Data,
    y: PyTree,
    t: Scalar,
    t_end: Scalar,
    rtol: Scalar,
    atol: Scalar,
    first: Scalar = UNKNOWN,
) -> tuple[Carry, jax.Array]:
    """The carry at a value of the clock, with a first step size, chosen from the rates if it is unknown; and whether
    every rate is exactly zero.
    """
    args = Setting(clock, field, data, rtol, atol)
    order: PyTree = solver.error_order(TERM)
    # Scaled clocks move by parts of a unit; near a steep loss the guess from the rates is far too long there.
    guess = 1e-3 if clock.scales_loss else None
    t_next, control_state = controller(rtol, atol).init(TERM, t, t_end, y, guess, args, solver.func, order)
    t_next = jnp.where(jnp.isnan(first), t_next, t + first)
    # A Python number among arrays would be another program than the arrays that steps make of it.
    control_state = jax.tree.map(jnp.asarray, control_state)
    state = solver.init(TERM, t, t_next, y, args)
    zero, none = jnp.zeros((), dtype=jnp.int64), jnp.zeros(())
    watch = watched(
        field,
        data,
        Watch(jnp.asarray(jnp.inf), jnp.asarray(-jnp.inf), none, none, none, none),
        observed(clock, field, data, t, y),
    )
    still = jnp.all(jnp.stack([jnp.all(leaf == 0) for leaf in jax.tree.leaves(solver.func(TERM, t, y, args))]))
    return (
        Carry(t, jnp.asarray(t_next), y, state, control_state, zero, zero, zero, zero, watch, Stiffness(zero, none)),
        still,
    )


@Program
def enter(clock: Clock, field: VectorField, data: Data, state: State, log_t: Array, events: tuple[Event, ...]) -> Entry:
    """Begin in a clock, at a state and a time."""
    s, z = clock.enter(field, state, log_t, data)
    seen = observed(clock, field, data, s, z, events)
    return Entry(s, z, field.unpack(clock.coordinates(field, z)), seen, event_values(events, seen))


@Program
def observe(
    clock: Clock, field: VectorField, data: Data, s: Scalar, z: PyTree, events: tuple[Event, ...]
) -> tuple[dict[str, Array], Array]:
    """Observations and event values at a state."""
    seen = observed(clock, field, data, s, z, events)
    return seen, event_values(events, seen)


@Program
def look(
    solver: diffrax.AbstractSolver,
    clock: Clock,
    field: VectorField,
    data: Data,
    t: Scalar,
    h: Scalar,
    y: PyTree,
    rtol: Scalar,
    atol: Scalar,
    state: PyTree,
) -> tuple[Any, tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """One step of size h from a state and what the solver kept; pre-activations and multipliers along its dense output,
    and at the end that it leads to.

    Returns:
        The state after the step; what `guard.looked_at` gives at the nodes; the same at the end, without an axis of
        nodes.
    """
    args = Setting(clock, field, data, rtol, atol)
    moved = projects(field)
    out, _, dense, after, _ = solver.step(TERM, t, t + h, y, args, state, moved)
    out = clock.constrain(field, out)
    states = along(solver, args, t, t + h, y, out, state, after, dense)
    seen = crossing_guard.looked_at(clock, field, data, states)
    return out, seen, jax.tree.map(lambda each: each[-1], seen)


@Program
def restep(
    solver: diffrax.AbstractSolver,
    clock: Clock,
    field: VectorField,
    data: Data,
    t: Scalar,
    h: Scalar,
    y: PyTree,
    rtol: Scalar,
    atol: Scalar,
    events: tuple[Event, ...],
    state: PyTree = None,
) -> tuple[PyTree, Array]:
    """One step of size h from a state (and what the solver kept from the step before it), projected; with the event
    values after it.
    """
    args = Setting(clock, field, data, rtol, atol)
    state = solver.init(TERM, t, t + h, y, args) if state is None else state
    out, *_ = solver.step(TERM, t, t + h, y, args, state, True)
    out = clock.constrain(field, out)
    return out, event_values(events, observed(clock, field, data, t + h, out, events))


class _Attempt(NamedTuple):
    """One attempted step from a carry, and whether it is to be kept."""

    t: jax.Array
    y: PyTree
    error: PyTree
    solver_state: PyTree
    control_state: PyTree
    h_lambda: jax.Array
    sound: jax.Array
    keep: Any
    t_after: jax.Array
    righted: jax.Array
    observations: dict[str, Array]
    fired: Array
    bent: Any
    root: Root | None


@stepping
def advance(
    solver: diffrax.AbstractSolver,
    clock: Clock,
    field: VectorField,
    data: Data,
    carry: Carry,
    t_end: Scalar,
    rtol: Scalar,
    atol: Scalar,
    attempts: Scalar,
    events: tuple[Event, ...],
    size: int,
    patience: Scalar,
) -> Chunk:
    """Attempt up to `attempts` steps and keep up to `size` accepted rows; where a chunk ends changes no bit of the
    result.

    `patience` is how many votes for stiffness end an explicit chunk.
    """
    plan, mode = planned(solver, Setting(clock, field, data, rtol, atol), t_end, events, patience), mode_in(field)
    chunk = unwritten(plan, carry, size)

    def unfinished(loop: tuple[Chunk, jax.Array]) -> jax.Array:
        chunk, tried = loop
        return goes_on(chunk, (chunk.carry.t < t_end) & (chunk.accepted < size) & (tried < attempts))

    def attempt(loop: tuple[Chunk, jax.Array]) -> tuple[Chunk, jax.Array]:
        chunk, tried = loop
        return attempted(plan, chunk), tried + tries(chunk)

    start = chunk if mode is None else chunk._replace(passage=begun(mode)), jnp.zeros((), jnp.int64)
    return jax.lax.while_loop(unfinished, attempt, start)[0]


def planned(
    solver: diffrax.AbstractSolver, args: Setting, t_end: Scalar, events: tuple[Event, ...], patience: Scalar
) -> Plan:
    """What every attempt of a chunk shares."""
    # The error arrives in units of what is allowed, so the control itself has tolerance one.
    control, one = controller(jnp.zeros(()), jnp.ones(())), jnp.zeros(())
    # Projection moves the state after the step, so the stage that the solver kept from it belongs to another point.
    moved = projects(args.field)
    return Plan(solver, args, solver.error_order(TERM), control, one, moved, t_end, events, patience)


def unwritten(plan: Plan, carry: Carry, size: int) -> Chunk:
    """A chunk before its first attempt, with room for so many rows; every kink that it meets is the host's."""
    clock, field = plan.args.clock, plan.args.field
    shapes = jax.eval_shape(lambda z: field.unpack(clock.coordinates(field, z)), carry.y)
    rows = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), shapes)
    seen = {name: jnp.zeros((size,)) for name in recorded(field.problem)}
    none, fired = jnp.zeros((), jnp.int64), jnp.zeros((len(plan.events),), bool)
    return Chunk(carry, jnp.zeros((size,)), rows, seen, none, carry.t, carry.y, carry.solver_state, fired)


def attempted(plan: Plan, chunk: Chunk) -> Chunk:
    """A chunk after one more attempted step, or after another look at a kink that one has met."""
    c, passage = chunk.carry, chunk.passage
    t_to = jnp.minimum(c.t_next, plan.t_end)
    if passage is None:
        out = plan.solver.step(TERM, c.t, t_to, c.y, plan.args, c.solver_state, plan.moved)
        return _written(chunk, _added(plan, chunk, _attempted(plan, c, t_to, out, aims=False)))
    plan, looking, part = mode_of(plan, passage), passage.target.active, passage.target.part
    there = chunk.before_t, chunk.before_y, chunk.before_state, chunk.before_t + part * (c.t - chunk.before_t)
    t, y, state, to = jax.tree.map(lambda a, b: jnp.where(looking, a, b), there, (c.t, c.y, c.solver_state, t_to))
    # One step in the program, whichever it is for.
    out = plan.solver.step(TERM, t, to, y, plan.args, state, plan.moved)
    after = jax.lax.cond(
        looking,
        lambda: looked(plan, chunk, out[0], out[3]),
        lambda: _added(plan, chunk, _attempted(plan, c, t_to, out, aims=True)),
    )
    return _written(chunk, after)


def _attempted(plan: Plan, c: Carry, t_to: Scalar, out: tuple[PyTree, ...], *, aims: bool) -> _Attempt:
    """A step from a carry: its error against what is allowed, and what is observed after it; `aims` says whether a kink
    that it has met is looked for.
    """
    solver, args = plan.solver, plan.args
    clock, field, data = args.clock, args.field, args.data
    y1, error, dense, solver_state, _ = out
    h_lambda = solver_state.h_lambda if isinstance(solver_state, Kept) else jnp.zeros(())
    sound = _finite((y1, error))
    # A non-finite error estimate is a rejected step, whatever the controller would make of it.
    amount = clock.size(field, t_to, c.y, y1, error, data, args.rtol, args.atol)
    sound = sound & jnp.isfinite(amount)
    amount = jnp.where(sound, amount, jnp.inf)
    one = plan.one
    keep, _, t_after, _, control_state, _ = plan.control.adapt_step_size(
        c.t, t_to, one, one, args, amount, plan.order, c.control_state
    )
    keep = keep & sound
    t_after = jnp.where(sound, t_after, c.t + 0.1 * (t_to - c.t))
    free, y1 = y1, clock.constrain(field, y1)
    righted = _share(free, y1) if getattr(field, "kept", None) is not None else jnp.zeros(())
    seen = observed(clock, field, data, t_to, y1, plan.events)
    fired = (event_values(plan.events, seen) > 0) & keep
    bent, root = jnp.asarray(False), None
    if mode_in(field) is not None:
        states = along(solver, args, c.t, t_to, c.y, y1, c.solver_state, solver_state, dense)
        bent, root = crossing_guard.met(clock, field, data, states, aims=aims)
        bent = keep & bent
    return _Attempt(
        jnp.asarray(t_to),
        y1,
        error,
        solver_state,
        control_state,
        h_lambda,
        sound,
        keep,
        t_after,
        righted,
        seen,
        fired,
        bent,
        root,
    )


def _added(plan: Plan, chunk: Chunk, step: _Attempt) -> After:
    """What an attempt leads to: the carry moved where the step is kept, its row where nothing ended there."""
    c, keep, clock, field = chunk.carry, step.keep, plan.args.clock, plan.args.field

    def pick(new: PyTree, old: PyTree) -> PyTree:
        return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)

    t1 = jnp.where(keep, step.t, c.t)
    in_a_row = jnp.where(keep, 0, c.in_a_row + 1)
    # After an accepted step the controller's proposal starts at its end; after a rejected one at t.
    h = step.t_after - jnp.where(keep, step.t, c.t)
    stuck = ((h < _RESOLUTION * (jnp.nextafter(t1, jnp.inf) - t1)) & (t1 < plan.t_end)) | (in_a_row > _REJECTIONS)
    # Votes count where steps are short against the time already passed; else the step grows with t and an implicit one
    # gains nothing.
    ballot = jnp.where((step.h_lambda > _NEAR_LIMIT) & (h < 0.01 * jnp.abs(t1)), 1, -1)
    votes = jnp.where(keep, jnp.maximum(c.stiffness.votes + ballot, 0), c.stiffness.votes)
    stiff = votes >= plan.patience
    end = jnp.where(step.bent, BENT, jnp.where(step.fired.any(), FIRED, RUNNING))
    status = jnp.where(
        end != RUNNING,
        end,
        jnp.where(stuck, jnp.where(step.sound, STALLED, NONFINITE), jnp.where(stiff, STIFF, RUNNING)),
    )
    # The row of a fired event, or of a kink, is left out: the host locates it between `before_t` and t.
    go = keep & ~step.fired.any() & ~step.bent
    watch = watched(
        field,
        plan.args.data,
        c.watch,
        step.observations,
        step.righted,
        clock.slip(field, c.t, step.t, c.y, step.y, step.error, plan.args.data),
    )
    stiffness = Stiffness(votes, pick(step.h_lambda, c.stiffness.h_lambda))
    after = Carry(
        t1,
        t1 + h,
        pick(step.y, c.y),
        pick(step.solver_state, c.solver_state),
        step.control_state,
        c.steps + keep,
        c.rejected + ~keep,
        in_a_row,
        status.astype(jnp.int64),
        pick(watch, c.watch),
        stiffness,
    )
    passage, root = chunk.passage, step.root
    if passage is not None and root is not None:
        passage = aimed(passage, root._replace(plain=root.plain & step.bent))
    # Chunks keep log t, which every clock has; ordinary time keeps t itself, to the last bit.
    time = step.observations["log_t"] if clock.scales_loss else step.t
    row = field.unpack(clock.coordinates(field, step.y))
    seen = {name: step.observations[name] for name in chunk.observations}
    before = c.t, c.y, again(c.solver_state, step.solver_state)
    return After(after, before, step.fired, passage, time, row, seen, go)


def _written(chunk: Chunk, after: After) -> Chunk:
    """The chunk with a row more, if it counts."""
    row = chunk.accepted
    # A row that is not counted is overwritten by the next one, so nothing has to be selected here.
    times = chunk.times.at[row].set(after.time)
    rows = jax.tree.map(lambda buffer, leaf: buffer.at[row].set(leaf), chunk.rows, after.row)
    seen = {name: chunk.observations[name].at[row].set(after.observations[name]) for name in chunk.observations}
    return Chunk(after.carry, times, rows, seen, row + after.go, *after.before, after.fired, after.passage)
