"""Which curves of critical points pass through a branch point, and what kind of point it is.

Near a point where the Hessian vanishes on a kernel N other curves leave along directions of N. They are looked for at a
small distance δ in N, away from the curve that is known: the gradient is to vanish, and the part of u - u* in N is to
have length δ. A kernel of one dimension has two such places; in a larger one, as equal eigenvalues and symmetries of
the network make it, places are drawn at random, and what no draw found is not excluded.
"""

from dataclasses import dataclass

import numpy as np

from flowlab.discrete.continuation.arclength import Crossing, Spot, newton, spot
from flowlab.discrete.continuation.parameter_families import Family

_ASIDE = (0.05, 0.02, 0.005, 0.0012)
_DRAWS = 8
_SAME = 1e-5
_RANK = 1e-8
"""Curvatures below this share of the largest do not move critical points; those of the kernel are located to about as
much.
"""


@dataclass(frozen=True)
class Departure:
    """A curve that leaves a branch point.

    Attributes:
        spot: a point of it near the branch point, its tangent leading away.
        offset: p - p* there, at distance δ from the branch point, and half as far away, `nearer`.
    """

    spot: Spot
    offset: float
    nearer: float

    @property
    def is_vertical(self) -> bool:
        """Whether the curve leaves without a change of the parameter."""
        return abs(self.offset) <= 1e-9

    @property
    def is_flat(self) -> bool:
        """Whether critical points at one parameter fill more than a curve."""
        return self.spot.nullity > self.is_vertical

    @property
    def order(self) -> float:
        """Power of the distance with which the parameter changes: 1 at a transcritical point, 2 at a pitchfork."""
        return float(np.log2(abs(self.offset) / abs(self.nearer))) if self.nearer else np.inf


def departures(family: Family, at: Crossing, rng: np.random.Generator) -> list[Departure]:
    """Curves through a branch point other than the one on which it was found; distinct modulo symmetry, of a flat set
    one.

    Args:
        family: the equations.
        at: the branch point.
        rng: draws places where the kernel has more than one dimension.
    """
    here, k = at.spot, at.kernel.shape[1]
    # The known curve leaves along its tangent: what of the kernel lies along it is taken out where it is alone.
    draws = (
        [np.ones(1), -np.ones(1)]
        if k == 1
        else _unit(np.vstack([np.eye(k), -np.eye(k), rng.normal(size=(_DRAWS * k, k))]))
    )
    stem = _stem(family, at)
    found: list[Departure] = []
    for n, alone in [(np.r_[at.kernel @ c, 0.0], k == 1) for c in draws] + [(stem, True), (-stem, True)]:
        way = n - (n @ here.along) * here.along
        if np.linalg.norm(way) < 1e-3:
            continue
        new = _departure(family, at, way / np.linalg.norm(way), alone)
        # Any draw finds another point of a flat set.
        if new is not None and not any(
            (new.is_flat and old.is_flat) or same(family, new.spot.u, new.spot.p, old.spot.u, old.spot.p)
            for old in found
        ):
            found.append(new)
    return found


def _stem(family: Family, at: Crossing) -> np.ndarray:
    """The direction across the kernel in which critical points move with the parameter, (P + 1,)."""
    here = at.spot
    B = family.basis(here.u)
    H, push = family.hessian(here.u, here.p, B), B.T @ family.slope(here.u, here.p)
    kernel = B.T @ at.kernel
    move = -np.linalg.pinv(H - kernel @ (kernel.T @ H), rcond=_RANK) @ push
    move -= kernel @ (kernel.T @ move)
    return _unit(np.r_[B @ move, 1.0])


