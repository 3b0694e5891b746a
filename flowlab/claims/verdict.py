"""Verdicts: three answers, each with the number, the bound, the reason and the evidence."""

from dataclasses import asdict, dataclass, field
from typing import Any

from flowlab.core.errors import ClaimError

ANSWERS = ("holds", "refuted", "undecided")


@dataclass(frozen=True)
class Measurement:
    """A number against its bound (both dimensionless): the statement stands where value <= bound.

    Attributes:
        value, bound: what was measured and what it is held against.
        because: why the bound is what it is.
        details: what is needed to repeat the measurement; JSON-able.
    """

    value: float
    bound: float
    because: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def stands(self) -> bool:
        """Whether the measurement supports the statement; a NaN does not."""
        return self.value <= self.bound

    @property
    def fails(self) -> bool:
        """Whether the measurement speaks against the statement; a NaN does not either."""
        return self.value > self.bound


@dataclass(frozen=True)
class Verdict:
    """The answer to a claim.

    Attributes:
        id: of the claim.
        answer: `"holds"`, `"refuted"` or `"undecided"`.
        measured, bound: the decisive number and its bound; NaN where nothing was measured.
        reason: one sentence.
        evidence: instance, seeds, mutants with their numbers, versions.
    """

    id: str
    answer: str
    measured: float
    bound: float
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            raise ClaimError(f"`{self.answer}` is no answer; use one of {', '.join(ANSWERS)}.")

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON-able values; numbers that are not finite become null."""
        told = asdict(self)
        return _plain(told)

    def __str__(self) -> str:
        return f"{self.id}: {self.answer} (measured {self.measured:.3g}, bound {self.bound:.3g}): {self.reason}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if isinstance(value, str | int | bool) or value is None else float(value)
