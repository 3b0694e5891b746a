"""What is known of a value as a function of the input, whatever the weights are, and the arithmetic of such facts."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class AsFunction:
    """Properties of f(x) that hold for all weights; None where none is known.

    Attributes:
        monomials: the lowest and the highest degree of f as a polynomial in x.
        degree: k with f(c x) = c^k f(x) for c > 0.
        parity: 1 where f(-x) = f(x), -1 where f(-x) = -f(x).
        vanishes: whether f(0) = 0.
    """

    monomials: tuple[int, int] | None = None
    degree: Fraction | None = None
    parity: int | None = None
    vanishes: bool = False

    @property
    def constant(self) -> bool:
        """Whether f does not depend on x."""
        return self.monomials == (0, 0)

    def __mul__(self, other: "AsFunction") -> "AsFunction":
        a, b = self.monomials, other.monomials
        return AsFunction(
            (a[0] + b[0], a[1] + b[1]) if a and b else None,
            self.degree + other.degree if self.degree is not None and other.degree is not None else None,
            self.parity * other.parity if self.parity and other.parity else None,
            self.vanishes or other.vanishes,
        )

    def __add__(self, other: "AsFunction") -> "AsFunction":
        a, b = self.monomials, other.monomials
        return AsFunction(
            (min(a[0], b[0]), max(a[1], b[1])) if a and b else None,
            self.degree if self.degree == other.degree else None,
            self.parity if self.parity == other.parity else None,
            self.vanishes and other.vanishes,
        )

    def __pow__(self, exponent: Fraction) -> "AsFunction":
        a, whole = self.monomials, exponent.denominator == 1
        even = self.parity == 1 or (bool(self.parity) and whole and exponent % 2 == 0)
        return AsFunction(
            (a[0] * int(exponent), a[1] * int(exponent)) if a and whole and exponent > 0 else None,
            None if self.degree is None else self.degree * exponent,
            1 if even else self.parity if whole else None,
            self.vanishes and exponent > 0,
        )


CONSTANT = AsFunction((0, 0), Fraction(0), 1)
"""A value that does not depend on the input."""
IDENTITY = AsFunction((1, 1), Fraction(1), -1, True)
"""The input itself."""
