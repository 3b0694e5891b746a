"""The lowest eigenvalues of the Riemannian Hessian without forming it, for nets of any size.

Units that descents leave with one and the same weights make eigenvalues of the multiplicity of their number. A Krylov
space of one vector holds one vector of each eigenspace and meets the others through round-off alone. Swaps of such
units then make the others from it, and a search across all that was found tells whether any is still missing. Where
that does not come to an end in a few restarts (ARPACK), whole blocks of vectors are taken, with restarts that keep the
best (block Lanczos: Golub and Underwood 1977; thick restarts: Wu and Simon 2000).
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from flowlab.core.arguments import must_be
from flowlab.core.typing import Array
from flowlab.discrete.critical.constrained_problem import Constrained, Objective
from flowlab.discrete.critical.sphere_product import Layout, along, tangent

_GUARD = 4
"""Vectors in a block beyond those asked for."""
_BLOCKS, _SPARE = 9, 12
"""Blocks before a restart, and Ritz vectors beyond those asked for that outlive it."""
_RESTARTS = 60
_PATIENCE = 20
"""Restarts of one search by one vector."""
_ROUNDS, _FEW = 12, 3
"""Searches by one vector after which blocks are taken, and eigenvalues that one looks for where each is there many
times.
"""
_CHECK = 1e-4
"""Tolerance of the search for what was passed over: an eigenvalue that is by this share of the largest below the last
one told is not missed.
"""
_COPY = 1e-3
"""What an image of a unit eigenvector has to have outside of the span to be a copy; less is the inaccuracy of what it
was made from.
"""


def hessian_times(con: Constrained, theta: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """P(∂²F - diag λ)P v for every row v, (B, P), with P the projection on the tangent space at θ (eq. 1.11)."""
    return np.array(_times(con.objective, con.spheres.per, theta, vectors))


def lowest(
    con: Constrained, theta: np.ndarray, count: int, *, seed: int = 0, tolerance: float = 1e-8
) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues of the Riemannian Hessian, ascending, (count,), with their multiplicity, and their
    residuals ‖Hv - λv‖, (count,).

    Args:
        con: the constrained problem.
        theta: a row of directions, (P,).
        count: how many.
        seed: of the first vectors.
        tolerance: of the residuals, relative to the largest eigenvalue that is met. Where restarts do not reach it the
            residuals say so.

    Raises:
        LanguageError: for more than there are.
    """
    free = len(theta) - con.spheres.count
    if not 0 < count <= free:
        raise must_be("count", count, f"an integer from 1 to {free}, the dimension of the tangent space", "fewer")
    alone = _by_one_vector(con, theta, count, seed, tolerance) if 4 * count < free else None
    return alone if alone is not None else _by_blocks(con, theta, count, seed, tolerance)


