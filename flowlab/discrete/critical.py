"""`critical_points`: where the directions can come to rest at fixed norms, of every index, each told once.

The zeros of the flow on the directions are the critical points of min L(ρ V) over unit directions (Poggio, Banburski and Liao
2020, eqs. 1.10, 1.11; P5). In networks of more than one layer they are rarely isolated (P17): hidden rotations and split units give
zero modes, which are counted apart from those that no symmetry explains.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from flowlab.core.arguments import count, expects
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.core.seeds import checked_seed
from flowlab.discrete.constrained import Constrained
from flowlab.discrete.empty import EMPTY, growth
from flowlab.discrete.leaving import is_left
from flowlab.discrete.polish import SOFTNESS, Critical, kink_sides, polish
from flowlab.discrete.spectrum import lowest
from flowlab.discrete.symmetries import Symmetries
from flowlab.discrete.trust import DENSE, TOLERANCE, minimize, root
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

KINDS = ("minimum", "saddle", "maximum", "Morse-Bott", "non-smooth")
NULL = 1e-7
"""Eigenvalues below this share of the largest are zero modes; the gap to the next one is told."""
LARGE = 2000
"""Weights up to which second derivatives are formed for one point."""

_SAME = 1e-6
_SOFT = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, SOFTNESS)
_TRIES, _EXPLAINED = 5, 1e-6


@dataclass(frozen=True)
class CriticalPoint:
    """A critical point of the constrained problem; dimensionless but for the norms of its state.

    Attributes:
        state: norms and directions.
        residual: tangent part of ∂F over ∂F, recomputed at the state; with kinks also |h| and the range of slopes.
        log_loss: logarithm of the loss (the loss itself is kept finite only there).
        margin: smallest normalised margin y f(V; x); nan for losses of targets.
        multipliers: λ_k of F = log L (L for losses of targets) on every sphere, (K,).
        eigenvalues: of the Riemannian Hessian of F (eq. 1.11), ascending; on h_b = 0 where units rest on a kink.
        index: how many are negative.
        nullity: how many are zero, and `explained`, how many of those are directions of a symmetry.
        gap: smallest non-zero |eigenvalue| over the largest one called zero (inf where that is zero or there is none).
        kinks: how many pairs of a unit and a sample rest on a kink, and `repelling`, how many of those kinks repel.
        kind: minimum, saddle, maximum; Morse-Bott where there are zero modes; non-smooth where there are kinks, and no Hessian.
        attracting: whether descents from beside it come back to its loss.
        found: how many starts ended here.
    """

    state: State
    residual: float
    log_loss: float
    margin: float
    multipliers: np.ndarray
    eigenvalues: np.ndarray
    index: int
    nullity: int
    explained: int
    gap: float
    kinks: int
    repelling: int
    kind: str
    attracting: bool
    found: int
    _theta: np.ndarray = field(repr=False, compare=False)
    _alone: bool = field(repr=False, compare=False)

    @property
    def unexplained(self) -> int:
        """Zero modes that no symmetry of the network explains."""
        return self.nullity - self.explained

    def to_dict(self) -> dict[str, Any]:
        """Everything but the state, for JSON."""
        numbers = {k: getattr(self, k) for k in ("residual", "log_loss", "margin", "index", "nullity", "explained", "gap", "kinks", "repelling", "kind")}
        numbers = {k: (None if isinstance(v, float) and not np.isfinite(v) else v) for k, v in numbers.items()}
        lists = {"multipliers": self.multipliers.tolist(), "eigenvalues": self.eigenvalues.tolist()}
        V = {k: np.asarray(v).tolist() for k, v in self.state.V.items()}
        rho = {k: np.asarray(r).tolist() for k, r in self.state.rho.items()}
        return {**numbers, "attracting": self.attracting, "found": self.found, **lists, "rho": rho, "V": V}


class CriticalPoints(list[CriticalPoint]):
    """Distinct critical points by growing loss; prints as a table.

    Attributes:
        problem, data: what they belong to.
        starts: how many searches there were; `lost`, how many of them ended at no critical point.
        constrained, symmetries: the problem at fixed norms, and the symmetries of the network.
    """

    kind = "critical points"

    def __init__(self, points: Iterable[CriticalPoint], con: Constrained, symmetries: Symmetries, starts: int, lost: int) -> None:
        super().__init__(points)
        self.constrained, self.symmetries, self.starts, self.lost = con, symmetries, starts, lost
        self.problem, self.data = con.problem, con.data

    def distance(self, a: Any, b: Any) -> float:
        """Distance of two directions (states, critical points or weights by block) modulo symmetry: √Σ_k ‖V_k - g V'_k‖²."""
        rows = [self.constrained.row(p.state if isinstance(p, CriticalPoint) else p) for p in (a, b)]
        return self.symmetries.distance(*rows)

    def __str__(self) -> str:
        lines = [f"{len(self)} critical points from {self.starts} starts ({self.lost} ended at none)", self._norms()]
        lines.append("  #  log loss        margin       index  null (explained)  kinks  residual  found  kind")
        for k, p in enumerate(self):
            kind = f"{p.kind}{', attracting' if p.attracting else ''}"
            told = f"{k:3d}  {p.log_loss:<14.8g}  {p.margin:<11.6g}  {p.index:5d}  {p.nullity:4d} ({p.explained})"
            lines.append(f"{told:58s}  {p.kinks:5d}  {p.residual:8.1e}  {p.found:5d}  {kind}")
        return "\n".join(lines)

    def _norms(self) -> str:
        rho = {k: np.ravel(r) for k, r in self.constrained.spheres.rho.items()}
        told = ", ".join(f"{k} {r.min():.6g}" + (f" to {r.max():.6g}" if r.max() > r.min() else "") for k, r in rho.items())
        degrees = {k: float(v or 0.0) for k, v in self.problem.degrees.items()}
        if not self.problem.is_homogeneous or sum(degrees.values()) <= 0 or any(r.max() > r.min() for r in rho.values()):
            return f"norms: {told}"
        return f"norms: {told}; R = {np.exp(sum(degrees[k] * np.log(r[0]) for k, r in rho.items())):.6g}"


