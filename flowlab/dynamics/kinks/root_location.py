"""The place in a step at which a value falls through zero, found on the solution stepped to that place; every value
costs a step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

_CLOSE = 1e-14
"""Part of a step to which a place is found."""
_SECANTS = 8
"""Values that a secant iteration may take before a bracket is looked for."""
_NUDGE = 1e-6
"""Part of the bracket between the first two places of a secant iteration."""


class Guess(NamedTuple):
    """Where the dense output has a pair meet its kink, or its multiplier a bound.

    Attributes:
        part: of the step.
        low, high: it lies between them, and no other one does; both zero for the start of the step itself.
        pair: its number.
        kind: 0 for the kink; -1, 1 or 2 for multipliers that reach 0 or 1, and for a kink that begins to repel.
    """

    part: float
    low: float
    high: float
    pair: int
    kind: int


def refined(value: Callable[[float], float], guess: Guess, noise: float) -> float | None:
    """The place, or None if the value does not fall below zero on the stepped solution.

    Args:
        value: at a part of the step; positive before the place.
        guess: from the dense output.
        noise: a value of this size is zero.
    """
    if guess.high == 0.0:
        return 0.0
    fast = secant(value, guess, noise)
    if fast is not None:
        return fast
    bracket = around(value, guess)
    if bracket is None:
        return None
    low, high = bracket
    if low == high:
        return high
    found: Any = brentq(value, low, high, xtol=_CLOSE, rtol=np.float64(_CLOSE), disp=False)
    return float(found)


def secant(value: Callable[[float], float], guess: Guess, noise: float) -> float | None:
    """The place by secants from a good guess; None where that leaves the bracket, does not converge, or the value does
    not fall there.
    """
    part, low, high, _, _ = guess
    nudge = _NUDGE * (high - low)
    if not low < part - nudge < part + nudge < high:
        return None
    a, fa = part, value(part)
    b = a + nudge if fa > 0 else a - nudge
    for _ in range(_SECANTS):
        if abs(fa) <= noise:
            return a
        fb = value(b)
        slope = (fb - fa) / (b - a)
        if not slope < 0:
            return None
        a, fa, b = b, fb, b - fb / slope
        if not low < b < high:
            return None
        if abs(b - a) <= _CLOSE:
            return b
    return None


def around(value: Callable[[float], float], guess: Guess) -> tuple[float, float] | None:
    """A bracket of the place near a guess, as narrow as can be; None if the value does not fall below zero on the
    stepped solution.
    """
    part, low, high, _, _ = guess
    width = 1e-7
    while width < high - low:
        before, after = part - width, part + width
        if before > low and after < high and value(before) > 0 >= value(after):
            return before, after
        width *= 100.0
    if value(high) > 0:
        # Between the dense output and the stepped solution the crossing may have moved out of its bracket.
        high = min(1.0, high + (high - low))
        if value(high) > 0:
            return None
    if low > 0 and value(low) <= 0:
        low = max(0.0, low - (high - low))
    if low > 0:
        return (low, high) if value(low) > 0 else None
    # A pair that stands on its kink at the start of the step has its root there already; the one sought is beyond it.
    low = high
    for _ in range(60):
        low *= 0.5
        if value(low) > 0:
            return low, high
    return 0.0, 0.0
