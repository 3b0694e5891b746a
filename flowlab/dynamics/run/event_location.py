"""Where in its last step a run ends: the first event, the horizon, or the row it rests on."""

import math
from dataclasses import dataclass, replace

import numpy as np

from flowlab.core.typing import PyTree, Scalar
from flowlab.dynamics.conditions import LONGEST_LOG_TIME, Event
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.clock_switch import Separation, Vanished
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.segment import Segment
from flowlab.dynamics.run.wording import CARRIED, tighter


@dataclass(frozen=True)
class Location:
    """The first event of a step.

    Attributes:
        event: what happened.
        s, z: value of the clock and what is integrated, there.
        log_t: there.
        evaluations: what finding it cost.
    """

    event: Event
    s: Scalar
    z: PyTree
    log_t: float
    evaluations: int


def located(segment: Segment, chunk: compiled_steps.Chunk) -> Location:
    """The first crossing inside the last step of a chunk, by re-stepping from its start."""
    t0, y0 = chunk.before_t, chunk.before_y
    span = float(chunk.carry.t) - float(t0)
    low, high, before, best, looks = 0.0, 1.0, chunk.before_y, chunk.carry.y, 0
    # The change of clock has no place of its own; other events may lie before it in the same step.
    own = [i for i, event in enumerate(segment.watched) if not isinstance(event, Separation)]
    events = tuple(segment.watched[i] for i in own)
    fired = [i for i, over in enumerate(np.asarray(chunk.fired)[own]) if over]
    tolerance = segment.setup.tolerance
    # Bisection on "has any event happened": the earliest crossing wins, in order of time and not of the list.
    while (high - low) * span > max(1e-12 * span, 2.0 * math.ulp(float(t0))):
        middle, looks = 0.5 * (low + high), looks + 1
        y, values = compiled_steps.restep(
            *segment.args, t0, np.asarray(middle * span), y0, *tolerance, events, chunk.before_state
        )
        over = [i for i, value in enumerate(np.asarray(values)) if value > 0]
        if over:
            high, best, fired = middle, y, over
        else:
            low, before = middle, y
    if isinstance(events[fired[0]], Vanished):
        # Beyond it no state has a meaning.
        high, best = low, before
    s = np.asarray(float(t0) + high * span)
    return Location(events[fired[0]], s, best, segment.log_t(s, best), looks * (segment.evaluations + 1))


def placed(segment: Segment, cursor: Cursor, log_t: float) -> tuple[str, float]:
    """The place of an event in words, with its error; and the error of log t."""
    carry, clock, setup = cursor.carry, segment.clock, segment.setup
    assert carry is not None
    s, slip, ordinary = float(carry.t), float(carry.watch.slip), not clock.scales_loss
    error = (cursor.tally.slip + slip) / s if ordinary else cursor.tally.slip_log + slip
    plain = ordinary and log_t <= LONGEST_LOG_TIME
    # Of t itself the relative error is that of log t.
    part, off = (error, error * math.exp(log_t)) if plain else (error / max(1.0, abs(log_t)), error)
    if not 0 < part < math.inf:
        return segment.words(log_t, 12), error
    where = f"{segment.words(log_t, min(12, max(2, math.ceil(-math.log10(part)) + 1)))} ± {off:.0e}"
    if part <= CARRIED:
        return where, error
    blur = float(segment.observed(carry.t, carry.y)[0].get("blur", 0.0))
    if blur > CARRIED:
        return f"{where}: the loss there is round-off, and no tolerance tells the place better", error
    advice = tighter(setup.rtol, setup.atol, 0.1 * CARRIED / part)
    return f"{where}: these tolerances do not tell the place better; use `{advice}`", error


def landing(
    segment: Segment, cursor: Cursor, log_t: float, s: Scalar, z: PyTree
) -> tuple[Cursor, list[np.ndarray] | None]:
    """The row of a place within a step, if it is ahead of the rows so far; and the cursor at it."""
    if log_t <= cursor.log_t:
        return cursor, None
    return replace(cursor, log_t=log_t), segment.row(log_t, s, z)
