"""The kinks of a run: sides of all pairs, the log of events, and both as JSON and as columns of a data set."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowlab.core.typing import PyTree, Record
from flowlab.dynamics.kinks.first_meeting import Meeting
from flowlab.dynamics.kinks.tracker import SIGNS, Event, Tracker
from flowlab.lowering.kink_mode import Mode

CHATTER = 50
"""Changes of mode within a millionth of the clock from which on a run does not go on."""
_SIDES = {sign: side for side, sign in SIGNS.items()}


@dataclasses.dataclass(frozen=True)
class Kinks:
    """All that a run knows of its kinks at one place; a change of mode gives another value.

    Attributes:
        tracker: sides of all pairs.
        start: sides at the start, a character each.
        events: (log t, event) in order.
        lately: clock and its value at the latest changes of mode, at most `CHATTER` + 1.
    """

    tracker: Tracker
    start: str = ""
    events: tuple[tuple[float, Event], ...] = ()
    lately: tuple[tuple[str, float], ...] = ()

    def begin(self, y: PyTree, log_t: float, tick: Callable[[], None]) -> tuple["Kinks", Any]:
        """Kinks with sides at the start; and the state, on the kinks that slide from the start.

        Raises:
            NotUnique: if the start does not determine the flow.
            OutOfTime: raised by `tick`.
        """
        tracker = self.tracker.copy(tick)
        y, events = tracker.begin(y)
        return Kinks(tracker, tracker.signs(), tuple((log_t, event) for event in events)), y

    def follow(
        self, meeting: Meeting, y: PyTree, log_t: float, clock: str, s: float, tick: Callable[[], None]
    ) -> tuple["Kinks", Any]:
        """Kinks in the mode beyond a kink; and the state on it.

        Raises:
            NotUnique: if what follows is not determined.
            OutOfTime: raised by `tick`.
        """
        tracker = self.tracker.copy(tick)
        y, events = tracker.follow(meeting, y)
        lately = (*self.lately, *[(clock, s)] * len(events))[-CHATTER - 1 :]
        return Kinks(tracker, self.start, (*self.events, *((log_t, event) for event in events)), lately), y

    def crossed(self, mode: Mode, events: Sequence[tuple[float, float, Event]], clock: str) -> "Kinks":
        """Kinks once pairs have gone straight across theirs: in the mode that followed, with (s, log t, event) of each
        in order.
        """
        tracker = self.tracker.copy(self.tracker.tick)
        tracker.cross(mode)
        lately = (*self.lately, *((clock, s) for s, _, _ in events))[-CHATTER - 1 :]
        return Kinks(tracker, self.start, (*self.events, *((log_t, event) for _, log_t, event in events)), lately)

    def chatters(self, clock: str, s: float) -> bool:
        """Whether modes change without end."""
        if len(self.lately) <= CHATTER:
            return False
        before, first = self.lately[0]
        return before == clock and s - first < 1e-6 * max(abs(s), 1e-300)

    def record(self, since: int) -> Record:
        """Sides and multipliers as JSON, and the events from number `since` on."""
        rows = [[log_t if np.isfinite(log_t) else None, *vars(event).values()] for log_t, event in self.events[since:]]
        tracker = self.tracker
        return {
            "start": self.start,
            "side": tracker.signs(),
            "sliding": sorted(tracker.sliding.items()),
            "places": tracker.places,
            "at": tracker.at,
            "events": rows,
            "lately": list(self.lately),
        }

    def restored(self, y: PyTree, records: Sequence[Record]) -> "Kinks":
        """Kinks as the last of all records of a run tells; y has the form of the integrated coordinates."""
        last, tracker = records[-1], self.tracker.copy(self.tracker.tick)
        tracker.restore(y, [_SIDES[sign] for sign in last["side"]], last["sliding"], last["places"], last["at"])
        events = tuple(
            (-np.inf if log_t is None else log_t, Event(*columns))
            for each in records
            for log_t, *columns in each["events"]
        )
        return Kinks(tracker, last["start"], events, tuple((clock, s) for clock, s in last["lately"]))

    def variables(self) -> dict[str, tuple[tuple[str, ...], np.ndarray, str]]:
        """The events as columns of a labelled data set, over the dimension `kink`; and sides at the start and the end
        over `pair`.
        """
        pairs = self.tracker.pairs
        slots, units, samples = pairs.numbers([event.pair for _, event in self.events])
        rows = [event for _, event in self.events]

        def column(values: Sequence[Any] | np.ndarray, kind: Any, told: str) -> tuple[tuple[str, ...], np.ndarray, str]:
            return ("kink",), np.array(values, dtype=kind), told

        every = pairs.numbers(np.arange(pairs.count))
        last = self.tracker.side.astype(np.int8)
        multipliers = np.array([self.tracker.sliding.get(pair, np.nan) for pair in range(len(last))])
        return {
            "kink_log_t": column(
                [log_t for log_t, _ in self.events], float, "log t at which a pre-activation was on its kink"
            ),
            "kink_slot": column(slots, int, "number of the activation with a kink, from the input on"),
            "kink_unit": column(units, int, "unit within it, or entry of weights"),
            "kink_sample": column(samples, int, "sample; -1 for a kink of weights"),
            "kink_before": column([e.before for e in rows], np.int8, "side before: -1 left, 0 sliding, 1 right"),
            "kink_after": column([e.after for e in rows], np.int8, "side after"),
            "kink_rate_left": column(
                [e.rate_left for e in rows],
                float,
                "rate of the pre-activation with the slope on the left, over the loss",
            ),
            "kink_rate_right": column(
                [e.rate_right for e in rows],
                float,
                "rate of the pre-activation with the slope on the right, over the loss",
            ),
            "kink_multiplier": column(
                [e.multiplier for e in rows], float, "where between both sides the slope is from then on"
            ),
            "pair_slot": (
                ("pair",),
                every[0],
                "number of the activation with a kink",
            ),
            "pair_unit": (
                ("pair",),
                every[1],
                "unit within it, or entry of weights",
            ),
            "pair_sample": (
                ("pair",),
                every[2],
                "sample; -1 for a kink of weights",
            ),
            "pair_start": (
                ("pair",),
                np.array([_SIDES[sign] for sign in self.start or self.tracker.signs()], dtype=np.int8),
                "side at the start",
            ),
            "pair_last": (("pair",), last, "side at the end"),
            "pair_multiplier": (
                ("pair",),
                multipliers,
                "multiplier at the latest change of mode of pairs that slide at the end",
            ),
        }
