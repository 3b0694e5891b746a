"""How a run passes a kink: the step that met it is looked at again, and the run goes on from the kink in
another mode.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import numpy as np

from flowlab.dynamics.kinks.event_log import CHATTER
from flowlab.dynamics.kinks.first_meeting import LEFT, RIGHT
from flowlab.dynamics.kinks.tracker import Event, NotUnique, Unsettled
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.carry import Chunk, Crossings
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.event_location import landing
from flowlab.dynamics.run.segment import Segment
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.transitions import Turn, left
from flowlab.language.trajectory import Outcome

_NONE = np.asarray(0)
"""Rows that a chunk keeps once they are with the recorder."""


def sided(setup: Setup, cursor: Cursor) -> Cursor | Outcome:
    """The cursor with sides of all pre-activations at the start; an outcome where more than one flow leaves it.

    Raises:
        OutOfTime: if the limit on time is reached before that is known.
    """
    assert setup.kinks is not None
    try:
        kinks, y = setup.kinks.begin(setup.field.pack(setup.start), cursor.log_t, setup.tick)
    except NotUnique as why:
        return Outcome("nonunique", f"the start does not determine the flow: {why}; start from other weights.")
    except Unsettled as why:
        return Outcome("stalled", f"what follows on the start was not found: {why}; start from other weights.")
    return replace(cursor, kinks=kinks, z=y)


def crossed(segment: Segment, cursor: Cursor, chunk: Chunk) -> tuple[Segment, Cursor]:
    """The segment and the cursor in the mode that a chunk has come to, with the kinks that it crossed."""
    passage = chunk.passage
    if passage is None or not int(passage.looks):
        return segment, cursor
    cursor, count = cursor.counted(int(passage.looks) * segment.evaluations), int(passage.count)
    if not count:
        return segment, cursor
    assert cursor.kinks is not None
    assert segment.field.mode is not None
    crossings = Crossings(*(np.asarray(column)[:count] for column in passage.crossings))
    if not segment.clock.scales_loss:
        # As exact as s is.
        crossings = crossings._replace(log_t=segment.clock.log_times(np.asarray(crossings.s)))
    events = []
    for pair, before, on_left, on_right, s, log_t in zip(*(np.asarray(v).tolist() for v in crossings), strict=True):
        after = RIGHT if before < 0 else LEFT
        event = Event(pair, int(before), after, on_left, on_right, 1.0 if after == RIGHT else 0.0)
        events.append((s, log_t, event))
    mode = segment.field.mode.sided(passage.side, passage.slopes)
    kinks = cursor.kinks.crossed(mode, events, segment.clock.name)
    # Both sides were asked, and the rate was made anew.
    cursor = replace(cursor.counted(3 * count), kinks=kinks)
    return replace(segment, field=kinks.tracker.field), cursor


def cross_kink(segment: Segment, cursor: Cursor, chunk: Chunk) -> Turn:
    """Look closer at a step that may have met a kink, and go on beyond it in another mode.

    Raises:
        OutOfTime: if the limit on time is reached before that is known.
    """
    carry, setup, kinks = chunk.carry, segment.setup, cursor.kinks
    assert kinks is not None
    t0, span, tracker, looks = (
        chunk.before_t,
        float(carry.t) - float(chunk.before_t),
        kinks.tracker.copy(setup.tick),
        [],
    )

    @cache
    def look(part: float) -> Any:
        setup.tick()
        looks.append(part)
        # A Python number made an array by jax is of a weak type, and every program would be compiled twice.
        found = compiled_steps.look(
            *segment.args, t0, np.asarray(part * span), chunk.before_y, *setup.tolerance, chunk.before_state
        )
        return found[0], *(jax.tree.map(np.asarray, each) for each in found[1:])

    tracker.stand(segment.clock.coordinates(segment.field, chunk.before_y))
    meeting = tracker.meeting(look)
    cursor = cursor.counted(len(looks) * segment.evaluations)
    if meeting is None:
        row, status = None, compiled_steps.FIRED if np.asarray(chunk.fired).any() else compiled_steps.RUNNING
        carry = carry._replace(status=np.asarray(status))
        if status == compiled_steps.RUNNING:
            cursor, row = landing(segment, cursor, segment.log_t(carry.t, carry.y), carry.t, carry.y)
        return Turn(replace(cursor, carry=carry), row=row, chunk=chunk._replace(carry=carry, accepted=_NONE))
    s = np.asarray(float(t0) + meeting.part * span)
    if segment.watched:
        over = segment.observed(s, meeting.state, segment.watched)[1] > 0
        if over.any():
            # What is watched happened before the kink.
            early = carry._replace(t=s, y=meeting.state, status=np.asarray(compiled_steps.FIRED))
            return Turn(replace(cursor, carry=early), chunk=chunk._replace(carry=early, fired=over, accepted=_NONE))
    log_t, y = segment.log_t(s, meeting.state), segment.clock.coordinates(segment.field, meeting.state)
    try:
        after, moved = kinks.follow(meeting, y, log_t, segment.clock.name, float(s), setup.tick)
    except (NotUnique, Unsettled) as why:
        cursor, row = landing(segment, cursor, log_t, s, meeting.state)
        kind, what = (
            ("nonunique", "the flow is not determined")
            if isinstance(why, NotUnique)
            else ("stalled", "what follows was not found")
        )
        return Turn(cursor, Outcome(kind, f"{what} beyond {segment.words(cursor.log_t)}: {why}."), row)
    z = segment.clock.replaced(meeting.state, y, moved)
    cursor, row = landing(segment, left(segment, cursor, s, z), segment.log_t(s, z), s, z)
    cursor, outcome = replace(cursor, kinks=after), None
    if after.chatters(segment.clock.name, float(s)):
        where = segment.words(cursor.log_t)
        outcome = Outcome(
            "stalled",
            f"more than {CHATTER} changes of mode within a millionth of the clock at {where}; the states up to there"
            " are kept.",
        )
    # A part of the step that met the kink is a step that can be taken beyond it.
    return Turn(replace(cursor, first_step=0.5 * span), outcome, row)
