"""Whether hidden units without weights stay without: the one question that second derivatives leave open at kinks.

Where activations have degree one, in- and out-weights (a, b) of a unit that has none change the objective by a form of
second order that is bilinear on every piece, Σ_n s_n(a) (C_n·b) (J_n·a), where s_n is the slope on the side of J_n·a,
the change of its pre-activation on sample n. The multipliers hold it with ½ Σ |λ| (a² + b²). It grows where the form
exceeds them for some (a, b), and in few directions as soon as in many: descents from random states beside the point may
all come back. For one output b is a sign, and in units of √|λ| the largest growth is

    max_{|a| ≤ 1} v·a + Σ_n w_n (J_n·a)₊ = max { dist(u, Z₋) : u ∈ v + Z₊ },

Z± being the zonotopes of |w_n| J_n over the samples with w_n ≷ 0. The distance is convex in u, so that the corners of
Z₊ tell.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from scipy.optimize import lsq_linear

from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.lagrange_newton import Critical, held_pieces, kink_sides
from flowlab.discrete.critical.sphere_product import blocks
from flowlab.discrete.critical.symmetries import Symmetries

EMPTY = 1e-7
"""Units with weights below this share of the largest unit's have none; growth is beyond one where it is so by more."""
_ALL, _CORNERS, _DRAWN, _DESCENT, _TURNS = 12, 100_000, 4_000, 60, 8


@dataclass(frozen=True)
class Growth:
    """What the units without weights do.

    Attributes:
        largest: growth over the multiplier: beyond one such a unit leaves in some direction; 0 where there is none of
            them. It is never below one where another unit has weights: beside that one it may share them.
        exact: whether nothing larger exists (one output, and few enough samples to list every corner); else it was
            looked for.
        pairs: indices of the pairs of a unit and a sample that belong to such units.
    """

    largest: float
    exact: bool
    pairs: np.ndarray


def growth(con: Constrained, symmetries: Symmetries, end: Critical) -> Growth:
    """The largest growth of units without weights at a critical point; units of one hidden dimension are alike.

    Args:
        con: the constrained problem.
        symmetries: of its network.
        end: the critical point.
    """
    best, exact, pairs, rng = 0.0, True, [np.zeros(0, dtype=int)], np.random.default_rng(0)
    for dim in symmetries.dimensions:
        units, where = (dim.units(blocks(con.spheres.layout, row)) for row in (end.theta, np.arange(len(end.theta))))
        lengths = np.linalg.norm(units, axis=1)
        empty = np.flatnonzero(lengths <= EMPTY * lengths.max())
        if not con.bends or not len(empty):
            continue
        theta, slopes, near = _without(con, end, where[empty].ravel())
        J = held_pieces(con, theta, slopes, near)[4]
        # All pairs of such a unit are on their kink, also those that the search has put to one side.
        own = [near[np.abs(J[:, where[i]]).max(axis=1, initial=0.0) > 0] for i in empty]
        pairs += own
        if not len(own[0]):
            continue
        form = _form(con, end, where[empty[0]], own[0])
        if form is None:
            exact = False
            continue
        found, sure = form.largest(rng)
        best, exact = max(best, found), exact and sure
    return Growth(best, exact, np.unique(np.concatenate(pairs)))


@dataclass(frozen=True)
class _Form:
    """The form of second order of one unit, in units of √|λ|.

    Attributes:
        J: changes of pre-activations with a, (N, A).
        weights: of the part that switches, with every coordinate of b, (B, N).
        linear: of the part that does not, (B, A).
    """

    J: np.ndarray
    weights: np.ndarray
    linear: np.ndarray

    def largest(self, rng: np.random.Generator) -> tuple[float, bool]:
        """The largest growth, and whether there is none larger."""
        count = len(self.weights)
        if count == 1:
            both = [_farthest(self.J, s * self.weights[0], s * self.linear[0], rng) for s in (1.0, -1.0)]
            return max(g for g, _, _ in both), all(sure for _, _, sure in both)
        best = 0.0
        for b in [*np.eye(count), *(-np.eye(count)), *rng.normal(size=(_TURNS, count))]:
            now, b = -1.0, b / np.linalg.norm(b)
            while True:
                found, a, _ = _farthest(self.J, b @ self.weights, b @ self.linear, rng)
                if found <= now * (1.0 + 1e-9):
                    break
                turned = self.weights @ np.maximum(self.J @ a, 0.0) + self.linear @ a
                now, b = found, turned / max(float(np.linalg.norm(turned)), 1e-300)
            best = max(best, now)
        return best, False


