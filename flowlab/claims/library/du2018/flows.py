"""Descent on the factors of a matrix of low rank."""

import numpy as np


def factorised(target: np.ndarray, U: np.ndarray, V: np.ndarray, steps: np.ndarray) -> dict[str, np.ndarray]:
    """Descent on |U V^T - target|^2/2 with given steps: losses, and Frobenius norms of U^T U - V^T V, before and after
    each.
    """
    losses, gaps = [], []
    for step in [*steps.tolist(), 0.0]:
        E = U @ V.T - target
        losses.append(0.5 * float((E * E).sum()))
        gaps.append(float(np.linalg.norm(U.T @ U - V.T @ V)))
        U, V = U - step * E @ V, V - step * E.T @ U
    return {"losses": np.array(losses), "gaps": np.array(gaps), "U": U, "V": V}


def low_rank(seed: int, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A target (8, 6) of this rank with singular values near one, and small factors to begin with."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(n, rank)))[0] for n in (8, 6))
    return (
        u @ np.diag(np.linspace(1.0, 0.6, rank)) @ v.T,
        0.05 * rng.normal(size=(8, rank)),
        0.05 * rng.normal(size=(6, rank)),
    )
