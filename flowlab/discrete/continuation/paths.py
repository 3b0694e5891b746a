"""`norm_path` and `penalty_path`: curves of critical points as norms grow or a penalty falls, with every branch that leaves them.

At fixed norms the direction V_R of least loss moves with R towards the largest margin as R → ∞ (S. Rosset, J. Zhu, T. Hastie, "Margin maximizing
loss functions", 2003; P13). A penalty ω Σ ‖W_k‖² in place of the norms gives the regularisation path. Curves are followed by pseudo-arclength, so
that they may turn; at branch points the others are switched to. What passes unseen: eigenvalues that change sign and change back within one
step, and curves that meet none of those that were followed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.arguments import array, count, expects, guarded
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.core.precision import require_x64
from flowlab.core.provenance import provenance
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import ArrayLike, Record
from flowlab.discrete.continuation.arclength import Crossing, Spot, at_parameter, spot
from flowlab.discrete.continuation.bifurcations import Departure, departures, kind, same
from flowlab.discrete.continuation.curve_tracing import on, section, trace
from flowlab.discrete.continuation.parameter_families import Family, Norms, Penalties, require_curvature
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import CriticalPoint
from flowlab.discrete.critical.trust_region import minimize
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

_POINTS, _BRANCHES = 1000, 48


@dataclass(frozen=True)
class Event:
    """A point where a curve turns or others pass through it.

    Attributes:
        kind: `"fold"` (also one with a corner, where second derivatives jump as those of squared ReLU do), `"jump"` (they jump, the curve goes on),
            `"supercritical pitchfork"`, `"subcritical pitchfork"`, `"transcritical"`, `"vertical"` (a curve at one parameter), several joined by
            "and", or `"crossing"` where no other curve was found.
        parameter: where; `branch`, the curve on which it was found; `leads_to`, the curves that were followed from it.
        multiplicity: dimension of the kernel of the Hessian, directions of symmetry apart.
        index: number of negative eigenvalues before and after, along the curve.
        residual: of the gradient there.
    """

    kind: str
    parameter: float
    branch: int
    leads_to: tuple[int, ...]
    multiplicity: int
    index: tuple[int, int]
    residual: float
    _spot: Spot = field(repr=False, compare=False)


@dataclass(frozen=True)
class Branch:
    """A curve of critical points: its points in order, the event it left (none for the first), and why it ended.

    Attributes:
        end: `"end"` (of the range, far side), `"begin"` (near side), `"closed"` (back where it began, or at an image of that under a symmetry),
            `"branch point"` (it turns there, and what lies beyond is a branch of its own or an image of this one), `"far"` (weights grew beyond three
            times those at the beginning without a change of the parameter, or ten thousand times with one), `"budget"` (of points), `"flat"` (critical
            points fill more than a curve, or cannot be told from such: curvatures are below a millionth of the largest), or `"lost"`: no step however
            short succeeded.
    """

    spots: tuple[Spot, ...]
    event: int | None
    end: str


@dataclass(frozen=True)
class Continuation:
    """Curves of critical points; prints as a table and is drawn by `draw("continuation", …)`.

    Attributes:
        branches: the curves, the first of them through the start.
        events: folds and branch points, in the order in which they were found.
        dataset: over `point`: `branch`, `parameter` (log R, ω or log ω, as `name` says), `length`, `log_loss`, `margin` (of unit directions), `norm`
            (of all weights), `index`, `nullity`, `least` (smallest eigenvalue), `residual`; and `row` over (`point`, `coordinate`).
        name: of the parameter: `"log_norm"`, `"decay"` or `"log_decay"`.
        family: the equations.
        provenance: versions, seed, hashes.
    """

    branches: tuple[Branch, ...]
    events: tuple[Event, ...]
    dataset: xr.Dataset
    name: str
    family: Family
    provenance: Record
    kind = "continuation"

    @property
    def problem(self) -> Problem:
        """Network and loss."""
        return self.family.problem

    def at(self, parameter: float, branch: int | None = None) -> list[dict[str, np.ndarray]]:
        """All critical points on the curves (on one of them) at a parameter, as weights by block; each solved for anew, to a residual of 1e-10.

        Images under symmetries of the network, such as mirror images, count once.
        """
        if isinstance(parameter, bool) or not isinstance(parameter, Real) or not np.isfinite(parameter):
            raise LanguageError(f"`parameter={parameter!r}` is no value of {self.name}; use a finite number.")
        chosen = self.branches if branch is None else [self._branch(branch)]
        found: list[np.ndarray] = []
        for u in (u for of in chosen for u in section(self.family, of.spots, parameter)):
            if not any(same(self.family, u, parameter, v, parameter) for v in found):
                found.append(u)
        return [self.family.weights(u, parameter) for u in found]

    def _branch(self, number: int) -> Branch:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self.branches):
            raise LanguageError(f"`branch={number!r}` is no curve; use an integer from 0 to {len(self.branches) - 1}.")
        return self.branches[number]

    def distance(self, path: Trajectory, branch: int = 0, rows: int = 200) -> xr.Dataset:
        """How far the directions of a flow or a descent are from a curve at the same R.

        Under gradient flow the distance of one layer is bounded by a multiple of 1/R (N3). Deeper nets keep what no sample drives, next to weights
        that grow like R^(1/K): the distance falls like R^(-1/K), and `scaled` grows, unless the start was balanced.

        Args:
            path: of the same network and data.
            branch: the curve.
            rows: at most so many rows of the path, evenly spread.

        Returns:
            Over `row`, those whose R the curve reaches: `log_t`, `log_norm` (log R), `distance` modulo symmetry, and `scaled`, R times it.

        Raises:
            LanguageError: on a penalty path, for a branch that is none, or where the path reaches no R of the curve; ShapeMismatch: for another network.
        """
        if not isinstance(self.family, Norms):
            raise LanguageError("a path of penalties has no directions at a norm; use `norm_path`.")
        found, spots = [], self._branch(branch).spots
        for i in np.unique(np.linspace(0, len(path) - 1, min(rows, len(path))).round().astype(int)):
            state = path.state(int(i))
            rho, V = ({k: np.asarray(v) for k, v in part.items()} for part in (state.rho, state.V))
            p = float(np.asarray(path.problem.log_product(path.problem.scheme.weights(np, rho, V, path.problem.per), np)))
            there = section(self.family, spots, p)
            if there:
                row = self.family.row(state)
                near = min(self.family.symmetries.distance(row, u) for u in there)
                found.append((float(path.dataset["log_t"].values[i]), p, near, near * float(np.exp(p))))
        if not found:
            raise LanguageError(f"no row of the path has a norm between those of branch {branch}; follow it over other `norms`.")
        told = ("log of flow time t", "log R", "distance of directions from the curve, modulo symmetry", "R times the distance")
        columns = zip(("log_t", "log_norm", "distance", "scaled"), np.array(found).T, told, strict=True)
        return xr.Dataset({name: ("row", values, {"units": "dimensionless", "long_name": text}) for name, values, text in columns})

    def __str__(self) -> str:
        ds, lines = self.dataset, [f"{len(self.branches)} branches, {len(self.events)} events; parameter {self.name}"]
        lines.append(f"branch  points  {'from':>11s}  {'to':>11s}  {'index':>9s}  {'residual':>8s}  {'left':>5s}  ends")
        for b, branch in enumerate(self.branches):
            of = ds.isel(point=ds["branch"].values == b)
            p, index = of["parameter"].values, of["index"].values
            shown = f"{index.min()}" if index.min() == index.max() else f"{index.min()}..{index.max()}"
            left = "start" if branch.event is None else f"#{branch.event}"
            lines.append(f"{b:6d}  {len(p):6d}  {p[0]:11.5g}  {p[-1]:11.5g}  {shown:>9s}  {float(of['residual'].max()):8.1e}  {left:>5s}  {branch.end}")
        if flat := [str(b) for b, branch in enumerate(self.branches) if branch.end == "flat"]:
            lines.append(f"flat: beyond the end of {', '.join(flat)} critical points fill more than a curve; `critical_points` finds some of them")
        if self.events:
            lines.append(f" event  {'parameter':>16s}  branch  index    kernel  kind")
            lines += [
                f"{'#' + str(k):>6s}  {e.parameter:16.10g}  {e.branch:6d}  {e.index[0]:2d} → {e.index[1]:<2d}  {e.multiplicity:6d}  {e.kind}"
                + (f" to {', '.join(map(str, e.leads_to))}" if e.leads_to else "")
                for k, e in enumerate(self.events)
            ]
        return "\n".join(lines)


@guarded
def norm_path(
    problem: Problem, data: Data, *, norms: tuple[float, float], start: State | CriticalPoint | Mapping[str, ArrayLike] | None = None,
    widths: Mapping[str, int] | None = None, starts: int = 8, seed: int = 0, switch: bool = True, longest: float | None = None, points: int = _POINTS,
) -> Continuation:  # fmt: skip
    """Critical points of the constrained problem as R goes from one value to another, all norms in proportion.

    Args:
        problem: a homogeneous network, with smooth activations or squared ReLU; its loss.
        data: samples.
        norms: first and last R; either may be the larger.
        start: a critical point at the first R, or directions near one; by default the least minimum of `starts` descents.
        widths: rows of hidden blocks, where no start tells them.
        starts: how many descents.
        seed: of the descents, and of the draws at branch points.
        switch: whether curves that leave branch points are followed too.
        longest: steps are at most so long in (V, log R); by default 0.2, or a hundredth of the range where that is more.
        points: at most so many on a curve.

    Raises:
        LanguageError: for bad input, and for activations with a kink; NotHomogeneous, DataError, ShapeMismatch: see `Constrained`;
            RunFailed: if there is no critical point near the start; TooLarge: where second derivatives do not fit into memory.
    """
    low, high = _range("norms", norms, positive=True)
    if start is not None:
        start = start.state if isinstance(start, CriticalPoint) else start
        widths = _widths(problem, start.V if isinstance(start, State) else start) | dict(widths or {})
    require_curvature(problem, data, widths)
    con = Constrained(problem, data, norm=low, widths=widths)
    if con.bends:
        raise LanguageError(f"`{problem.network.text[:120]}` has kinks, where critical points are no smooth curve; use a smooth activation, or `relu(…)**2`.")
    family = Norms(con)
    if isinstance(starts, bool) or not isinstance(starts, int) or starts < 1:
        raise LanguageError(f"`starts={starts!r}` is no number of starts; use an integer such as 8.")
    if start is None:
        rng = np.random.default_rng(checked_seed(seed))
        first = min((minimize(con, con.random(rng))[0] for _ in range(starts)), key=con.value)
    else:
        first = family.row(start)
    return _continue(family, first, np.log(low), np.log(high), seed, switch, longest, points)


@guarded
def penalty_path(
    problem: Problem, data: Data, *, penalties: tuple[float, float], start: State | Mapping[str, ArrayLike] | None = None,
    widths: Mapping[str, int] | None = None, logarithmic: bool = False, starts: int = 16,
    seed: int = 0, switch: bool = True, longest: float | None = None, points: int = _POINTS,
) -> Continuation:  # fmt: skip
    """Critical points of L + ω Σ_k ‖W_k‖² as ω goes from one value to another: the regularisation path.

    Args:
        problem: network and loss, without decay of its own.
        data: samples.
        penalties: first and last ω.
        start: weights near a critical point at the first ω, whose curve alone is followed, with what leaves it. By default curves begin at the origin,
            where it is critical, and at all critical points that searches find at both ends, so that the direction of the path does not matter.
        widths: rows of hidden blocks.
        logarithmic: whether log ω is the parameter, for paths over decades; ω is positive then.
        starts: how many searches there are at each end.
        seed: of the searches.
        switch: whether more than one curve is followed; without it that of a minimum at the first ω, where no start is given.
        longest: steps are at most so long in (W, parameter); by default 0.2, or a hundredth of the range where that is more.
        points: at most so many on a curve.

    Raises:
        LanguageError, DataError: for bad input; RunFailed: if there is no critical point near the start.
    """
    low, high = _range("penalties", penalties, positive=logarithmic)
    if start is not None:
        start = start.state if isinstance(start, CriticalPoint) else start
        widths = _widths(problem, start.V if isinstance(start, State) else start) | dict(widths or {})
    family = Penalties(problem, data, widths, logarithmic)
    if any(slot.tracked for slot in problem.network.slots):
        raise LanguageError(f"`{problem.network.text[:120]}` has kinks, where critical points are no smooth curve; use a smooth activation, or `relu(…)**2`.")
    p, q = (np.log(low), np.log(high)) if logarithmic else (low, high)
    starts = count("starts", starts, 1, 16)
    rng = np.random.default_rng(checked_seed(seed))
    if start is not None or not switch:
        first = family.row(start) if start is not None else family.descend(p, rng)
        return _continue(family, first, p, q, seed, switch, longest, points)
    first, *others = [(u, at) for at in (p, q) for u in family.critical(at, starts, rng)] or [(family.descend(p, rng), p)]
    return _continue(family, *first, q if first[1] == p else p, seed, switch, longest, points, others=others)


def _widths(problem: Problem, start: Mapping[str, ArrayLike]) -> dict[str, int]:
    """Rows of the hidden blocks of a start."""
    expects("start", start, Mapping, "a state, a critical point, or weights by block")
    network = problem.network
    outer = {network.input_dim, *network.output_shape}
    start = {name: array(f"start[{name!r}]", v) for name, v in start.items()}
    hidden = [w for w, shape in network.shapes.items() if shape and not isinstance(shape[0], int) and shape[0] not in outer]
    return {w: int(np.shape(start[w])[0]) for w in hidden if w in start and np.ndim(start[w])}


def _range(name: str, ends: Any, positive: bool) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in ends) if isinstance(ends, Sequence | np.ndarray) else (ends, ends)
    except (TypeError, ValueError, OverflowError):
        low = high = float("nan")
    if low == high or not np.isfinite([low, high]).all() or (positive and min(low, high) <= 0):
        raise LanguageError(f"`{name}={ends!r}` is no range; use two different finite numbers{' above zero' if positive else ''}, such as (1.0, 100.0).")
    return low, high


def _continue(
    family: Family, first: np.ndarray, p: float, q: float, seed: int, switch: bool, longest: float | None, points: int, *,
    others: Sequence[tuple[np.ndarray, float]] = (),
) -> Continuation:  # fmt: skip
    """Follow the curve through a critical point at p, then those through others that lie on none of the curves before, and all that leaves them."""
    require_x64("continuation")
    longest = max(0.2, 0.01 * abs(q - p)) if longest is None else longest
    for name, value in (("longest", longest), ("points", points)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise LanguageError(f"`{name}={value!r}` is not allowed; use a finite number above zero.")
    u, residual = at_parameter(family, first, p)
    if not residual <= family.resolution(p):
        raise RunFailed(f"no critical point was found near the start at {family.name} = {p:g} (residual {residual:.1e}); give another `start`.")
    rng, events = np.random.default_rng([seed, 7]), list[Event]()
    todo: list[tuple[Spot, Spot | None, int | None]] = [(_begin(family, u, p, q), None, None)]
    left = [_begin(family, v, at, p + q - at) for v, at in others]
    branches: list[Branch] = []
    while (todo or left) and len(branches) < _BRANCHES:
        begin, root, event = todo.pop(0) if todo else (left.pop(0), None, None)
        if branches and (root is not None or not todo) and any(on(family, begin, branch.spots) for branch in branches):
            continue
        spots, found, end = trace(family, begin, root, (p, q), longest, int(points))
        number = len(branches)
        branches.append(Branch(tuple(spots), event, end))
        if event is not None:
            events[event] = _led(events[event], number)
        for crossing in found:
            known = next((k for k, e in enumerate(events) if same(family, crossing.spot.u, crossing.spot.p, e._spot.u, e._spot.p, 1e-4)), None)
            if known is not None:
                continue
            leaving = departures(family, crossing, rng) if not (crossing.is_fold or crossing.is_jump) else []
            events.append(_event(crossing, leaving, number))
            if switch:
                beyond = [crossing.beyond] if crossing.beyond is not None else []
                todo += [(start, crossing.spot, len(events) - 1) for start in [*(d.spot for d in leaving), *beyond]]
    settings = {"from": p, "to": q, "seed": seed, "switch": switch, "longest": longest, "points": points, "unfollowed": len(todo) + len(left)}
    return Continuation(tuple(branches), tuple(events), _dataset(family, branches), family.name, family, {**provenance(), "settings": settings})


def _begin(family: Family, u: np.ndarray, p: float, q: float) -> Spot:
    """A critical point at p with its tangent on the way to q."""
    u, residual = at_parameter(family, u, p)
    return spot(family, u, p, residual, np.r_[np.zeros(len(u)), np.copysign(1.0, q - p)], 0.0)


def _event(at: Crossing, leaving: list[Departure], branch: int) -> Event:
    here = at.spot
    return Event(kind(at, leaving), float(here.p), branch, (), at.kernel.shape[1], (at.before, at.after), here.residual, here)


def _led(event: Event, branch: int) -> Event:
    return Event(event.kind, event.parameter, event.branch, (*event.leads_to, branch), event.multiplicity, event.index, event.residual, event._spot)


def _dataset(family: Family, branches: list[Branch]) -> xr.Dataset:
    spots = [s for branch in branches for s in branch.spots]
    plain = "dimensionless"
    columns: dict[str, tuple[list[Any], str]] = {
        "branch": ([k for k, branch in enumerate(branches) for _ in branch.spots], "curve"),
        "parameter": ([s.p for s in spots], family.name),
        "length": ([s.length for s in spots], "length of the curve from its beginning"),
        "log_loss": ([family.log_loss(s.u, s.p) for s in spots], "log of the data loss"),
        "margin": ([family.margin(s.u, s.p) for s in spots], "smallest margin of unit directions"),
        "norm": ([float(np.sqrt(sum((w**2).sum() for w in family.weights(s.u, s.p).values()))) for s in spots], "norm of all weights"),
        "index": ([s.index for s in spots], "negative eigenvalues of the Hessian"),
        "nullity": ([s.nullity for s in spots], "zero eigenvalues, directions of symmetry apart"),
        "least": ([float(s.eigenvalues.min(initial=np.inf)) for s in spots], "smallest eigenvalue, directions of symmetry apart"),
        "residual": ([s.residual for s in spots], "of the gradient, relative"),
    }
    variables: Record = {k: ("point", np.array(v), {"units": plain, "long_name": told}) for k, (v, told) in columns.items()}
    variables["row"] = (("point", "coordinate"), np.array([s.u for s in spots]), {"units": plain, "long_name": "unknowns"})
    names = [f"{name}[{','.join(map(str, np.array(i) + 1))}]" for name, shape in family.layout for i in np.ndindex(*shape)]
    return xr.Dataset(variables, coords={"coordinate": names})
