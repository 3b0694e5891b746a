"""KKT points beside a state: from guesses of the support, with and without the pairs that rest on kinks, and uphill."""

import warnings

import numpy as np
from scipy.optimize import minimize

from flowlab.discrete.margin.activation_cells import climb
from flowlab.discrete.margin.kkt import Point, active_set, certify, curvature
from flowlab.discrete.margin.margin_constraints import System

SADDLE = 1e-6
"""Curvatures below this, relative to the margin, are roundings of zero."""
ROUGH = 1e-6
"""The largest residual of a point that a path is placed beside."""
CUTS = (30.0, 10.0, 3.0)
_SAME = 1e-8
_LOWER = 1e-6
"""Part of its margin by which a KKT point may lie below a state."""
_TRIES = 4
_NONE = np.zeros(0, dtype=int)
_LARGE, _MORE = 200, 60
"""The most weights for which the margin is climbed where Newton finds no maximum, and the Newton steps allowed after
that.
"""


def candidates(system: System, theta: np.ndarray, units: np.ndarray) -> list[Point]:
    """KKT points reached from several guesses of the support, the nearest first."""
    order = np.argsort(units)
    ranked = np.log1p(units[order])
    # A support has at most as many members as there are equations for its multipliers.
    most = min(len(units), len(theta) + 1)
    gap = int(np.argmax(np.diff(ranked)[:most])) + 1 if len(units) > 1 else 1
    guesses = [order[:gap], *(order[units[order] <= cut][:most] for cut in CUTS)]
    points: list[Point] = []

    resting = system.resting(theta)
    starts = [_NONE, resting] if len(resting) else [_NONE]

    def attempt(support: np.ndarray) -> None:
        support = np.sort(support)
        if len(support) and tuple(support) not in tried:
            tried.add(tuple(support))
            # A run that follows kinks has put pairs there; one that does not leaves them near.
            for bent in starts:
                enter(active_set(system, theta, support, bent))

    def enter(point: Point | None) -> None:
        if point is not None and not any(same(system, point, known) for known in points):
            points.append(point)

    tried: set[tuple[int, ...]] = set()
    for guess in guesses:
        attempt(guess)
    margins = system.margins(theta)
    if not any(curvature(system, p) <= SADDLE and uphill(p, margins) for p in points):
        found = climb(system, theta) or _ascend(system, theta)
        if found is not None:
            end, support, bent = found
            # From the path's own state first: where maxima are not isolated, the nearest is wanted.
            for start in (theta, end):
                system.budget += _MORE
                enter(active_set(system, start, support, bent))
            if not points:
                # Where Newton's method does not settle, as where multipliers are many, the program's own digits are
                # what there is.
                rough = certify(
                    system, Point(end, 0.0, support, -np.ones(len(support)), bent, np.zeros(len(bent)), np.inf)
                )
                enter(rough if rough.residual <= ROUGH else None)
    if points:
        first = min(points, key=lambda p: float(np.linalg.norm(p.theta - theta)))
        # Whether the least certain members belong is asked with and without them.
        weak = first.support[np.argsort(first.alpha)][: _TRIES // 2] if len(first.support) > 1 else []
        near = [n for n in order if n not in first.support and units[n] <= CUTS[0]][: _TRIES // 2]
        for n in weak:
            attempt(np.setdiff1d(first.support, n))
        for n in near:
            attempt(np.union1d(first.support, n))
    # The flow leaves saddles, and its margin grows, so that saddles and lower points come last.
    return sorted(
        points,
        key=lambda p: (curvature(system, p) > SADDLE, not uphill(p, margins), float(np.linalg.norm(p.theta - theta))),
    )


def uphill(point: Point, margins: np.ndarray) -> bool:
    """Whether a point has at least the margin of a state, up to what a late path's may fall."""
    return point.margin >= float(margins.min()) * (1.0 - _LOWER)


def _ascend(system: System, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """As `climb`, for any network with few weights: by descent of ½‖θ‖² subject to q ≥ 1 from the balanced state."""
    if len(theta) > _LARGE:
        return None
    degree = float(system.problem.network.symmetry.joint_degree or 1)
    multi = system.problem.network.symmetry.is_multihomogeneous
    start = theta * (np.sqrt(system.kappa / degree) if multi else 1.0)
    start = start / system.margins(start).min() ** (1.0 / degree)
    none, zero = np.zeros(0, dtype=int), np.zeros(len(system.pairs))
    binding = {
        "type": "ineq",
        "fun": lambda t: system.margins(t) - 1.0,
        "jac": lambda t: system.derivatives(t, zero, none, np.zeros(0))[1],
    }
    with warnings.catch_warnings():
        # A search may fail here: only what passes the certificate is used.
        warnings.simplefilter("ignore")
        found = minimize(
            lambda t: (t @ t / 2.0, t),
            start,
            jac=True,
            method="SLSQP",
            constraints=[binding],
            options={"maxiter": 60, "ftol": 1e-14},
        )
    if not np.isfinite(found.x).all():
        return None
    end = system.project(found.x)
    q = system.margins(end)
    return (end, np.flatnonzero(q <= q.min() * (1.0 + 1e-5)), _NONE) if q.min() > 0 else None


def same(system: System, a: Point, b: Point) -> bool:
    """Whether two points are one up to symmetries of the network, which leave all margins as they are."""
    return bool(np.abs(system.margins(a.theta) - system.margins(b.theta)).max() <= _SAME * a.margin)
