"""Where a run stands: one frozen value, from which the run goes on and which a checkpoint holds."""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from flowlab.core.typing import PyTree, Record, Scalar
from flowlab.dynamics.clocks import CLOCKS, Clock
from flowlab.dynamics.kinks.event_log import Kinks
from flowlab.dynamics.run.carry import Carry
from flowlab.language.trajectory import Outcome


@dataclass(frozen=True)
class Tally:
    """What the clocks that have ended cost and saw; dimensionless.

    Attributes:
        steps, rejected, evaluations: accepted and rejected steps, evaluations of the rate.
        rise, fall: largest rise of the loss and largest fall of the log of the smoothed margin in one step.
        kept: total correction of the balances of units.
        slip, slip_log: by how much errors so far move the place of an event, in ordinary time and on log t.
    """

    steps: int = 0
    rejected: int = 0
    evaluations: int = 0
    rise: float = 0.0
    fall: float = 0.0
    kept: float = 0.0
    slip: float = 0.0
    slip_log: float = 0.0

    def plus(self, carry: Carry, clock: Clock, evaluations: int) -> "Tally":
        """With the steps of a carry, each of so many evaluations."""
        steps, rejected, watch = int(carry.steps), int(carry.rejected), carry.watch
        slip = "slip_log" if clock.scales_loss else "slip"
        return replace(
            self,
            steps=self.steps + steps,
            rejected=self.rejected + rejected,
            evaluations=self.evaluations + (steps + rejected) * evaluations,
            rise=max(self.rise, float(watch.rise)),
            fall=max(self.fall, float(watch.fall)),
            kept=self.kept + float(watch.kept),
            **{slip: getattr(self, slip) + float(watch.slip)},
        )


@dataclass(frozen=True)
class Cursor:
    """The place of a run.

    Attributes:
        clock: the run is in it; ordinary time carries its unit.
        s, z: value of the clock and what is integrated, where the present clock, solver or kink mode began.
        log_t: of the latest row; -inf at the start.
        stiff: whether an implicit solver has taken over in ordinary time.
        handed_over: whether a late clock has taken over.
        switches: changes of clock and solver, as they are stored.
        tally: cost of the clocks that have ended.
        first_step: length of the first step from `s`; NaN lets the rates choose.
        carry: what compiled steps go on with; None before the first step from `s`.
        kinks: sides and events, if the run follows kinks.
    """

    clock: Clock
    s: Scalar
    z: PyTree
    log_t: float
    stiff: bool = False
    handed_over: bool = False
    switches: tuple[Record, ...] = ()
    tally: Tally = Tally()
    first_step: float = math.nan
    carry: Carry | None = None
    kinks: Kinks | None = None

    @property
    def attempts(self) -> int:
        """Steps attempted so far."""
        carried = 0 if self.carry is None else int(self.carry.steps) + int(self.carry.rejected)
        return self.tally.steps + self.tally.rejected + carried

    @property
    def sliding(self) -> int:
        """Pairs that slide."""
        return 0 if self.kinks is None else len(self.kinks.tracker.sliding)

    def counted(self, evaluations: int) -> "Cursor":
        """With so many more evaluations of the rate."""
        return replace(self, tally=replace(self.tally, evaluations=self.tally.evaluations + evaluations))

    def record(self, outcome: Outcome | None, events_since: int) -> Record:
        """The cursor as JSON, but for the arrays of its carry; with the outcome, if the run has ended."""
        return {
            "clock": self.clock.name,
            **{name: getattr(self, name) for name in _PLAIN},
            **asdict(self.tally),
            "outcome": None if outcome is None else asdict(outcome),
            **({} if self.kinks is None else {"kinks": self.kinks.record(events_since)}),
        }

    @classmethod
    def restored(cls, record: Record, ordinary: Clock, kinks: Kinks | None) -> "Cursor":
        """The cursor of a record; its place is that of the carry, which is stored beside it."""
        clock = ordinary if record["clock"] == ordinary.name else CLOCKS[record["clock"]]
        tally = Tally(**{field.name: record[field.name] for field in fields(Tally)})
        plain: Record = {
            name: tuple(record[name]) if isinstance(record[name], list) else record[name] for name in _PLAIN
        }
        return cls(clock, float("nan"), None, float("-inf"), tally=tally, kinks=kinks, **plain)


_PLAIN = tuple(field.name for field in fields(Cursor) if field.type in (bool, tuple[dict[str, Any], ...]))
"""Fields that are JSON as they stand; arrays, clock, tally and kinks have a form of their own, and a carry replaces the
rest.
"""
