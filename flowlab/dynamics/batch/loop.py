"""The host's side of a batch: blocks of lanes that are at one stage with one program, until every lane has ended.

What is done next depends on the lanes alone, never on how long anything took, so a batch has the same bits on every
run. Lanes at kinks are looked after one by one, as the host does it for single runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from flowlab.core import compiling
from flowlab.core.errors import FlowlabError
from flowlab.core.lanes import Rows, even, stacked
from flowlab.core.typing import PyTree
from flowlab.dynamics.batch import programs
from flowlab.dynamics.batch.lane import Known, Lane, Stage
from flowlab.dynamics.batch.stacking import Parts
from flowlab.dynamics.clocks import ORDINARY
from flowlab.dynamics.run.carry import RUNNING, Carry, Chunk
from flowlab.dynamics.run.clock_switch import Separation, Vanished
from flowlab.dynamics.run.event_location import Location
from flowlab.dynamics.run.loop import interrupted, out_of_budget, out_of_time, settled, started, turned
from flowlab.dynamics.run.progress import Progress
from flowlab.dynamics.run.recorder import Recorder
from flowlab.dynamics.run.segment import FIRST_EVALUATIONS, now
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.transitions import Turn, end_at, hand_over
from flowlab.dynamics.steppers.solver_self_test import self_test
from flowlab.dynamics.steppers.solvers import SOLVERS, is_explicit
from flowlab.language.batches import of_run
from flowlab.language.trajectory import Outcome

_WIDEST, _NUMBERS = 64, 1 << 20
"""Lanes of a block on one processor, and numbers in their states: more do not fit into its caches."""
_IMPLICIT = 8
"""Lanes of a block of implicit steps on one processor: all wait for the iterations of the slowest, and Jacobians are
worked out one by one.
"""
_ACCELERATED = 1024
"""Lanes of a block on one accelerator, which is idle with fewer."""
_ROWS, _FEWEST, _ROW_BYTES = 64, 16, 64e6
"""Attempted steps of a chunk, and bytes of its rows: lanes that end wait for others no longer than that."""


def width(lanes: int, unknowns: int) -> int:
    """Lanes of a block."""
    most = _WIDEST if jax.default_backend() == "cpu" else _ACCELERATED
    return even(lanes, int(max(1, min(most, _NUMBERS * most // (_WIDEST * max(1, unknowns))))))


class Batch:
    """Lanes of one flow.

    Args:
        setups: of all lanes.
        shared: whether all lanes have the same field, and the same data.

    Attributes:
        lanes: in the order of the setups.
        width: lanes of a block at present, `widest` of one that takes explicit steps.
    """

    def __init__(self, setups: Sequence[Setup], shared: tuple[bool, bool]) -> None:
        # A field that follows kinks is in the mode of its lane.
        self.shared = shared[0] and all(setup.kinks is None for setup in setups), shared[1]
        self.widest = self.width = width(len(setups), setups[0].unknowns)
        self.rows = int(max(4, min(_ROWS, _ROW_BYTES // (8 * setups[0].unknowns * self.width))))
        self.tolerance, self.segments = setups[0].tolerance, {}
        self.lanes: list[Lane] = []
        for first in range(0, len(setups), self.width):
            self.lanes += self._started(first, setups[first : first + self.width])

    def run(self, progress: bool = False) -> None:
        """Take every lane to its end; with a bar, if it is asked for."""
        plan = self.lanes[0].setup.plan
        waiting: dict[tuple[tuple[object, ...], Stage], list[Lane]] = {}
        block: Sequence[Lane] = self.lanes
        try:
            with Progress(progress, plan.log_end, plan.horizon) as bar:
                while True:
                    for lane in block:
                        if lane.outcome is None:
                            waiting.setdefault((lane.program, lane.stage), []).append(lane)
                    if not waiting:
                        break
                    running = sum(map(len, waiting.values()))
                    bar.part(1.0 - running / len(self.lanes), f"{running} of {len(self.lanes)} runs to go")
                    first = min(waiting, key=lambda key: (key[0][:3], key[1]))
                    lanes = waiting.pop(first)
                    self.width = self._width(lanes[0])
                    block = lanes[: self.width]
                    if lanes[self.width :]:
                        waiting[first] = lanes[self.width :]
                    _DO[first[1]](self, block)
        except KeyboardInterrupt:
            for lane in self.lanes:
                if lane.outcome is None:
                    self._end(lane, interrupted(lane.cursor))

    def step(self, lanes: Sequence[Lane]) -> None:
        """A chunk of steps."""
        lanes = [lane for lane in lanes if not self._is_over(lane)]
        if not lanes:
            return
        asked, segment = now() - compiling.seconds(), _segment(lanes[0])
        pace = max(_FEWEST, min(self.rows, segment.pace() // len(lanes)))
        limits = np.zeros(self.width, int)
        limits[: len(lanes)] = [min(pace, lane.setup.max_steps - lane.cursor.attempts) for lane in lanes]
        found = programs.advance(
            segment.solver,
            self._parts(lanes),
            self._stacked(lanes, lambda lane: lane.cursor.carry),
            self._stacked(lanes, lambda lane: np.asarray(_segment(lane).s_end)),
            self.tolerance,
            limits,
            segment.watched,
            self.rows,
            np.asarray(segment.votes),
        )
        carries, befores, rows = Rows(found.carry), Rows(found.before), Rows(found.rows)
        kept, fired, names = np.asarray(found.kept), np.asarray(found.fired), sorted(found.rows[2])
        log_times = _log_times(lanes, rows.leaves[0])
        for i, lane in enumerate(lanes):
            which = np.flatnonzero(kept[:, i])
            segment, carry, (times, *leaves), log_t = (
                _segment(lane),
                carries[i],
                rows.kept(i, which),
                log_times[which, i],
            )
            # Leaves of states stay a list: thousands of states cost more than the rows in them.
            states, seen = leaves[: -len(names)], dict(zip(names, leaves[-len(names) :], strict=True))
            ends = carry.status != RUNNING or carry.t >= segment.s_end
            t, y, state = befores[i] if ends else (np.nan, None, None)
            count: Any = np.asarray(len(times))
            chunk = Chunk(carry, times, states, seen, count, t, y, state, fired[i])
            lane.recorder.offer(segment, chunk, log_t)
            lane.cursor = replace(lane.cursor, carry=carry, log_t=float(log_t[-1]) if len(log_t) else lane.cursor.log_t)
            if ends:
                lane.chunk = chunk
            if lane.cursor.kinks is not None:
                spent = now() - compiling.seconds() - asked
                lane.recorder.effort.stepped(spent / len(lanes), lane.cursor.sliding)

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Segments begin: first step sizes are chosen."""
        segment = _segment(lanes[0])
        if not is_explicit(segment.solver):
            self_test(segment.solver_name, SOLVERS[segment.solver_name])
        carry, still = programs.begin(
            segment.solver,
            self._parts(lanes),
            self._stacked(lanes, lambda lane: lane.cursor.z),
            self._stacked(lanes, lambda lane: np.asarray(lane.cursor.s)),
            self._stacked(lanes, lambda lane: np.asarray(_segment(lane).s_end)),
            self.tolerance,
            self._stacked(lanes, lambda lane: np.asarray(lane.cursor.first_step)),
        )
        carries, still = Rows(carry), np.asarray(still)
        for i, lane in enumerate(lanes):
            after = _segment(lane).begun(lane.cursor.counted(FIRST_EVALUATIONS), carries[i], bool(still[i]))
            if isinstance(after, Outcome):
                self._end(lane, after)
            else:
                lane.cursor = after

    def hand_over(self, lanes: Sequence[Lane]) -> None:
        """The late clock takes over from the last step."""
        late = lanes[0].setup.plan.late
        assert late is not None
        parts = self._parts(lanes)
        found = programs.places(
            parts,
            self._stacked(lanes, lambda lane: _carry(lane).t),
            self._stacked(lanes, lambda lane: _carry(lane).y),
            (),
        )
        seen = np.asarray(found.observations["log_t"])
        log_t = np.array([_log_t(lane, float(each)) for lane, each in zip(lanes, seen, strict=False)])
        filled = np.concatenate([log_t, np.repeat(log_t[:1], self.width - len(lanes))])
        entries = Rows(programs.enter(self._parts(lanes, late), found.state, filled, ()))
        places = Rows(found)
        for i, lane in enumerate(lanes):
            known = Known.at(_segment(lane), _carry(lane).y, places[i])
            self._turn(lane, hand_over(known, lane.cursor, late, float(log_t[i]), entries[i]))

    def locate(self, lanes: Sequence[Lane]) -> None:
        """Events end runs."""
        segment = _segment(lanes[0])
        own = [i for i, event in enumerate(segment.watched) if not isinstance(event, Separation)]
        events = tuple(segment.watched[i] for i in own)
        parts, chunks = self._parts(lanes), [lane.chunk for lane in lanes]
        low, high, below, above, over, looks = programs.locate(
            segment.solver,
            parts,
            self._of_chunks(chunks, lambda chunk: chunk.before_t),
            self._of_chunks(chunks, lambda chunk: chunk.carry.t),
            self._of_chunks(chunks, lambda chunk: chunk.before_y),
            self._of_chunks(chunks, lambda chunk: chunk.carry.y),
            self._of_chunks(chunks, lambda chunk: chunk.before_state),
            self.tolerance,
            self._of_chunks(chunks, lambda chunk: np.asarray(chunk.fired)[own]),
            events,
        )
        low, high, over, looks = (np.asarray(each) for each in (low, high, over, looks))
        firsts = [int(np.argmax(each)) for each in over]
        # Beyond a norm that vanishes no state has a meaning.
        back = np.array([isinstance(events[first], Vanished) for first in firsts])
        t0 = np.asarray(self._of_chunks(chunks, lambda chunk: chunk.before_t))
        span = np.asarray(self._of_chunks(chunks, lambda chunk: chunk.carry.t)) - t0
        s = t0 + np.where(back, low, high) * span
        z = jax.tree.map(
            lambda a, b: np.where(back.reshape(-1, *[1] * (np.ndim(a) - 1)), a, b),
            jax.tree.map(np.asarray, below),
            jax.tree.map(np.asarray, above),
        )
        states, places = Rows(z), Rows(programs.places(parts, s, z, ()))
        for i, lane in enumerate(lanes):
            place, at = states[i], places[i]
            known = Known.at(_segment(lane), place, at)
            log_t = _log_t(lane, float(at.observations["log_t"]), s[i])
            tried = int(looks[i]) * (segment.evaluations + 1)
            found = Location(events[firsts[i]], np.asarray(s[i]), place, log_t, tried)
            self._turn(lane, end_at(known, lane.cursor, found))

    def turn(self, lanes: Sequence[Lane]) -> None:
        """What else follows a chunk, one by one."""
        for lane in lanes:
            assert lane.chunk is not None
            try:
                turn = turned(_segment(lane), lane.cursor, lane.chunk, lane.recorder)
            except FlowlabError as error:
                # What ends a single run with an error must not take the other lanes along.
                self._end(lane, Outcome("stalled", str(error)))
            else:
                self._turn(lane, turn, settle=False)

    def _width(self, lane: Lane) -> int:
        """Lanes of a block like a lane."""
        if lane.segment is None or is_explicit(lane.segment.solver) or jax.default_backend() != "cpu":
            return self.widest
        return min(self.widest, even(_IMPLICIT * jax.local_device_count(), _IMPLICIT))

    def _started(self, first: int, setups: Sequence[Setup]) -> list[Lane]:
        """Lanes at their starts, numbered from `first` on."""
        args = [(ORDINARY, setup.field, setup.data) for setup in setups]
        found = programs.enter(
            Parts.of(args, (True, *self.shared), self.width),
            stacked([setup.start for setup in setups], self.width),
            np.full(self.width, -np.inf),
            setups[0].plan.events,
        )
        # Only the leaves of the states are kept, in rows.
        entries, lanes = Rows(found._replace(state=jax.tree.leaves(found.state))), []
        for i, setup in enumerate(setups):
            recorder = Recorder(setup, None)
            with of_run(first + i):
                cursor, outcome = started(setup, recorder, entries[i])
            lane = Lane(first + i, setup, recorder, cursor)
            if outcome is not None:
                self._end(lane, outcome)
            else:
                lane.enter(self.segments, self.shared[0])
            lanes.append(lane)
        return lanes

    def _turn(self, lane: Lane, turn: Turn | None, settle: bool = True) -> None:
        """Follow a turn."""
        if settle and turn is not None:
            turn = settled(_segment(lane), lane.cursor, turn, lane.recorder)
        lane.chunk = None
        if turn is None:
            self._end(lane, out_of_time(lane.setup, lane.cursor, lane.recorder))
            return
        lane.cursor = turn.cursor
        if turn.outcome is not None:
            self._end(lane, turn.outcome)
        elif turn.cursor.carry is None:
            lane.enter(self.segments, self.shared[0])

    def _is_over(self, lane: Lane) -> bool:
        """Whether a limit on steps or time is reached; the lane has ended then."""
        outcome = out_of_budget(lane.setup, lane.cursor, lane.recorder)
        if outcome is not None:
            self._end(lane, outcome)
        return outcome is not None

    def _end(self, lane: Lane, outcome: Outcome) -> None:
        lane.outcome, lane.chunk = outcome, None
        lane.recorder.end()

    def _parts(self, lanes: Sequence[Lane], clock: PyTree = None) -> Parts:
        """Clocks, fields and data of lanes; all in one clock, if it is given."""
        args = [(clock or _segment(lane).clock, _segment(lane).field, lane.setup.data) for lane in lanes]
        # A clock without a unit has nothing of its own.
        return Parts.of(args, (not jax.tree.leaves(args[0][0]), *self.shared), self.width)

    def _stacked(self, lanes: Sequence[Lane], of: Callable[[Lane], PyTree]) -> PyTree:
        return stacked([of(lane) for lane in lanes], self.width)

    def _of_chunks(self, chunks: Sequence[Chunk | None], of: Callable[[Chunk], PyTree]) -> PyTree:
        return stacked([of(chunk) for chunk in chunks if chunk is not None], self.width)


