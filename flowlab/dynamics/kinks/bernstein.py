"""Polynomials on [0, 1] in Bernstein form: coefficients of one sign prove that there is no root, and halving isolates
every root there is.

(G. Farin, "Curves and Surfaces for CAGD", ch. 5; for root isolation by sign variations, Mourrain, Rouillier and Roy,
2005.)
"""

from functools import cache
from math import comb
from typing import Any

import numpy as np

from flowlab.core.errors import RunFailed

_FINEST = 50
"""Halvings after which what still varies in sign is a multiple root, or one that float64 cannot tell from it."""


@cache
def nodes(degree: int) -> np.ndarray:
    """Where a polynomial of a degree is looked at: Chebyshev points of the second kind on [0, 1], (degree + 1,)."""
    points = 0.5 - 0.5 * np.cos(np.pi * np.arange(degree + 1) / degree)
    points.setflags(write=False)
    return points


@cache
def from_values(degree: int) -> np.ndarray:
    """Takes values at `nodes` to Bernstein coefficients, (degree + 1, degree + 1)."""
    t = nodes(degree)[:, None]
    k = np.arange(degree + 1)
    basis = np.array([comb(degree, int(i)) for i in k]) * t**k * (1 - t) ** (degree - k)
    matrix = np.linalg.inv(basis)
    # The ends are values.
    matrix[0], matrix[-1] = np.eye(degree + 1)[0], np.eye(degree + 1)[-1]
    matrix.setflags(write=False)
    return matrix


def value(coefficients: np.ndarray, t: float) -> float:
    """The polynomial at t, by de Casteljau."""
    b = np.array(coefficients, dtype=float)
    while len(b) > 1:
        b = (1 - t) * b[:-1] + t * b[1:]
    return float(b[0])


def halves(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients on both halves of the interval."""
    b = np.array(coefficients, dtype=float)
    left, right = [b[0]], [b[-1]]
    while len(b) > 1:
        b = 0.5 * (b[:-1] + b[1:])
        left.append(b[0])
        right.append(b[-1])
    return np.array(left), np.array(right[::-1])


def variations(coefficients: np.ndarray) -> int:
    """Changes of sign, zeros left out."""
    signs = np.sign(coefficients)
    signs = signs[signs != 0]
    return int((signs[1:] != signs[:-1]).sum())


def roots(coefficients: Any) -> list[tuple[float, float]]:
    """Intervals in (0, 1], in order, each with exactly one change of sign of the polynomial; a root at 0 itself is
    none.

    Descartes' rule in Bernstein form: no variation, no root; one variation, one root. What varies more often is halved.

    Raises:
        RunFailed: without coefficients, or for some that are not finite: they prove nothing.
    """
    found: list[tuple[float, float]] = []
    whole = np.asarray(coefficients, dtype=float)
    if not whole.size or not np.isfinite(whole).all():
        raise RunFailed(
            f"roots need finite Bernstein coefficients, at least one, got {whole.size}; the step has no finite"
            " pre-activations."
        )
    stack = [(whole, 0.0, 1.0, 0)]
    while stack:
        b, low, high, depth = stack.pop()
        count = variations(b)
        if count == 0:
            # Zero at the right end and of one sign before: the change of sign, if it is one, lies at `high`.
            continue
        ends = b[0] * b[-1] < 0
        if (count == 1 and ends) or depth == _FINEST:
            # Several variations in the narrowest interval without a change of sign at its ends touch zero at most.
            if ends:
                found.append((low, high))
            continue
        left, right = halves(b)
        middle = 0.5 * (low + high)
        if left[-1] == 0.0:
            # A root that is a point of bisection: its neighbours say which side has the sign change.
            before, after = _sign(left[::-1]), _sign(right)
            left, right = left.copy(), right.copy()
            left[-1] = right[0] = after * np.finfo(float).tiny if before != after else before * np.finfo(float).tiny
        stack.append((right, middle, high, depth + 1))
        stack.append((left, low, middle, depth + 1))
    return found


def root_in(coefficients: np.ndarray, low: float, high: float) -> float:
    """The root in an interval that `roots` found, to some 1e-12."""
    sign = np.sign(value(coefficients, low)) or -np.sign(value(coefficients, high))
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.sign(value(coefficients, middle)) == sign else (low, middle)
    return 0.5 * (low + high)


def _sign(coefficients: np.ndarray) -> float:
    """Sign of the first coefficient that is not zero."""
    rest = coefficients[coefficients != 0]
    return float(np.sign(rest[0])) if len(rest) else 1.0
