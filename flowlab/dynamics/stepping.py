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

from flowlab.dynamics.clocks import Clock, Setting
from flowlab.dynamics.conditions import Event
from flowlab.language.data import Data
from flowlab.lowering.field import VectorField

RUNNING, FIRED, NONFINITE, STALLED = 0, 1, 2, 3
_RESOLUTION = 64.0
"""A step below this many units in the last place of t is no step."""
STAGES_OF_STIFF = 8
_REJECTIONS = 60
"""Rejections in a row after which a non-finite rate is called so, not a small step."""


class Carry(NamedTuple):
    """Everything a run needs to go on."""

    t: jax.Array
    t_next: jax.Array
    y: Any
    solver_state: Any
    control_state: Any
    steps: jax.Array
    rejected: jax.Array
    in_a_row: jax.Array
    status: jax.Array


class Chunk(NamedTuple):
    """What a chunk leaves: the carry, accepted rows, and the bracket of an event."""

    carry: Carry
    times: jax.Array
    rows: Any
    accepted: jax.Array
    before_t: jax.Array
    before_y: Any
    before_state: Any
    fired: jax.Array


def _rate(t: Any, y: Any, args: Setting) -> Any:
    return args.clock.rate(args.field, t, y, args.data)


TERM = diffrax.ODETerm(_rate)


def controller(rtol: jax.Array, atol: jax.Array) -> diffrax.PIDController:
    """Proportional-integral control of the local error."""
    return diffrax.PIDController(rtol=rtol, atol=atol, pcoeff=0.3, icoeff=0.4, error_order=None)


def projects(field: VectorField) -> bool:
    """Whether `field.constrain` moves states after a step."""
    return field.problem.coordinates == "polar" and field.problem.scheme.unit


def evaluations(solver: diffrax.AbstractSolver, field: VectorField) -> int:
    """Evaluations of the rate in one attempted step; of implicit solvers the stages, not what their iterations and Jacobians cost."""
    if not hasattr(solver, "tableau"):
        return STAGES_OF_STIFF
    tableau = solver.tableau  # type: ignore[attr-defined]
    return int(tableau.num_stages) - (1 if tableau.fsal and not projects(field) else 0)


