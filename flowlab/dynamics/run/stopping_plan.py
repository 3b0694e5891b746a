"""What a run is asked for, sorted; and what can be known to be impossible before anything is computed."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowlab.core.arguments import must_be
from flowlab.core.errors import LanguageError
from flowlab.dynamics.clocks import Clock, late_clock_called
from flowlab.dynamics.conditions import (
    LONGEST_LOG_TIME,
    Condition,
    Event,
    LogNorm,
    LogTime,
    MarginGap,
    NormAbove,
    Separated,
    Time,
    ValueBelow,
    Wall,
    conditions,
)
from flowlab.dynamics.run import unreachable_events
from flowlab.dynamics.run.clock_switch import late_clock
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Outcome
from flowlab.lowering.vector_field import VectorField

_FAR = 30.0
"""Ordinary time serves to this log t."""
_RESTS = 1e-6
"""A state that moved by less than this while log t doubled is at rest."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Conditions, sorted.

    Attributes:
        log_end, t_end, horizon: the nearest horizon and its words; infinite, and empty, where there is none.
        events: what ends the run when it happens.
        wall: seconds.
        late: the clock to hand over to once samples are separated, if there is reason to.
    """

    log_end: float
    t_end: float
    horizon: str
    events: tuple[Event, ...]
    wall: float
    late: Clock | None

    @classmethod
    def of(
        cls,
        field: VectorField,
        data: Data,
        until: Sequence[Any],
        events: Sequence[Any],
        wall_seconds: float | None,
        clock: str,
    ) -> "Plan":
        """Sort conditions into horizon, events and limits, and refuse what no run can meet.

        Raises:
            LanguageError, DataError: with what to do.
        """
        if not until:
            raise LanguageError("`until` must name a condition, got an empty list; pass for example `time(100.0)`.")
        log_end, t_end, horizon, wall, found = math.inf, 1e300, "", math.inf, []
        for condition in [*until, *events, *([Wall(wall_seconds)] if wall_seconds is not None else [])]:
            if isinstance(condition, Time | LogTime):
                if condition.log_t < log_end:
                    log_end, t_end, horizon = condition.log_t, condition.t, condition.phrase
            elif isinstance(condition, Wall):
                wall = min(wall, condition.seconds)
            elif isinstance(condition, Event):
                found.append(condition)
            elif isinstance(condition, Condition):
                remedy = f"one of {', '.join(conditions.names())}"
                raise must_be("until", condition.name, "a condition that can end a run", remedy)
            else:
                raise must_be("until", condition, "a condition", f"one of {', '.join(conditions.names())}")
        late = late_clock(field) if clock == "auto" and log_end > _FAR else None
        plan = cls(log_end, t_end, horizon, tuple(found), wall, late)
        plan._refuse(field, data, clock)
        return plan

    def ran_out(self, log_t: np.ndarray, states: Sequence[np.ndarray]) -> Outcome:
        """The outcome where ordinary time has come to its end; log t of the rows so far, and norms and directions with
        them in front.
        """
        if self.horizon and (self.log_end <= LONGEST_LOG_TIME or self.late is None):
            return Outcome("done", f"reached {self.horizon}.")
        half = int(np.searchsorted(log_t, 0.5 * log_t[-1]))
        moved = max(float(np.max(np.abs(leaf[-1] - leaf[half]))) for leaf in states)
        wanted = (
            ", ".join([*([self.horizon] if self.horizon else []), *(event.name for event in self.events)]) or "an end"
        )
        if moved > _RESTS:
            where = f"ordinary time ends at log t = {log_t[-1]:.4g}, where the flow still moves"
            return Outcome(
                "budget",
                f"{where}, and no later clock is open before every sample is on its right side; {wanted} was not met.",
            )
        if self.horizon:
            return Outcome("done", f"reached {self.horizon}, at rest since log t = {log_t[half]:.4g} at the latest.")
        return Outcome(
            "stalled", f"the flow has come to rest and never met {wanted}; the last state is where it rests."
        )

    def _refuse(self, field: VectorField, data: Data, clock: str) -> None:
        late, named, problem = late_clock(field), late_clock_called(clock), field.problem
        if named is not None and (late is None or (named.logs_norms and not late.logs_norms)):
            norms = " and growing norms of a homogeneous network" if named.logs_norms else ""
            needs = f"`clock={clock!r}` needs a loss with an exponential tail, no weight decay{norms}"
            raise LanguageError(f'{needs}; use `clock="time"`.')
        if math.isfinite(self.log_end) and self.log_end > LONGEST_LOG_TIME and self.late is None and named is None:
            raise LanguageError(
                f"`{self.horizon}` is beyond float64 in ordinary time, the only clock for this problem; use at most"
                " log_time(690)."
            )
        for event in self.events:
            self._meetable(event, problem, data)

    def _meetable(self, event: Event, problem: Problem, data: Data) -> None:
        """Refuse an event that this problem, or these data, can never meet."""
        loss = problem.loss
        if isinstance(event, ValueBelow) != loss.is_value and not isinstance(event, NormAbove | LogNorm):
            remedy = "`log_loss_below`" if isinstance(event, ValueBelow) else "`value_below` or `time`"
            raise LanguageError(f'`{event.name}` must be asked of a loss that has it, got "{loss.name}"; use {remedy}.')
        if isinstance(event, Separated) and not loss.classifies:
            raise LanguageError(
                f'`separated()` needs classes, but the loss "{loss.name}" fits targets; use `log_loss_below`.'
            )
        if isinstance(event, MarginGap):
            reason = "fits targets" if not loss.classifies else None
            reason = reason or ("has weight decay" if any(problem.decay.values()) else None)
            reason = reason or ("keeps its norms" if not problem.scheme.moves_norms else None)
            symmetry = problem.network.symmetry
            reason = reason or (
                None
                if symmetry.is_multihomogeneous or symmetry.joint_degree is not None
                else "has a network without scaling"
            )
            if reason:
                raise LanguageError(
                    f"`margin_gap` can never close, because the problem {reason}; use `log_time` or `log_loss_below`."
                )
        if isinstance(event, NormAbove | LogNorm) and not problem.scheme.moves_norms:
            raise LanguageError(
                f'`{event.name}` can never be met, because the scheme "fixed_norm" keeps the norms; use `log_time` or'
                " `log_loss_below`."
            )
        if not loss.is_value:
            unreachable_events.refuse(event, problem, data)
