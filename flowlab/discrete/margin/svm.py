"""The hard-margin support vector machine, with a certificate that it exists: min ½‖w‖² subject to y_n w·x_n ≥ 1.

The theory's limit of linear networks (Soudry et al. 2018). A solver's word that data can or cannot be separated is no
evidence: near the border both words are wrong within its tolerance. Here separability is shown by a w with all y_n
w·x_n > 0 in exact arithmetic, and its failure by a Farkas vector α ≥ 0, Σ α_n = 1, with Σ α_n y_n x_n = 0 exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import clarabel as _clarabel
import numpy as np
from scipy.optimize import nnls
from scipy.sparse import csc_matrix, eye

from flowlab.core.display import displayed
from flowlab.core.errors import DataError, NotSeparable
from flowlab.discrete.margin.exact_separability import (
    Rationals,
    Row,
    combined,
    dot,
    fractions,
    integers,
    root,
    solve_whole,
    table,
    vanishing_combination,
)

clarabel: Any = _clarabel  # a compiled module without type stubs

EXACT = 120
"""The most support vectors for which the equations are solved in rationals."""
_SIMPLEX = 40_000
"""The most entries of data for which the simplex method is run in rationals."""


@dataclass(frozen=True)
@displayed
class Certificate:
    """Whether points y_n x_n can be separated from 0, and the exact vector that shows it.

    Attributes:
        separable: which of the two it is.
        vector: a w (d,) with y_n w·x_n > 0 for all n; or α (N,) with α ≥ 0, Σ α = 1 and Σ α_n y_n x_n = 0. Rationals.
    """

    separable: bool
    vector: tuple[Fraction, ...]

    def holds(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Check it on data, in exact arithmetic."""
        rows, _ = table(np.asarray(y, dtype=np.float64)[:, None] * np.asarray(x, dtype=np.float64))
        vector = Rationals.of(self.vector)
        if self.separable:
            return all(dot(row, vector.numbers) > 0 for row in rows)
        fine = min(vector.numbers) >= 0 and sum(vector.numbers) == vector.over
        return fine and not any(combined(vector.numbers, rows))

    def __str__(self) -> str:
        if self.separable:
            return "separable: y w.x > 0 for every sample, in exact arithmetic"
        return (
            f"not separable: {sum(a > 0 for a in self.vector)} samples y x have 0 as a convex combination, in exact"
            " arithmetic"
        )


@dataclass(frozen=True)
class Machine:
    """A hard-margin support vector machine.

    Attributes:
        w: normal vector with y_n w·x_n ≥ 1, (d,), in units of one over the inputs.
        margin: γ = 1/‖w‖, in units of the inputs.
        alpha: multipliers with w = Σ α_n y_n x_n, (N,), non-negative; `unique` tells whether they are the only ones.
        support: samples with y_n w·x_n = 1.
        exact: w and the multipliers of the support as rationals; `w` and `alpha` are these, rounded.
        residuals: of `exact`, recomputed from the data in exact arithmetic: `primal`, largest violation of y_n
            w·x_n ≥ 1; `dual`, most negative α over the largest; `stationarity`, ‖w - Σ α_n y_n x_n‖/‖w‖;
            `complementarity`, largest α_n |y_n w·x_n - 1| over Σ α.
        rounded: the same of `w` and `alpha`: at γ = 1e-9 multipliers of 1e18 cancel to a w of 1e9, which floats follow
            to 1e-7 of it.
        certificate: that the data can be separated.
    """

    w: np.ndarray
    margin: float
    alpha: np.ndarray
    unique: bool
    support: tuple[int, ...]
    exact: tuple[tuple[Fraction, ...], tuple[Fraction, ...]]
    residuals: dict[str, float]
    rounded: dict[str, float]
    certificate: Certificate