def _finite(tree: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


@eqx.filter_jit
def begin(
    solver: diffrax.AbstractSolver,
    clock: Clock,
    field: VectorField,
    data: Data,
    y: Any,
    t: jax.Array,
    t_end: jax.Array,
    rtol: jax.Array,
    atol: jax.Array,
) -> Carry:
    """The carry at a value of the clock, with a first step size chosen from the rates."""
    args = Setting(clock, field, data, rtol, atol)
    order: Any = solver.error_order(TERM)
    # Scaled clocks move by parts of a unit; near a steep loss the guess from the rates is far too long there.
    first = None if clock.name == "time" else jnp.asarray(1e-3)
    t_next, control_state = controller(rtol, atol).init(TERM, t, t_end, y, first, args, solver.func, order)
    state = solver.init(TERM, t, t_next, y, args)
    zero = jnp.zeros((), dtype=jnp.int64)
    return Carry(t, jnp.asarray(t_next), y, state, control_state, zero, zero, zero, zero)


def _seen(clock: Clock, field: VectorField, data: Data, s: Any, z: Any) -> dict[str, jax.Array]:
    seen = field.observe(clock.coordinates(field, z), data)
    return seen | {"log_t": clock.log_t(s, z, seen["log_loss"])}


@eqx.filter_jit
def observe(clock: Clock, field: VectorField, data: Data, s: Any, z: Any, events: tuple[Event, ...]) -> tuple[dict[str, jax.Array], jax.Array]:
    """Observations and event values at a state."""
    seen = _seen(clock, field, data, s, z)
    return seen, _values(events, seen)


def _values(events: tuple[Event, ...], seen: dict[str, jax.Array]) -> jax.Array:
    return jnp.stack([event.value(seen) for event in events]) if events else jnp.zeros((0,))


@eqx.filter_jit
def restep(
    solver: diffrax.AbstractSolver,
    clock: Clock,
    field: VectorField,
    data: Data,
    t: jax.Array,
    h: jax.Array,
    y: Any,
    rtol: jax.Array,
    atol: jax.Array,
    events: tuple[Event, ...],
    state: Any = None,
) -> tuple[Any, jax.Array]:
    """One step of size h from a state (and what the solver kept from the step before it), projected; with the event values after it."""
    args = Setting(clock, field, data, rtol, atol)
    state = solver.init(TERM, t, t + h, y, args) if state is None else state
    out, *_ = solver.step(TERM, t, t + h, y, args, state, jnp.asarray(True))
    out = clock.constrain(field, out)
    return out, _values(events, _seen(clock, field, data, t + h, out))


@eqx.filter_jit
def advance(
    solver: diffrax.AbstractSolver,
    clock: Clock,
    field: VectorField,
    data: Data,
    carry: Carry,
    t_end: jax.Array,
    rtol: jax.Array,
    atol: jax.Array,
    attempts: jax.Array,
    events: tuple[Event, ...],
    size: int,
) -> Chunk:
    """Attempt up to `attempts` steps and keep up to `size` accepted rows; where a chunk ends changes no bit of the result."""
    args = Setting(clock, field, data, rtol, atol)
    order: Any = solver.error_order(TERM)
    # The error arrives in units of what is allowed, so the control itself has tolerance one.
    control, one = controller(jnp.zeros(()), jnp.ones(())), jnp.zeros(())
    shapes = jax.eval_shape(lambda z: field.unpack(clock.coordinates(field, z)), carry.y)
    rows = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), shapes)
    start = Chunk(carry, jnp.zeros((size,)), rows, jnp.zeros((), jnp.int64), carry.t, carry.y, carry.solver_state, jnp.zeros((len(events),), bool))
    # Projection moves the state after the step, so the stage that the solver kept from it belongs to another point.
    moved = jnp.asarray(projects(field))

    def unfinished(loop: tuple[Chunk, jax.Array]) -> jax.Array:
        chunk, tried = loop
        c = chunk.carry
        return (c.status == RUNNING) & (c.t < t_end) & (chunk.accepted < size) & (tried < attempts)

    def attempt(loop: tuple[Chunk, jax.Array]) -> tuple[Chunk, jax.Array]:
        chunk, tried = loop
        c = chunk.carry
        t_to = jnp.minimum(c.t_next, t_end)
        y1, error, _, solver_state, _ = solver.step(TERM, c.t, t_to, c.y, args, c.solver_state, moved)
        sound = _finite((y1, error))
        # A non-finite error estimate is a rejected step, whatever the controller would make of it.
        amount = clock.size(field, t_to, c.y, y1, error, data, rtol, atol)
        sound = sound & jnp.isfinite(amount)
        amount = jnp.where(sound, amount, jnp.inf)
        keep, _, t_after, _, control_state, _ = control.adapt_step_size(c.t, t_to, one, one, args, amount, order, c.control_state)
        keep = keep & sound
        t_after = jnp.where(sound, t_after, c.t + 0.1 * (t_to - c.t))
        y1 = clock.constrain(field, y1)
        seen = _seen(clock, field, data, t_to, y1)
        fired = (_values(events, seen) > 0) & keep

        def pick(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)

        t1 = jnp.where(keep, t_to, c.t)
        in_a_row = jnp.where(keep, 0, c.in_a_row + 1)
        # After an accepted step the controller's proposal starts at t_to; after a rejected one at t.
        h = t_after - jnp.where(keep, t_to, c.t)
        stuck = ((h < _RESOLUTION * (jnp.nextafter(t1, jnp.inf) - t1)) & (t1 < t_end)) | (in_a_row > _REJECTIONS)
        status = jnp.where(fired.any(), FIRED, jnp.where(stuck, jnp.where(sound, STALLED, NONFINITE), RUNNING))
        # The row of a fired event is left out: the host locates the crossing between `before_t` and t.
        go = keep & ~fired.any()
        row = chunk.accepted
        # Chunks keep log t, which every clock has; ordinary time keeps t itself, to the last bit.
        times = jnp.where(go, chunk.times.at[row].set(t_to if clock.name == "time" else seen["log_t"]), chunk.times)
        state = field.unpack(clock.coordinates(field, y1))
        kept = jax.tree.map(lambda buffer, leaf: jnp.where(go, buffer.at[row].set(leaf), buffer), chunk.rows, state)
        after = Carry(
            t1, t1 + h, pick(y1, c.y), pick(solver_state, c.solver_state), control_state,
            c.steps + keep, c.rejected + ~keep, in_a_row, status.astype(jnp.int64),
        )  # fmt: skip
        return Chunk(after, times, kept, chunk.accepted + go, c.t, c.y, c.solver_state, fired), tried + 1

    chunk, _ = jax.lax.while_loop(unfinished, attempt, (start, jnp.zeros((), jnp.int64)))
    return chunk