_DO: dict[Stage, Callable[[Batch, Sequence[Lane]], None]] = {
    Stage.STEPPING: Batch.step,
    Stage.HANDING_OVER: Batch.hand_over,
    Stage.LOCATING: Batch.locate,
    Stage.TURNING: Batch.turn,
    Stage.AT_KINK: Batch.turn,
    Stage.BEGINNING: Batch.begin,
}


def _segment(lane: Lane):
    assert lane.segment is not None
    return lane.segment


def _log_times(lanes: Sequence[Lane], times: np.ndarray) -> np.ndarray:
    """Log t of all rows of a block, (rows, lanes), at once where no lane counts time in a unit of its own."""
    clocks = [_segment(lane).clock for lane in lanes]
    # Rows that are not kept may hold no time.
    with np.errstate(invalid="ignore"):
        if not jax.tree.leaves(clocks[0]):
            return np.asarray(clocks[0].log_times(times))
        return np.stack([clock.log_times(times[:, i]) for i, clock in enumerate(clocks)], axis=1)


def _carry(lane: Lane) -> Carry:
    assert lane.cursor.carry is not None
    return lane.cursor.carry


def _log_t(lane: Lane, seen: float, s: np.ndarray | None = None) -> float:
    """Log t at a place, from the value of the clock where that tells it, as single runs have it."""
    told = _segment(lane).clock.log_time_of(np.asarray(_carry(lane).t if s is None else s))
    return seen if told is None else told
