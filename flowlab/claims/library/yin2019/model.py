"""The model: y(Z, v, w) = v^T 1[Z w > 0], Z Gaussian (m, n), labels of v*, w*; expectations in closed form, batched over the first axis."""

import numpy as np


def angle(w: np.ndarray, target: np.ndarray) -> np.ndarray:
    """θ between rows of w and the unit vector w*, (B,), by atan2: an arccos loses half of the digits at both ends."""
    along = w @ target
    return np.arctan2(np.linalg.norm(w - along[:, None] * target, axis=1), along)


def slope_v(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
    """f_v = (J v - ((1 - 2θ/π) I + 11^T) v*)/4, (B, m), with J = I + 11^T."""
    near = 1 - 2 * angle(w, ws) / np.pi
    return 0.25 * (v + v.sum(axis=1, keepdims=True) - near[:, None] * vs - vs.sum())


def slope_w(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
    """f_w = -(v v*)/(2π|w|) P w*/|P w*|, (B, n); not defined where w and w* are parallel."""
    length = np.linalg.norm(w, axis=1, keepdims=True)
    unit = w / length
    across = ws - (unit @ ws)[:, None] * unit
    return -(v @ vs)[:, None] / (2 * np.pi * length) * across / np.linalg.norm(across, axis=1, keepdims=True)


def coarse_relu(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
    """The expected coarse gradient with the slope of a ReLU, (B, n)."""
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    h = (v * v).sum(axis=1) + v.sum(axis=1) ** 2 - v.sum(axis=1) * vs.sum() + v @ vs
    both = unit + ws
    # cos(θ/2) is half of the length of the sum of the unit vectors, so that its direction times that needs no division.
    return (h / (2 * np.sqrt(2 * np.pi)))[:, None] * unit - (0.5 * (v @ vs) / np.sqrt(2 * np.pi))[:, None] * both


def coarse_identity(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
    """The expected coarse gradient with slope one, (B, n)."""
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    return ((v * v).sum(axis=1)[:, None] * unit - (v @ vs)[:, None] * ws) / np.sqrt(2 * np.pi)


def target(seed: int, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The pair v*, w*: |v*| = |w*| = 1, with (1 v*)^2 between a twentieth and a half, so that a spurious minimum exists and does not suit the identity."""
    rng = np.random.default_rng(seed)
    ws = rng.normal(size=n)
    while True:
        vs = rng.normal(size=m)
        vs /= np.linalg.norm(vs)
        if 0.05 < vs.sum() ** 2 < 0.5:
            return vs, ws / np.linalg.norm(ws)
