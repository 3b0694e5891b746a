"""Exact arithmetic on data: every float64 is a dyadic rational, so whether points can be separated has an answer
without tolerance.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import gcd, lcm, ldexp, sqrt
from typing import SupportsFloat

import numpy as np

Row = list[int]


def integers(z: np.ndarray) -> list[Row]:
    """Rows of whole numbers, each a positive multiple of the row of floats that it stands for, (N, d)."""
    rows = []
    for row in np.asarray(z, dtype=np.float64):
        parts = [float(v).as_integer_ratio() for v in row]
        bottom = lcm(*(b for _, b in parts))
        whole = [a * (bottom // b) for a, b in parts]
        common = gcd(*whole) or 1
        rows.append([v // common for v in whole])
    return rows


def fractions(values: Iterable[SupportsFloat]) -> list[Fraction]:
    """Floats as the rationals that they are."""
    return [Fraction(float(v)) for v in values]


def dot(a: Sequence[Fraction | int], b: Sequence[Fraction | int]) -> Fraction | int:
    """Σ a_i b_i, exactly."""
    return sum((x * y for x, y in zip(a, b, strict=True)), start=Fraction(0))


def root(value: Fraction | int) -> float:
    """The square root of a rational whose root alone need fit in float64.

    Raises:
        OverflowError: if it does not.
    """
    half = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    return ldexp(sqrt(float(value / Fraction(4) ** half)), half)


def solve(A: Sequence[Sequence[Fraction | int]], b: Sequence[Fraction | int]) -> list[Fraction] | None:
    """The only solution of A x = b, (m, n) with m ≥ n, or None where there is none or more than one. Elimination
    without fractions (Bareiss 1968).
    """
    n = len(A[0]) if A else 0
    rows = []
    for left, right in zip(A, b, strict=True):
        values = [Fraction(v) for v in (*left, right)]
        bottom = lcm(*(v.denominator for v in values))
        rows.append([v.numerator * (bottom // v.denominator) for v in values])
    last = 1
    for k in range(n):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k]), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        top = rows[k][k]
        for row in rows[k + 1 :]:
            factor = row[k]
            for j in range(k + 1, n + 1):
                row[j] = (top * row[j] - factor * rows[k][j]) // last
            row[k] = 0
        last = top
    if any(row[n] for row in rows[n:]):
        return None
    x = [Fraction(0)] * n
    for k in reversed(range(n)):
        x[k] = (rows[k][n] - sum((rows[k][j] * x[j] for j in range(k + 1, n)), start=Fraction(0))) / rows[k][k]
    return x


def vanishing_combination(z: Sequence[Row]) -> tuple[list[Fraction] | None, list[Fraction]]:
    """Either α ≥ 0 with Σ α_n = 1 and Σ α_n z_n = 0, or None and a w with z_n · w > 0 for all n: one of them exists,
    and never both (Gordan 1873).

    The first phase of the simplex method in rationals, with Bland's rule, which ends.
    """
    N, d = len(z), len(z[0])
    # Rows: Σ α_n z_n = 0 and Σ α_n = 1; one artificial variable for each.
    table = [
        [Fraction(z[n][i]) for n in range(N)] + [Fraction(int(i == k)) for k in range(d + 1)] + [Fraction(0)]
        for i in range(d)
    ]
    table.append([Fraction(1)] * N + [Fraction(int(k == d)) for k in range(d + 1)] + [Fraction(1)])
    basis = list(range(N, N + d + 1))
    cost = [-sum((row[j] for row in table), start=Fraction(0)) for j in range(N + d + 2)]
    for k in range(d + 1):
        cost[N + k] = Fraction(0)
    while True:
        enters = next((j for j in range(N) if cost[j] < 0), None)
        if enters is None:
            break
        ratios = [(row[-1] / row[enters], basis[i], i) for i, row in enumerate(table) if row[enters] > 0]
        _, _, leaves = min(ratios)
        pivot = table[leaves][enters]
        table[leaves] = [v / pivot for v in table[leaves]]
        for row in [*(r for i, r in enumerate(table) if i != leaves), cost]:
            factor = row[enters]
            if factor:
                row[:] = [v - factor * p for v, p in zip(row, table[leaves], strict=True)]
        basis[leaves] = enters
    if cost[-1] == 0:
        alpha = [Fraction(0)] * N
        for row, j in zip(table, basis, strict=True):
            if j < N:
                alpha[j] = row[-1]
        return alpha, []
    # Reduced costs: 1 - π_k at the artificial ones, -π·(z_n, 1) ≥ 0 at the others, with π_d > 0.
    return None, [cost[N + i] - 1 for i in range(d)]
