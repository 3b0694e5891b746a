"""Exact arithmetic on data: every float64 is a dyadic rational, so whether points can be separated has an answer
without tolerance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from math import gcd, lcm, ldexp, sqrt
from typing import Any, SupportsFloat, overload

import numpy as np

# A compiled module without type stubs; where it has no wheels, elimination is done in Python.
flint: Any = import_module("flint") if find_spec("flint") else None

Row = list[int]


@dataclass(frozen=True)
class Rationals:
    """Rationals over one denominator: sums of products of them need no greatest common divisor.

    Attributes:
        numbers: whole numbers, (n,).
        over: the positive number that they are over.
    """

    numbers: Row
    over: int

    @classmethod
    def of(cls, values: Iterable[SupportsFloat]) -> "Rationals":
        """Whole numbers, fractions or floats as they are."""
        parts = [v.as_integer_ratio() if isinstance(v, int | Fraction) else float(v).as_integer_ratio() for v in values]
        over = lcm(*(b for _, b in parts))
        return cls([a * (over // b) for a, b in parts], over)

    def fractions(self) -> list[Fraction]:
        """Each in lowest terms."""
        return [Fraction(v, self.over) for v in self.numbers]


def table(z: np.ndarray) -> tuple[list[Row], Fraction]:
    """Rows of whole numbers, and the factor that makes them the floats (N, d) that they stand for."""
    flat = Rationals.of(np.asarray(z, dtype=np.float64).ravel().tolist())
    common = gcd(*flat.numbers) or 1
    width = np.shape(z)[1]
    numbers = [v // common for v in flat.numbers]
    return [numbers[i : i + width] for i in range(0, len(numbers), width)], Fraction(common, flat.over)


def integers(z: np.ndarray) -> list[Row]:
    """Rows of whole numbers, each a positive multiple of the row of floats that it stands for, (N, d)."""
    rows = [Rationals.of(row).numbers for row in np.asarray(z, dtype=np.float64).tolist()]
    return [[v // common for v in row] if (common := gcd(*row)) > 1 else row for row in rows]


def fractions(values: Iterable[SupportsFloat]) -> list[Fraction]:
    """Floats as the rationals that they are."""
    return [Fraction(float(v)) for v in values]


@overload
def dot(a: Sequence[int], b: Sequence[int]) -> int: ...


@overload
def dot(a: Sequence[Fraction | int], b: Sequence[Fraction | int]) -> Fraction | int: ...


def dot(a: Sequence[Fraction | int], b: Sequence[Fraction | int]) -> Fraction | int:
    """Σ a_i b_i, exactly."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def combined(weights: Sequence[int], rows: Sequence[Row]) -> Row:
    """Σ a_i row_i, exactly."""
    return [dot(weights, column) for column in zip(*rows, strict=True)]


def root(value: Fraction | int) -> float:
    """The square root of a rational whose root alone need fit in float64.

    Raises:
        OverflowError: if it does not.
    """
    half = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    return ldexp(sqrt(float(value / Fraction(4) ** half)), half)


def solve(A: Sequence[Sequence[Fraction | int]], b: Sequence[Fraction | int]) -> list[Fraction] | None:
    """The only solution of A x = b, (m, n) with m ≥ n, or None where there is none or more than one."""
    found = solve_whole([Rationals.of((*left, right)).numbers for left, right in zip(A, b, strict=True)])
    return None if found is None else found.fractions()


def solve_whole(rows: list[Row]) -> Rationals | None:
    """The only solution of equations with whole numbers, or None where there is none or more than one.

    Args:
        rows: (A | b), (m, n + 1) with m ≥ n.
    """
    n = len(rows[0]) - 1 if rows else 0
    echelon, last, rank = flint.fmpz_mat(rows).rref() if flint is not None and n else _echelon(rows)
    # Of full rank, with no pivot in the last column: the identity times `last`, beside the solution times it.
    if rank != n or any(echelon[k, k] == 0 for k in range(n)):
        return None
    sign = 1 if last > 0 else -1
    return Rationals([sign * int(echelon[k, n]) for k in range(n)], sign * int(last))


def _echelon(rows: list[Row]) -> tuple[np.ndarray, int, int]:
    """Reduced echelon form times a whole number, that number, and the rank; elimination without fractions (Bareiss
    1968).
    """
    table, last, rank = np.array(rows, dtype=object), 1, 0
    for k in range(table.shape[-1]):
        pivot = next((i for i in range(rank, len(table)) if table[i, k]), None)
        if pivot is None:
            continue
        table[[rank, pivot]] = table[[pivot, rank]]
        top, others = table[rank].copy(), np.arange(len(table)) != rank
        table[others] = (top[k] * table[others] - np.outer(table[others, k], top)) // last
        last, rank = top[k], rank + 1
    return table, last, rank


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
