"""Inside the compiled loop: how a run passes the kink of one pair that goes straight across it.

The step that met the kink is taken again to where its dense output has the kink, and once more to where Newton's method
then has it; what is left is a part of a step so small that the rate there is enough. On the kink the pair is asked
where it goes with the slope of either side. What is not plain is left to the host, with the step as it was: pairs that
slide or repel, kinks met at once, what is watched, and steps so short that modes may be changing without end.
"""

from math import prod
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.dynamics.clocks import Setting
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.kinks import crossing_guard
from flowlab.dynamics.kinks.filippov import TINY
from flowlab.dynamics.kinks.first_root import NEAR, Root
from flowlab.dynamics.run.carry import RUNNING, Carry, Chunk, Crossings, Passage, Stiffness, Target
from flowlab.dynamics.run.observations import Watch, event_values, observed, watched
from flowlab.dynamics.run.terms import TERM, again, rate_at
from flowlab.lowering.kink_mode import Mode
from flowlab.lowering.vector_field import VectorField

_CLOSE, _MOST = 1e-7, 6
"""Part of a step over which a rate may be taken for constant, and steps that finding a kink may take."""
_ASLEEP = 1e-12
"""Pre-activations that small, as a part of the largest, wait for what is below them to pass a sample on."""
_AMPLY = 10.0
"""Rates that are zero by less than this factor are looked at by the host."""
_SHORT = 1e-7
"""Steps below this part of the clock are left to the host, which counts changes of mode."""
_ROOM = 64
"""Crossings that a chunk keeps."""


class Plan(NamedTuple):
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

    def within(self, mode: Mode) -> "Plan":
        """The same in a kink mode."""
        args = self.args
        return self._replace(args=Setting(args.clock, args.field.within(mode), args.data, args.rtol, args.atol))


class After(NamedTuple):
    """What an attempt leads to, and the row it leaves, which counts if `go`."""

    carry: Carry
    before: tuple[Scalar, PyTree, PyTree]
    fired: Array
    passage: Passage | None
    time: Scalar
    row: Any
    observations: Any
    go: jax.Array


def mode_in(field: VectorField) -> Mode | None:
    """The kink mode of a field; modules that stand in for one have none."""
    return getattr(field, "mode", None)


def begun(mode: Mode) -> Passage:
    """Nothing crossed so far, from a mode on."""
    none, index, row = jnp.zeros(()), jnp.zeros((), jnp.int64), jnp.zeros((_ROOM,))
    target = Target(jnp.asarray(False), index, none, none, index)
    return Passage(mode.side, mode.slopes, target, index, index, Crossings(row.astype(jnp.int64), *[row] * 5))


def goes_on(chunk: Chunk, more: Array) -> jax.Array:
    """Whether there is something to attempt; `more` says whether another step is wanted."""
    passage, running = chunk.passage, (chunk.carry.status == RUNNING) & more
    if passage is None:
        return running
    # A kink is passed before a chunk ends, so that where it ends changes nothing.
    return (running & (passage.count < _ROOM)) | passage.target.active


def tries(chunk: Chunk) -> Scalar:
    """How many steps the next attempt counts for: a look at a kink is none."""
    return 1 if chunk.passage is None else 1 - chunk.passage.target.active.astype(jnp.int64)


def mode_of(plan: Plan, passage: Passage) -> Plan:
    """The plan in the mode that a chunk has come to."""
    mode = plan.args.field.mode
    assert mode is not None
    return plan.within(mode.sided(passage.side, passage.slopes))


def aimed(passage: Passage, root: Root) -> Passage:
    """Where to look for a kink next."""
    target = Target(root.plain, root.pair, root.part, root.part, jnp.zeros((), jnp.int64))
    return passage._replace(target=target)


class _Place(NamedTuple):
    """Where Newton's method has the kink."""

    part: jax.Array
    s: Scalar
    z: PyTree
    normal: PyTree


