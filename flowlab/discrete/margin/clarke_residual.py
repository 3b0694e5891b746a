"""The least distance of a vector from a cone of subgradients, whose slopes at kinks are bounded by the one-sided ones.

A function with kinks has many gradients where units rest on them: one for every choice of a side at each. Non-negative
combinations of these, at all constraints, are a convex cone. It has far too many rays to write down, 2^m for m kinks on
one sample. So rays enter one by one: the next is that which grows most along what is left, and where none grows the
combination is the best of the whole cone (column generation, around the non-negative least squares of Lawson and Hanson
1974). With slopes s as numbers, the products u = λ s of a multiplier and a slope obey low·λ ≤ u ≤ high·λ.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import nnls

from flowlab.core.errors import RunFailed
from flowlab.discrete.margin.margin_constraints import System

_GAIN = 1e-10
"""A ray enters if its direction takes more than this part of what is left."""
_ROUNDS = 300
_EULER = 1e-6
"""Part of its degree by which a homogeneous function may miss θ·∂q = K q: gradients that underflow miss all of it."""
_PATTERNS = 8
"""Kinks on one sample for which all 2^8 choices of sides are tried, where kinked units feed kinked units."""


@dataclass(frozen=True)
class Nearest:
    """The best combination: `weights` of the constraints, (M,), and `left`, what remains of the target, (R,).

    `shares` are those of the rays that were used, (K,), and `tags` what came with these, (K, T).
    """

    weights: np.ndarray
    left: np.ndarray
    shares: np.ndarray
    tags: np.ndarray


Rays = tuple[np.ndarray, np.ndarray]
"""A ray of every constraint, (M, R), and numbers that stay with it, (M, T)."""


def nearest(target: np.ndarray, first: Rays, best: Callable[[np.ndarray], Rays]) -> Nearest:
    """The combination Σ share·ray with share ≥ 0 that is nearest to a target.

    Args:
        target: (R,).
        first: one ray of every constraint.
        best: for what is left, (R,), the ray of every constraint that has the largest product with it.

    Raises:
        RunFailed: if rays still enter after many rounds.
    """
    (rays, tags), count = first, len(first[0])
    owner = np.arange(count)
    before = rays, tags, owner
    shares, left, reached = np.zeros(count), target, np.inf
    for _ in range(_ROUNDS):
        found = _least(rays, target)
        rest = target - found @ rays
        size = float(np.linalg.norm(rest))
        # At roundings rays come and go without any gain.
        if not size < reached * (1.0 - 1e-12):
            rays, tags, owner = before
            break
        shares, left, reached, before = found, rest, size, (rays, tags, owner)
        if size <= 1e-15 * np.linalg.norm(target):
            break
        new, fresh = best(left)
        length = np.linalg.norm(new, axis=1)
        enters = np.flatnonzero(new @ left > _GAIN * length * np.linalg.norm(left))
        known = {(int(n), ray.tobytes()) for n, ray in zip(owner, rays, strict=True)}
        enters = np.array([n for n in enters if (int(n), new[n].tobytes()) not in known], dtype=int)
        if not len(enters):
            break
        keep = shares > 0
        rays, tags, owner = (
            np.vstack([rays[keep], new[enters]]),
            np.vstack([tags[keep], fresh[enters]]),
            np.r_[owner[keep], enters],
        )
    else:
        raise RunFailed(
            f"the nearest combination of {count} constraints was not found in {_ROUNDS} rounds; use fewer samples or"
            " units."
        )
    return Nearest(np.bincount(owner, shares, minlength=count), left, shares, tags)


def _least(rays: np.ndarray, target: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rays, axis=1)
    unit = rays / np.where(length > 0, length, 1.0)[:, None]
    shares = nnls(unit.T, target, maxiter=100 * (len(rays) + 1))[0]
    keep = shares > 0
    if keep.any():
        # nnls stops at its own tolerance; least squares on what it kept has all digits.
        sharp = lstsq(unit[keep].T, target, cond=1e-13)[0]  # pyright: ignore[reportOptionalSubscript]
        if sharp.min() >= 0:
            shares[keep] = sharp
    return np.where(length > 0, shares / np.where(length > 0, length, 1.0), 0.0)


def subgradients(
    system: System, theta: np.ndarray, weight: np.ndarray
) -> tuple[Rays, Callable[[np.ndarray], Rays], bool]:
    """Rays of the constraints' subgradients at θ for `nearest`: the first ones, the best ones, and whether the best are
    sure to be.

    Every unit that rests on its kink has, for each constraint of its own, any slope between the two one-sided ones.
    Where kinked units feed kinked units, gradients hold products of slopes, and the rays are the gradients of the
    pieces.

    Args:
        system: the constraints.
        theta: weights in a row, (P,).
        weight: one more entry for the rays of every constraint, (M,).
    """
    resting = np.zeros(system.bends)
    resting[system.resting(theta)] = 1.0
    bent = system.local(resting) > 0
    low, high = np.broadcast_to(system.low, bent.shape), np.broadcast_to(system.high, bent.shape)
    middle = np.where(bent, (low + high) / 2.0, np.nan)
    layers = [np.flatnonzero(system.slot == s) for s in np.unique(system.slot[bent.any(axis=0)])] if bent.any() else []
    most = int(bent.sum(axis=1).max(initial=0))
    patterns = _patterns(bent, low, high, most) if len(layers) > 1 and most <= _PATTERNS else []

    def rays(slopes: np.ndarray) -> Rays:
        return np.hstack([system.pieces(theta, slopes), weight[:, None]]), slopes

    every = np.array([rays(slopes)[0] for slopes in patterns])

    def best(left: np.ndarray) -> Rays:
        if len(every):
            at = np.argmax(every @ left, axis=0), np.arange(len(bent))
            return every[at], np.array(patterns)[at]
        # Within one layer slopes add up, so each has its best side; of several layers one after another is improved.
        slopes = middle.copy()
        for _ in range(2 if len(layers) > 1 else 1):
            for layer in layers:
                gain = system.leverage(theta, left[:-1], slopes)[:, layer]
                slopes[:, layer] = np.where(bent[:, layer], np.where(gain > 0, high[:, layer], low[:, layer]), np.nan)
        return rays(slopes)

    return rays(middle), best, len(layers) < 2 or len(every) > 0


def _patterns(bent: np.ndarray, low: np.ndarray, high: np.ndarray, most: int) -> list[np.ndarray]:
    """All choices of sides, (M, U) each: the k-th kink of every constraint is on the side of the k-th bit."""
    place = np.cumsum(bent, axis=1) - 1
    return [
        np.where(bent, np.where((code >> np.where(bent, place, 0)) & 1, high, low), np.nan) for code in range(2**most)
    ]


@dataclass(frozen=True)
class Stationarity:
    """How far a direction is from a KKT point on the joint sphere: see `flowlab.discrete.margin.max_margin.LyuLi`.

    `multipliers` are those of min ½‖θ‖² over ‖θ‖², (M,), with which nothing depends on the sizes of weights and inputs.
    """

    epsilon: float
    delta: float
    multipliers: np.ndarray
    exact: bool


def stationarity(system: System, theta: np.ndarray) -> Stationarity:
    """Residuals of a direction with positive margins, (P,), of any norm.

    Raises:
        RunFailed: if margins are not positive, or gradients are lost below the range of float64.
    """
    top = float(np.abs(theta).max(initial=0.0))
    unit = theta / top if np.isfinite(top) and top > 0 else theta
    unit = unit / np.linalg.norm(unit) if top > 0 else unit
    q = system.margins(unit)
    low = float(q.min(initial=np.inf)) if len(q) else np.nan
    if not (np.isfinite(q).all() and 0 < low < np.inf):
        raise RunFailed(f"the state must separate the data, got the margin {low:.3g}; use a later one.")
    # The gradients per margin of all constraints at θ, and what complementarity costs.
    (rays, slopes), best, exact = subgradients(system, unit, q - low)
    degree = float(system.problem.network.symmetry.joint_degree or 1)
    if not np.abs(rays[:, :-1] @ unit - degree * q).max() <= _EULER * degree * float(q.max()):
        raise RunFailed(
            f"gradients of margins of {low:.3g} leave the range of float64; scale the inputs to sizes near one."
        )

    def scaled(left: np.ndarray) -> Rays:
        ray, tags = best(left)
        return ray / low, tags

    found = nearest(np.r_[unit, 0.0], (rays / low, slopes), scaled)
    delta = float(found.weights @ (q / low - 1.0))
    return Stationarity(float(np.linalg.norm(found.left[:-1])), delta, found.weights, exact)
