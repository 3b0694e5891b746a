"""The host's side of a run: chunk by chunk, one segment after another, until something ends it."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Record
from flowlab.dynamics.clocks import CLOCKS, OrdinaryTime
from flowlab.dynamics.kinks.cost import OutOfTime, compiled
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.clock_switch import own_time
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.kink_crossing import cross_kink, sided
from flowlab.dynamics.run.observations import RECORDED
from flowlab.dynamics.run.progress import Progress
from flowlab.dynamics.run.recorder import Recorder
from flowlab.dynamics.run.segment import Segment, faster_or_slower, now, row
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.transitions import Turn, at_event, go_on, not_finite, stalled, turn_implicit
from flowlab.dynamics.run.wording import moment
from flowlab.dynamics.storage.checkpoint import Ledger
from flowlab.language.trajectory import Outcome, Trajectory

TRANSITIONS: dict[int, Callable[[Segment, Cursor, compiled_steps.Chunk], Turn]] = {
    compiled_steps.RUNNING: go_on,
    compiled_steps.FIRED: at_event,
    compiled_steps.NONFINITE: not_finite,
    compiled_steps.STALLED: stalled,
    compiled_steps.STIFF: turn_implicit,
    compiled_steps.BENT: cross_kink,
}


def run(setup: Setup, ledger: Ledger | None, progress: bool, settings: Record) -> Trajectory:
    """The trajectory of a run, whatever its outcome."""
    recorder = Recorder(setup, ledger)
    cursor, outcome = start(setup, recorder)
    if outcome is None:
        with Progress(progress, setup.plan.log_end, setup.plan.horizon) as bar:
            cursor, outcome = follow(setup, cursor, recorder, bar)
    if cursor.carry is not None:
        evaluations = compiled_steps.evaluations(setup.solver(cursor.clock, cursor.stiff)[1], setup.field)
        cursor = replace(cursor, tally=cursor.tally.plus(cursor.carry, cursor.clock, evaluations), carry=None)
    return recorder.trajectory(cursor, outcome, settings)


def start(setup: Setup, recorder: Recorder) -> tuple[Cursor, Outcome | None]:
    """The cursor a run begins or goes on with; an outcome where nothing is left to do."""
    field, data, clock = setup.field, setup.data, CLOCKS["time"]
    found = compiled_steps.enter(clock, field, data, setup.start, np.asarray(-math.inf), setup.plan.events)
    ordinary = own_time(field, found.observations)
    if recorder.resumed is not None:
        return resumed(setup, recorder, ordinary)
    cursor = Cursor(ordinary, found.s, found.z, -math.inf)
    log_loss, margin = float(found.observations["log_loss"]), float(found.observations["raw_margin"])
    if setup.named_clock is not None and setup.named_clock.logs_norms and not (margin > 0 and log_loss < 0):
        # Before that norms may shrink, and log R runs backwards.
        raise LanguageError(
            f'the smallest margin must be above 0 for `clock="{setup.clock_name}"`, got {margin:.3g}; use'
            ' `clock="auto"`.'
        )
    recorder.store.offer(row(-math.inf, clock, found.state, found.observations))
    if not math.isfinite(log_loss) and field.problem.loss.classifies:
        why = (
            f"log loss is {log_loss} at t = 0: outputs leave float64; start from smaller weights, or rescale the"
            " features."
        )
        return cursor, Outcome("nonfinite", why)
    for event, value in zip(setup.plan.events, np.asarray(found.values), strict=True):
        if value > 0:
            return cursor, Outcome("event", f"{event.name} holds at the start.", event.name)
    if setup.kinks is not None:
        try:
            after = sided(setup, cursor)
        except OutOfTime:
            return cursor, out_of_time(setup, cursor, recorder)
        if isinstance(after, Outcome):
            return cursor, after
        cursor = after
    return entered(setup, cursor) if setup.named_clock is not None else cursor, None


def resumed(setup: Setup, recorder: Recorder, ordinary: OrdinaryTime) -> tuple[Cursor, Outcome | None]:
    """The cursor of the last checkpoint; its outcome, if the run has ended."""
    assert recorder.resumed is not None
    assert recorder.ledger is not None
    record, kinks = recorder.resumed[0], None
    if setup.kinks is not None:
        kinks = setup.kinks.restored(setup.field.pack(setup.start), recorder.ledger.kinks)
        recorder.events = len(kinks.events)
    cursor = Cursor.restored(record, ordinary, kinks)
    if record["outcome"] is not None:
        return cursor, Outcome(**record["outcome"])
    # Only its form is used; the numbers are those that were written.
    return entered(setup, cursor), None


def entered(setup: Setup, cursor: Cursor) -> Cursor:
    """The cursor at the start of the run, in the clock that the user names or, else, in its own."""
    field = setup.field if cursor.kinks is None else cursor.kinks.tracker.field
    fresh = cursor.z is not None
    clock = setup.named_clock if fresh and setup.named_clock is not None else cursor.clock
    state = field.unpack(cursor.z) if fresh and cursor.kinks is not None else setup.start
    log_t = setup.first_log(cursor.clock)
    entry = compiled_steps.enter(clock, field, setup.data, state, np.asarray(log_t), ())
    return replace(cursor, clock=clock, s=entry.s, z=entry.z)


def follow(setup: Setup, cursor: Cursor, recorder: Recorder, bar: Progress) -> tuple[Cursor, Outcome]:
    """Chunks, and what follows each of them, until something ends the run."""
    segment, pace = None, 1
    leaves = None if recorder.resumed is None else recorder.resumed[1]
    try:
        while True:
            if segment is None:
                compiling, segment = now(), Segment.of(setup, cursor)
                after = segment.begin(cursor, leaves)
                if isinstance(after, Outcome):
                    return cursor, after
                cursor, leaves, pace = after, None, segment.pace()
                recorder.compile_seconds += now() - compiling
            tried = cursor.attempts
            if tried >= setup.max_steps:
                where = (
                    f"{setup.max_steps} steps were attempted by {segment.words(cursor.log_t)}{cause(setup, recorder)}"
                )
                return cursor, Outcome("budget", f"{where}; raise `max_steps` or stop earlier.")
            if setup.is_over_time():
                return cursor, out_of_time(setup, cursor, recorder)
            asked, due = now(), recorder.due(tried)
            limit = setup.max_steps if due is None else min(setup.max_steps, due)
            cursor, chunk = segment.advance(cursor, min(limit - tried, pace))
            recorder.offer(segment, chunk)
            if cursor.kinks is not None:
                recorder.effort.stepped(now() - asked, len(cursor.kinks.tracker.sliding))
            turn = turned(segment, cursor, chunk, recorder)
            if turn is None:
                return cursor, out_of_time(setup, cursor, recorder)
            cursor = turn.cursor
            if turn.outcome is not None:
                return cursor, turn.outcome
            pace = faster_or_slower(pace, now() - asked)
            if cursor.carry is None:
                segment = None
                continue
            if due is not None and cursor.attempts == due:
                recorder.checkpoint(cursor)
            bar.show(cursor.log_t, segment.observed(cursor.carry.t, cursor.carry.y)[0] if bar.on else None)
    except KeyboardInterrupt:
        return cursor, Outcome(
            "budget", f"interrupted at {moment(cursor.clock, cursor.log_t, 6)}; everything before is kept."
        )


def turned(segment: Segment, cursor: Cursor, chunk: compiled_steps.Chunk, recorder: Recorder) -> Turn | None:
    """What follows a chunk, with its rows kept; None where the limit on time is reached before that is known."""
    asked, compiling = now(), compiled()
    status = int(chunk.carry.status)
    try:
        turn = TRANSITIONS[status](segment, cursor, chunk)
    except OutOfTime:
        return None
    finally:
        if status == compiled_steps.BENT:
            recorder.effort.looked_at(now() - asked, compiled() - compiling)
    if turn.cursor.kinks is not cursor.kinks:
        recorder.effort.met += 1
    if turn.row is not None:
        (recorder.store.land if turn.lands else recorder.store.offer)(turn.row)
    if turn.ran_out:
        rows = recorder.rows()
        return replace(turn, outcome=segment.setup.plan.ran_out(rows[0], rows[2 + len(RECORDED) :]))
    if turn.chunk is not None:
        return turned(segment, turn.cursor, turn.chunk, recorder)
    return turn


def out_of_time(setup: Setup, cursor: Cursor, recorder: Recorder) -> Outcome:
    """The outcome where the limit on wall-clock time is reached."""
    where = moment(cursor.clock, cursor.log_t, 6)
    return Outcome("budget", f"the wall limit of {setup.plan.wall:g} s was reached at {where}{cause(setup, recorder)}.")


def cause(setup: Setup, recorder: Recorder) -> str:
    """What took the time of a run that follows kinks, in words; nothing for others."""
    return "" if setup.kinks is None else recorder.effort.cause(recorder.compile_seconds)