def looked(plan: Plan, chunk: Chunk, out: PyTree, state: PyTree) -> After:
    """What a step to where a kink was expected tells: where to look next, or that it is passed, or that the host is
    asked.

    Args:
        plan: in the mode of the chunk.
        chunk: after the step that met the kink.
        out: what is integrated, after a step to the target.
        state: what the solver kept of that step.
    """
    args, passage = plan.args, chunk.passage
    assert passage is not None
    clock, field, data, target = args.clock, args.field, args.data, passage.target
    assert field.mode is not None
    mode, told = field.mode, field.mode.with_deep(field.mode.deep_start)
    z = clock.constrain(field, out)
    span = chunk.carry.t - chunk.before_t
    rate = rate_at(plan.solver, args, state, chunk.before_t + target.part * span, z)
    flat, restore = ravel_pytree(z)
    y, moving = jax.jvp(lambda z: clock.coordinates(field, z), (z,), (restore(rate),))
    value, normal = jax.value_and_grad(lambda y: field.preactivations(y, data, told)[target.pair])(y)
    slope = span * _inner(normal, moving)
    falls = mode.side[target.pair] * slope < 0
    off = -value / jnp.where(falls, slope, 1.0)
    part = target.part + off
    near = falls & (jnp.abs(part - target.guess) < 0.5 * NEAR) & (part > 0) & (part < 1)
    close = near & (jnp.abs(off) <= _CLOSE)
    again = near & ~close & (target.tries < _MOST)
    following = Target(again, target.pair, target.guess, part, target.tries + 1)
    waits = After(
        chunk.carry,
        (chunk.before_t, chunk.before_y, chunk.before_state),
        chunk.fired,
        passage._replace(target=following, looks=passage.looks + 1),
        # It counts for no row, and has the form of one.
        chunk.carry.t,
        field.unpack(y),
        {name: rows[0] for name, rows in chunk.observations.items()},
        jnp.asarray(False),
    )
    place = _Place(part, chunk.before_t + part * span, restore(flat + off * span * rate), normal)
    return jax.lax.cond(close, lambda: _crossed(plan, chunk, waits, place, state), lambda: waits)


