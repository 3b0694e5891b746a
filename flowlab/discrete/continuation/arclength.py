"""Pseudo-arclength continuation of zeros of a gradient, and where on the way folds and branch points lie.

A curve of zeros of ∂_u F(u, p) is followed in its own length, so that it may turn back in p (H. B. Keller, "Numerical
solution of bifurcation and nonlinear eigenvalue problems", 1977): Newton's method on the equations and one more, the
distance along the last tangent. Symmetry directions are projected out (see
`flowlab.discrete.continuation.parameter_families`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import lstsq, null_space
from scipy.optimize import brentq

from flowlab.discrete.continuation.parameter_families import Family

NULL = 1e-6
"""Eigenvalues below this share of the largest are zero."""
_SMALL, _BRANCHING, _KERNEL = 1e-4, 1e-8, 1e-7
_PUSH = 1e-3
"""At the middle of a pitchfork the push falls to the share of a step to which it is located, 1e-6 or less; at a fold it
stays as it is.
"""
_FLAT = 1e-7
"""Components along p below which a tangent is upright."""
_FIRST, _SHORTEST, _LONGEST, _CORNER, _MIDWAY, _NOISE = 0.02, 1e-7, 0.2, 1e-5, 0.01, 1e-6
_TURN, _ASIDE, _NEWTON, _QUICK = np.cos(0.25), 1.1, 12, 4
"""A curve turns by no more than a quarter in a step: what is further from its tangent lies on another one."""


@dataclass(frozen=True)
class Spot:
    """A zero on a curve.

    Attributes:
        u: row, (P,), and `p`, the parameter.
        along: unit tangent of the curve in (u, p), (P + 1,).
        residual: of the gradient, relative.
        eigenvalues: of the Hessian across the orbit of symmetries, ascending, (m,), with eigenvectors as rows of u,
            `vectors` (P, m).
        length: of the curve up to here.
        side: sign of the determinant of the equations with the tangent.
        unit: a size of curvature below which nothing counts as zero by its share of the largest.
        is_behind_corner: whether the curve has a corner between the point before and this one.
    """

    u: np.ndarray
    p: float
    along: np.ndarray
    residual: float
    eigenvalues: np.ndarray
    vectors: np.ndarray
    length: float
    side: float
    unit: float
    is_behind_corner: bool = False

    @property
    def index(self) -> int:
        """How many eigenvalues are negative."""
        return int((self.eigenvalues < -self.zero).sum())

    @property
    def nullity(self) -> int:
        """How many eigenvalues are zero."""
        return int((np.abs(self.eigenvalues) <= self.zero).sum())

    @property
    def zero(self) -> float:
        """What counts as zero among the eigenvalues."""
        return NULL * float(np.abs(self.eigenvalues).max(initial=max(self.unit, 1e-300)))

    @property
    def upright(self) -> bool:
        """Whether the curve does not move in p here."""
        return bool(abs(self.along[-1]) <= _FLAT)


@dataclass(frozen=True)
class Crossing:
    """A point of a curve where eigenvalues vanish; at a fold the curve turns in p, elsewhere other curves may pass
    through.

    Attributes:
        spot: the point.
        kernel: orthonormal directions in which the Hessian vanishes, (P, k).
        is_fold: whether the curve turns here.
        is_jump: whether second derivatives jump, so that eigenvalues change sign without vanishing, or the curve has a
            corner.
        before, after: index on either side.
        turns: where the curve turns in p at a point that others may pass through, the side in p that it lies on, 1.0
            or -1.0; else 0.0.
        beyond: the next point of the curve, where it turns so.
    """

    spot: Spot
    kernel: np.ndarray
    is_fold: bool
    is_jump: bool
    before: int
    after: int
    turns: float = 0.0
    beyond: Spot | None = None


def newton(
    family: Family,
    u: np.ndarray,
    p: float,
    extra: Callable[[np.ndarray, float], tuple[float, np.ndarray]],
    cut: float | None = None,
) -> tuple[np.ndarray, float, float, int]:
    """Zero of the gradient and of one more equation.

    Args:
        family: the equations.
        u: first guess, (P,).
        p: first guess of the parameter.
        extra: answers the value of the equation at (u, p) and its gradient, (P + 1,).
        cut: directions in which the equations are that small are left as they were guessed, relative to the others.

    Returns:
        (u, p), the relative residual of the gradient at them (infinite where the iteration left the numbers), and the
        steps taken.
    """
    best = (u, p, np.inf)
    for k in range(_NEWTON):
        g = family.gradient(u, p)
        value, row = extra(u, p)
        residual = float(np.linalg.norm(g)) / family.measure(u, p)
        if not np.isfinite(residual):
            return (*best[:2], np.inf, k)
        # What is left is compared with what the extra equation still asks for: it may be far from met while the
        # gradient vanishes.
        off = residual + abs(value)
        if off < best[2]:
            best = (u, p, off)
        elif k > 2 and best[2] < family.resolution(p):
            break
        if off < 1e-15:
            break
        B = family.basis(u)
        A = np.block([[family.hessian(u, p, B), (B.T @ family.slope(u, p))[:, None]], [row[:-1] @ B, row[-1:]]])
        # Equations in units of their own, or late norms would drown the last one.
        size = np.linalg.norm(A, axis=1, keepdims=True)
        if cut is not None:
            size[:-1] = max(float(size[:-1].max(initial=0.0)), family.unit(p))
        size[size == 0] = 1.0
        found = _solve(A / size, -np.r_[B.T @ g, value] / size[:, 0], cut or 1e-13)
        u, p = family.project(u + B @ found[:-1]), p + float(found[-1])
    u, p, off = best
    return u, p, float(np.linalg.norm(family.gradient(u, p))) / family.measure(u, p) if np.isfinite(off) else np.inf, k


def _solve(A: np.ndarray, b: np.ndarray, cut: float = 1e-13) -> np.ndarray:
    """The least solution: at branch points equations are dependent."""
    found: Any = lstsq(A, b, cond=cut)
    return found[0]


def at_parameter(family: Family, u: np.ndarray, p: float) -> tuple[np.ndarray, float]:
    """The zero at a parameter nearest to a row, (P,), and its relative residual."""
    only = np.r_[np.zeros(len(u)), 1.0]
    u, _, residual, _ = newton(family, u, p, lambda _, q: (q - p, only))
    return u, residual


def _null(A: np.ndarray) -> np.ndarray:
    """A direction that a wide matrix takes to nought."""
    kernel: Any = null_space(A)
    return kernel[:, -1]


def spot(family: Family, u: np.ndarray, p: float, residual: float, before: np.ndarray | None, length: float) -> Spot:
    """A zero with its tangent, the way of `before`, (P + 1,), or upwards in p by default, and its spectrum."""
    B = family.basis(u)
    A = _matrix(family, u, p, B)
    values, vectors = np.linalg.eigh(A[:, :-1])
    along = _tangent(A, B, before)
    return Spot(u, p, along, residual, values, B @ vectors, length, _side(A, B, along), family.unit(p))


def _matrix(family: Family, u: np.ndarray, p: float, B: np.ndarray) -> np.ndarray:
    """Derivatives of the equations by (u, p) in a basis, (m, m + 1)."""
    return np.hstack([family.hessian(u, p, B), (B.T @ family.slope(u, p))[:, None]])


def _side(A: np.ndarray, B: np.ndarray, along: np.ndarray) -> float:
    return float(np.linalg.slogdet(np.vstack([A, np.r_[B.T @ along[:-1], along[-1]]]))[0])


def _tangent(A: np.ndarray, B: np.ndarray, guide: np.ndarray | None, cut: float = 1e-13) -> np.ndarray:
    """The unit tangent nearest to a guide; where equations are dependent to less than `cut`, any solution of the others
    is one.
    """
    H = A[:, :-1]
    A = A / max(float(np.linalg.norm(H, 2)) if H.size else 0.0, 1e-300)
    if guide is None:
        found = _null(A)
        found = found * np.copysign(1.0, found[-1])
    else:
        found = _solve(np.vstack([A, np.r_[B.T @ guide[:-1], guide[-1]]]), np.r_[np.zeros(len(A)), 1.0], cut)
    along = np.r_[B @ found[:-1], found[-1]]
    return along / np.linalg.norm(along)


def step(
    family: Family, a: Spot, h: float, guess: np.ndarray | None = None, cut: float | None = None
) -> tuple[Spot, int] | None:
    """The point at distance h along the tangent, looked for there or from a guess (u, p), and Newton's steps; None
    where there is none.
    """

    def plane(u: np.ndarray, p: float) -> tuple[float, np.ndarray]:
        return float(a.along[:-1] @ (u - a.u) + a.along[-1] * (p - a.p)) - h, a.along

    begin: np.ndarray = np.r_[a.u, a.p] + h * a.along if guess is None else guess
    u, p, residual, count = newton(family, family.project(begin[:-1]), float(begin[-1]), plane, cut)
    away = float(np.hypot(np.linalg.norm(u - a.u), p - a.p))
    if not residual <= family.resolution(p) or not abs(h) <= 1.0001 * away <= _ASIDE * abs(h):
        return None
    return spot(family, u, p, residual, np.copysign(1.0, h) * a.along, a.length + away), count


def follow(family: Family, first: Spot, longest: float = _LONGEST) -> Iterator[Spot]:
    """Points along the curve from a point on, round corners, for as long as steps succeed; the caller ends it."""
    a, h = first, min(_FIRST, longest)
    while True:
        found = step(family, a, h)
        if found is not None and _goes_on(family, a, found[0], h):
            a, count = found
            yield a
            h = min(1.5 * h, longest) if count <= _QUICK else h
            continue
        h *= 0.5
        if h < _SHORTEST:
            a = _close_up(family, a, h)
            beyond = _round(family, a)
            if beyond is None:
                return
            yield a
            yield beyond
            a, h = beyond, min(_FIRST, longest)


def _close_up(family: Family, a: Spot, h: float) -> Spot:
    """As near to the end of a smooth piece as numbers allow."""
    while h > 1e-11:
        found = step(family, a, h)
        if found is not None and _goes_on(family, a, found[0], h):
            a = found[0]
        else:
            h *= 0.5
    return a


def _goes_on(family: Family, a: Spot, b: Spot, h: float) -> bool:
    """Whether a step of length h leads along the curve.

    Two pieces that end in one corner may be closer together than steps are long. The determinant of the equations with
    the tangent, which keeps its sign along a curve but where an eigenvalue vanishes, tells the piece ahead from the one
    that the curve turns back on.
    """
    if b.along @ a.along < _TURN:
        return False
    if a.side == b.side or min(_least(a) / a.zero, _least(b) / b.zero) < _NOISE:
        return True
    between = crossings(family, a, b) if h > _CORNER else []
    return bool(between) and all(_vanishes(family, a, b, crossing) for crossing in between)


def _vanishes(family: Family, a: Spot, b: Spot, at: Crossing) -> bool:
    """Whether an eigenvalue passes through zero on a curve of zeros, and not midway between two curves, where the
    gradient along its vector is not zero.
    """
    bend = max(_least(a), _least(b))
    gap = bend * float(np.abs(at.kernel.T @ (b.u - a.u)).max())
    off = float(np.abs(at.kernel.T @ family.gradient(at.spot.u, at.spot.p)).max())
    return _least(at.spot) <= _MIDWAY * bend and off <= max(_MIDWAY * gap, 1e-14 * family.measure(at.spot.u, at.spot.p))


def _least(a: Spot) -> float:
    return float(np.abs(a.eigenvalues).min(initial=np.inf))


def _round(family: Family, a: Spot) -> Spot | None:
    """The first point behind a corner, where second derivatives jump; None where there is none.

    As in piecewise linear homotopies the determinant of the equations with the tangent keeps its sign, which says where
    the curve goes on: it turns back in p where one eigenvalue changes sign.
    """
    B = family.basis(a.u)
    for ahead in (1e-3, 1e-4, 1e-5):
        A = _matrix(family, family.project(a.u + ahead * a.along[:-1]), a.p + ahead * float(a.along[-1]), B)
        null = _null(A)
        along = np.r_[B @ null[:-1], null[-1]]
        along *= a.side * _side(A, B, along)
        found = step(family, replace(a, along=along), ahead) if along @ along > 0 else None
        if found is not None and found[0].along @ along >= _TURN:
            return replace(found[0], is_behind_corner=True)
    return None


def crossings(family: Family, a: Spot, b: Spot) -> list[Crossing]:
    """Folds, corners, and points where eigenvalues change sign between neighbours on a curve, by growing length."""
    if b.is_behind_corner:
        return [Crossing(a, a.vectors[:, :1], a.along[-1] * b.along[-1] < 0, True, a.index, b.index)]
    chord = np.r_[b.u - a.u, b.p - a.p]
    span = float(a.along @ chord)
    seen: dict[float, Spot] = {0.0: a, span: b}

    def guess(h: float) -> np.ndarray:
        # A cubic through both neighbours, which directions of the kernel keep, or Newton's method may arrive on another
        # curve close to where they meet.
        t, slope = h / span, b.along * span / max(float(b.along @ a.along), 0.1)
        return (
            np.r_[a.u, a.p] + t * t * (3 - 2 * t) * chord + t * (1 - t) ** 2 * span * a.along - t * t * (1 - t) * slope
        )

    def at(h: float) -> Spot:
        if h not in seen:
            found = step(family, a, h, guess(h), _KERNEL) if abs(h) > 1e-13 else (a, 0)
            # At a branch point equations are dependent, and Newton's method may find nothing: its neighbours then stand
            # for it.
            seen[h] = found[0] if found is not None else seen[min(seen, key=lambda other: abs(other - h))]
        return seen[h]

    turns = a.along[-1] * b.along[-1] < 0 and not (a.upright or b.upright)
    where = [(_root(lambda h: float(at(h).along[-1]), span), True)] if turns else []
    if len(a.eigenvalues) == len(b.eigenvalues):
        sizes = zip(a.eigenvalues, b.eigenvalues, strict=True)
        changed = [i for i, (v, w) in enumerate(sizes) if v * w < 0 and max(abs(v) / a.zero, abs(w) / b.zero) > 1]
        where += [(_root(lambda h, i=i: float(at(h).eigenvalues[i]), span), False) for i in changed]
    groups = _near(sorted(where, key=lambda item: abs(item[0])), max(1e-6, 1e-6 * abs(span)), at)
    # Between two events of one step the index is that of the point midway.
    edges = [0.0, *(0.5 * (g[-1][0] + h[0][0]) for g, h in pairwise(groups)), span]
    found: list[Crossing] = []
    for k, group in enumerate(groups):
        here = min((at(h) for h, _ in group), key=lambda s: float(np.abs(s.eigenvalues).min()))
        # What vanishes without a change of sign belongs to the kernel too, but not what is zero all along the curve.
        count = max(1, sum(not fold for _, fold in group), here.nullity - min(a.nullity, b.nullity))
        order = np.argsort(np.abs(here.eigenvalues))[:count]
        jumps = bool(np.abs(here.eigenvalues[order]).max() > _SMALL / NULL * here.zero)
        # At a fold one eigenvalue vanishes with the turn; where more do, or the equations are dependent, other curves
        # pass through as well.
        turned = any(fold for _, fold in group) and not jumps
        is_fold = turned and count == 1 and not _dependent(family, a, b, here, here.vectors[:, order[0]])
        side = float(np.copysign(1.0, a.p + b.p - 2.0 * here.p)) if turned and not is_fold else 0.0
        if not (is_fold or jumps or side):
            # What rounding makes of the tangent of one point where curves meet may be that of any of them: that of the
            # known one comes from its neighbours.
            B = family.basis(here.u)
            here = replace(here, along=_tangent(_matrix(family, here.u, here.p, B), B, a.along + b.along, _BRANCHING))
        found.append(
            Crossing(
                here,
                here.vectors[:, order],
                is_fold,
                jumps,
                at(edges[k]).index,
                at(edges[k + 1]).index,
                side,
                b if side else None,
            )
        )
    return found


def _dependent(family: Family, a: Spot, b: Spot, here: Spot, null: np.ndarray) -> bool:
    """Whether the parameter does not push along the kernel where a curve turns, as at the middle of a pitchfork; at a
    fold it does, as beside it.
    """
    push = [abs(float(null @ family.slope(s.u, s.p))) for s in (a, here, b)]
    return push[1] <= _PUSH * max(push[0], push[2])


def _root(f: Callable[[float], float], span: float) -> float:
    found: Any = brentq(f, 0.0, span, xtol=1e-12)
    return float(found)


def _near(where: list[tuple[float, bool]], width: float, at: Callable[[float], Spot]) -> list[list[tuple[float, bool]]]:
    """Roots that are one event: close to each other, or joined by a set of critical points at one parameter on which
    Newton's method moves about.
    """
    groups: list[list[tuple[float, bool]]] = []
    for item in where:
        last = groups[-1][-1][0] if groups else np.inf
        if abs(item[0] - last) <= width or (groups and _joined(at(last), at(item[0]))):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def _joined(a: Spot, b: Spot) -> bool:
    return abs(a.p - b.p) <= 1e-9 * (1.0 + abs(a.p)) and min(a.nullity, b.nullity) > 1
