"""One curve of critical points from a point on to its end, and where it passes a parameter."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from flowlab.discrete.continuation.arclength import Crossing, Spot, at_parameter, crossings, follow, spot
from flowlab.discrete.continuation.bifurcations import same
from flowlab.discrete.continuation.parameter_families import Family

_UPRIGHT, _FAR = 3.0, 1e4


def section(family: Family, spots: Iterable[Spot], p: float) -> list[np.ndarray]:
    """Rows at which a curve passes a parameter, solved again; distinct."""
    found: list[np.ndarray] = []
    spots = list(spots)
    for a, b in pairwise(spots):
        if (a.p - p) * (b.p - p) > 0 or a.p == b.p:
            continue
        share = (p - a.p) / (b.p - a.p)
        u, residual = at_parameter(family, family.project(a.u + share * (b.u - a.u)), p)
        if residual <= family.resolution(p) and not any(
            np.linalg.norm(u - v) <= 1e-8 * (1 + np.linalg.norm(u)) for v in found
        ):
            found.append(u)
    return found


def trace(
    family: Family, begin: Spot, root: Spot | None, span: tuple[float, float], longest: float, points: int
) -> tuple[list[Spot], list[Crossing], str]:
    """Points along one curve, the events on it, and why it ended; see `Branch`.

    Args:
        family: the equations.
        begin: the first point; its tangent leads the way.
        root: the event that it left, if any.
        span: first and last parameter.
        longest: steps are at most so long.
        points: at most so many.
    """
    spots, found = ([begin] if root is None else [root, begin]), list[Crossing]()
    low, high = min(span), max(span)
    far = (_UPRIGHT if begin.upright else _FAR) * (1.0 + float(np.linalg.norm(begin.u)))
    if begin.nullity > begin.upright:
        return spots, found, "flat"
    for here in follow(family, begin, longest):
        before = spots[-1]
        if not low <= here.p <= high:
            # The curve is cut where it leaves the range.
            edge = low if here.p < low else high
            share = (edge - before.p) / (here.p - before.p)
            u, residual = at_parameter(family, family.project(before.u + share * (here.u - before.u)), edge)
            if residual <= family.resolution(edge):
                here = spot(
                    family, u, edge, residual, before.along, before.length + share * (here.length - before.length)
                )
                _append(family, spots, found, here)
            return spots, found, "end" if edge == span[1] else "begin"
        _append(family, spots, found, here)
        if found and found[-1].turns and spots[-2] is found[-1].spot:
            # What lies beyond is a branch of its own, or an image of this one.
            return spots[:-1], found, "branch point"
        if here.nullity > here.upright and before.nullity > before.upright and before is not root:
            return spots, found, "flat"
        if np.linalg.norm(here.u) > far:
            return spots, found, "far"
        if len(spots) >= points:
            return spots, found, "budget"
        if len(spots) > 10 and (
            _between(begin, before, here) or (root is not begin and _has_come_to_image(family, begin, before, here))
        ):
            return spots, found, "closed"
    return spots, found, "lost"


def _append(family: Family, spots: list[Spot], found: list[Crossing], here: Spot) -> None:
    """One more point, and before it the events on the way to it, which are points of the curve themselves."""
    on_the_way = crossings(family, spots[-1], here)
    found += on_the_way
    spots += [*(c.spot for c in on_the_way), here]


def _between(begin: Spot, a: Spot, b: Spot) -> bool:
    """Whether the curve has come back to where it began."""
    chord = np.r_[b.u - a.u, b.p - a.p]
    back = np.r_[begin.u - a.u, begin.p - a.p]
    share = float(chord @ back) / float(chord @ chord)
    return 0 <= share <= 1 and bool(np.linalg.norm(back - share * chord) < 0.05 * np.linalg.norm(chord))


def _has_come_to_image(family: Family, begin: Spot, a: Spot, b: Spot) -> bool:
    """Whether the curve has come to an image of where it began: from there it repeats itself."""
    return (a.p - begin.p) * (b.p - begin.p) < 0 and any(
        same(family, begin.u, begin.p, u, begin.p) for u in section(family, (a, b), begin.p)
    )


def on(family: Family, here: Spot, spots: Sequence[Spot]) -> bool:
    """Whether a point lies on a curve, modulo symmetry."""
    if here.upright:
        return any(_between_orbits(family, here, a, b) for a, b in pairwise(spots))
    return any(same(family, here.u, here.p, u, here.p) for u in section(family, spots, here.p))


def _between_orbits(family: Family, here: Spot, a: Spot, b: Spot) -> bool:
    if abs(a.p - here.p) > 1e-9 or abs(b.p - here.p) > 1e-9:
        return False
    chord = float(np.linalg.norm(b.u - a.u))
    return family.symmetries.distance(here.u, a.u) <= chord and family.symmetries.distance(here.u, b.u) <= chord
