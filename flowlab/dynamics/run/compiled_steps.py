"""The compiled part of a run: a chunk of attempted steps, with projection and event values after each accepted one.

diffrax supplies the step and the step-size control; the loop is ours, because a chunk must be able to project, to stop
at the first event in time, to say why it stopped, and to be repeated bit for bit. Data, tolerances and times are
arguments: one compilation serves every run of the same problem, shapes and solver.
"""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.dynamics.clocks import Clock, Setting
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.kinks import crossing_guard
from flowlab.dynamics.run.carry import BENT, FIRED, NONFINITE, RUNNING, STALLED, STIFF, Carry, Chunk, Stiffness
from flowlab.dynamics.run.observations import RECORDED, Watch, event_values, observed, watched
from flowlab.dynamics.steppers.explicit_rk import Kept
from flowlab.dynamics.steppers.solvers import is_explicit
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField

_RESOLUTION = 64.0
"""A step below this many units in the last place of t does not count."""
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


def _rate(t: Scalar, y: PyTree, args: Setting) -> PyTree:
    return args.clock.rate(args.field, t, y, args.data)


TERM = diffrax.ODETerm(_rate)


def controller(rtol: Scalar, atol: Scalar) -> diffrax.PIDController:
    """Proportional-integral control of the local error."""
    return diffrax.PIDController(rtol=rtol, atol=atol, pcoeff=0.3, icoeff=0.4, error_order=None)


def projects(field: VectorField) -> bool:
    """Whether `field.constrain` moves states after a step."""
    return field.problem.coordinates == "polar" and field.problem.scheme.unit


def evaluations(solver: diffrax.AbstractSolver, field: VectorField) -> int:
    """Evaluations of the rate in one attempted step; of implicit solvers the stages, not what their iterations and
    Jacobians cost.
    """
    if not is_explicit(solver):
        return STAGES_OF_STIFF
    tableau = solver.tableau  # type: ignore[attr-defined]
    return int(tableau.num_stages) - (1 if tableau.fsal and not projects(field) else 0)


def _share(a: Scalar, b: Scalar) -> jax.Array:
    """The largest change of an entry, as a part of the largest entry."""
    (a, _), (b, _) = ravel_pytree(a), ravel_pytree(b)
    return jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b))


def _finite(tree: PyTree) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


@eqx.filter_jit
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
    first: Scalar | None = None,
) -> tuple[Carry, jax.Array]:
    """The carry at a value of the clock, with a first step size, chosen from the rates if it is not given; and whether
    every rate is exactly zero.
    """
    args = Setting(clock, field, data, rtol, atol)
    order: PyTree = solver.error_order(TERM)
    # Scaled clocks move by parts of a unit; near a steep loss the guess from the rates is far too long there.
    if first is None and clock.scales_loss:
        first = jnp.asarray(1e-3)
    t_next, control_state = controller(rtol, atol).init(TERM, t, t_end, y, first, args, solver.func, order)
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


@eqx.filter_jit
def enter(clock: Clock, field: VectorField, data: Data, state: State, log_t: Array, events: tuple[Event, ...]) -> Entry:
    """Begin in a clock, at a state and a time."""
    s, z = clock.enter(field, state, log_t, data)
    seen = observed(clock, field, data, s, z, events)
    return Entry(s, z, field.unpack(clock.coordinates(field, z)), seen, event_values(events, seen))


@eqx.filter_jit
def observe(
    clock: Clock, field: VectorField, data: Data, s: Scalar, z: PyTree, events: tuple[Event, ...]
) -> tuple[dict[str, Array], Array]:
    """Observations and event values at a state."""
    seen = observed(clock, field, data, s, z, events)
    return seen, event_values(events, seen)


def _along(
    solver: diffrax.AbstractSolver,
    args: Setting,
    t0: Scalar,
    t1: Scalar,
    z0: PyTree,
    z1: PyTree,
    before: PyTree,
    after: PyTree,
    dense: PyTree,
) -> PyTree:
    """What is integrated at the nodes of a step."""

    def rate(state: PyTree, t: Scalar, z: PyTree) -> PyTree:
        return state.rate if hasattr(state, "rate") else ravel_pytree(solver.func(TERM, t, z, args))[0]

    return crossing_guard.along(
        solver, args.field.problem, t1 - t0, z0, z1, (rate(before, t0, z0), rate(after, t1, z1)), dense
    )


