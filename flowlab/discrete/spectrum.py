"""The lowest eigenvalues of the Riemannian Hessian without forming it, for nets of any size.

Units that descents leave with one and the same weights make eigenvalues of the multiplicity of their number. A Krylov space of one vector holds one
vector of each eigenspace and meets the others through round-off alone. It serves while a few restarts are enough (ARPACK); where they are not,
whole blocks of vectors are taken, with restarts that keep the best (block Lanczos: Golub and Underwood 1977; thick restarts: Wu and Simon 2000).
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from flowlab.core.errors import LanguageError
from flowlab.discrete.constrained import Args, Constrained, objective
from flowlab.discrete.spheres import along, tangent

_GUARD = 4
"""Vectors in a block beyond those asked for."""
_BLOCKS, _KEPT = 9, 12
"""Blocks before a restart, and Ritz vectors beyond those asked for that outlive it."""
_RESTARTS = 60
_PATIENCE = 12
"""Restarts of one vector after which blocks are taken."""


def hessian_times(con: Constrained, theta: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """P(∂²F - diag λ)P v for every row v, (B, P), with P the projection on the tangent space at θ (eq. 1.11)."""
    return np.array(_times(con.args, con.spheres.per, theta, vectors))


def lowest(con: Constrained, theta: np.ndarray, count: int, *, seed: int = 0, tolerance: float = 1e-8) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues of the Riemannian Hessian, ascending, (count,), with their multiplicity, and their residuals ‖Hv - λv‖, (count,).

    Args:
        con: the constrained problem.
        theta: a row of directions, (P,).
        count: how many.
        seed: of the first vectors.
        tolerance: of the residuals, relative to the largest eigenvalue that is met. Where restarts do not reach it the residuals say so.

    Raises:
        LanguageError: for more than there are.
    """
    free = len(theta) - con.spheres.count
    if not 0 < count <= free:
        raise LanguageError(f"`count={count}` eigenvalues are asked for on a tangent space of {free} dimensions; use 1 to {free}.")
    alone = _by_one_vector(con, theta, count, seed, tolerance) if 4 * count < free else None
    return alone if alone is not None else _by_blocks(con, theta, count, seed, tolerance)