def _by_one_vector(
    con: Constrained, theta: np.ndarray, count: int, seed: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Lanczos' method with implicit restarts, and copies by symmetry; None where it does not come to an end in a few
    rounds.
    """
    operator = _Operator(con, theta, seed)
    symmetries = con.symmetries
    groups = symmetries.alike(theta)
    rng = np.random.default_rng(seed)
    vectors = np.zeros((0, len(theta)))
    start, searched = rng.normal(size=len(theta)), 0
    # Where most units are alike most eigenvalues are there many times, and few searches are enough; those without
    # weights share one that is rarely low.
    copies = sum(len(where) for where, _ in groups if np.linalg.norm(theta[where]) > 1e-6 * np.linalg.norm(theta))
    want = _FEW if copies > 0.5 * sum(dim.size for dim in symmetries.dimensions) else count
    for _ in range(_ROUNDS):
        new = operator.lanczos(want, start, tolerance, max(4 * want, 60), vectors)
        if not len(new):
            return None
        values, vectors, off = _refined(operator, groups, np.vstack([new, vectors]), count, rng)
        start, searched = rng.normal(size=len(theta)), searched + len(new)
        # As many eigenvectors more as copies of those found so far leave open.
        want = max(1, -(-(count - len(values)) * searched // len(values)))
        if len(values) == count:
            # What was passed over shows as soon as what was found is out of the way, and another vector is the first.
            missed = operator.lanczos(1, start, max(tolerance, _CHECK), 60, vectors)
            if not len(missed):
                return None
            if missed[0] @ operator.inside(missed[0]) >= values[-1] - max(tolerance, 1e-10) * operator.size:
                return values, off
            start = missed[0]
    return None


class _Operator:
    """The Hessian on rows, with an eigenvalue for normals that is out of the way, moved down so that the least
    eigenvalues are among the largest in size.
    """

    def __init__(self, con: Constrained, theta: np.ndarray, seed: int) -> None:
        self.con, self.theta = con, theta
        self.linear = _linear(con.objective, con.spheres.per, theta)
        v = con.spheres.tangent(theta, np.random.default_rng(seed).normal(size=len(theta)))
        self.size = 0.0
        for _ in range(12):
            v = self.inside(v / np.linalg.norm(v))
            self.size = float(np.linalg.norm(v))
        self.size += 1e-300

    def inside(self, v: np.ndarray) -> np.ndarray:
        """P(∂²F - diag λ)P v for v in the tangent space."""
        return np.array(_applied(self.linear, self.con.spheres.layout, self.con.spheres.per, self.theta, v))

    def lanczos(self, count: int, start: np.ndarray, tolerance: float, room: int, others: np.ndarray) -> np.ndarray:
        """Unit rows of the `count` least eigenvalues across given rows, to a residual of the tolerance times the
        largest eigenvalue; those that converge.
        """

        def tangent(v: np.ndarray) -> np.ndarray:
            v = self.con.spheres.tangent(self.theta, v)
            return v - others.T @ (others @ v)

        def times(v: np.ndarray) -> np.ndarray:
            v = np.ravel(v)
            along_spheres = tangent(v)
            return (
                tangent(self.inside(along_spheres)) - self.size * along_spheres + 20.0 * self.size * (v - along_spheres)
            )

        # SciPy's constructors dispatch in a way that type checkers do not follow.
        made: Any = LinearOperator
        solve: Any = eigsh
        n = len(self.theta)
        operator = made((n, n), matvec=times, dtype=np.float64)
        try:
            found = solve(
                operator, k=count, which="SA", v0=tangent(start), tol=tolerance, ncv=min(n - 1, room), maxiter=_PATIENCE
            )
        except ArpackNoConvergence as stopped:
            found = stopped.eigenvalues, stopped.eigenvectors
        return found[1].T


def _refined(
    operator: _Operator,
    groups: Sequence[tuple[np.ndarray, np.ndarray]],
    found: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `count` least Ritz values, Ritz vectors and residuals of the span of rows and of their images under swaps of
    units that are alike.

    Such swaps leave θ where it is, so they take eigenvectors to eigenvectors of the same eigenvalue: one of each is
    enough to have them all.
    """
    basis = np.zeros((0, found.shape[1]))
    most = min(count, sum(len(where) - 1 for where, _ in groups))
    for k in np.argsort([row @ operator.inside(row) for row in found]):
        images = np.array([found[k], *(_swapped(found[k], groups, rng) for _ in range(min(most, 1)))])
        if np.linalg.norm(images[-1] - (images[-1] @ found[k]) * found[k]) > _COPY:
            images = np.vstack([images, *(_swapped(found[k], groups, rng) for _ in range(most - 1))])
        images -= images @ basis.T @ basis
        sizes, Q = np.linalg.eigh(images @ images.T)
        some = sizes > _COPY**2
        fresh = (Q[:, some].T @ images) / np.sqrt(sizes[some])[:, None]
        basis = np.vstack([basis, fresh])
        if len(basis) >= 2 * count:
            break
    basis = np.linalg.qr(basis.T)[0].T
    image = np.array([operator.inside(row) for row in basis])
    values, S = np.linalg.eigh(0.5 * (basis @ image.T + image @ basis.T))
    values, S = values[:count], S[:, :count]
    vectors = S.T @ basis
    return values, vectors, np.linalg.norm(S.T @ image - values[:, None] * vectors, axis=1)


def _swapped(row: np.ndarray, groups: Sequence[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> np.ndarray:
    """A row after units that are alike were permuted at random."""
    out = row.copy()
    for where, signs in groups:
        order = rng.permutation(len(where))
        out[where] = signs * (signs * out[where])[order]
    return out


def _by_blocks(
    con: Constrained, theta: np.ndarray, count: int, seed: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    free = len(theta) - con.spheres.count
    block = min(count + _GUARD, free)
    room = min(free, max(_BLOCKS * block, count + _SPARE + 2 * block))
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
            keep = min(count + _SPARE, room - block)
            basis[:keep] = S[:, :keep].T @ basis[:size]
            T[:] = 0.0
            T[np.arange(keep), np.arange(keep)] = ritz[:keep]
            size, restarts = keep, restarts + 1
        fresh = _orthonormal(con, theta, rest, basis[:size], rng)[: free - size]


def _orthonormal(
    con: Constrained, theta: np.ndarray, rows: np.ndarray, basis: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Orthonormal tangent rows across the basis that span the given ones; a row that has nothing left is replaced by a
    random one.
    """
    for _ in range(3):
        rows = np.array([con.spheres.tangent(theta, row) for row in rows])
        rows -= rows @ basis.T @ basis
        sizes, Q = np.linalg.eigh(rows @ rows.T)
        weak = sizes <= 1e-20 * max(float(sizes[-1]), 1e-300)
        rows = (Q.T @ rows) / np.sqrt(np.where(weak, 1.0, sizes))[:, None]
        rows[weak] = rng.normal(size=(int(weak.sum()), rows.shape[1])) / np.sqrt(rows.shape[1])
    return rows


@eqx.filter_jit
def _times(objective: Objective, per: str, theta: Array, vectors: Array) -> Array:
    layout = objective.layout
    full, times = jax.linearize(jax.grad(objective), theta)
    lam = along(layout, per, theta, full)

    def one(v: Array) -> Array:
        inside = tangent(layout, per, theta, v)
        return tangent(layout, per, theta, times(inside) - lam * inside)

    # One after the other: together they are products of the same size with worse strides.
    return jax.lax.map(one, vectors)


@eqx.filter_jit
def _linear(objective: Objective, per: str, theta: Array) -> tuple[Callable[[Array], Array], Array]:
    """The second derivatives at θ as a map of its own, without what only depends on θ, and λ of every coordinate."""
    full, times = jax.linearize(jax.grad(objective), theta)
    return times, along(objective.layout, per, theta, full)


@eqx.filter_jit
def _applied(linear: tuple[Callable[[Array], Array], Array], layout: Layout, per: str, theta: Array, v: Array) -> Array:
    times, lam = linear
    return tangent(layout, per, theta, times(v) - lam * v)