def _departure(family: Family, at: Crossing, n: np.ndarray, alone: bool) -> Departure | None:
    """The curve that leaves along n, from the largest distance at which it is found, and half of that; anywhere in the
    kernel where n is not alone.
    """
    here = at.spot
    for delta in _ASIDE:
        one = _place(family, at, n, delta, alone)
        # In a kernel of more dimensions from the place that was found, or another curve might be met.
        back = n if one is None or alone else _unit(np.r_[one[0] - here.u, 0.0])
        half = _place(family, at, back, 0.5 * delta, alone) if one is not None else None
        if one is not None and half is not None:
            u, p, residual = one
            away = np.r_[u - here.u, p - here.p]
            return Departure(
                spot(family, u, p, residual, away / np.linalg.norm(away), 0.0), p - here.p, half[1] - here.p
            )
    return None


def _place(
    family: Family, at: Crossing, n: np.ndarray, delta: float, alone: bool
) -> tuple[np.ndarray, float, float] | None:
    """A zero at distance δ from the branch point: along n where it is alone, else anywhere on the sphere in
    the kernel.
    """
    here, kernel = at.spot, at.kernel

    def plane(u: np.ndarray, p: float) -> tuple[float, np.ndarray]:
        return float(n[:-1] @ (u - here.u) + n[-1] * (p - here.p)) - delta, n

    def sphere(u: np.ndarray, _: float) -> tuple[float, np.ndarray]:
        inside = kernel.T @ (u - here.u)
        size = max(float(np.linalg.norm(inside)), 1e-300)
        return size - delta, np.r_[kernel @ inside / size, 0.0]

    u, p = family.project(here.u + delta * n[:-1]), here.p + delta * n[-1]
    push = float(n[:-1] @ family.slope(u, p))
    if not alone and push:
        p -= float(np.clip(n[:-1] @ family.gradient(u, p) / push, -delta, delta))
    u, p, residual, _ = newton(family, u, p, plane if alone else sphere)
    away = float(np.hypot(np.linalg.norm(u - here.u), p - here.p))
    return (u, p, residual) if residual <= family.resolution(p) and 0.5 * delta <= away <= 4.0 * delta else None


def same(family: Family, u: np.ndarray, p: float, v: np.ndarray, q: float, near: float = _SAME) -> bool:
    """Whether two points are one modulo the symmetries of the network."""
    scale = near * (1.0 + float(np.linalg.norm(u)))
    return (
        abs(p - q) <= scale
        and bool(abs(np.linalg.norm(u) - np.linalg.norm(v)) <= scale)
        and family.symmetries.distance(u, v) <= scale
    )


def kind(at: Crossing, found: list[Departure]) -> str:
    """`"fold"`, `"jump"`, `"pitchfork"` (super-, subcritical or mixed), `"transcritical"`, `"vertical"`, or
    `"crossing"` where no other curve was found.

    Several of them joined by "and" where curves of both sorts leave.

    A pitchfork is supercritical where its branches have fewer unstable directions than the curve they leave has on the
    same side of the point. It is the same whether it is come upon along that curve or along a branch, which turns
    there.
    """
    if at.is_fold or at.is_jump:
        return "fold" if at.is_fold else "jump"
    if not found:
        return "crossing"
    leaning = [d for d in found if not d.is_vertical]
    words = ["vertical"] if len(leaning) < len(found) else []
    if at.turns:
        stems, others = [d for d in leaning if d.order < 1.5], [d for d in leaning if d.order >= 1.5]
        old = {float(np.sign(d.offset)): d.spot.index for d in stems}
        branches = [(at.turns, at.before), *((float(np.sign(d.offset)), d.spot.index) for d in others)]
        stable = [index < old[side] for side, index in branches if side in old]
        return " and ".join([*words, _pitchfork(stable)] if stable else words or ["crossing"])
    if leaning and min(d.order for d in leaning) < 1.5:
        words.append("transcritical")
    elif leaning:
        rising = bool(at.spot.along[-1] > 0)
        index = [at.after if (d.offset > 0) == rising else at.before for d in leaning]
        stable = [d.spot.index < old for d, old in zip(leaning, index, strict=True)]
        words.append(_pitchfork(stable))
    return " and ".join(words)


def _pitchfork(stable: list[bool]) -> str:
    return f"{'supercritical' if all(stable) else 'subcritical' if not any(stable) else 'mixed'} pitchfork"


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
