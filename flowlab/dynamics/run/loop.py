"""The host's side of a run: chunk by chunk, one segment after another, until something ends it."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flowlab.core import compiling
from flowlab.core.errors import LanguageError
from flowlab.core.typing import Record
from flowlab.dynamics.clocks import ORDINARY, Clock
from flowlab.dynamics.kinks.cost import OutOfTime
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.clock_switch import own_time
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.kink_crossing import cross_kink, crossed, sided
from flowlab.dynamics.run.progress import Progress
from flowlab.dynamics.run.recorder import Recorder
from flowlab.dynamics.run.segment import Segment, faster_or_slower, now, row
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.transitions import Turn, at_event, go_on, not_finite, stalled, turn_implicit
from flowlab.dynamics.run.wording import moment
from flowlab.dynamics.storage.checkpoint import Ledger
from flowlab.language.observables import Observers
from flowlab.language.trajectory import Outcome, Trajectory

_LOG = logging.getLogger(__name__)

TRANSITIONS: dict[int, Callable[[Segment, Cursor, compiled_steps.Chunk], Turn]] = {
    compiled_steps.RUNNING: go_on,
    compiled_steps.FIRED: at_event,
    compiled_steps.NONFINITE: not_finite,
    compiled_steps.STALLED: stalled,
    compiled_steps.STIFF: turn_implicit,
    compiled_steps.BENT: cross_kink,
}


def run(
    setup: Setup, ledger: Ledger | None, progress: bool, settings: Record, observe: Observers | None = None
) -> Trajectory:
    """The trajectory of a run, whatever its outcome."""
    recorder = Recorder(setup, ledger)
    cursor, outcome = start(setup, recorder)
    horizon = setup.plan.horizon or "an event"
    if recorder.resumed is None:
        _LOG.debug("a run to %s begins", horizon)
    elif outcome is None and ledger is not None:
        _LOG.info("a stored run to %s goes on at log t = %.6g", horizon, ledger.reached)
    if outcome is None:
        with Progress(progress, setup.plan.log_end, setup.plan.horizon) as bar:
            cursor, outcome = follow(setup, cursor, recorder, bar)
    _LOG.debug("%s", outcome, extra={"flowlab": {"outcome": outcome.kind, "log_t": float(cursor.log_t)}})
    return recorder.trajectory(totalled(setup, cursor), outcome, settings, observe)


def totalled(setup: Setup, cursor: Cursor) -> Cursor:
    """The cursor of a run that has ended, with all its steps counted."""
    if cursor.carry is None:
        return cursor
    evaluations = compiled_steps.evaluations(setup.solver(cursor.clock, cursor.stiff)[1], setup.field)
    return replace(cursor, tally=cursor.tally.plus(cursor.carry, cursor.clock, evaluations), carry=None)


def start(setup: Setup, recorder: Recorder) -> tuple[Cursor, Outcome | None]:
    """The cursor a run begins or goes on with; an outcome where nothing is left to do."""
    found = compiled_steps.enter(
        ORDINARY, setup.field, setup.data, setup.start, np.asarray(-math.inf), setup.plan.events
    )
    return started(setup, recorder, found)


def started(setup: Setup, recorder: Recorder, found: compiled_steps.Entry) -> tuple[Cursor, Outcome | None]:
    """The same, from the start as ordinary time sees it."""
    field, clock = setup.field, ORDINARY
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
    recorder.keep(row(field.problem, -math.inf, clock, found.state, found.observations))
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


def resumed(setup: Setup, recorder: Recorder, ordinary: Clock) -> tuple[Cursor, Outcome | None]:
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
                segment = Segment.of(setup, cursor)
                after = segment.begin(cursor, leaves)
                if isinstance(after, Outcome):
                    return cursor, after
                cursor, leaves, pace = after, None, segment.pace()
            tried = cursor.attempts
            limit = out_of_budget(setup, cursor, recorder)
            if limit is not None:
                return cursor, limit
            asked, due = now(), recorder.due(tried)
            limit = setup.max_steps if due is None else min(setup.max_steps, due)
            cursor, chunk = segment.advance(cursor, min(limit - tried, pace))
            recorder.offer(segment, chunk)
            if cursor.kinks is not None:
                segment, cursor = crossed(segment, cursor, chunk)
                count = 0 if chunk.passage is None else int(chunk.passage.count)
                recorder.effort.stepped(now() - asked, cursor.sliding, count)
            turn = turned(segment, cursor, chunk, recorder)
            if turn is None:
                return cursor, out_of_time(setup, cursor, recorder)
            if turn.cursor.clock is not cursor.clock or turn.cursor.stiff != cursor.stiff:
                way = f"{turn.cursor.clock.name} clock{', implicit steps' if turn.cursor.stiff else ''}"
                _LOG.debug("from log t = %.6g on: %s", cursor.log_t, way, extra={"flowlab": {"way": way}})
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
        return cursor, interrupted(cursor)


def turned(segment: Segment, cursor: Cursor, chunk: compiled_steps.Chunk, recorder: Recorder) -> Turn | None:
    """What follows a chunk, with its rows kept; None where the limit on time is reached before that is known."""
    asked, before = now(), compiling.seconds()
    status = int(chunk.carry.status)
    try:
        turn = TRANSITIONS[status](segment, cursor, chunk)
    except OutOfTime:
        return None
    finally:
        if status == compiled_steps.BENT:
            recorder.effort.looked_at(now() - asked, compiling.seconds() - before)
    return settled(segment, cursor, turn, recorder)


def settled(segment: Segment, cursor: Cursor, turn: Turn, recorder: Recorder) -> Turn | None:
    """A turn from a cursor with its row kept, and without another chunk to look at; None as above."""
    if turn.cursor.kinks is not cursor.kinks:
        recorder.effort.met += 1
    if turn.row is not None:
        recorder.keep(turn.row, turn.lands)
    if turn.ran_out:
        rows = recorder.rows()
        return replace(turn, outcome=segment.setup.plan.ran_out(rows[0], rows[2 + len(recorder.recorded) :]))
    if turn.chunk is not None:
        return turned(segment, turn.cursor, turn.chunk, recorder)
    return turn


def out_of_budget(setup: Setup, cursor: Cursor, recorder: Recorder) -> Outcome | None:
    """The outcome where a limit on steps or time is reached."""
    if cursor.attempts >= setup.max_steps:
        where = moment(cursor.clock, cursor.log_t, 6)
        told = f"{setup.max_steps} steps were attempted by {where}{cause(setup, recorder)}"
        return Outcome("budget", f"{told}; raise `max_steps` or stop earlier.")
    return out_of_time(setup, cursor, recorder) if setup.is_over_time() else None


def interrupted(cursor: Cursor) -> Outcome:
    """The outcome of Ctrl-C."""
    where = moment(cursor.clock, cursor.log_t, 6)
    return Outcome("budget", f"interrupted at {where}; everything before is kept.")


def out_of_time(setup: Setup, cursor: Cursor, recorder: Recorder) -> Outcome:
    """The outcome where the limit on wall-clock time is reached."""
    where, spent = moment(cursor.clock, cursor.log_t, 6), recorder.compile_seconds
    # Compilation cannot be stopped half-way.
    over = f", after {spent:.1f} s of compilation" if now() - setup.began - spent < setup.plan.wall else ""
    told = f"the wall limit of {setup.plan.wall:g} s was reached at {where}{over}{cause(setup, recorder)}"
    return Outcome("budget", f"{told}.")


def cause(setup: Setup, recorder: Recorder) -> str:
    """What took the time of a run that follows kinks, in words; nothing for others."""
    return "" if setup.kinks is None else recorder.effort.cause(recorder.compile_seconds - recorder.effort.compiling)
