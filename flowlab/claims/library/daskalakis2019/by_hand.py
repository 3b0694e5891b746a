"""The witness, written by hand: optimistic multiplicative weights on x^T A y, x the player that maximises, their
linearisation at an equilibrium that mixes all strategies, and the replicator flow.
"""

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp


def step(
    A: np.ndarray, x: np.ndarray, y: np.ndarray, x0: np.ndarray, y0: np.ndarray, eta: float
) -> tuple[np.ndarray, np.ndarray]:
    """The next x and y from the last two."""
    p = x * np.exp(2 * eta * (A @ y) - eta * (A @ y0))
    q = y * np.exp(-2 * eta * (A.T @ x) + eta * (A.T @ x0))
    return p / p.sum(), q / q.sum()


def steps(
    A: np.ndarray, x: np.ndarray, y: np.ndarray, eta: float, count: int, now: float = 2.0, past: float = -1.0
) -> tuple[np.ndarray, np.ndarray]:
    """All x and y of so many steps, (count + 1, n) and (count + 1, m), where the forces weigh `now` and `past`."""
    xs, ys = [x], [y]
    up, down = A @ y, A.T @ x
    for _ in range(count):
        f, g = A @ ys[-1], A.T @ xs[-1]
        p, q = xs[-1] * np.exp(eta * (now * f + past * up)), ys[-1] * np.exp(-eta * (now * g + past * down))
        xs.append(p / p.sum())
        ys.append(q / q.sum())
        up, down = f, g
    return np.stack(xs), np.stack(ys)


def replicator(A: np.ndarray, x: np.ndarray, y: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
    """The x and y of the replicator flow at a time, from logarithms of odds by DOP853."""
    n = len(x)

    def lift(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max())
        return e / e.sum()

    def rate(_: float, z: np.ndarray) -> np.ndarray:
        f, g = A @ lift(z[n:]), A.T @ lift(z[:n])
        return np.concatenate([f - f.mean(), g.mean() - g])

    first = np.concatenate([np.log(x), np.log(y)])
    last = solve_ivp(rate, (0.0, time), first, method="DOP853", rtol=3e-14, atol=1e-15).y[:, -1]
    return lift(last[:n]), lift(last[n:])


def field(A: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The linearised replicator flow, (n + m, n + m)."""
    P, Q = np.diag(x) - np.outer(x, x), np.diag(y) - np.outer(y, y)
    return np.block([[np.zeros((len(x), len(x))), P @ A], [-Q @ A.T, np.zeros((len(y), len(y)))]])


def slowest(A: np.ndarray, x: np.ndarray, y: np.ndarray, size: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """The x and y at this distance from the equilibrium, in the plane of the mode of the least frequency."""
    found: Any = np.linalg.eig(field(A, x, y))
    values, vectors = found
    turning = np.where(values.imag > 1e-9, values.imag, np.inf)
    away = vectors[:, int(np.argmin(turning))].real
    away *= size / np.linalg.norm(away)
    return x + away[: len(x)], y + away[len(x) :]


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
