"""The end-to-end flow and its spectrum as papers write them, by numpy alone."""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.library.brechet2023.flows import LAYERS, SPECTRUM, TAU, gradient, power


def by_hand(sigma: np.ndarray, root: np.ndarray, depth: float = LAYERS, root_of: float = LAYERS) -> np.ndarray:
    """-2 Σ_j [Σ^{(N-j)/N} (I - T) Σ^{1+(j-1)/N} + transpose], powers by eigenvectors."""
    half = power(sigma, 0.5)
    away = 0.5 * gradient(half, root) @ np.linalg.inv(half)
    total = np.zeros_like(sigma)
    for j in range(1, int(depth) + 1):
        total += power(sigma, (depth - j) / root_of) @ away @ power(sigma, 1 + (j - 1) / root_of)
    return -2 * (total + total.T)


def spectrum_rate(s: np.ndarray) -> np.ndarray:
    """-4 N s^{2-1/N} (1 - sqrt(λ/(s + τ))), for the smallest three eigenvalues too."""
    return -4 * LAYERS * s ** (2 - 1 / LAYERS) * (1 - np.sqrt(SPECTRUM / (s + TAU)))


def solved(start: np.ndarray, end: float, rate: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The end of a flow by an explicit method of order 8."""
    solution = solve_ivp(
        lambda _, v: rate(v.reshape(start.shape)).ravel(),
        (0.0, end),
        start.ravel(),
        method="DOP853",
        rtol=1e-12,
        atol=1e-13,
    )
    return solution.y[:, -1].reshape(start.shape)
