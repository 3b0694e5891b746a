"""The unit vector of least exponential loss at a fixed norm."""

import numpy as np


def minimiser(z: np.ndarray, R: float, near: np.ndarray) -> np.ndarray:
    """Argmin Σ exp(-R z_n v) over unit v, by Newton's method on the sphere; z = y x, (N, d), separable."""
    v = near / np.linalg.norm(near)

    def value(u: np.ndarray) -> float:
        q = -R * z @ u
        return float(q.max() + np.log(np.exp(q - q.max()).sum()))

    for _ in range(100):
        q = R * z @ v
        share = np.exp(q.min() - q)
        share /= share.sum()
        basis = np.linalg.svd(v[None])[2][1:].T
        slope = -R * basis.T @ (z.T @ share)
        mean = z.T @ share
        hessian = R * R * basis.T @ ((z.T * share) @ z - np.outer(mean, mean)) @ basis + float(share @ q) * np.eye(
            len(v) - 1
        )
        step = basis @ np.linalg.solve(hessian, -slope)
        size = 1.0
        while size > 1e-6 and value((u := v + size * step) / np.linalg.norm(u)) > value(v) + 1e-14:
            size /= 2
        v = (v + size * step) / np.linalg.norm(v + size * step)
        if np.linalg.norm(step) < 1e-13:
            break
    return v