@eqx.filter_jit
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
    states = _along(solver, args, t, t + h, y, out, state, after, dense)
    seen = crossing_guard.looked_at(clock, field, data, states)
    return out, seen, jax.tree.map(lambda each: each[-1], seen)


@eqx.filter_jit
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


class _Plan(NamedTuple):
    """What every attempt of a chunk shares; `one` and `control` take errors in units of what is allowed."""

    solver: diffrax.AbstractSolver
    args: Setting
    order: PyTree
    control: diffrax.PIDController
    one: jax.Array
    moved: PyTree
    t_end: Scalar
    events: tuple[Event, ...]
    patience: Scalar


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


@eqx.filter_jit
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
    args, order = Setting(clock, field, data, rtol, atol), solver.error_order(TERM)
    # The error arrives in units of what is allowed, so the control itself has tolerance one.
    control, one = controller(jnp.zeros(()), jnp.ones(())), jnp.zeros(())
    shapes = jax.eval_shape(lambda z: field.unpack(clock.coordinates(field, z)), carry.y)
    rows = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), shapes)
    seen = {name: jnp.zeros((size,)) for name in RECORDED}
    start = Chunk(
        carry,
        jnp.zeros((size,)),
        rows,
        seen,
        jnp.zeros((), jnp.int64),
        carry.t,
        carry.y,
        carry.solver_state,
        jnp.zeros((len(events),), bool),
    )
    # Projection moves the state after the step, so the stage that the solver kept from it belongs to another point.
    plan = _Plan(solver, args, order, control, one, projects(field), t_end, events, patience)

    def unfinished(loop: tuple[Chunk, jax.Array]) -> jax.Array:
        chunk, tried = loop
        c = chunk.carry
        return (c.status == RUNNING) & (c.t < t_end) & (chunk.accepted < size) & (tried < attempts)

    def attempt(loop: tuple[Chunk, jax.Array]) -> tuple[Chunk, jax.Array]:
        chunk, tried = loop
        return _added(plan, chunk, _attempted(plan, chunk.carry)), tried + 1

    chunk, _ = jax.lax.while_loop(unfinished, attempt, (start, jnp.zeros((), jnp.int64)))
    return chunk


def _attempted(plan: _Plan, c: Carry) -> _Attempt:
    """A step from a carry: its error against what is allowed, and what is observed after it."""
    solver, args = plan.solver, plan.args
    clock, field, data = args.clock, args.field, args.data
    t_to = jnp.minimum(c.t_next, plan.t_end)
    y1, error, dense, solver_state, _ = solver.step(TERM, c.t, t_to, c.y, args, c.solver_state, plan.moved)
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
    bent = jnp.asarray(False)
    if getattr(field, "mode", None) is not None:
        states = _along(solver, args, c.t, t_to, c.y, y1, c.solver_state, solver_state, dense)
        bent = keep & crossing_guard.suspicious(clock, field, data, states)
    return _Attempt(
        t_to, y1, error, solver_state, control_state, h_lambda, sound, keep, t_after, righted, seen, fired, bent
    )


def _added(plan: _Plan, chunk: Chunk, step: _Attempt) -> Chunk:
    """The chunk after an attempt: the carry moved where the step is kept, its row where nothing ended there."""
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
    row = chunk.accepted
    # Chunks keep log t, which every clock has; ordinary time keeps t itself, to the last bit.
    # A row that is not counted is overwritten by the next one, so nothing has to be selected here.
    times = chunk.times.at[row].set(step.observations["log_t"] if clock.scales_loss else step.t)
    state = field.unpack(clock.coordinates(field, step.y))
    rows = jax.tree.map(lambda buffer, leaf: buffer.at[row].set(leaf), chunk.rows, state)
    seen = {name: chunk.observations[name].at[row].set(step.observations[name]) for name in RECORDED}
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
    return Chunk(after, times, rows, seen, chunk.accepted + go, c.t, c.y, c.solver_state, step.fired)
