"""Gaussian means of functions of two projections, by quadrature over the plane that both vectors span.

Nothing here knows closed forms: radius and angle are integrated by Gauss and Legendre on panels between the kinks.
"""

import math

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_RADII = np.linspace(0.0, 11.0, 12)
"""Panels of the radius; beyond 11 the density is 1e-27."""
ERF = np.vectorize(math.erf, otypes=[float])
FUNCTIONS = {
    "step": (lambda z: (z > 0) * 1.0, None),
    "sign": (np.sign, None),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0) * 1.0),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "abs": (np.abs, np.sign),
    "identity": (lambda z: z, np.ones_like),
    "erf": (ERF, lambda z: 2 / np.sqrt(np.pi) * np.exp(-z * z)),
    "square": (np.square, lambda z: 2 * z),
}
"""Units and their slopes; a step has none that is a function."""


def panels(edges):
    """Nodes and weights between neighbouring edges."""
    edges = np.asarray(edges)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (middle + half * _NODES).ravel(), (half * _WEIGHTS).ravel()


def plane(a, b):
    """Two orthonormal vectors, (2, n), whose span has both a and b."""
    u = a / np.linalg.norm(a)
    v = b - (b @ u) * u
    if np.linalg.norm(v) < 1e-9 * np.linalg.norm(b):
        v = np.eye(len(a))[np.argmin(np.abs(u))]
        v = v - (v @ u) * u
    return np.stack([u, v / np.linalg.norm(v)])


def points(a, b):
    """Points (P, n) in the plane of a and b, and their weights (P,)."""
    basis = plane(a, b)
    kinks = [np.arctan2(*(basis @ w)[::-1]) + s * np.pi / 2 for w in (a, b) for s in (1, -1)]
    edges = np.sort(np.mod(kinks, 2 * np.pi))
    edges = np.concatenate([edges, [edges[0] + 2 * np.pi]])
    # Halved twice: an erf turns fast where it is steep.
    for _ in range(2):
        edges = np.sort(np.concatenate([edges, (edges[1:] + edges[:-1]) / 2]))
    angle, of_angle = panels(edges)
    radius, of_radius = panels(_RADII)
    flat = radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    weight = (of_radius * radius * np.exp(-(radius**2) / 2))[:, None] * of_angle / (2 * np.pi)
    return flat.reshape(-1, 2) @ basis, weight.ravel()


def mean(one, a, other, b):
    """E σ(a·x) τ(b·x)."""
    x, weight = points(a, b)
    # By numpy's pairwise sum: a dot product adds in an order of its own and loses two digits on some machines.
    return float(np.sum(weight * FUNCTIONS[one][0](x @ a) * FUNCTIONS[other][0](x @ b)))


def pull(one, a, other, b):
    """E σ(a·x) τ'(b·x) x, (n,)."""
    x, weight = points(a, b)
    return (weight * FUNCTIONS[one][0](x @ a) * FUNCTIONS[other][1](x @ b)) @ x