def certify_separable(x: np.ndarray, y: np.ndarray) -> Certificate:
    """Whether a hyperplane through 0 separates the samples, with the exact vector that shows it.

    Args:
        x: inputs, (N, d).
        y: labels ±1, (N,).

    Raises:
        DataError: where floats do not tell and there are too many numbers for the exact method (N d above 40,000).
    """
    z = np.asarray(y, dtype=np.float64)[:, None] * np.asarray(x, dtype=np.float64)
    whole = integers(z)
    if any(not any(row) for row in whole):
        at = next(i for i, row in enumerate(whole) if not any(row))
        return Certificate(False, tuple(Fraction(int(i == at)) for i in range(len(z))))
    unit = _unit(z)
    alpha, _ = nnls(np.vstack([unit.T, np.ones(len(z))]), np.r_[np.zeros(z.shape[1]), 1.0], maxiter=50 * len(z))
    for w in (unit.T @ alpha, _guess(unit)):
        exact = Rationals.of(w.tolist()).numbers
        if any(exact) and all(dot(row, exact) > 0 for row in whole):
            return Certificate(True, tuple(fractions(w)))
    some = np.flatnonzero(alpha > 1e-12 * alpha.max())
    columns = [[*column, 0] for column in zip(*(whole[i] for i in some), strict=True)]
    solved = solve_whole([*columns, [1] * (len(some) + 1)]) if len(some) <= EXACT else None
    found = None if solved is None else solved.fractions()
    if found is None or min(found) < 0:
        if z.size > _SIMPLEX:
            raise DataError(
                f"{z.shape[0]} samples with {z.shape[1]} features are on the border of being separable, and too many to"
                " decide exactly; use fewer."
            )
        every, w = vanishing_combination(whole)
        if every is None:
            return Certificate(True, tuple(w))
        found, some = every, np.arange(len(z))
    # From the multiples back to the samples themselves.
    weights = [Fraction(0)] * len(z)
    for i, a in zip(some, found, strict=True):
        k = int(np.argmax(np.abs(z[i])))
        weights[int(i)] = a * Fraction(whole[int(i)][k]) / Fraction(float(z[i, k]))
    total = sum(weights)
    return Certificate(False, tuple(a / total for a in weights))


