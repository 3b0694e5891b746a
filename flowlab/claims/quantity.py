"""Numbers that decide a claim: measured with an error bar, by up to two routes, against the expected value."""

import math
from dataclasses import asdict, dataclass, replace

from flowlab.core.display import displayed
from flowlab.core.errors import ClaimError
from flowlab.core.typing import Record

RELATIONS = ("=", "<=", ">=")
RUNGS = {
    "symbolic": "proved symbolically",
    "interval": "enclosed by intervals",
    "numerical": "verified numerically on an interval",
}
"""How far a number, or a verdict that holds, can be trusted, from proof to measurement."""


@dataclass(frozen=True)
@displayed
class Quantity:
    """One number and what a claim says of it (all dimensionless).

    Attributes:
        name: what it is.
        measured: the number.
        expected: the value, or for inequalities the bound, that the statement gives.
        tolerance: how far from it the number may be; absolute.
        error: error bar of `measured`, absolute: 0 where it is exact up to roundings.
        relation: `"="`, `"<="` or `">="`.
        route: how it was measured.
        second: the same number by an independent route, or None.
        second_route: how that was done.
        altered: the relative change of `expected` that the check must notice, both up and down; 0 where a change has no
            meaning (a count, a zero).
        printed: the number as it stands in the literature, or in an earlier measurement, digits and all; it is compared
            to the digits printed.
        rung: how it was shown, one of `RUNGS`; empty for that of its claim.

    Examples:
        >>> margin = fl.Quantity("margin", 0.2501, 0.25, tolerance=0.001)
        >>> margin.measured, margin.expected, margin.relation
        (0.2501, 0.25, '=')
    """

    name: str
    measured: float
    expected: float
    tolerance: float
    error: float = 0.0
    relation: str = "="
    route: str = ""
    second: float | None = None
    second_route: str = ""
    altered: float = 0.01
    printed: str = ""
    rung: str = ""

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise ClaimError(
                f"`relation={self.relation!r}` of the quantity `{self.name}` is not known; use one of "
                f"{', '.join(RELATIONS)}."
            )
        for name in ("measured", "expected", "tolerance", "error", "second"):
            if getattr(self, name) is not None:
                # numpy's scalars would be written otherwise than Python's.
                object.__setattr__(self, name, float(getattr(self, name)))
        if self.rung and self.rung not in RUNGS:
            raise ClaimError(
                f"`rung={self.rung!r}` of the quantity `{self.name}` is not known; use one of {', '.join(RUNGS)}."
            )
        for name in ("tolerance", "error"):
            # NaN is a measurement that failed; verdicts say so.
            if getattr(self, name) < 0.0:
                raise ClaimError(
                    f"`{name}={getattr(self, name)!r}` of the quantity `{self.name}` is not allowed; use "
                    "a number from 0 on."
                )
        if self.printed:
            _digits(self.printed)

    @property
    def excess(self) -> float:
        """How far the number is on the wrong side: its distance from what is expected, or for inequalities beyond the
        bound.
        """
        apart = self.measured - self.expected
        return abs(apart) if self.relation == "=" else apart if self.relation == "<=" else -apart

    @property
    def stands(self) -> bool:
        """Whether the whole error bar is within the tolerance; never for NaN."""
        return self.excess + self.error <= self.tolerance

    @property
    def fails(self) -> bool:
        """Whether the whole error bar is outside the tolerance; never for NaN."""
        return self.excess - self.error > self.tolerance

    @property
    def routes_agree(self) -> bool:
        """Whether the second route, if there is one, gives the same number within tolerance and error bar."""
        return self.second is None or abs(self.second - self.measured) <= self.tolerance + self.error

    @property
    def as_printed(self) -> bool | None:
        """Whether the number, rounded to the digits printed, is what was printed; None where nothing was."""
        if not self.printed:
            return None
        value, unit = _digits(self.printed)
        # One unit of the last digit: what was printed may have been cut off instead of rounded.
        return abs(self.measured - value) <= unit * (1 + 1e-9)

    def alterations(self) -> "dict[str, Quantity]":
        """Wrong variants that need no new measurement: the expected value a little up and down, or the inequality the
        other way round.
        """
        if self.relation == "=":
            if not self.altered or not self.expected:
                return {}
            factors = {
                f"{100 * self.altered:g}% more": 1 + self.altered,
                f"{100 * self.altered:g}% less": 1 - self.altered,
            }
            return {
                f"{self.name} {words}": replace(self, expected=self.expected * by, second=None)
                for words, by in factors.items()
            }
        if not self.stands or not self.excess + self.error < -self.tolerance:
            # A bound that is attained says nothing about its reverse.
            return {}
        return {
            f"{self.name} the other way round": replace(
                self, relation="<=" if self.relation == ">=" else ">=", second=None
            )
        }

    def __str__(self) -> str:
        bar = f" ± {self.error:.1g}" if self.error else ""
        relation = "" if self.relation == "=" else f"{self.relation} "
        return (
            f"{self.name} {self.measured:.8g}{bar}, expected {relation}{self.expected:.8g} within {self.tolerance:.2g}"
        )

    def to_dict(self) -> Record:
        """The quantity with what follows from it."""
        return asdict(self) | {"stands": self.stands, "routes_agree": self.routes_agree, "as_printed": self.as_printed}


def _digits(text: str) -> tuple[float, float]:
    """The value of a printed number and one unit of its last digit."""
    mantissa, _, exponent = text.lower().partition("e")
    try:
        value, power = float(text), int(exponent or 0)
    except ValueError:
        raise ClaimError(f'`printed` must be a number as it was printed, such as "0.1607", got {text!r}.') from None
    decimals = len(mantissa.partition(".")[2])
    if not math.isfinite(value):
        raise ClaimError(f"`printed={text!r}` is not finite.")
    return value, 10.0 ** (power - decimals)