def critical_points(
    problem: Problem,
    data: Data,
    *,
    norm: float | Mapping[str, Any] = 50.0,
    widths: Mapping[str, int] | None = None,
    starts: int = 64,
    seed: int = 0,
    near: Iterable[State | Mapping[str, Any]] = (),
    progress: Callable[[int, int], None] | None = None,
) -> CriticalPoints:
    """Critical points of the loss over unit directions at fixed norms, distinct modulo the symmetries of the network.

    Half of the searches go down from random directions; half look for zeros of the gradient of any index, and turn away from
    those already found from the same start. Kinks are rounded, and sharpened again step by step. All ends are polished to round-off.
    What was not found is not excluded.

    Args:
        problem: network, loss and grouping into spheres.
        data: samples.
        norm: R = Π ρ_k^κ_k, shared so that all ρ_k²/κ_k are equal, or norms by block.
        widths: rows of hidden blocks.
        starts: number of random directions.
        seed: of the random directions.
        near: further starts, such as the last state of a path; only the nearest critical point is looked for.
        progress: called with the number of searches done and to do.

    Raises:
        LanguageError: if `starts` is no number of starts; what `Constrained` raises; RunFailed: if no search ended at a critical point.
    """
    starts, seed = count("starts", starts, 0, 64), checked_seed(seed)
    expects("near", near, Iterable, "a list of states")
    if progress is not None and not callable(progress):
        raise LanguageError(f"`progress={progress!r}` cannot be called; give a function of two numbers.")
    con = Constrained(problem, data, norm=norm, widths=widths)
    if len(con.spheres.owner) > DENSE:
        raise LanguageError(f"{len(con.spheres.owner)} weights are too many to look for all critical points (at most {DENSE}); use `constrained_minimum`.")
    symmetries = con.symmetries
    rng = np.random.default_rng(seed)
    listed: Any = [near] if isinstance(near, State | Mapping) else near
    given = [con.row(start) for start in listed]
    ends: list[Critical] = []
    total, lost = starts + len(given), 0
    for k in range(total):
        found = [settle(con, given[k])] if k < len(given) else _down(con, con.random(rng)) if k % 2 == 0 else _roots(con, rng)
        good = [point for point in found if point.residual <= con.resolution]
        lost += not good
        ends += good
        if progress is not None:
            progress(k + 1, total)
    if not ends:
        raise RunFailed(f"none of {total} searches ended at a critical point; use more `starts`, or smaller norms.")
    points = [described(con, symmetries, end, times) for end, times in _distinct(con, symmetries, ends)]
    return CriticalPoints(sorted(_families(con, points), key=lambda p: p.log_loss), con, symmetries, total, lost)


