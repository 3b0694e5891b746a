"""The end-to-end flow and its spectrum as papers write them, by numpy alone."""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.library.brechet2023.flows import gradient, power


def by_hand(sigma: np.ndarray, root: np.ndarray, tau: float, depth: int, root_of: int) -> np.ndarray:
    """-2 Σ_j [Σ^{(N-j)/N} (I - T) Σ^{1+(j-1)/N} + transpose], powers by eigenvectors; `root_of` is the N of powers."""
    half = power(sigma, 0.5)
    away = 0.5 * gradient(half, root, tau) @ np.linalg.inv(half)
    total = np.zeros_like(sigma)
    for j in range(1, depth + 1):
        total += power(sigma, (depth - j) / root_of) @ away @ power(sigma, 1 + (j - 1) / root_of)
    return -2 * (total + total.T)


def spectrum_rate(s: np.ndarray, spectrum: np.ndarray, tau: float, depth: int) -> np.ndarray:
    """-4 N s^{2-1/N} (1 - sqrt(λ/(s + τ)))."""
    return -4 * depth * s ** (2 - 1 / depth) * (1 - np.sqrt(spectrum / (s + tau)))


def solved(start: np.ndarray, times: np.ndarray, rate: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A flow at some times by an explicit method of order 8, (times, …)."""
    solution = solve_ivp(
        lambda _, v: rate(v.reshape(start.shape)).ravel(),
        (0.0, float(times[-1])),
        start.ravel(),
        method="DOP853",
        t_eval=times,
        rtol=1e-12,
        atol=1e-13,
    )
    return solution.y.T.reshape(-1, *start.shape)
