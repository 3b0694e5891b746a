"""All quadratic laws at given sizes, as the null space of a linear system.

h = θᵀAθ/2 + c·θ is kept if ⟨Aθ + c, F⟩ = 0 at every state, for the rates F of all samples. At one point p this says
that g = Ap + c is orthogonal to all F, and, differentiated, that A F = -(DF)ᵀ g. So A is known on the span of the rates
once g is, and only g and what A does to the rest are unknown: far fewer numbers than A has entries.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from flowlab.core.typing import Blocks
from flowlab.symbolic.laws.draws import Draws, Tangents

_ZERO = 1e-10
"""Singular value, relative to the largest, below which it is zero."""
_GAP = 1e3
"""Ratio of the least singular value that is not zero to the largest that is, for a null space to be known."""
_SPANNED = 1e-3
"""Part of a rate outside the span of others from which on it is used: less would enlarge roundings, and what is left
out is merely unknown.
"""
_MORE = 40
"""Equations beyond one for each unknown."""
_DENSE = 500
"""Unknowns up to which all singular values are worked out."""
_INDEPENDENT = 1e-8
"""Part of a gradient outside the span of others, relative to its length, from which on it is independent."""


class NullSpace(NamedTuple):
    """Quadratic forms that stand still.

    Attributes:
        pairs: (U, 2) the weights that each coefficient belongs to; the second is -1 for a linear one.
        forms: (k, U) coefficients.
        gap: the least singular value that is not zero, over the largest that is (or roundings).
    """

    pairs: np.ndarray
    forms: np.ndarray
    gap: float

    @property
    def decided(self) -> bool:
        """Whether a gap parts zeros from roundings."""
        return bool(self.gap >= _GAP)


class _Family:
    """All forms that stand still about one point to first order, and some that do not.

    Args:
        point: (n,) weights.
        along: (F, n) rates there.
        slopes: (F, n, n) their derivatives, [f, i, j] that of entry i along weight j.
    """

    def __init__(self, point: np.ndarray, along: np.ndarray, slopes: np.ndarray) -> None:
        sizes = np.linalg.norm(along, axis=1)
        some = sizes > 0
        left, singular, right = np.linalg.svd(along[some] / sizes[some, None])
        spanned = int((singular > _SPANNED).sum())
        # Combinations of rates that are orthonormal.
        mixed = (left[:, :spanned] / singular[:spanned] / sizes[some, None]).T
        self.point, self.span, self.rest = point, right[:spanned].T, right[spanned:].T
        # What A does to the span for every g of the rest: (k, n, r).
        turned = np.tensordot(mixed, slopes[some], axes=1).transpose(0, 2, 1) @ self.rest
        self.images = -turned.transpose(2, 1, 0)
        k = self.rest.shape[1]
        self.first, self.second = np.triu_indices(k)
        self.unknowns = k + len(self.first)

    def matrices(self) -> np.ndarray:
        """The symmetric A of every g of the rest, (k, n, n)."""
        inner = self.span.T @ self.images
        outer = self.rest @ (self.rest.T @ self.images) @ self.span.T
        return self.span @ ((inner + inner.swapaxes(1, 2)) / 2) @ self.span.T + outer + outer.swapaxes(1, 2)

    def rates(self, at: np.ndarray, along: np.ndarray) -> np.ndarray:
        """How fast each form of the family changes at states, (S, unknowns); states at unit speed and distance."""
        away = at - self.point
        along = along / (np.linalg.norm(along, axis=1) * np.linalg.norm(away, axis=1))[:, None]
        moved = away @ self.matrices() + self.rest.T[:, None]
        a, b = away @ self.rest, along @ self.rest
        free = a[:, self.first] * b[:, self.second] + a[:, self.second] * b[:, self.first]
        return np.concatenate([np.einsum("ksi,si->sk", moved, along), free], axis=1)

    def forms(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A, (m, n, n), and c, (m, n), of combinations of the family, (m, unknowns)."""
        k = self.rest.shape[1]
        free = np.zeros((len(found), k, k))
        free[:, self.first, self.second] += found[:, k:]
        free[:, self.second, self.first] += found[:, k:]
        A = np.tensordot(found[:, :k], self.matrices(), axes=1) + self.rest @ free @ self.rest.T
        return A, found[:, :k] @ self.rest.T - A @ self.point


