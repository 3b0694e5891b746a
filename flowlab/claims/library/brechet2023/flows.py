"""The flow of three balanced layers under the smooth Bures-Wasserstein loss, from a start with given constants."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case

SPECTRUM, TAU, LAYERS = np.array([5.0, 3.0, 1.5, 0.7]), 0.3, 3
SMALLEST, MARGIN = 0.463, 0.559
"""σ_min of the start, and c = sqrt(λ_min) - sqrt(L_τ(0)): a start with both is built."""


def power(a: np.ndarray, p: float) -> np.ndarray:
    """A symmetric positive definite matrix to a power."""
    values, vectors = np.linalg.eigh(a)
    return (vectors * values**p) @ vectors.T


def loss(W: np.ndarray, root: np.ndarray) -> float:
    """Squared Bures distance of W W^T + τ from the target with this root."""
    now = W @ W.T + TAU * np.eye(len(W))
    values = np.linalg.eigvalsh(root @ now @ root)
    return float(np.trace(now) + np.trace(root @ root) - 2 * np.sqrt(np.maximum(values, 0)).sum())


def gradient(W: np.ndarray, root: np.ndarray) -> np.ndarray:
    """dL_τ/dW = 2 (W - R [R (W W^T + τ) R]^(-1/2) R W)."""
    inner = root @ (W @ W.T + TAU * np.eye(len(W))) @ root
    return 2 * (W - root @ power(inner, -0.5) @ root @ W)


def flow(case: Case) -> dict[str, np.ndarray]:
    """Three balanced layers from a start with the two constants: times, products and losses."""

    def run() -> dict[str, np.ndarray]:
        from scipy.integrate import solve_ivp
        from scipy.linalg import expm
        from scipy.optimize import brentq

        rng = np.random.default_rng(case.seed)
        basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        root = basis @ np.diag(np.sqrt(SPECTRUM)) @ basis.T
        skew = rng.normal(size=(4, 4))
        turned = basis @ expm(0.03 * (skew - skew.T))
        right = np.linalg.qr(rng.normal(size=(4, 4)))[0]

        def start(scale: float) -> np.ndarray:
            sizes = np.append(scale * np.sqrt(SPECTRUM[:3] - TAU), SMALLEST)
            return turned @ np.diag(sizes) @ right.T

        goal = (np.sqrt(SPECTRUM[-1]) - MARGIN) ** 2
        scale: Any = brentq(lambda s: loss(start(s), root) - goal, 0.5, 1.0, xtol=1e-15)
        W0 = start(scale)
        u, s, vt = np.linalg.svd(W0)
        third = np.diag(s ** (1 / LAYERS))
        layers = np.stack([third @ vt, third, u @ third])

        def rate(_: float, flat: np.ndarray) -> np.ndarray:
            A, B, C = flat.reshape(3, 4, 4)
            G = gradient(C @ B @ A, root)
            return -np.stack([(C @ B).T @ G, C.T @ G @ A.T, G @ (B @ A).T]).ravel()

        times = np.linspace(0.0, 7.0, 281)
        solution = solve_ivp(
            rate, (0.0, 7.0), layers.ravel(), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14
        ).y.T.reshape(-1, 3, 4, 4)
        W = solution[:, 2] @ solution[:, 1] @ solution[:, 0]
        return {"t": times, "W": W, "loss": np.array([loss(w, root) for w in W]), "root": root}

    return case.once("bures flow", run)