def _crossed(plan: Plan, chunk: Chunk, waits: After, place: _Place, kept: PyTree) -> After:
    """The chunk beyond a kink, if the pair goes straight across it; else as it was. `kept` is of the step to it."""
    args, passage = plan.args, chunk.passage
    assert passage is not None
    clock, field, data, pair = args.clock, args.field, args.data, passage.target.pair
    assert field.mode is not None
    mode, span = field.mode, chunk.carry.t - chunk.before_t
    normal = _without_norms(field, place.normal)
    y = clock.coordinates(field, place.z)
    z = field.preactivations(y, data, mode.with_deep(mode.deep_start))
    # The nearest state on the kink.
    landed = jax.tree.map(lambda a, n: a - z[pair] / _inner(normal, normal) * n, y, normal)
    state = clock.replaced(place.z, y, landed)
    left, right = _slopes(field, mode, pair)
    before = mode.side[pair]
    after = jnp.where(before < 0, right, left)
    flipped = plan.within(mode.flipped(pair, -before, after)).args

    def rates(slope: jax.Array) -> tuple[jax.Array, jax.Array]:
        inside = field.within(mode.flipped(pair, before, slope))
        rate = inside.own_rate(landed, data)
        told = inside.mode.with_deep(mode.deep_start)  # type: ignore[union-attr]
        moving = jax.jvp(lambda y: inside.preactivations(y, data, told), (landed,), (rate,))[1]
        return moving, _inner(jax.tree.map(jnp.abs, normal), jax.tree.map(jnp.abs, rate))

    moving, gross = jax.lax.map(rates, jnp.stack([mode.slopes[pair], after]))
    own = moving[:, pair]
    zero = TINY * (gross[0] + jnp.abs(own[1] - own[0])) + jnp.finfo(own.dtype).tiny
    others = (mode.side != 0).at[pair].set(False)
    wrong = mode.side * z < -crossing_guard.noise(field, data, y, z[None])
    asleep = (jnp.abs(z) <= _ASLEEP * jnp.max(jnp.abs(z))) & (moving[1] != 0)
    flat = ravel_pytree(normal)[0]
    coupled = jnp.any((mode.basis != 0) & (flat[mode.support] != 0)) | mode.deep_live.any()
    seen = observed(clock, flipped.field, data, place.s, state, plan.events)
    plain = (
        jnp.all(-before * own > _AMPLY * zero)
        & ~(others & (wrong | asleep)).any()
        & ~coupled
        & ~(event_values(plan.events, seen) > 0).any()
        & (span > _SHORT * jnp.abs(place.s))
    )

    def beyond() -> After:
        carry = _anew(plan._replace(args=flipped), chunk.carry, place.s, state, 0.5 * span, seen, kept)
        sides = jnp.where(before < 0, own, own[::-1])
        told = Crossings(pair, before, sides[0], sides[1], place.s, seen["log_t"])
        crossings = jax.tree.map(lambda rows, new: rows.at[passage.count].set(new), passage.crossings, told)
        inside = flipped.field.mode
        assert inside is not None
        done = Passage(
            inside.side,
            inside.slopes,
            waits.passage.target._replace(active=jnp.asarray(False)),  # type: ignore[union-attr]
            passage.looks + 1,
            passage.count + 1,
            crossings,
        )
        time = seen["log_t"] if clock.scales_loss else place.s
        row = field.unpack(clock.coordinates(field, state))
        kept_seen = {name: seen[name] for name in chunk.observations}
        before_it, go = (place.s, state, carry.solver_state), jnp.asarray(place.s > chunk.before_t)
        return After(carry, before_it, jnp.zeros_like(chunk.fired), done, time, row, kept_seen, go)

    return jax.lax.cond(plain, beyond, lambda: waits)


def _anew(plan: Plan, c: Carry, s: Scalar, z: PyTree, h: Scalar, seen: dict[str, Array], kept: PyTree) -> Carry:
    """The carry of steps that begin at a kink, with the counts of those before."""
    args = plan.args
    t_next, control = plan.control.init(TERM, s, plan.t_end, z, h, args, plan.solver.func, plan.order)
    w, none = c.watch, jnp.zeros((), jnp.int64)
    watch = Watch(jnp.full((), jnp.inf), jnp.full((), -jnp.inf), w.rise, w.fall, w.kept, w.slip)
    return Carry(
        s,
        jnp.asarray(t_next),
        z,
        again(plan.solver.init(TERM, s, t_next, z, args), kept),
        jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), control, c.control_state),
        c.steps,
        c.rejected,
        none,
        none + RUNNING,
        watched(args.field, args.data, watch, seen),
        Stiffness(none, jnp.zeros(())),
    )


def _slopes(field: VectorField, mode: Mode, pair: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Slopes of a pair on the left and on the right of its kink."""
    tracked = [
        (slot, prod(shape))
        for slot, shape in zip(field.problem.network.slots, mode.shapes, strict=True)
        if shape is not None
    ]
    which = jnp.searchsorted(np.cumsum([count for _, count in tracked]), pair, side="right")
    left, right = (
        jnp.asarray([float(v) for v in each]) for each in zip(*((s.left, s.right) for s, _ in tracked), strict=True)
    )
    return left[which], right[which]


def _without_norms(field: VectorField, normal: PyTree) -> PyTree:
    """Kinks are cones: what a pre-activation owes to norms does not move it off zero."""
    if field.problem.coordinates != "polar":
        return normal
    return jax.tree.map(jnp.zeros_like, normal[0]), normal[1]


def _inner(a: PyTree, b: PyTree) -> jax.Array:
    """⟨a, b⟩ over all coordinates."""
    return sum((jnp.sum(u * v) for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)), jnp.zeros(()))