def null_space(
    tangents: Tangents, draws: Draws, drawn: Callable[[int], Draws], shrinks: np.ndarray
) -> list[tuple[float, NullSpace]]:
    """The laws at given sizes, by the rate at which weight decay shrinks them.

    Args:
        tangents: rates of many samples at one point, and their derivatives.
        draws: some states, which show what moves and how fast.
        drawn: that many states, or fewer.
        shrinks: rate at which decay shrinks each weight, (P,).
    """
    speeds = _flat(draws.pull)
    live = np.flatnonzero((speeds != 0).any(axis=0))
    # Units in which all rates are of one size.
    unit = np.sqrt(np.mean(speeds[:, live] ** 2, axis=0))
    slopes = tangents.slopes[:, live[:, None], live] / unit[:, None] * unit
    family = _Family(tangents.at[live] / unit, tangents.along[:, live] / unit, slopes)
    states = drawn(family.unknowns + _MORE)
    found, gap = _kernel(family.rates(*(_flat(each)[:, live] / unit for each in states)))
    A, c = family.forms(found)
    first, second = np.triu_indices(len(live))
    pairs = np.stack([np.append(live[first], live), np.append(live[second], np.full_like(live, -1))], 1)
    A = A / unit[:, None] / unit * (1.0 - np.eye(len(live)) / 2)
    forms = np.concatenate([A[:, first, second], c / unit], axis=1)
    # Rates that differ by roundings are one.
    rates = np.round(shrinks[pairs[:, 0]] + np.where(pairs[:, 1] < 0, 0.0, shrinks[pairs[:, 1]]), 12)
    return [(float(rate), _of_rate(pairs, forms, gap, rates == rate)) for rate in np.unique(rates)]


def rows(values: np.ndarray) -> np.ndarray:
    """Blocks with a leading axis as one row per state."""
    return values.reshape(len(values), -1)


def _flat(blocks: Blocks) -> np.ndarray:
    return np.concatenate([rows(np.asarray(v)) for v in blocks.values()], axis=1)


def _of_rate(pairs: np.ndarray, forms: np.ndarray, gap: float, some: np.ndarray) -> NullSpace:
    """Of all forms those of pairs that decay shrinks at one rate."""
    sizes = np.linalg.norm(forms, axis=1)
    basis = np.linalg.qr((forms / sizes[:, None]).T)[0]
    inside, singular, _ = np.linalg.svd(basis.T[:, some], full_matrices=False)
    # Of unit length inside, or partly outside.
    within = 1.0 - singular < _SPANNED**2
    return NullSpace(pairs[some], (basis @ inside[:, within]).T[:, some], gap)