def _by_one_vector(con: Constrained, theta: np.ndarray, count: int, seed: int, tolerance: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Lanczos' method with implicit restarts; None where it does not converge in a few."""
    per, start = con.spheres.per, np.random.default_rng(seed).normal(size=len(theta))
    linear = _linear(con.args, per, theta)

    def inside(v: np.ndarray) -> np.ndarray:
        return np.array(_applied(linear, con.spheres.layout, per, theta, v))

    v = con.spheres.tangent(theta, start)
    size = 1.0
    for _ in range(12):
        v = inside(v / np.linalg.norm(v))
        size = float(np.linalg.norm(v))
    # Out of the way of what is looked for: normals get an eigenvalue above any of the tangent space.
    high = 20.0 * size + 1e-300

    def times(v: np.ndarray) -> np.ndarray:
        v = np.ravel(v)
        along_spheres = con.spheres.tangent(theta, v)
        return inside(along_spheres) + high * (v - along_spheres)

    # SciPy's constructors dispatch in a way that type checkers do not follow.
    made: Any = LinearOperator
    lanczos: Any = eigsh
    operator = made((len(theta), len(theta)), matvec=times, dtype=np.float64)
    try:
        values, vectors = lanczos(operator, k=count, which="SA", v0=start, tol=tolerance, ncv=min(len(theta) - 1, max(4 * count, 60)), maxiter=_PATIENCE)

        # Copies of a multiple eigenvalue that were passed over show as soon as those found are out of the way, and another vector is the first.
        def across(v: np.ndarray) -> np.ndarray:
            return times(v) + high * (vectors @ (vectors.T @ np.ravel(v)))

        other = np.random.default_rng(seed + 1).normal(size=len(theta))
        shifted = made((len(theta), len(theta)), matvec=across, dtype=np.float64)
        missed = lanczos(shifted, k=1, which="SA", v0=other, tol=1e-4, ncv=min(len(theta) - 1, 60), maxiter=_PATIENCE, return_eigenvectors=False)
    except ArpackNoConvergence:
        return None
    if missed[0] < values.max() - max(tolerance, 1e-10) * high:
        return None
    order = np.argsort(values)
    return values[order], np.array([float(np.linalg.norm(times(vectors[:, i]) - values[i] * vectors[:, i])) for i in order])


def _by_blocks(con: Constrained, theta: np.ndarray, count: int, seed: int, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    free = len(theta) - con.spheres.count
    block = min(count + _GUARD, free)
    room = min(free, max(_BLOCKS * block, count + _KEPT + 2 * block))
    basis, T = np.zeros((room, len(theta))), np.zeros((room, room))
    rng, size = np.random.default_rng(seed), 0
    fresh = _orthonormal(con, theta, rng.normal(size=(block, len(theta))), basis[:0], rng)
    values, off = np.zeros(count), np.full(count, np.inf)
    restarts = 0
    while True:
        new = slice(size, size + len(fresh))
        basis[new] = fresh
        size += len(fresh)
        image = hessian_times(con, theta, fresh)
        T[:size, new] = basis[:size] @ image.T
        T[new, :size] = T[:size, new].T
        ritz, S = np.linalg.eigh(0.5 * (T[:size, :size] + T[:size, :size].T))
        # What the image has outside of the space is all that Ritz vectors miss; it is the next block.
        rest = image - T[:size, new].T @ basis[:size]
        if size >= count:
            wide = rest.T @ S[new, :count]
            values, off = ritz[:count], np.linalg.norm(wide, axis=0)
            if off.max() <= tolerance * float(np.abs(ritz).max()) or size == free or restarts >= _RESTARTS:
                return values, off
        if size + block > room:
            keep = min(count + _KEPT, room - block)
            basis[:keep] = S[:, :keep].T @ basis[:size]
            T[:] = 0.0
            T[np.arange(keep), np.arange(keep)] = ritz[:keep]
            size, restarts = keep, restarts + 1
        fresh = _orthonormal(con, theta, rest, basis[:size], rng)[: free - size]


def _orthonormal(con: Constrained, theta: np.ndarray, rows: np.ndarray, basis: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Orthonormal tangent rows across the basis that span the given ones; a row that has nothing left is replaced by a random one."""
    for _ in range(3):
        rows = np.array([con.spheres.tangent(theta, row) for row in rows])
        rows -= rows @ basis.T @ basis
        sizes, Q = np.linalg.eigh(rows @ rows.T)
        weak = sizes <= 1e-20 * max(float(sizes[-1]), 1e-300)
        rows = (Q.T @ rows) / np.sqrt(np.where(weak, 1.0, sizes))[:, None]
        rows[weak] = rng.normal(size=(int(weak.sum()), rows.shape[1])) / np.sqrt(rows.shape[1])
    return rows


@eqx.filter_jit
def _times(args: Args, per: str, theta: Any, vectors: Any) -> Any:
    layout = args[1]
    full, times = jax.linearize(jax.grad(lambda t: objective(*args, t)), theta)
    lam = along(layout, per, theta, full)

    def one(v: Any) -> Any:
        inside = tangent(layout, per, theta, v)
        return tangent(layout, per, theta, times(inside) - lam * inside)

    # One after the other: together they are products of the same size with worse strides.
    return jax.lax.map(one, vectors)


@eqx.filter_jit
def _linear(args: Args, per: str, theta: Any) -> Any:
    """The second derivatives at θ as a map of its own, without what only depends on θ, and λ of every coordinate."""
    full, times = jax.linearize(jax.grad(lambda t: objective(*args, t)), theta)
    return times, along(args[1], per, theta, full)


@eqx.filter_jit
def _applied(linear: Any, layout: Any, per: str, theta: Any, v: Any) -> Any:
    times, lam = linear
    return tangent(layout, per, theta, times(v) - lam * v)
