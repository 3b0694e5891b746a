"""All quadratic laws at given sizes, as the null space of a linear system.

h = θᵀSθ + c·θ is kept if ⟨(S + Sᵀ)θ + c, θ'⟩ = 0 at every state. That is one equation for S and c per random state.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from flowlab.symbolic.laws.draws import Draws

_ZERO = 1e-10
"""Singular value, relative to the largest, below which it is zero."""
_GAP = 1e3
"""Ratio of the least singular value that is not zero to the largest that is, for a null space to be known."""
_DENSE = 500
"""Unknowns up to which all singular values are worked out."""
_MORE = 40
"""Equations beyond one for each unknown."""
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


def states_needed(P: int) -> int:
    """States that tell all quadratic forms of so many weights apart."""
    return P * (P + 1) // 2 + P + _MORE


def rows(values: np.ndarray) -> np.ndarray:
    """Blocks with a leading axis as one row per state."""
    return values.reshape(len(values), -1)


def null_space(draws: Draws, shrinks: np.ndarray) -> list[tuple[float, NullSpace]]:
    """The laws at the sizes of some states, by the rate at which weight decay shrinks them.

    Args:
        draws: states, more than there are unknowns.
        shrinks: rate at which decay shrinks each weight, (P,).
    """
    at = np.concatenate([rows(v) for v in draws.W.values()], axis=1)
    along = np.concatenate([rows(v) for v in draws.pull.values()], axis=1)
    live = np.flatnonzero((along != 0).any(axis=0))
    first, second = (live[i] for i in np.triu_indices(len(live)))
    pairs = np.concatenate([np.stack([first, second], 1), np.stack([live, np.full_like(live, -1)], 1)])
    speeds = np.where(pairs[:, 1] < 0, 0.0, shrinks[pairs[:, 1]]) + shrinks[pairs[:, 0]]
    # Rates that differ by roundings are one.
    rates = np.round(speeds, 12)
    found = []
    for rate in np.unique(rates):
        some = pairs[rates == rate]
        i, j = some.T
        matrix = np.where(j < 0, along[:, i], at[:, i] * along[:, j] + along[:, i] * at[:, j])
        found.append((float(rate), _solve(some, matrix)))
    return found


def _solve(pairs: np.ndarray, matrix: np.ndarray) -> NullSpace:
    sizes = np.linalg.norm(matrix, axis=1)
    matrix = matrix[sizes > 0] / sizes[sizes > 0, None]
    if len(matrix) < len(pairs) + _MORE // 2:
        # Fewer equations than unknowns leave a null space of any kind.
        return NullSpace(pairs, np.zeros((0, len(pairs))), 0.0)
    columns = np.linalg.norm(matrix, axis=0)
    columns[columns == 0] = 1.0
    matrix = matrix / columns
    singular, vectors = _dense(matrix) if matrix.shape[1] <= _DENSE else _inverse_iteration(matrix)
    zero = singular <= _ZERO * singular[-1]
    rest = singular[~zero]
    largest = max(float(singular[zero].max(initial=0.0)), np.finfo(float).eps * float(singular[-1]))
    gap = float(rest[0]) / largest if rest.size else np.inf
    forms = vectors[zero] / columns
    return NullSpace(pairs, forms, gap)


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
    out = np.zeros((len(forms), len(at)))
    for (i, j), c in zip(pairs, forms.T, strict=True):
        if j < 0:
            out[:, i] += c
        else:
            out[:, i] += c * at[j]
            out[:, j] += c * at[i]
    return out


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
        near = [(i, Fraction(float(c)).limit_denominator(1000)) for i, c in some]
        exact = all(abs(c - f) < 1e-7 for (_, c), (_, f) in zip(some, near, strict=True))
        out.append(near if exact else [(i, float(c)) for i, c in some])
    return sorted(out, key=len)
