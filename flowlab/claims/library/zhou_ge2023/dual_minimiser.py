"""Limits that are worked out by hand: the minimiser from a dual of its own, the least l1 norm, and the Lasso."""

import numpy as np
from scipy.optimize import linprog

from flowlab.claims.library.woodworth2020.flows import newton
from flowlab.core.errors import ClaimError

_SWEEPS, _FULL = 4000, 10
"""Sweeps of coordinate descent at most; every tenth goes over all coordinates, others over those that are not 0."""


def minimiser(x: np.ndarray, y: np.ndarray, alpha: float, lam: float) -> np.ndarray:
    """The minimiser of Φ over X b = y, from the dual: b = 2 α^2 sinh(4 z) + λ^2 z with z = X^T ν."""

    def value(z: np.ndarray) -> np.ndarray:
        return np.where(
            np.abs(z) < 150, 0.5 * alpha**2 * np.cosh(4 * np.clip(z, -150, 150)) + 0.5 * lam**2 * z * z, np.inf
        )

    return newton(
        x,
        y,
        value,
        lambda z: 2 * alpha**2 * np.sinh(4 * z) + lam**2 * z,
        lambda z: 8 * alpha**2 * np.cosh(4 * z) + lam**2,
    )[0]


def least_l1(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The b of least l1 norm with X b = y, by linear programming."""
    d = x.shape[1]
    found = linprog(np.ones(2 * d), A_eq=np.hstack([x, -x]), b_eq=y, bounds=(0, None), method="highs-ds")
    if found.status != 0:
        raise ClaimError(f"the least l1 norm was not found ({found.message}); try another seed.")
    return np.asarray(found.x[:d] - found.x[d:])


def lasso(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """The minimiser of |y - X b|²/2 + penalty |b|_1, by coordinate descent."""
    b, left, sizes = np.zeros(x.shape[1]), y.copy(), (x * x).sum(axis=0)
    for sweep in range(_SWEEPS):
        before = b.copy()
        for j in range(len(b)) if sweep % _FULL == 0 else np.flatnonzero(b):
            pull = x[:, j] @ left + sizes[j] * b[j]
            new = np.sign(pull) * max(abs(pull) - penalty, 0.0) / sizes[j]
            if new != b[j]:
                left -= x[:, j] * (new - b[j])
                b[j] = new
        if sweep % _FULL == 0 and sweep and np.abs(b - before).max() <= 1e-12:
            return b
    raise ClaimError(f"coordinate descent of the Lasso took more than {_SWEEPS} sweeps; try another seed.")
