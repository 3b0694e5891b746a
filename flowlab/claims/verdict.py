"""Verdicts: three answers, each with the number, the bound, the reason and the evidence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from flowlab.claims.evidence_parts import evidence_parts
from flowlab.claims.inputs import Inputs, modern
from flowlab.claims.quantity import RUNGS, Quantity
from flowlab.core import html
from flowlab.core.arguments import guarded
from flowlab.core.display import clipped, displayed, framed
from flowlab.core.errors import ClaimError, OutputError
from flowlab.core.files import cause, writing
from flowlab.core.hashing import canonical_json, sealed, unsealed
from flowlab.core.html import Markup
from flowlab.core.typing import Json, Record

ANSWERS = ("holds", "refuted", "undecided")
CODES = {
    "": "decided",
    "does not apply": "a hypothesis of the statement is not met",
    "not tested": "the check did not look at what was given",
    "no power": "a wrong variant passes the same check",
    "not a number": "nothing finite was measured",
    "imprecise": "the error bar reaches across the bound",
    "routes disagree": "two ways to the same number give different ones",
    "could not be checked": "the numerics gave up on the way",
}


@dataclass(frozen=True)
@displayed
class Measurement:
    """A number against its bound (both dimensionless): the statement stands where value <= bound.

    Attributes:
        value, bound: what was measured, and its bound.
        because: why the bound is what it is.
        details: what is needed to repeat the measurement; JSON-able.
        error: error bar of the value.
        quantities: the numbers behind it, where the statement is about values, limits, rates or inequalities; see
            `Measurement.of`.

    Examples:
        >>> told = fl.Measurement(value=1e-9, bound=1e-6, because="roundings")
        >>> told.value <= told.bound
        True
    """

    value: float
    bound: float
    because: str
    details: Record = field(default_factory=dict)
    error: float = 0.0
    quantities: tuple[Quantity, ...] = ()

    @classmethod
    def of(cls, quantities: Sequence[Quantity], because: str, **details: Json) -> "Measurement":
        """The measurement of some quantities: it stands where all do, and the one nearest to its bound decides."""
        if not quantities:
            raise ClaimError("a measurement needs at least one quantity.")

        def nearness(q: Quantity) -> tuple[bool, float]:
            if not math.isfinite(q.excess):
                return True, math.inf
            if q.tolerance > 0.0:
                return q.fails, (q.excess + q.error) / q.tolerance
            return q.fails, math.inf if q.excess > 0.0 else q.excess

        worst = max(quantities, key=nearness)
        return cls(worst.excess, worst.tolerance, because, details, worst.error, tuple(quantities))

    @property
    def stands(self) -> bool:
        """Whether the measurement supports the statement; a NaN does not."""
        if self.quantities:
            return all(q.stands for q in self.quantities)
        return self.value + self.error <= self.bound

    @property
    def fails(self) -> bool:
        """Whether the measurement speaks against the statement; a NaN does not either."""
        if self.quantities:
            return any(q.fails for q in self.quantities)
        return self.value - self.error > self.bound

    @property
    def numbers(self) -> tuple[str | float | None, ...]:
        """What the measurement says, to nine digits: two wrong variants with equal numbers are one."""
        parts = [(q.name, q.measured, q.expected, q.tolerance, q.error, q.relation) for q in self.quantities]
        parts.append(("", self.value, self.bound, 0.0, self.error, ""))
        return tuple(f"{part:.9g}" if isinstance(part, float) else part for each in parts for part in each)

    def alterations(self) -> "dict[str, Measurement]":
        """The same numbers against statements altered a little, by name; every one must fail."""
        altered = {}
        for i, q in enumerate(self.quantities):
            for name, other in q.alterations().items():
                rest = (*self.quantities[:i], other, *self.quantities[i + 1 :])
                altered[name] = replace(
                    self, value=other.excess, bound=other.tolerance, error=other.error, quantities=rest
                )
        return altered


@dataclass(frozen=True)
@displayed
class Verdict:
    """The answer to a claim.

    Attributes:
        id: of the claim.
        answer: `"holds"`, `"refuted"` or `"undecided"`.
        measured, bound: the decisive number and its bound; NaN where nothing was measured.
        reason: one sentence.
        evidence: instance, seeds, mutants with their numbers, versions, and the inputs that replay it, by their hashes.
        code: why it is undecided, one of `CODES`; empty where it is decided.
        error: error bar of the decisive number.
        rung: how it was shown, one of `RUNGS`.
        inputs: where the inputs are found; no part of what the verdict says.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> (verdict,) = fl.check("P1", path)
        >>> verdict.answer, verdict.measured <= verdict.bound
        ('holds', True)
    """

    id: str
    answer: str
    measured: float
    bound: float
    reason: str
    evidence: Record = field(default_factory=dict)
    code: str = ""
    error: float = 0.0
    rung: str = "numerical"
    inputs: Inputs = field(default_factory=Inputs, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            raise ClaimError(f"an answer must be one of {', '.join(ANSWERS)}, got `{self.answer}`.")
        if self.code not in CODES or self.rung not in RUNGS:
            raise ClaimError(
                f"`{self.code}` or `{self.rung}` is not known; codes are "
                f"{', '.join(filter(None, CODES))}, rungs {', '.join(RUNGS)}."
            )

    @property
    def quantities(self) -> list[Record]:
        """The numbers behind the verdict, as dictionaries; empty for identities."""
        return self.evidence.get("quantities", [])

    def to_dict(self) -> Record:
        """The verdict as JSON-able values; numbers that are not finite become null."""
        return {part.name: _plain(getattr(self, part.name)) for part in fields(self) if part.compare}

    def summary(self) -> Record:
        """The numbers of the verdict without its evidence, JSON-able."""
        told = replace(self, evidence={}).to_dict()
        return {name: value for name, value in told.items() if name != "evidence"}

    def to_json(self) -> str:
        """The one JSON text of this verdict, with a checksum: equal verdicts have equal bytes."""
        return canonical_json(sealed(self.to_dict())) + "\n"

    @guarded
    def save(self, path: str | Path) -> Path:
        """Write the verdict as JSON, and its inputs beside it: each once, under its hash, in the folder `inputs`.
        `flowlab verify FILE.json` replays it.

        Raises:
            OutputError: if it cannot be written; ClaimError: if an input is not to be had, or has changed.
        """
        path = Path(path)
        self.inputs.write(self.evidence.get("inputs", {}), path.parent)
        with writing(path):
            path.write_text(self.to_json(), encoding="utf-8")
        return path

    @classmethod
    @guarded
    def load(cls, path: str | Path) -> "Verdict":
        """Read a verdict that `save` wrote.

        Raises:
            OutputError: if there is none.
        """
        try:
            record = unsealed(Path(path).read_text(encoding="utf-8"))
            numbers = {
                name: float("nan") if record[name] is None else float(record[name])
                for name in ("measured", "bound", "error")
            }
            evidence, inputs = record["evidence"], Inputs(place=Path(path).parent)
            if "inputs" in evidence:
                told, inputs = modern(evidence["inputs"], inputs)
                record["evidence"] = {**evidence, "inputs": told}
            return cls(**{**record, **numbers}, inputs=inputs)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise OutputError(
                f"`{path}` must be a stored verdict, got {cause(error)}; write one with `save`."
            ) from None

    def _html_parts(self) -> list[str]:
        """One line, behind which the evidence unfolds."""
        head = Markup("{} <b>{}</b> {}").format(html.answer(self.answer, self.code), self.id, self.reason)
        return [html.unfolding(head, Markup("\n").join(evidence_parts(self.evidence, self.id)))]

    def __str__(self) -> str:
        bar = f" ± {self.error:.1g}" if self.error else ""
        code = f" ({self.code})" if self.code else ""
        return (
            f"{self.id}: {self.answer}{code} (measured {self.measured:.3g}{bar}, bound {self.bound:.3g}): {self.reason}"
        )


class Verdicts(list[Verdict]):
    """Verdicts in the order in which they were asked for; a list that notebooks show as one line each."""

    def __repr__(self) -> str:
        return clipped("\n".join(map(str, self)) or "no verdicts")

    def _repr_html_(self) -> str:
        return framed([part for verdict in self for part in verdict._html_parts()] or ["no verdicts"])


def _plain(value: Any) -> Json:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if abs(value) < float("inf") else None
    if isinstance(value, str | bool | int) or value is None:
        return value
    if getattr(value, "ndim", 0):
        return _plain(value.tolist())
    return _plain(value.item() if hasattr(value, "item") else float(value))
