"""The model: y(Z, v, w) = v^T 1[Z w > 0], Z Gaussian (m, n), labels of v*, w*; expectations in closed form, batched
over the first axis.
"""

from collections.abc import Callable

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


def target(seed: int, m: int, n: int, square: float) -> tuple[np.ndarray, np.ndarray]:
    """Random unit vectors v*, w* with (1 v*)^2 = square, at most m."""
    rng = np.random.default_rng(seed)
    ws, across = rng.normal(size=n), rng.normal(size=m)
    across -= across.mean()
    share = square / m
    vs = np.sqrt(share) * np.full(m, 1 / np.sqrt(m)) + np.sqrt(1 - share) * across / np.linalg.norm(across)
    return vs, ws / np.linalg.norm(ws)


def resting_angles(m: int, square: float) -> np.ndarray:
    """Mean cosines c < 1 of w and w* at which the identity's descent slides along w = 0, in rising order; none where it
    cannot.

    There v = J^-1 (c I + 11^T) v*, and c |v|^2 = v v* for the mean of w to rest. With a = (1 v*)^2/(m + 1) and |v*| = 1
    that is (c - 1) times a quadratic: v v* = c (1 - a) + a and |v|^2 = c^2 (1 - a (m + 2)/(m + 1)) + (2 c + m) a/(m +
    1).
    """
    a, k = square / (m + 1), 1.0 / (m + 1)
    cubic = np.array([1 - a * (m + 2) * k, 2 * a * k, m * a * k - (1 - a), -a])
    quadratic = np.polydiv(cubic, np.array([1.0, -1.0]))[0]
    roots = np.roots(quadratic)
    return np.sort(roots.real[(np.abs(roots.imag) < 1e-12) & (np.abs(roots) < 1)])


Rule = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
