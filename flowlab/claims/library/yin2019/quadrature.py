"""Gaussian means of homogeneous functions of two projections, by quadrature over the angle in their plane."""

from math import gamma, pi

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
UNITS = {
    "step": (lambda z: (z > 0) * 1.0, 0),
    "relu": (lambda z: np.maximum(z, 0.0), 1),
    "identity": (lambda z: z, 1),
    "abs": (np.abs, 1),
    "one": (np.ones_like, 0),
}
"""Functions with their degrees; the slope of a ReLU is a step, that of the identity is one."""


def _circle(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (P, n) in the plane of a and b and their weights, with panels between the kinks."""
    u = a / np.linalg.norm(a)
    v = b - (b @ u) * u
    if np.linalg.norm(v) < 1e-9 * np.linalg.norm(b):
        v = np.eye(len(a))[np.argmin(np.abs(u))]
        v = v - (v @ u) * u
    basis = np.stack([u, v / np.linalg.norm(v)])
    kinks = [np.arctan2(*(basis @ z)[::-1]) + s * pi / 2 for z in (a, b) for s in (1, -1)]
    edges = np.sort(np.mod(kinks, 2 * pi))
    edges = np.append(edges, edges[0] + 2 * pi)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    angle, weight = (middle + half * _NODES).ravel(), (half * _WEIGHTS).ravel() / (2 * pi)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) @ basis, weight


def _radial(power: int) -> float:
    """E r^p of the radius in the plane."""
    return 2 ** (power / 2) * gamma(1 + power / 2)


def mean(one: str, a: np.ndarray, other: str, b: np.ndarray) -> float:
    """E σ(a·x) τ(b·x)."""
    x, weight = _circle(a, b)
    (f, p), (g, q) = UNITS[one], UNITS[other]
    return _radial(p + q) * float(weight @ (f(x @ a) * g(x @ b)))


def pull(one: str, a: np.ndarray, slope: str, b: np.ndarray) -> np.ndarray:
    """E σ(a·x) s(b·x) x, (n,)."""
    x, weight = _circle(a, b)
    (f, p), (g, q) = UNITS[one], UNITS[slope]
    return _radial(p + q + 1) * ((weight * f(x @ a) * g(x @ b)) @ x)


def coarse(slope: str, v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
    """The expected coarse gradient in w by its definition, (n,): every row of Z meets an error that has all of them."""
    alone = 0.5 * pull("one", w, slope, w)
    own, other = pull("step", w, slope, w), pull("step", ws, slope, w)
    apart = v.sum() ** 2 - v @ v - v.sum() * vs.sum() + v @ vs
    return (v @ v) * own - (v @ vs) * other + apart * alone


def loss(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> float:
    """The expected loss by its definition."""

    def product(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> float:
        return (mean("step", b, "step", d) - 0.25) * (a @ c) + 0.25 * a.sum() * c.sum()

    return product(v, w, v, w) / 2 - product(v, w, vs, ws) + product(vs, ws, vs, ws) / 2