def constrained_minimum(
    problem: Problem, data: Data, *, norm: float | Mapping[str, Any] = 50.0, widths: Mapping[str, int] | None = None, seed: int = 0, start: Any = None
) -> CriticalPoint:
    """The critical point that a descent from one start ends at; arguments as for `critical_points`.

    Beyond 2,000 weights no second derivatives are formed: eigenvalues, index and nullity are those of the 20 lowest, and symmetries explain none.

    Raises:
        RunFailed: if it ends at none, or where so many weights come to rest on kinks, whose slopes only dense equations give.
    """
    con = Constrained(problem, data, norm=norm, widths=widths)
    theta = con.random(np.random.default_rng(checked_seed(seed))) if start is None else con.row(start)
    if len(theta) > LARGE:
        return _large(con, theta)
    (end,) = _down(con, theta)
    if end.residual > con.resolution:
        raise RunFailed(f"the descent ended with the residual {end.residual:.1e}; try another `seed`, or smaller norms.")
    return described(con, con.symmetries, end, 1)


def _large(con: Constrained, theta: np.ndarray) -> CriticalPoint:
    """The minimum that a descent of many weights comes to, with the low end of its spectrum."""
    if con.bends:
        for softness in _SOFT[:3]:
            theta, _ = minimize(con.rounded(softness), theta, tolerance=1e-6)
        near = int((np.abs(con.preactivations(theta)) < 3.0 * _SOFT[2]).sum())
        if near:
            raise RunFailed(
                f"{near} of {con.bends} pairs of a unit and a sample come to rest on their kink, where the gradient is none; their slopes are not solved for "
                f"with more than {LARGE} weights (here {len(theta)}). Use fewer, or a smooth activation such as softplus."
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
    told = _Told(index, nullity, 0, np.inf, 0, 0, kind, not index and not nullity)
    end = Critical(theta, multipliers, nothing.astype(int), nothing, residual, np.zeros((0, 0)), np.zeros((0, 0)), nothing)
    return _point(con, end, values, told, 1, not nullity)


def settle(con: Constrained, theta: np.ndarray) -> Critical:
    """The critical point next to θ: polished where it stands, or, if that ends elsewhere, after a descent."""
    direct = polish(con, theta, 1e-4)
    return direct if direct.residual <= con.resolution and np.linalg.norm(direct.theta - theta) < 0.1 else _down(con, theta, 2)[0]


def _down(con: Constrained, theta: np.ndarray, skip: int = 0) -> list[Critical]:
    """The end of a descent; at large norms, where softmax and kinks are too sharp to go down on, by smaller ones. The first `skip` roundings are left out."""
    rungs = con.rungs()
    for rung in rungs:
        if not con.bends:
            theta, _ = minimize(rung, theta, tolerance=1e-6 if rung is not con else TOLERANCE)
            continue
        sharp = _sharp(rung)
        for softness in sharp[skip:] if rung is rungs[0] else sharp[-1:]:
            theta, _ = minimize(rung.rounded(softness), theta, tolerance=1e-6 if softness > sharp[-1] or rung is not con else 1e-9)
    return [polish(con, theta, _sharp(con)[-1])]


def _sharp(con: Constrained) -> tuple[float, ...]:
    """Softnesses of kinks, down to where it is read off which units rest on one: the less, the larger outputs are."""
    least = max(1e-2 / max(1e4, 2.0 * con.spread), 1e-12)
    return _SOFT + tuple(float(s) for s in SOFTNESS * 10.0 ** -np.arange(1, 7) if s >= 0.3 * least)


def _roots(con: Constrained, rng: np.random.Generator) -> list[Critical]:
    """Two zeros of the gradient near one random direction; other directions while there is none."""
    known: list[np.ndarray] = []
    found = []
    first, *rungs = con.rungs()
    soft = first.rounded(_SOFT[1]) if con.bends else first
    start = con.random(rng)
    for _ in range(_TRIES):
        theta = root(soft, start, known)
        if theta is None:
            if found:
                break
            start = con.random(rng)
            continue
        known.append(theta)
        for softness in _sharp(first)[2:] if con.bends else ():
            sharper = root(first.rounded(softness), theta, [])
            theta = theta if sharper is None else sharper
        for rung in rungs:
            sharper = root(rung.rounded(_sharp(rung)[-1]) if con.bends else rung, theta, [])
            theta = theta if sharper is None else sharper
        found.append(polish(con, theta, _sharp(con)[-1]))
        if len(found) == 2:
            break
    return found


def _distinct(con: Constrained, symmetries: Symmetries, ends: list[Critical]) -> list[tuple[Critical, int]]:
    groups: list[list[Any]] = []
    for end in sorted(ends, key=lambda e: e.residual):
        value = con.value(end.theta)
        for group in groups:
            if abs(group[1] - value) <= 1e-8 * max(1.0, abs(value)) and symmetries.distance(group[0].theta, end.theta) <= _SAME:
                group[2] += 1
                break
        else:
            groups.append([end, value, 1])
    return [(end, count) for end, _, count in groups]


def _families(con: Constrained, points: list[CriticalPoint]) -> list[CriticalPoint]:
    """Points of one continuous family that is no orbit at fixed norms count once: the same outputs, index and number of zero modes."""
    kept: list[CriticalPoint] = []
    outputs: list[np.ndarray] = []
    shifted = con.problem.loss.labels == "classes"
    for point in points:
        weights = point.state.weights()
        f = np.asarray(con.problem.network.outputs({k: np.asarray(w) for k, w in weights.items()}, np.asarray(con.data.x), np))
        # What all logits share is nothing to the loss.
        f = f - f.mean(axis=1, keepdims=True) if shifted else f
        for k, other in enumerate(kept):
            alike = (point.index, point.nullity, point.kinks) == (other.index, other.nullity, other.kinks) and not point._alone
            if alike and np.abs(f - outputs[k]).max() <= 1e-8 * max(1.0, float(np.abs(f).max())):
                kept[k] = replace(other, found=other.found + point.found)
                break
        else:
            kept.append(point)
            outputs.append(f)
    return kept


def described(con: Constrained, symmetries: Symmetries, end: Critical, found: int) -> CriticalPoint:
    """What a polished end is: index, zero modes, kinks, kind, and whether it attracts."""
    _, sizes, rows = np.linalg.svd(end.normals)
    free = rows[int((sizes > 1e-9 * sizes[0]).sum()) :].T
    values, vectors = np.linalg.eigh(free.T @ end.hessian @ free) if free.shape[1] else (np.zeros(0), np.zeros((0, 0)))
    top = float(np.abs(values).max(initial=0.0))
    null = np.abs(values) <= NULL * top
    index, nullity = int((values[~null] < 0).sum()), int(null.sum())
    flat = free @ vectors[:, null]
    explained, turned = (
        int((np.linalg.svd(rows @ flat, compute_uv=False) > 1.0 - _EXPLAINED).sum()) if rows.size and flat.size else 0
        for rows in (symmetries.freedom(end.theta, con.spheres.normals(end.theta)), symmetries.orbit(end.theta))
    )
    below, above = float(np.abs(values[null]).max(initial=0.0)), float(np.abs(values[~null]).min(initial=np.inf))
    left, right = kink_sides(con)
    # Units without weights pull on none of their kinks; whether they stay is a question of second order.
    without = growth(con, symmetries, end)
    own = np.isin(end.bent, without.pairs)
    push = end.pull * (right - left)[end.bent]
    # Where the loss does not answer to norms there are no multipliers to compare with.
    scale = max(float(np.abs(end.multipliers).max(initial=0.0)), 1e-3 * con.typical) / max(1, data_size(con))
    repels, idle = (push < -1e-9 * scale) & ~own, (np.abs(push) <= 1e-9 * scale) & ~own
    kind = "non-smooth" if len(end.bent) else "Morse-Bott" if nullity else "minimum" if not index else "maximum" if (values < 0).all() else "saddle"
    doubtful = bool((repels | idle).any()) or nullity > explained or not without.exact
    unexplained = flat if nullity > explained else flat[:, :0]
    attracting = index == 0 and without.largest <= 1.0 + EMPTY and not (doubtful and is_left(con, end, repels | idle, unexplained))
    gap = above / below if below > 0 and np.isfinite(above) else np.inf
    told = _Told(index, nullity, explained, gap, len(end.bent), int(repels.sum()), kind, bool(attracting))
    return _point(con, end, values, told, found, nullity <= turned)


class _Told(NamedTuple):
    """What the spectrum and the kinks say of a point; as in `CriticalPoint`."""

    index: int
    nullity: int
    explained: int
    gap: float
    kinks: int
    repelling: int
    kind: str
    attracting: bool


def _point(con: Constrained, end: Critical, values: np.ndarray, told: _Told, found: int, alone: bool) -> CriticalPoint:
    state = con.spheres.state(end.theta)
    # Adding zero turns -0, of a unit that is off and a label of -1, into 0.
    margin = float(np.min(np.asarray(con.problem.margins(state.V, con.data, np)))) + 0.0 if con.problem.loss.labels != "targets" else float("nan")
    value = con.value(end.theta)
    return CriticalPoint(
        state=state,
        residual=end.residual,
        log_loss=value if con.is_logarithm else float(np.log(value)) if value > 0 else -np.inf,
        margin=margin,
        multipliers=end.multipliers,
        eigenvalues=values,
        found=found,
        _theta=end.theta,
        _alone=alone,
        **told._asdict(),
    )


def data_size(con: Constrained) -> int:
    """Number of samples."""
    return int(np.asarray(con.data.x).shape[0])
