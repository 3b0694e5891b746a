"""Searches for critical points of a given index, many at once: modified Newton steps up some eigenvectors and down the
others.

A step goes up the k lowest eigenvectors of the Riemannian Hessian and down the others, so that saddles of index k
attract (A. Banerjee, N. Adams, J. Simons, R. Shepard, "Search for stationary points on surfaces", 1985). What has not
come to rest then goes to the next zero of the gradient, of any index, by Levenberg steps.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from flowlab.core.typing import Array
from flowlab.discrete.critical.constrained_problem import Constrained, Objective
from flowlab.discrete.critical.critical_point import CriticalPoint
from flowlab.discrete.critical.signed_permutations import Images

BATCH = 64
"""Searches that are compiled for together."""
_FEW = 8
"""Fewer searches are not worth a compilation."""
_GUIDED, _FREE = 40, 60
"""Steps of either sort; quadratic convergence needs some ten from nearby."""
_LONGEST, _DAMPED = 0.3, 1e-2
"""Steps are no longer (radians, all spheres together), and shorter along eigenvectors whose curvature is small beside
the gradient.
"""
_ARRIVED = 1e-9
_ASIDE, _BETWEEN = (0.2, 1.0), (0.3, 0.7)
"""How far beside a known point (radians), and where between two."""


class Ends(NamedTuple):
    """Where searches ended that arrived: rows (B, P), objectives (B,), and eigenvalues of the Riemannian Hessian,
    ascending, (B, P - K).
    """

    rows: np.ndarray
    values: np.ndarray
    eigenvalues: np.ndarray


def saddles(con: Constrained, rows: np.ndarray, index: np.ndarray) -> Ends:
    """Critical points that searches for points of an index end at.

    Args:
        con: the constrained problem, without kinks.
        rows: where searches begin, (B, P).
        index: which index each looks for, (B,); negative for any.
    """
    rows, damping = rows.copy(), np.full(len(rows), _DAMPED)
    parts = _parts(con, rows)
    guided = index >= 0
    for k in range(_GUIDED + _FREE):
        active = parts.residuals > 0.01 * _ARRIVED
        if not active.any():
            break
        up = np.arange(parts.eigenvalues.shape[1]) < index[:, None]
        led = guided & (k < _GUIDED)
        size = np.abs(parts.eigenvalues)
        turned = np.where(np.asarray(led)[:, None], np.where(up, -size, size), parts.eigenvalues)
        length = np.linalg.norm(parts.slopes, axis=1)
        damped = size**2 + (np.where(led, _DAMPED, damping) * length * size.max(axis=1, initial=0.0))[:, None]
        steps = np.einsum("bpm,bm->bp", parts.vectors, -parts.slopes * turned / np.maximum(damped, 1e-300))
        steps *= np.minimum(1.0, _LONGEST / np.maximum(np.linalg.norm(steps, axis=1), 1e-300))[:, None]
        moved = con.spheres.project(rows + np.where(active[:, None], steps, 0.0))
        there = _parts(con, moved)
        ok: np.ndarray = np.isfinite(there.residuals) & (led | (there.residuals < parts.residuals)) & active
        damping = np.clip(np.where(led, damping, np.where(ok, 0.2 * damping, 4.0 * damping)), 1e-12, 1e12)
        rows = np.where(ok[:, None], moved, rows)
        parts = _Parts(
            *(np.where(ok.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(there, parts, strict=True))
        )
    done = parts.residuals <= _ARRIVED
    return Ends(rows[done], parts.values[done], parts.eigenvalues[done])


def begins(
    con: Constrained, images: Images, known: list[CriticalPoint], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where searches begin, (count, P), and the index that each looks for, (count,).

    A quarter each at random; at random among what a symmetry leaves fixed, where saddles lie that few other searches
    meet (R. Palais, "The principle of symmetric criticality", 1979); beside known points; and between two of them, one
    of them replaced by an image.
    """
    spheres, top = con.spheres, len(con.spheres.owner) - con.spheres.count
    at = [spheres.row(p.state.V) for p in known]
    rows, index = [], []
    for k in range(count):
        row, wanted = con.random(rng), int(rng.integers(-1, top + 1))
        way = k % 4 if known else k % 2
        if way == 1:
            row = images.fixed(row, rng)
        elif way == 2:
            i = int(rng.integers(len(known)))
            aside = spheres.tangent(at[i], rng.normal(size=len(row)))
            row, wanted = (
                at[i] + rng.uniform(*_ASIDE) / np.linalg.norm(aside) * aside,
                known[i].index + int(rng.integers(-1, 2)),
            )
        elif way == 3:
            i, j = (int(i) for i in rng.integers(len(known), size=2))
            share = rng.uniform(*_BETWEEN)
            row, wanted = (
                share * at[i] + (1.0 - share) * images.moved(at[j], rng),
                known[(i, j)[int(rng.integers(2))]].index + int(rng.integers(-1, 2)),
            )
        # What cancels on a sphere has no direction there.
        rows.append(spheres.project(row) if (spheres.squares(row, row) > 1e-6).all() else con.random(rng))
        index.append(min(max(wanted, -1), top))
    return np.array(rows), np.array(index)


class _Parts(NamedTuple):
    values: np.ndarray
    residuals: np.ndarray
    slopes: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray


def _parts(con: Constrained, rows: np.ndarray) -> _Parts:
    """Objectives, residuals, and gradients along the eigenvectors of the Riemannian Hessians."""
    values, g, H = (np.asarray(a) for a in _second(con, rows))
    spheres = con.spheres
    basis = spheres.basis(rows)
    lam = spheres.spread(spheres.squares(rows, g))
    M = np.swapaxes(basis, 1, 2) @ (H @ basis - lam[:, :, None] * basis)
    bad = np.asarray(~np.isfinite(M).all(axis=(1, 2)))
    M[bad] = 0.0
    sizes, turns = np.linalg.eigh(0.5 * (M + np.swapaxes(M, 1, 2)))
    vectors = basis @ turns
    slopes = np.einsum("bpm,bp->bm", vectors, np.where(bad[:, None], 0.0, g))
    measure = np.maximum(np.linalg.norm(g, axis=1), max(1e-3 * con.typical, 1e-300))
    residuals = np.where(bad, np.inf, np.linalg.norm(slopes, axis=1) / measure)
    return _Parts(values, residuals, slopes, sizes, vectors)


def _second(con: Constrained, rows: np.ndarray) -> Any:
    """Objective, gradient and second derivatives of many rows; in batches of one size, so that one program serves them
    all.
    """
    if len(rows) < _FEW:
        return [con.value(t) for t in rows], [con.gradient(t) for t in rows], [con.hessian(t) for t in rows]
    found = []
    for first in range(0, len(rows), BATCH):
        part = rows[first : first + BATCH]
        padded = np.vstack([part, np.repeat(part[-1:], BATCH - len(part), axis=0)])
        found.append([np.asarray(a)[: len(part)] for a in _batch(con.objective, padded)])
    return [np.concatenate(a) for a in zip(*found, strict=True)]


@eqx.filter_jit
def _batch(objective: Objective, rows: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    def one(theta: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        value, g = jax.value_and_grad(objective)(theta)
        return value, g, jax.hessian(objective)(theta)

    return jax.vmap(one)(rows)