def _kernel(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """The null space of rows of size one as rows, and the gap that parts it from roundings."""
    unknowns = matrix.shape[1]
    if not unknowns:
        # The rates about one point leave nothing to stand still.
        return np.zeros((0, 0)), np.inf
    if len(matrix) < unknowns + _MORE // 2:
        # Fewer equations than unknowns leave a null space of any kind.
        return np.zeros((0, unknowns)), 0.0
    columns = np.linalg.norm(matrix, axis=0)
    # What stands still alone has no size but that of roundings.
    columns[columns <= _ZERO * np.sqrt(len(matrix))] = 1.0
    matrix = matrix / columns
    singular, vectors = _dense(matrix) if unknowns <= _DENSE else _inverse_iteration(matrix)
    top = max(float(singular[-1]), 1.0)
    zero = singular <= _ZERO * top
    rest = singular[~zero]
    largest = max(float(singular[zero].max(initial=0.0)), np.finfo(float).eps * top)
    return vectors[zero] / columns, float(rest[0]) / largest if rest.size else np.inf


def _dense(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values from small to large, with right vectors as rows."""
    if matrix.shape[0] < matrix.shape[1]:
        matrix = np.vstack([matrix, np.zeros((matrix.shape[1] - matrix.shape[0], matrix.shape[1]))])
    _, values, vectors = np.linalg.svd(_triangle(matrix))
    return values[::-1], vectors[::-1]


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """R of a matrix, with its singular values and right vectors."""
    return np.asarray(np.linalg.qr(matrix, mode="r"))


def _inverse_iteration(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The small end of the spectrum, and the largest singular value, by subspaces under the inverse of R."""
    R = _triangle(matrix)
    top = float(np.linalg.norm(R, ord="fro"))
    # Zero pivots would stop the solver; what is added is roundings of the largest.
    small = np.abs(np.diag(R)) < np.finfo(float).eps * top
    solved = R + np.diag(np.where(small, np.finfo(float).eps * top, 0.0))
    rng, size = np.random.default_rng(0), 64
    while True:
        block = rng.normal(size=(R.shape[1], min(size, R.shape[1])))
        for _ in range(6):
            block, _ = np.linalg.qr(block)
            block = solve_triangular(solved, solve_triangular(solved, block, trans=1))
            block /= np.abs(block).max(axis=0)
        block, _ = np.linalg.qr(block)
        _, values, turn = np.linalg.svd(R @ block, full_matrices=False)
        # The largest vector of the whole matrix stands for the scale.
        if values[0] > 1e3 * _ZERO * top or size >= R.shape[1]:
            vectors = (block @ turn.T).T[::-1]
            return np.append(values[::-1], top), np.vstack([vectors, np.zeros(R.shape[1])])
        size *= 2


def form_gradients(pairs: np.ndarray, forms: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Gradients of quadratic forms at one state (P,): (k, P)."""
    first, second = pairs.T
    linear = second < 0
    out = np.zeros((len(at), len(forms)))
    np.add.at(out, first, (forms * np.where(linear, 1.0, at[second])).T)
    np.add.at(out, second[~linear], (forms * at[first])[:, ~linear].T)
    return out.T


class Span:
    """The span of gradients met so far."""

    def __init__(self, P: int) -> None:
        self.basis = np.zeros((0, P))

    @property
    def rank(self) -> int:
        return len(self.basis)

    def add(self, gradients: np.ndarray) -> bool:
        """Take gradients in; True if they add to the rank."""
        sizes = np.linalg.norm(gradients, axis=1)
        some = gradients[sizes > 0] / sizes[sizes > 0, None]
        for _ in range(2):
            some = some - (some @ self.basis.T) @ self.basis
        if not some.size:
            return False
        _, values, vectors = np.linalg.svd(some, full_matrices=False)
        fresh = vectors[values > _INDEPENDENT]
        fresh = fresh - (fresh @ self.basis.T) @ self.basis
        if len(fresh):
            fresh = np.linalg.qr(fresh.T)[0].T
        self.basis = np.vstack([self.basis, fresh])
        return bool(len(fresh))


def reduced(forms: np.ndarray) -> list[list[tuple[int, Fraction | float]]]:
    """A basis of some forms with few entries each, as fractions where they are such; short ones first."""
    matrix = forms.copy()
    used: list[int] = []
    for row in range(len(matrix)):
        left = matrix[row:]
        at = np.unravel_index(np.argmax(np.abs(left)), left.shape)
        pivot = (int(at[0]) + row, int(at[1]))
        matrix[[row, pivot[0]]] = matrix[[pivot[0], row]]
        matrix[row] /= matrix[row, pivot[1]]
        for other in range(len(matrix)):
            if other != row:
                matrix[other] -= matrix[other, pivot[1]] * matrix[row]
        used.append(pivot[1])
    out = []
    for row in matrix:
        some = [(i, row[i]) for i in range(len(row)) if abs(row[i]) > 1e-8]
        if some[0][1] < 0:
            some = [(i, -c) for i, c in some]
        near = [(i, Fraction(float(c)).limit_denominator(1000)) for i, c in some]
        exact = all(abs(c - f) < 1e-7 for (_, c), (_, f) in zip(some, near, strict=True))
        out.append(near if exact else [(i, float(c)) for i, c in some])
    return sorted(out, key=len)