def hard_margin(x: np.ndarray, y: np.ndarray) -> Machine:
    """The hard-margin machine; arguments as for `certify_separable`.

    Raises:
        NotSeparable: with the Farkas vector as its `certificate`; DataError: as `certify_separable`, and where w or α
            leave the range of float64.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    certificate = certify_separable(x, y)
    if not certificate.separable:
        told = (
            f"the {len(x)} samples cannot be separated by a hyperplane through 0 ({certificate}); use other features,"
            " or a network."
        )
        raise NotSeparable(told, certificate)
    z = y[:, None] * x
    # The machine is solved for whole numbers; it is guessed near one, where whole powers of two change no digit.
    rows, unit = table(z)
    support, a = _polished(rows, np.ldexp(z, -int(np.frexp(np.abs(z).max())[1])))
    w = Rationals(combined(a.numbers, [rows[i] for i in support]), a.over)
    # Samples that are equal to a support vector bind as well.
    slack = [dot(row, w.numbers) - w.over for row in rows]
    binds = tuple(n for n, s in enumerate(slack) if abs(s) * 10**12 <= w.over)
    unique = np.linalg.matrix_rank(_unit(z[list(binds)])) == len(binds)
    w, scattered = _scaled(w, unit), [0] * len(z)
    for i, v in zip(support, a.numbers, strict=True):
        scattered[i] = v
    every = _scaled(Rationals(scattered, a.over), unit**2)
    stored, alpha = _floats(w, "normal vector"), _floats(every, "multipliers")
    told = (
        _residuals(z, w, every),
        _residuals(z, Rationals.of(stored.tolist()), Rationals.of(alpha.tolist())),
    )
    margin = 1.0 / root(Fraction(dot(w.numbers, w.numbers), w.over**2))
    exact = tuple(w.fractions()), tuple(every.fractions())
    return Machine(stored, margin, alpha, bool(unique), binds, exact, *told, certificate)


def _scaled(values: Rationals, unit: Fraction) -> Rationals:
    """Rationals divided by a positive one."""
    return Rationals([v * unit.denominator for v in values.numbers], values.over * unit.numerator)


def _floats(values: Rationals, what: str) -> np.ndarray:
    """Rationals as floats, if the largest is one that float64 has in full."""
    top = Fraction(max(map(abs, values.numbers)), values.over)
    if not Fraction(np.finfo(float).tiny) <= top < Fraction(np.finfo(float).max):
        raise DataError(f"the {what} of the machine must fit in float64; scale the inputs to sizes near one.")
    # Division of whole numbers rounds once.
    return np.array([v / values.over for v in values.numbers])


def _unit(z: np.ndarray) -> np.ndarray:
    """Rows of length one; squares of the largest and the smallest floats would not fit."""
    z = z / np.abs(z).max(axis=1, keepdims=True)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def residuals(z: np.ndarray, w: Sequence[Fraction], alpha: Sequence[Fraction]) -> dict[str, float]:
    """See `Machine`: of any rational w (d,) and α (N,), for samples z = y x, (N, d)."""
    return _residuals(z, Rationals.of(w), Rationals.of(alpha))


def _residuals(z: np.ndarray, w: Rationals, alpha: Rationals) -> dict[str, float]:
    rows, unit = table(z)
    over = w.over * unit.denominator
    slack = [dot(row, w.numbers) * unit.numerator - over for row in rows]
    bottom = alpha.over * unit.denominator
    pull = combined(alpha.numbers, rows)
    # Of w - Σ α_n z_n, over the denominators of both.
    rest = [v * bottom - p * unit.numerator * w.over for v, p in zip(w.numbers, pull, strict=True)]
    sizes = [abs(v) for v in alpha.numbers]
    return {
        "primal": max(0.0, -min(slack) / over),
        "dual": max(0.0, -min(alpha.numbers) / max(sizes)),
        "stationarity": float(np.sqrt(float(Fraction(dot(rest, rest), dot(w.numbers, w.numbers) * bottom * bottom)))),
        "complementarity": max(v * abs(s) for v, s in zip(sizes, slack, strict=True)) / (sum(sizes) * over),
    }


def _guess(z: np.ndarray) -> np.ndarray:
    return z.T @ _duals(z)


def _duals(z: np.ndarray) -> np.ndarray:
    """Multipliers by an interior-point method, in units in which the largest sample has norm one; zeros where it gives
    up.
    """
    N, d = z.shape
    size = float(np.linalg.norm(z, axis=1).max())
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    solver = clarabel.DefaultSolver(
        csc_matrix(eye(d)), np.zeros(d), csc_matrix(-z / size), -np.ones(N), [clarabel.NonnegativeConeT(N)], settings
    )
    found = np.asarray(solver.solve().z)
    return np.where(np.isfinite(found), found, 0.0) / size**2


def _polished(rows: list[Row], z: np.ndarray) -> tuple[list[int], Rationals]:
    """Support and exact multipliers: from a guess if it is right, else by the active-set method of Lawson and Hanson
    (1974) in rationals.

    Args:
        rows: samples as whole numbers, (N, d).
        z: the same up to a factor, near one.
    """
    guess = _duals(z)
    for share in (1e-6, 1e-4, 1e-8):
        some = [int(i) for i in np.flatnonzero(guess > share * guess.max(initial=0.0))]
        some = _independent(z, some)
        found = _equalised(rows, some) if some and len(some) <= EXACT else None
        if found is not None and min(found.numbers) >= 0:
            w = combined(found.numbers, [rows[i] for i in some])
            if all(dot(row, w) >= found.over for row in rows):
                return some, found
    passive: list[int] = []
    a: dict[int, Fraction] = {}
    while True:
        held = Rationals.of(a[i] for i in passive)
        w = combined(held.numbers, [rows[i] for i in passive]) if passive else [0] * z.shape[1]
        pull = [held.over - dot(row, w) for row in rows]
        enters = max((n for n in range(len(z)) if n not in a and pull[n] > 0), key=lambda n: pull[n], default=None)
        if enters is None:
            return passive, held
        trial = _equalised(rows, [*passive, enters])
        if trial is None:
            # The new sample is a combination of those in the set: it takes the place of one, with w as it was.
            c = solve_whole([[dot(rows[i], rows[j]) for j in (*passive, enters)] for i in passive])
            assert c is not None, "samples in the set are independent"
            shares = dict(zip(passive, c.fractions(), strict=True))
            step = min(a[i] / share for i, share in shares.items() if share > 0)
            a = {i: a[i] - step * share for i, share in shares.items()} | {enters: step}
            passive = [i for i in a if a[i] > 0]
            a = {i: a[i] for i in passive}
            trial = _equalised(rows, passive)
            assert trial is not None, "an exchange keeps samples independent"
        else:
            passive, a[enters] = [*passive, enters], Fraction(0)
        new = dict(zip(passive, trial.fractions(), strict=True))
        while min(new.values()) <= 0:
            step = min(a[i] / (a[i] - new[i]) for i in passive if new[i] <= 0 and a[i] != new[i])
            a = {i: a[i] + step * (new[i] - a[i]) for i in passive}
            passive = [i for i in passive if a[i] > 0]
            a = {i: a[i] for i in passive}
            again = _equalised(rows, passive)
            assert again is not None, "a subset of independent samples is independent"
            new = dict(zip(passive, again.fractions(), strict=True))
        a = new


def _equalised(rows: list[Row], some: list[int]) -> Rationals | None:
    """Multipliers with z_n·w = 1 on some samples, or None where these depend on each other."""
    return solve_whole([[*(dot(rows[i], rows[j]) for j in some), 1] for i in some])


def _independent(z: np.ndarray, some: list[int]) -> list[int]:
    """Some samples without those that are multiples of earlier ones."""
    kept: list[int] = []
    for i in some:
        if not any(np.array_equal(z[i], z[j]) for j in kept):
            kept.append(i)
    return kept
