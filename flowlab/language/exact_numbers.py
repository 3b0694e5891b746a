"""Numbers of the language: exact fractions of the decimals that a user writes."""

from fractions import Fraction

from flowlab.core.arguments import short
from flowlab.core.errors import LanguageError

Number = int | float | Fraction
MOST_BITS = 64
"""Of the numerator and denominator of a number: every float that a user would type, and none that costs time."""


def exact(number: Number) -> Fraction:
    """A number as an exact fraction of the decimal the user wrote.

    Raises:
        LanguageError: if it is not a finite real number.
    """
    if isinstance(number, bool) or not isinstance(number, int | float | Fraction):
        raise LanguageError(f"`{short(number)}` is not a real number; write one such as 0.5.")
    if isinstance(number, float) and not abs(number) < float("inf"):
        raise LanguageError(f"`{number}` is not finite; write a finite number.")
    found = Fraction(str(float(number))) if isinstance(number, float) else Fraction(number)
    if max(found.numerator.bit_length(), found.denominator.bit_length()) > MOST_BITS:
        told = "a number has more digits, or more zeros, than the language keeps exactly (19 of them)"
        raise LanguageError(f"{told}; scale the weights instead.")
    return found
