"""What follows a chunk, by its status: the run goes on, changes its clock, solver or kink mode, or ends."""

import math
from dataclasses import dataclass, replace

import numpy as np

from flowlab.core.typing import PyTree, Scalar
from flowlab.dynamics.clocks import Clock
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.carry import Chunk
from flowlab.dynamics.run.clock_switch import Reached, Separation, Vanished, vanished
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.event_location import Location, landing, located, placed
from flowlab.dynamics.run.segment import Segment
from flowlab.language.trajectory import Outcome

_SAME = 1e-12
"""Relative difference of two values of log t that are one."""


@dataclass(frozen=True)
class Turn:
    """What follows a chunk.

    Attributes:
        cursor: where the run stands; without a carry another segment begins there.
        outcome: how the run ended, if it did.
        row: a row to keep that no chunk has kept.
        lands: whether `row` is the last one and no full step.
        chunk: another chunk to look at in place of this one.
        ran_out: whether ordinary time came to its end; the rows so far tell the outcome.
    """

    cursor: Cursor
    outcome: Outcome | None = None
    row: list[np.ndarray] | None = None
    lands: bool = False
    chunk: Chunk | None = None
    ran_out: bool = False


def ended(cursor: Cursor, kind: str, message: str) -> Turn:
    """The run ends here."""
    return Turn(cursor, Outcome(kind, message))


def left(segment: Segment, cursor: Cursor, s: Scalar, z: PyTree) -> Cursor:
    """The cursor at a place where the segment ends, with its steps counted."""
    assert cursor.carry is not None
    tally = cursor.tally.plus(cursor.carry, segment.clock, segment.evaluations)
    return replace(cursor, tally=tally, s=s, z=z, carry=None, first_step=math.nan)


def go_on(segment: Segment, cursor: Cursor, chunk: Chunk) -> Turn:
    """Go on, unless the clock has come to its end."""
    plan = segment.setup.plan
    if float(chunk.carry.t) < segment.s_end:
        return Turn(cursor)
    if segment.lands:
        row = None
        if cursor.log_t < plan.log_end - _SAME * abs(plan.log_end):
            # The horizon is so near, against the time that the flow takes, that float64 has no place for it: the state
            # there is the present one.
            cursor, row = landing(segment, cursor, plan.log_end, chunk.carry.t, chunk.carry.y)
        return Turn(cursor, Outcome("done", f"reached {plan.horizon}."), row, lands=True)
    return Turn(cursor, ran_out=True)


def at_event(segment: Segment, cursor: Cursor, chunk: Chunk) -> Turn:
    """End at the first event, or change the clock where samples have been separated."""
    fired = [e for e, over in zip(segment.watched, np.asarray(chunk.fired), strict=True) if over]
    if all(isinstance(e, Separation) for e in fired):
        return change_clock(segment, cursor, chunk)
    return end_at(segment, cursor, located(segment, chunk))


def end_at(segment: Segment, cursor: Cursor, found: Location) -> Turn:
    """End at the place of an event."""
    cursor, row = landing(segment, cursor.counted(found.evaluations), found.log_t, found.s, found.z)
    if isinstance(found.event, Reached):
        outcome = Outcome("done", f"reached {segment.setup.plan.horizon}.")
    elif isinstance(found.event, Vanished):
        outcome = Outcome(
            "stalled", vanished(segment.field.problem, segment.state(found.z), segment.words(found.log_t, 12))
        )
    else:
        where, error = placed(segment, cursor, found.log_t)
        outcome = Outcome("event", f"{found.event.name} at {where}.", found.event.name, error)
    return Turn(cursor, outcome, row, lands=True)


def change_clock(segment: Segment, cursor: Cursor, chunk: Chunk) -> Turn:
    """Go on in the late clock. No crossing is looked for: any step past separation serves, and this one is the same on
    every machine.
    """
    carry, late = chunk.carry, segment.setup.plan.late
    assert late is not None
    log_t, state = segment.log_t(carry.t, carry.y), segment.state(carry.y)
    entry = compiled_steps.enter(late, segment.field, segment.setup.data, state, np.asarray(log_t), ())
    return hand_over(segment, cursor, late, log_t, entry)


def hand_over(segment: Segment, cursor: Cursor, late: Clock, log_t: float, entry: compiled_steps.Entry) -> Turn:
    """Go on in the late clock, from the end of a chunk as that clock sees it."""
    setup, carry = segment.setup, cursor.carry
    assert carry is not None
    row = segment.row(log_t, carry.t, carry.y)
    cursor = left(segment, cursor, entry.s, entry.z)
    # A shift of time is a smaller part of all later times.
    tally = replace(cursor.tally, slip_log=cursor.tally.slip_log + cursor.tally.slip / float(carry.t), slip=0.0)
    switch = {"clock": late.name, "solver": setup.solver(late, cursor.stiff)[0], "log_t": log_t}
    switches = (*cursor.switches, switch)
    return Turn(replace(cursor, clock=late, handed_over=True, log_t=log_t, tally=tally, switches=switches), row=row)


def turn_implicit(segment: Segment, cursor: Cursor, chunk: Chunk) -> Turn:
    """Go on with an implicit solver, unless the clock has come to its end."""
    turn, carry = go_on(segment, cursor, chunk), chunk.carry
    if turn.outcome is not None or turn.ran_out:
        return turn
    rate = float(carry.stiffness.h_lambda) / float(carry.t_next - carry.t)
    switch = {
        "clock": segment.clock.name,
        "solver": "kvaerno5",
        "log_t": segment.log_t(carry.t, carry.y),
        "stiffness": rate,
    }
    return Turn(replace(left(segment, cursor, carry.t, carry.y), stiff=True, switches=(*cursor.switches, switch)))


def not_finite(segment: Segment, cursor: Cursor, _chunk: Chunk) -> Turn:
    """End where the rate is not finite."""
    return ended(
        cursor,
        "nonfinite",
        f"the rate stopped being finite beyond {segment.words(cursor.log_t)}; the states up to there are kept.",
    )


def stalled(segment: Segment, cursor: Cursor, _chunk: Chunk) -> Turn:
    """End where steps are too short to be told from none."""
    where = segment.words(cursor.log_t)
    return ended(
        cursor,
        "stalled",
        f"the step size fell below the resolution of time at {where}; a kink or a stiff phase needs another method.",
    )
