"""A limit estimated at two horizons, and whether a proposed value, or the limit of another trajectory, can be it."""

import math
from dataclasses import dataclass

from flowlab.core.display import displayed
from flowlab.late.richardson import Estimate

_FAR, _FARTHER = 3.0, 10.0
"""Bars between an estimate and a value that it excludes, by a small bar and by another one."""


@dataclass(frozen=True)
@displayed
class Limit:
    """One limit at two horizons (dimensionless).

    Attributes:
        name: of the quantity.
        variable: what the extrapolation goes along, `"log_t"`, `"R"` or `"log 1/L"`.
        late: the estimate at the last horizon, or None if rows are missing.
        early: the same from the rows up to an earlier horizon, or None.
        scale: the size that a bar is compared with; a bar is small below tolerance times scale.
        tolerance: see `scale`.
        missing: why an estimate is missing, and what to do.
        doubt: why the law that was extrapolated by may not hold, or nothing.
    """

    name: str
    variable: str
    late: Estimate | None
    early: Estimate | None
    scale: float
    tolerance: float
    missing: str = ""
    doubt: str = ""

    @property
    def state(self) -> str:
        """`"converged"`, `"not yet converged"` or `"undecided"`."""
        return (
            "undecided"
            if self.late is None or self.early is None
            else "converged"
            if self.stable and self.small
            else "not yet converged"
        )

    @property
    def small(self) -> bool:
        """Whether the bar of the last horizon is small, and is one: without the law that it was extrapolated by it says
        nothing.
        """
        return self.late is not None and not self.doubt and self.late.error <= self.tolerance * self.scale

    @property
    def stable(self) -> bool:
        """Whether both horizons agree within their bars."""
        return (
            self.late is not None
            and self.early is not None
            and abs(self.late.value - self.early.value) <= self.late.error + self.early.error
        )

    @property
    def needed(self) -> float:
        """How far the variable has to run for a small bar, if bars go on shrinking as they do between the horizons."""
        if self.late is None:
            return math.nan
        pace = 1.0
        if self.early is not None and self.early.error > 0 < self.late.error:
            pace = math.log(self.early.error / self.late.error) / math.log(self.late.horizon / self.early.horizon)
        return self.late.horizon * max(1.0, self.late.error / (self.tolerance * self.scale)) ** (
            1.0 / min(max(pace, 0.5), 4.0)
        )

    @property
    def reason(self) -> str:
        """Why the state is what it is; one sentence."""
        if self.late is None or self.early is None:
            return self.missing
        move, bars = abs(self.late.value - self.early.value), self.late.error + self.early.error
        told = (
            f"the estimates up to {self.variable} = {self.early.horizon:.3g} and {self.late.horizon:.3g} differ by"
            f" {move:.1e}, their bars sum to {bars:.1e}"
        )
        if self.state == "converged":
            return f"{told}."
        if self.doubt:
            return f"{told}, but {self.doubt}; run to {self.variable} = {10 * self.late.horizon:.3g}."
        if self.stable:
            return (
                f"{told}, but the last bar, {self.late.error:.1e}, is not small; at this pace, run to {self.variable} ="
                f" {self.needed:.3g}."
            )
        return (
            f"{told}: no law in 1/{self.variable} holds over both yet; run to {self.variable} ="
            f" {max(self.needed, 10 * self.late.horizon):.3g}."
        )

    def __str__(self) -> str:
        return f"{self.name}: {self.late if self.late is not None else 'no estimate'}, {self.state}: {self.reason}"


@dataclass(frozen=True)
@displayed
class Comparison:
    """A proposed limit held against an extrapolated one.

    Attributes:
        name: of the quantity.
        answer: `"agrees"`, `"not yet converged"`, `"another limit"` or `"undecided"`.
        value: what was proposed.
        gap, bar: |estimate - value| and the bar at the last horizon; NaN without an estimate.
        gap_early, bar_early: the same at the earlier horizon.
        reason: one sentence.
    """

    name: str
    answer: str
    value: float
    gap: float
    bar: float
    gap_early: float
    bar_early: float
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.name} against {self.value:.10g}: {self.answer} (gap {self.gap:.2e}, bar {self.bar:.2e}):"
            f" {self.reason}"
        )


def compare(limit: Limit, value: "float | Estimate | Limit") -> Comparison:
    """Hold a limit against a number, or against another limit with its own bars.

    `"agrees"`: inside the bars at both horizons, and the last bar is small. `"another limit"`: outside them at both,
    far outside at the last, while the estimates stay where they are: no amount of log t leads there. Anything between
    is `"not yet converged"`.
    """
    theirs = (value.late, value.early) if isinstance(value, Limit) else (value, value)
    if limit.late is None or limit.early is None or theirs[0] is None or theirs[1] is None:
        missing = limit.missing or (value.missing if isinstance(value, Limit) else "")
        told = theirs[0].value if isinstance(theirs[0], Estimate) else math.nan if theirs[0] is None else theirs[0]
        return Comparison(limit.name, "undecided", float(told), math.nan, math.nan, math.nan, math.nan, missing)
    proposed = [(v.value, v.error) if isinstance(v, Estimate) else (float(v), 0.0) for v in theirs if v is not None]
    gap, bar = abs(limit.late.value - proposed[0][0]), limit.late.error + proposed[0][1]
    gap_early, bar_early = abs(limit.early.value - proposed[1][0]), limit.early.error + proposed[1][1]
    inside, inside_early = gap <= bar, gap_early <= bar_early
    moved = abs((limit.late.value - proposed[0][0]) - (limit.early.value - proposed[1][0]))
    if inside and inside_early and limit.small and (not isinstance(value, Limit) or value.small):
        answer, reason = "agrees", "the value is inside the bars of both horizons, and the last one is small."
    elif (
        gap > (_FAR if limit.small else _FARTHER) * bar
        and not inside_early
        and moved <= max(bar + bar_early, 0.1 * gap)
    ):
        answer = "another limit"
        far, far_early = gap / max(bar, 1e-300), gap_early / max(bar_early, 1e-300)
        reason = (
            f"the value is {far:.3g} bars away, and {far_early:.3g} at the earlier horizon, and the estimates do not"
            " move towards it."
        )
    elif inside and not inside_early:
        answer = "not yet converged"
        reason = (
            f"the value is inside the last bar but was not at the earlier horizon; run to {limit.variable} ="
            f" {10 * limit.late.horizon:.3g}."
        )
    elif inside:
        answer = "not yet converged"
        reason = (
            f"the value is inside the bar, which is too wide to tell; run to {limit.variable} ="
            f" {max(limit.needed, 2 * limit.late.horizon):.3g}."
        )
    else:
        answer = "not yet converged"
        reason = (
            f"the estimate still moves, by {moved:.1e} between the horizons; run to {limit.variable} ="
            f" {10 * limit.late.horizon:.3g}."
        )
    return Comparison(limit.name, answer, proposed[0][0], gap, bar, gap_early, bar_early, reason)
