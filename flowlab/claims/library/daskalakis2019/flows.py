"""Optimistic multiplicative weights on x^T A y, x the player that maximises, and its linearisation at a full
equilibrium.
"""

import numpy as np

GAME = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
X, Y = np.array([0.35, 0.45, 0.2]), np.array([0.5, 0.25, 0.25])
"""The game and its equilibrium, of value 1/4."""


def step(
    A: np.ndarray, x: np.ndarray, y: np.ndarray, x0: np.ndarray, y0: np.ndarray, eta: float
) -> tuple[np.ndarray, np.ndarray]:
    """The next x and y from the last two."""
    p = x * np.exp(2 * eta * (A @ y) - eta * (A @ y0))
    q = y * np.exp(-2 * eta * (A.T @ x) + eta * (A.T @ x0))
    return p / p.sum(), q / q.sum()


def frequencies(A: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """τ > 0 of the eigenvalues ±iτ of the linearised replicator flow, in falling order."""
    P, Q = np.diag(x) - np.outer(x, x), np.diag(y) - np.outer(y, y)
    whole = np.block([[np.zeros_like(P), P @ A], [-Q @ A.T, np.zeros_like(Q)]])
    values = np.sort(np.linalg.eigvals(whole).imag)[::-1]
    return values[values > 1e-9]


def jacobian(A: np.ndarray, x: np.ndarray, y: np.ndarray, eta: float) -> np.ndarray:
    """The derivative of (x, y, x', y') ↦ (next x, next y, x, y) at rest, (2(n+m), 2(n+m)), by complex steps: exact to
    roundings.
    """
    n, m = len(x), len(y)
    z = np.concatenate([x, y, x, y]).astype(complex)
    columns = []
    for i in range(2 * (n + m)):
        moved = z.copy()
        moved[i] += 1e-30j
        parts = np.split(moved, [n, n + m, 2 * n + m])
        p, q = step(A, parts[0], parts[1], parts[2], parts[3], eta)
        columns.append(np.imag(np.concatenate([p, q, parts[0], parts[1]])) / 1e-30)
    return np.stack(columns, axis=1)


def inside(n: int, m: int) -> np.ndarray:
    """An orthonormal basis of changes that keep all four sums, (2(n+m), 2(n+m) - 4)."""
    blocks = []
    for k in (n, m, n, m):
        u = np.linalg.svd(np.ones((1, k)))[2][1:].T
        blocks.append(u)
    rows, columns = sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)
    out, i, j = np.zeros((rows, columns)), 0, 0
    for b in blocks:
        out[i : i + b.shape[0], j : j + b.shape[1]] = b
        i, j = i + b.shape[0], j + b.shape[1]
    return out


def radius(A: np.ndarray, x: np.ndarray, y: np.ndarray, eta: float) -> float:
    """The spectral radius of the derivative on the simplices."""
    B = inside(len(x), len(y))
    return float(np.abs(np.linalg.eigvals(B.T @ jacobian(A, x, y, eta) @ B)).max())
