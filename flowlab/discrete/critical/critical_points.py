"""`critical_points`: where the directions can come to rest at fixed norms, of every index, each told once.

The zeros of the flow on the directions are the critical points of min L(ρ V) over unit directions (Poggio, Banburski
and Liao 2020, eqs. 1.10, 1.11; P5). In networks of more than one layer they are rarely isolated (P17): hidden rotations
and split units give zero modes, which are counted apart from those that no symmetry explains.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from flowlab.core import html
from flowlab.core.arguments import count, guarded, must_be
from flowlab.core.display import displayed, heading
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import ArrayLike
from flowlab.discrete.critical.constrained_problem import Constrained, weight_count
from flowlab.discrete.critical.critical_point import NULL as NULL
from flowlab.discrete.critical.critical_point import CriticalPoint, Told, pointed
from flowlab.discrete.critical.critical_point import described as described
from flowlab.discrete.critical.lagrange_newton import Critical, polish
from flowlab.discrete.critical.point_catalogue import Catalogue
from flowlab.discrete.critical.point_search import SOFT, down, roots
from flowlab.discrete.critical.point_search import settle as settle
from flowlab.discrete.critical.saddle_search import begins, saddles
from flowlab.discrete.critical.spectrum import lowest
from flowlab.discrete.critical.symmetries import Symmetries
from flowlab.discrete.critical.trust_region import DENSE, minimize
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

KINDS = ("minimum", "saddle", "maximum", "Morse-Bott", "non-smooth")
LARGE = 2000
"""Weights up to which second derivatives are formed for one point."""
_ROUNDS, _QUIET = 32, 3
"""Rounds of as many searches as there are starts: at most so many, and so many without anything new before the count is
believed.
"""
_UNDECIDED = 8
"""Rounds where the count cannot be asked."""


@displayed
class CriticalPoints(list[CriticalPoint]):
    """Distinct critical points by growing loss; prints as a table.

    Attributes:
        problem, data: what they belong to.
        starts: how many searches there were; `lost`, how many of them ended at no critical point.
        euler_characteristic: of the product of spheres.
        euler_sum: Σ (-1)^index over all points and their images, orbits of rotations by their characteristic; None
            where it cannot be told: on kinks, where critical points fill sets of even dimension that no symmetry makes,
            or where symmetries are too many to list.
        complete: False where the sum is not the characteristic, and points are missing; True where it is, and the last
            searches found nothing new, which does not exclude that points of opposite sign are missing; None where the
            sum cannot be told, or searches ended too early.
        constrained, symmetries: the problem at fixed norms, and the symmetries of the network.
    """

    kind = "critical points"

    def __init__(self, found: Catalogue, starts: int, lost: int, quiet: bool) -> None:
        super().__init__(found.points)
        self.starts, self.lost, self._quiet = starts, lost, quiet
        self.constrained: Constrained = found.con
        self.symmetries: Symmetries = found.symmetries
        self.problem, self.data = found.con.problem, found.con.data
        self.euler_sum, self.euler_characteristic = found.euler_sum, found.euler

    @property
    def complete(self) -> bool | None:
        """What the count by the Euler characteristic says; see above."""
        if self.euler_sum is None:
            return None
        return False if self.euler_sum != self.euler_characteristic else True if self._quiet else None

    def distance(
        self, a: CriticalPoint | State | Mapping[str, ArrayLike], b: CriticalPoint | State | Mapping[str, ArrayLike]
    ) -> float:
        """Distance of two directions (states, critical points or weights by block) modulo symmetry: √Σ_k ‖V_k - g
        V'_k‖².
        """
        rows = [self.constrained.row(p.state if isinstance(p, CriticalPoint) else p) for p in (a, b)]
        return self.symmetries.distance(*rows)

    def __str__(self) -> str:
        lines = [f"{len(self)} critical points from {self.starts} starts ({self.lost} ended at none)", self._norms()]
        lines.append("  #  log loss        margin       index  null (explained)  kinks  residual  found  kind")
        for k, p in enumerate(self):
            kind = f"{p.kind}{', attracting' if p.attracting else ''}"
            told = f"{k:3d}  {p.log_loss:<14.8g}  {p.margin:<11.6g}  {p.index:5d}  {p.nullity:4d} ({p.explained})"
            lines.append(f"{told:58s}  {p.kinks:5d}  {p.residual:8.1e}  {p.found:5d}  {kind}")
        return "\n".join([*lines, self._count()])

    def _html_parts(self) -> list[str]:
        head = ("", "log loss", "margin", "index", "null (explained)", "kinks", "residual", "found", "kind")
        rows = [
            (
                str(k),
                html.number(p.log_loss, 8),
                html.number(p.margin),
                str(p.index),
                f"{p.nullity} ({p.explained})",
                str(p.kinks),
                html.number(p.residual, 2),
                str(p.found),
                f"{p.kind}{', attracting' if p.attracting else ''}",
            )
            for k, p in enumerate(self)
        ]
        told = f"{len(self)} critical points from {self.starts} starts ({self.lost} ended at none)"
        return [heading(told), html.soft(self._norms()), html.table(head, rows, told), html.soft(self._count())]

    def _count(self) -> str:
        if self.euler_sum is None:
            why = (
                "points may rest on kinks"
                if self.constrained.bends
                else "points fill sets of unknown characteristic, or have too many images"
            )
            return f"Euler characteristic {self.euler_characteristic}: cannot be compared, {why}"
        told = f"sum of (-1)^index over all images {self.euler_sum}, Euler characteristic {self.euler_characteristic}"
        if self.complete is False:
            return f"{told}: points are missing, off by {self.euler_sum - self.euler_characteristic}; use more `starts`"
        return f"{told}: consistent" + ("" if self.complete else ", but searches ended early; use more `starts`")

    def _norms(self) -> str:
        rho = {k: np.ravel(r) for k, r in self.constrained.spheres.rho.items()}
        told = ", ".join(
            f"{k} {r.min():.6g}" + (f" to {r.max():.6g}" if r.max() > r.min() else "") for k, r in rho.items()
        )
        degrees = {k: float(v or 0.0) for k, v in self.problem.degrees.items()}
        if (
            not self.problem.is_homogeneous
            or sum(degrees.values()) <= 0
            or any(r.max() > r.min() for r in rho.values())
        ):
            return f"norms: {told}"
        return f"norms: {told}; R = {np.exp(sum(degrees[k] * np.log(r[0]) for k, r in rho.items())):.6g}"


@guarded
def critical_points(
    problem: Problem,
    data: Data,
    *,
    norm: float | Mapping[str, ArrayLike] = 50.0,
    widths: Mapping[str, int] | None = None,
    starts: int = 64,
    seed: int = 0,
    near: Iterable[State | Mapping[str, ArrayLike]] = (),
    progress: Callable[[int, int], None] | None = None,
) -> CriticalPoints:
    """Critical points of the loss over unit directions at fixed norms, distinct modulo the symmetries of the network.

    Half of the first searches go down from random directions; half look for zeros of the gradient of any index, and
    turn away from those already found from the same start. Kinks are rounded, and sharpened again step by step. All
    ends are polished to round-off. Without kinks further rounds look for saddles of every index, also from beside known
    points and among symmetric directions, until the alternating sum over all points and their images is the Euler
    characteristic and three rounds found nothing new; see `complete`.

    Args:
        problem: network, loss and grouping into spheres.
        data: samples.
        norm: R = Π ρ_k^κ_k, shared so that all ρ_k²/κ_k are equal, or norms by block.
        widths: rows of hidden blocks.
        starts: number of random directions, and of searches in each of at most 32 further rounds.
        seed: of the random directions.
        near: further starts, such as the last state of a path; only the nearest critical point is looked for.
        progress: called with the number of searches done and to do.

    Raises:
        LanguageError: if `starts` is not a whole number from 0 on; what `Constrained` raises; RunFailed: if no search
            ended at a critical point.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> points = fl.critical_points(fl.Problem("W @ x"), data, norm=2.0, starts=4)
        >>> [(point.kind, point.index) for point in points]
        [('minimum', 0), ('maximum', 1)]
        >>> points.complete
        True
    """
    listed: list[Any] = [near] if isinstance(near, State | Mapping) else list(near)
    starts, seed = count("starts", starts, 0 if listed else 1, 64), checked_seed(seed)
    if progress is not None and not callable(progress):
        raise must_be("progress", progress, "a function of two numbers", "for example `print`")
    con = listable(problem, data, norm, widths)
    rng, found = np.random.default_rng(seed), Catalogue(con, con.symmetries)
    given = [con.row(start) for start in listed]
    total, lost = starts + len(given), 0
    for k in range(total):
        ends = (
            [settle(con, given[k])] if k < len(given) else down(con, con.random(rng)) if k % 2 == 0 else roots(con, rng)
        )
        lost += not [found.add(end) for end in ends if end.residual <= con.resolution]
        if progress is not None:
            progress(k + 1, total)
    if not found.entries:
        raise RunFailed(f"none of {total} searches ended at a critical point; use more `starts`, or smaller norms.")
    found.describe()
    more, missed, quiet = (0, 0, False) if con.bends or not starts else _rounds(found, starts, rng)
    return CriticalPoints(found, total + more, lost + missed, quiet)


def listable(
    problem: Problem, data: Data, norm: float | Mapping[str, ArrayLike], widths: Mapping[str, int] | None
) -> Constrained:
    """The constrained problem, if its weights are few enough to look for all critical points; LanguageError before any
    is drawn.
    """
    weights = weight_count(problem, data, widths)
    if weights > DENSE:
        raise LanguageError(f"the network must have at most {DENSE} weights, got {weights}; use `constrained_minimum`.")
    return Constrained(problem, data, norm=norm, widths=widths)


def _rounds(found: Catalogue, count: int, rng: np.random.Generator) -> tuple[int, int, bool]:
    """Rounds of searches for saddles of all indices, until the count agrees and nothing new is found.

    Answers how many searches there were, how many of them ended at no critical point, and whether the last rounds found
    nothing new.
    """
    con, images, quiet, lost, k = found.con, found.symmetries.images, 0, 0, 0
    rungs = con.rungs()
    for k in range(1, _ROUNDS + 1):
        rows, index = begins(con, images, found.points, count, rng)
        # Where the loss is sharp every other round comes up by smaller norms, along zeros of the gradient.
        for rung in rungs[:-1] if k % 2 else ():
            rows, index = saddles(rung, rows, index).rows, np.full(len(rows), -1)
            index = index[: len(rows)]
        ends = saddles(con, rows, index)
        lost += count - len(ends.rows)
        new = 0
        for theta, value, eigenvalues in zip(*ends, strict=True):
            if not found.recognises(theta, value, eigenvalues):
                end = polish(con, theta)
                new += end.residual <= con.resolution and found.add(end)
        found.describe()
        quiet = 0 if new else quiet + 1
        if (quiet >= _QUIET and found.euler_sum in (found.euler, None)) or (
            k >= _UNDECIDED and found.euler_sum is None
        ):
            break
    return k * count, lost, quiet >= _QUIET


@guarded
def constrained_minimum(
    problem: Problem,
    data: Data,
    *,
    norm: float | Mapping[str, ArrayLike] = 50.0,
    widths: Mapping[str, int] | None = None,
    seed: int = 0,
    start: State | Mapping[str, ArrayLike] | None = None,
) -> CriticalPoint:
    """The critical point that a descent from one start ends at; arguments as for `critical_points`.

    Beyond 2,000 weights no second derivatives are formed: eigenvalues, index and nullity are those of the 20 lowest,
    and symmetries explain none.

    Raises:
        RunFailed: if it ends at none, or where so many weights come to rest on kinks, whose slopes only dense equations
            give.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> point = fl.constrained_minimum(fl.Problem("W @ x"), data, norm=2.0)
        >>> point.kind, point.index
        ('minimum', 0)
    """
    con = Constrained(problem, data, norm=norm, widths=widths)
    theta = con.random(np.random.default_rng(checked_seed(seed))) if start is None else con.row(start)
    if len(theta) > LARGE:
        return _large(con, theta)
    (end,) = down(con, theta)
    if end.residual > con.resolution:
        raise RunFailed(
            f"the descent ended with the residual {end.residual:.1e}; try another `seed`, or smaller norms."
        )
    return described(con, con.symmetries, end, 1)


def _large(con: Constrained, theta: np.ndarray) -> CriticalPoint:
    """The minimum that a descent of many weights comes to, with the low end of its spectrum."""
    if con.bends:
        for softness in SOFT[:3]:
            theta, _ = minimize(con.rounded(softness), theta, tolerance=1e-6)
        near = int((np.abs(con.preactivations(theta)) < 3.0 * SOFT[2]).sum())
        if near:
            raise RunFailed(
                f"{near} of {con.bends} pre-activations come to rest on kinks, which needs at most {LARGE} weights, got"
                f" {len(theta)}; use fewer, or softplus."
            )
    theta, _ = minimize(con, theta)
    residual = con.residual(theta)
    if residual > con.resolution:
        raise RunFailed(f"the descent ended with the residual {residual:.1e}; try another `seed`, or smaller norms.")
    values, off = lowest(con, theta, min(20, len(theta) - con.spheres.count))
    zero = np.maximum(10.0 * off, NULL * float(np.abs(values).max()))
    index, nullity = int((values < -zero).sum()), int((np.abs(values) <= zero).sum())
    multipliers = con.spheres.squares(theta, con.gradient(theta))
    nothing = np.zeros(0)
    kind = "Morse-Bott" if nullity else "saddle" if index else "minimum"
    told = Told(index, nullity, 0, np.inf, 0, 0, kind, not index and not nullity)
    end = Critical(
        theta, multipliers, nothing.astype(int), nothing, residual, np.zeros((0, 0)), np.zeros((0, 0)), nothing
    )
    return pointed(con, end, values, told, 1, not nullity)