def _without(con: Constrained, end: Critical, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The point with these coordinates zero, (P,), the slopes of all pairs there, and the pairs that are on
    their kink.
    """
    theta = end.theta.copy()
    theta[coordinates] = 0.0
    theta = con.spheres.project(theta)
    left, right = kink_sides(con)
    h = con.preactivations(theta)
    slopes = np.where(h > 0, right, left)
    slopes[end.bent] = end.slopes
    return theta, slopes, np.flatnonzero(h == 0.0)


def _form(con: Constrained, end: Critical, unit: np.ndarray, own: np.ndarray) -> _Form | None:
    """The form of a unit with these coordinates and pairs; None where the multipliers do not hold it, or there is more
    than such a form.
    """
    theta, slopes, _ = _without(con, end, unit)
    (left, right), kinks = kink_sides(con), own
    slopes[kinks] = left[kinks]
    base, H, _, _, J, _ = held_pieces(con, theta, slopes, kinks)
    into = np.abs(J[:, unit]).max(axis=0) > 0
    a, b = unit[into], unit[~into]
    held, small = -end.multipliers[con.spheres.owner], 1e-9 * con.measure(base)
    within = max(float(np.abs(H[np.ix_(part, part)]).max(initial=0.0)) for part in (a, b))
    if not len(b) or (held[unit] <= small).any() or within > small:
        return None
    J, weights, linear = J[:, a] / np.sqrt(held[a]), [], []
    for j in b:
        aside = theta.copy()
        aside[j] = 1.0
        # Exact: with a = 0 the unit gives nothing, so that ∂F/∂a is linear in b.
        g, _, S, *_ = held_pieces(con, aside, slopes, kinks)
        each = S[:, a] / np.sqrt(held[a])
        linear.append(-(g - base)[a] / np.sqrt(held[a] * held[j]))
        weights.append(-(right - left)[kinks] * (each * J).sum(axis=1) / (J * J).sum(axis=1) / np.sqrt(held[j]))
    return _Form(J, np.array(weights), np.array(linear))


def _farthest(J: np.ndarray, w: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray, bool]:
    """The largest v·a + Σ w_n (J_n·a)₊ over |a| ≤ 1, the a of it, and whether all corners were seen."""
    plus, minus = w[w > 0, None] * J[w > 0], -w[w < 0, None] * J[w < 0]
    sides, sure = _corners(plus, rng)
    u = v + sides @ plus
    shares = _near(u, minus)
    rest = u - shares @ minus
    # Any share of Z₋ bounds the distance from above; corners are solved for while their bound is above what was found.
    bounds, best, way = np.linalg.norm(rest, axis=1), 0.0, np.zeros(len(v))
    for k in np.argsort(-bounds, kind="stable"):
        if bounds[k] <= best:
            break
        off = u[k] - lsq_linear(minus.T, u[k], (0.0, 1.0), method="bvls", tol=1e-14).x @ minus if len(minus) else u[k]
        size = float(np.linalg.norm(off))
        if size > best:
            best, way = size, off / size
    return best, way, sure


def _near(u: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """Shares in [0, 1] of the generators with which Z₋ comes near every u, (M, N₋), by accelerated
    projected gradients.
    """
    shares = np.full((len(u), len(minus)), 0.5)
    if not len(minus):
        return shares
    gram, toward = minus @ minus.T, u @ minus.T
    step = 1.0 / max(float(np.linalg.norm(gram, 2)), 1e-300)
    ahead, t = shares, 1.0
    for _ in range(_DESCENT):
        new = np.clip(ahead - step * (ahead @ gram - toward), 0.0, 1.0)
        t, last = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t)), t
        ahead, shares = new + (last - 1.0) / t * (new - shares), new
    return shares


def _corners(generators: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Sides, 0 or 1 per generator, of every corner of their zonotope (and of other points of it), (M, N₊), and whether
    all are there.
    """
    count, dim = generators.shape
    if count <= _ALL:
        return ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(float), True
    basis = np.linalg.svd(generators, full_matrices=False)
    rank = int((basis[1] > 1e-9 * basis[1][0]).sum())
    points = generators @ basis[2][:rank].T
    if comb(count, rank - 1) * 2**rank > _CORNERS:
        drawn = rng.normal(size=(_DRAWN, dim)) @ generators.T > 0
        return np.unique(drawn, axis=0).astype(float), False
    # Moved a little, any `rank` of them are independent: then every cell has a ray on rank - 1 of the hyperplanes.
    points = points / np.linalg.norm(points, axis=1, keepdims=True) + 1e-7 * rng.normal(size=points.shape)
    sets = np.array(list(combinations(range(count), rank - 1)), dtype=int).reshape(-1, rank - 1)
    rays = np.linalg.svd(points[sets], full_matrices=True)[2][:, -1] if rank > 1 else np.ones((1, 1))
    above = rays @ points.T > 0
    corners = []
    for signs in (above, ~above):
        for bits in range(2 ** (rank - 1)):
            chosen = signs.copy()
            chosen[np.arange(len(sets))[:, None], sets] = (bits >> np.arange(rank - 1)) & 1
            corners.append(chosen)
    return np.unique(np.concatenate(corners), axis=0).astype(float), True
