"""How a run passes a kink: the step that met it is looked at again, and the run goes on from the kink in another mode."""

import math
import time as watch
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.dynamics.kinks.cost import OutOfTime, compiled
from flowlab.dynamics.kinks.event_log import CHATTER
from flowlab.dynamics.kinks.tracker import NotUnique, Unsettled
from flowlab.dynamics.run import compiled_steps
from flowlab.language.trajectory import Outcome

if TYPE_CHECKING:
    from flowlab.dynamics.run.loop import Run


def sided(run: "Run") -> Outcome | None:
    """Give every pre-activation its side at the start; an outcome where more than one flow leaves it."""
    assert run.kinks is not None
    run.kinks.tracker.tick = partial(_tick, run)
    try:
        y = run.kinks.begin(run.field.pack(run.state), -math.inf)
    except OutOfTime:
        return out_of_time(run)
    except NotUnique as why:
        return Outcome("nonunique", f"the start does not determine the flow: {why}; start from other weights.")
    except Unsettled as why:
        return Outcome("stalled", f"what follows on the start was not found: {why}; start from other weights.")
    run.field = run.kinks.tracker.field
    run.state = jax.tree.map(np.asarray, run.field.unpack(y))
    run.entry = run.entry[0], y
    return None


def bent(run: "Run", chunk: compiled_steps.Chunk) -> compiled_steps.Chunk | Outcome | None:
    """Look closer at a step that may have met a kink, within the limit on time; see `_bent`."""
    assert run.kinks is not None
    asked, before = watch.monotonic(), compiled()
    run.kinks.tracker.tick = partial(_tick, run)
    try:
        return _bent(run, chunk)
    except OutOfTime:
        return out_of_time(run)
    finally:
        run.kinks.effort.looked_at(watch.monotonic() - asked, compiled() - before)


def stepped(run: "Run", asked: float) -> None:
    """Count a chunk of steps that was asked for at some time."""
    if run.kinks is not None:
        run.kinks.effort.stepped(watch.monotonic() - asked, len(run.kinks.tracker.sliding))


def cause(run: "Run") -> str:
    """What took the time of a run that follows kinks, in words; nothing for others."""
    return "" if run.kinks is None else run.kinks.effort.cause(run.compile_seconds)


def out_of_time(run: "Run") -> Outcome:
    """The outcome where the limit on wall-clock time is reached."""
    return Outcome("budget", f"the wall limit of {run.plan.wall:g} s was reached at {run.place()}{cause(run)}.")


def out_of_steps(run: "Run") -> Outcome:
    """The outcome where as many steps as are allowed were attempted."""
    told = f"{run.max_steps} steps were attempted by {run.place()}{cause(run)}"
    return Outcome("budget", f"{told}; raise `max_steps` or stop earlier.")


def _tick(run: "Run") -> None:
    if watch.monotonic() - run.began > run.plan.wall:
        raise OutOfTime


def _bent(run: "Run", chunk: compiled_steps.Chunk) -> compiled_steps.Chunk | Outcome | None:
    """Look closer at a step that may have met a kink.

    Returns:
        The chunk to go on with where it met none, or met an event before it; an outcome where what follows is not determined; else None, and the run
        goes on in another mode from `run.entry`.
    """
    kinks, carry = run.kinks, chunk.carry
    assert kinks is not None
    t0, span = chunk.before_t, float(carry.t) - float(chunk.before_t)
    args = (run.solver, run.clock, run.field, run.data)

    @cache
    def look(part: float) -> Any:
        kinks.tracker.tick()
        run.evaluations += compiled_steps.evaluations(run.solver, run.field)
        # A Python number made an array by jax is of a weak type, and every program would be compiled twice.
        found = compiled_steps.look(*args, t0, np.asarray(part * span), chunk.before_y, *run.tolerance, chunk.before_state)
        return found[0], *(jax.tree.map(np.asarray, each) for each in found[1:])

    none = jnp.zeros_like(chunk.accepted)
    meeting = kinks.tracker.meeting(look)
    if meeting is None:
        status = compiled_steps.FIRED if np.asarray(chunk.fired).any() else compiled_steps.RUNNING
        if status == compiled_steps.RUNNING:
            accept(run, carry.t, carry.y)
        return chunk._replace(carry=carry._replace(status=jnp.asarray(status)), accepted=none)
    s = np.asarray(float(t0) + meeting.part * span)
    if run.watched:
        over = run.observed(run.clock, s, meeting.state, run.watched)[1] > 0
        if over.any():
            # What is watched happened before the kink.
            early = carry._replace(t=s, y=meeting.state, status=jnp.asarray(compiled_steps.FIRED))
            return chunk._replace(carry=early, fired=jnp.asarray(over), accepted=none)
    run.leave()
    y = run.clock.coordinates(run.field, meeting.state)
    try:
        after = kinks.follow(meeting, y, run.clock_log(s, meeting.state), run.clock.name, float(s))
    except NotUnique as why:
        accept(run, s, meeting.state)
        return Outcome("nonunique", f"the flow is not determined beyond {run.place()}: {why}.")
    except Unsettled as why:
        accept(run, s, meeting.state)
        return Outcome("stalled", f"what follows was not found beyond {run.place()}: {why}.")
    z = run.clock.replaced(meeting.state, y, after)
    accept(run, s, z)
    if kinks.chatters(run.clock.name, float(s)):
        return Outcome("stalled", f"more than {CHATTER} changes of mode within a millionth of the clock at {run.place()}; the states up to there are kept.")
    run.field = kinks.tracker.field
    # A part of the step that met the kink is a step that can be taken beyond it.
    run.entry, run.first = (s, z), 0.5 * span
    return None


def accept(run: "Run", s: Any, z: Any) -> None:
    """Offer the row of a state that no chunk has kept."""
    log_t = run.clock_log(s, z)
    if log_t > run.now:
        seen, _ = run.observed(run.clock, s, z, ())
        run.store.offer(run.row(log_t, run.clock, run.state_of(z), seen))
        run.now = log_t
