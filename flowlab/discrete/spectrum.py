"""The lowest eigenvalues of the Riemannian Hessian without forming it, for nets of any size."""

from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from flowlab.discrete.constrained import Constrained


def hessian_operator(con: Constrained, theta: np.ndarray) -> Any:
    """The map v ↦ P(∂²F - diag λ)P v with P the projection on the tangent space, (P, P); normals are mapped to a large multiple of themselves."""
    spheres = con.spheres
    lam = spheres.spread(spheres.squares(theta, con.gradient(theta)))
    # Out of the way of what is looked for: the normals get an eigenvalue above any of the tangent space.
    high = 10.0 * _largest(con, theta, lam)

    def times(v: np.ndarray) -> np.ndarray:
        v = np.ravel(v)
        inside = spheres.tangent(theta, v)
        return spheres.tangent(theta, con.times(theta, inside) - lam * inside) + high * (v - inside)

    # SciPy's constructor dispatches in a way that type checkers do not follow.
    made: Any = LinearOperator
    return made((len(theta), len(theta)), matvec=times, dtype=np.float64)


def lowest(con: Constrained, theta: np.ndarray, count: int, *, seed: int = 0, tolerance: float = 1e-8) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues of the Riemannian Hessian (eq. 1.11) by Lanczos' method, ascending, (count,), and their residuals ‖Hv - λv‖, (count,).

    Args:
        con: the constrained problem.
        theta: a row of directions, (P,).
        count: how many; fewer than P - 1.
        seed: of the first vector.
        tolerance: of the eigenvalues, relative to the largest one.
    """
    operator = hessian_operator(con, theta)
    first = np.random.default_rng(seed).normal(size=len(theta))
    lanczos: Any = eigsh
    values, vectors = lanczos(operator, k=count, which="SA", v0=first, tol=tolerance, ncv=min(len(theta) - 1, max(4 * count, 60)))
    order = np.argsort(values)
    off = [float(np.linalg.norm(operator @ vectors[:, i] - values[i] * vectors[:, i])) for i in order]
    return values[order], np.array(off)


def _largest(con: Constrained, theta: np.ndarray, lam: np.ndarray) -> float:
    """A bound on the size of the tangent Hessian, by a few steps of the power method."""
    v = con.spheres.tangent(theta, np.random.default_rng(0).normal(size=len(theta)))
    size = 1.0
    for _ in range(12):
        v = v / np.linalg.norm(v)
        v = con.spheres.tangent(theta, con.times(theta, v) - lam * v)
        size = float(np.linalg.norm(v))
    return 2.0 * size + 1e-300
