"""Kinks during a run: the tracker, what happened when, and how that is written down and shown."""

from collections import deque
from typing import Any

import numpy as np

from flowlab.dynamics.kinks.cost import Effort, OutOfTime
from flowlab.dynamics.kinks.tracker import Event, Meeting, Tracker
from flowlab.language.data import Data
from flowlab.lowering.vector_field import VectorField

CHATTER = 50
"""Changes of mode within a millionth of the clock from which on a run does not go on."""
_SIGNS = {-1: "-", 0: "0", 1: "+"}
_SIDES = {sign: side for side, sign in _SIGNS.items()}


class Kinks:
    """All that a run knows of its kinks.

    Attributes:
        tracker: sides of all pairs now.
        start: sides at the start.
        events: (log t, event) in order.
        effort: what following them has cost.
    """

    def __init__(self, field: VectorField, data: Data, y: Any) -> None:
        self.tracker = Tracker(field, data, y)
        self.start = ""
        self.events: list[tuple[float, Event]] = []
        self.effort = Effort()
        self.written = 0
        self.lately: deque[tuple[str, float]] = deque(maxlen=CHATTER + 1)

    def begin(self, y: Any, log_t: float) -> Any:
        """Sides at the start; answers with the state, on the kinks that slide from the start.

        Raises:
            NotUnique: if the start does not determine the flow.
        """
        y, events = self.tracker.begin(y)
        self.start = self.now()
        self.events += [(log_t, event) for event in events]
        return y

    def follow(self, meeting: Meeting, y: Any, log_t: float, clock: str, s: float) -> Any:
        """Change the mode at a kink; answers with the state on it.

        Raises:
            NotUnique: if what follows is not determined.
            OutOfTime: if the limit on time is reached before that is known; the mode stays as it was.
        """
        before = self.tracker.side.copy(), dict(self.tracker.sliding)
        try:
            y, events = self.tracker.follow(meeting, y)
        except OutOfTime:
            self.tracker.side, self.tracker.sliding = before
            raise
        self.effort.met += 1
        self.events += [(log_t, event) for event in events]
        self.lately += [(clock, s)] * len(events)
        return y

    def chatters(self, clock: str, s: float) -> bool:
        """Whether modes change without end."""
        if len(self.lately) <= CHATTER:
            return False
        before, first = self.lately[0]
        return before == clock and s - first < 1e-6 * max(abs(s), 1e-300)

    def now(self) -> str:
        """Sides of all pairs, a character each."""
        return "".join(_SIGNS[int(side)] for side in self.tracker.side)

    def meta(self) -> dict[str, Any]:
        """What a chunk of the store says: sides and multipliers now, and the events since the last one."""
        fresh = self.events[self.written :]
        self.written = len(self.events)
        rows = [[log_t if np.isfinite(log_t) else None, *vars(event).values()] for log_t, event in fresh]
        return {
            "start": self.start, "side": self.now(), "sliding": sorted(self.tracker.sliding.items()), "places": self.tracker.places, "at": self.tracker.at,
            "events": rows, "lately": list(self.lately),
        }  # fmt: skip

    def restore(self, y: Any, meta: dict[str, Any], all_of_them: list[dict[str, Any]]) -> None:
        """Stand where the last chunk was written."""
        self.tracker.restore(y, [_SIDES[sign] for sign in meta["side"]], meta["sliding"], tuple(meta["places"]), meta["at"])
        self.start = meta["start"]
        self.lately.extend((clock, s) for clock, s in meta["lately"])
        for each in all_of_them:
            self.events += [(-np.inf if log_t is None else log_t, Event(*told)) for log_t, *told in each["events"]]
        self.written = len(self.events)

    def variables(self) -> dict[str, tuple[tuple[str, ...], np.ndarray, str]]:
        """The events as columns of a labelled data set, over the dimension `kink`; and sides at the start and the end over `pair`."""
        places = [self.tracker.pairs.where(event.pair) for _, event in self.events]
        rows = [event for _, event in self.events]

        def column(values: list[Any], kind: Any, told: str) -> tuple[tuple[str, ...], np.ndarray, str]:
            return ("kink",), np.array(values, dtype=kind), told

        names = [self.tracker.pairs.where(pair) for pair in range(self.tracker.pairs.count)]
        last = self.tracker.side.astype(np.int8)
        multipliers = np.array([self.tracker.sliding.get(pair, np.nan) for pair in range(len(last))])
        return {
            "kink_log_t": column([log_t for log_t, _ in self.events], float, "log t at which a pre-activation was on its kink"),
            "kink_slot": column([w.slot for w in places], int, "number of the activation with a kink, from the input on"),
            "kink_unit": column([w.unit for w in places], int, "unit within it, or entry of weights"),
            "kink_sample": column([w.sample for w in places], int, "sample; -1 for a kink of weights"),
            "kink_before": column([e.before for e in rows], np.int8, "side before: -1 left, 0 sliding, 1 right"),
            "kink_after": column([e.after for e in rows], np.int8, "side after"),
            "kink_rate_left": column([e.rate_left for e in rows], float, "rate of the pre-activation with the slope on the left, over the loss"),
            "kink_rate_right": column([e.rate_right for e in rows], float, "rate of the pre-activation with the slope on the right, over the loss"),
            "kink_multiplier": column([e.multiplier for e in rows], float, "where between both sides the slope is from then on"),
            "pair_slot": (("pair",), np.array([w.slot for w in names], dtype=int), "number of the activation with a kink"),
            "pair_unit": (("pair",), np.array([w.unit for w in names], dtype=int), "unit within it, or entry of weights"),
            "pair_sample": (("pair",), np.array([w.sample for w in names], dtype=int), "sample; -1 for a kink of weights"),
            "pair_start": (("pair",), np.array([_SIDES[sign] for sign in self.start or self.now()], dtype=np.int8), "side at the start"),
            "pair_last": (("pair",), last, "side at the end"),
            "pair_multiplier": (("pair",), multipliers, "multiplier at the latest change of mode of pairs that slide at the end"),
        }  # fmt: skip
