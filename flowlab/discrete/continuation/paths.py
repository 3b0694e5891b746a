"""`norm_path` and `penalty_path`: curves of critical points as norms grow or a penalty falls, with every branch that
leaves them.

At fixed norms the direction V_R of least loss moves with R towards the largest margin as R → ∞ (S. Rosset, J. Zhu, T.
Hastie, "Margin maximizing loss functions", 2003; P13). A penalty ω Σ ‖W_k‖² in place of the norms gives the
regularisation path. Curves are followed by pseudo-arclength, so that they may turn; at branch points the others are
switched to. What passes unseen: eigenvalues that change sign and change back within one step, and curves that meet none
of those that were followed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from flowlab.core.arguments import array, count, expects, guarded, must_be
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.core.precision import require_x64
from flowlab.core.provenance import provenance
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import ArrayLike
from flowlab.discrete.continuation.arclength import Crossing, Spot, at_parameter, spot
from flowlab.discrete.continuation.bifurcations import Departure, departures, kind, same
from flowlab.discrete.continuation.branch_diagram import Branch, Continuation, Event, columns
from flowlab.discrete.continuation.curve_tracing import on, trace
from flowlab.discrete.continuation.parameter_families import Family, Norms, Penalties, require_curvature
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import CriticalPoint
from flowlab.discrete.critical.trust_region import minimize
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

_POINTS, _BRANCHES = 1000, 48


@guarded
def norm_path(
    problem: Problem,
    data: Data,
    *,
    norms: tuple[float, float],
    start: State | CriticalPoint | Mapping[str, ArrayLike] | None = None,
    widths: Mapping[str, int] | None = None,
    starts: int = 8,
    seed: int = 0,
    switch: bool = True,
    longest: float | None = None,
    points: int = _POINTS,
) -> Continuation:
    """Critical points of the constrained problem as R goes from one value to another, all norms in proportion.

    Args:
        problem: a homogeneous network, with smooth activations or squared ReLU; its loss.
        data: samples.
        norms: first and last R; either may be the larger.
        start: a critical point at the first R, or directions near one; by default the least minimum of `starts`
            descents.
        widths: rows of hidden blocks, where no start tells them.
        starts: how many descents.
        seed: of the descents, and of the draws at branch points.
        switch: whether curves that leave branch points are followed too.
        longest: steps are at most so long in (V, log R); by default 0.2, or a hundredth of the range where that is
            more.
        points: at most so many on a curve.

    Raises:
        LanguageError: for bad input, and for activations with a kink; NotHomogeneous, DataError, ShapeMismatch: see
            `Constrained`; RunFailed: if there is no critical point near the start; TooLarge: where second derivatives
            do not fit into memory.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> path = fl.norm_path(fl.Problem("W @ x"), data, norms=(0.5, 5.0))
        >>> path.name, round(path.dataset.parameter[-1].item(), 4)
        ('log_norm', 1.6094)
    """
    low, high = _range("norms", norms, positive=True)
    _require_smooth(problem)
    if start is not None:
        start = start.state if isinstance(start, CriticalPoint) else start
        widths = _widths(problem, start.V if isinstance(start, State) else start) | dict(widths or {})
    require_curvature(problem, data, widths)
    con = Constrained(problem, data, norm=low, widths=widths)
    family = Norms(con)
    if isinstance(starts, bool) or not isinstance(starts, int) or starts < 1:
        raise must_be("starts", starts, "an integer from 1 on", "for example 8")
    if start is None:
        rng = np.random.default_rng(checked_seed(seed))
        first = min((minimize(con, con.random(rng))[0] for _ in range(starts)), key=con.value)
    else:
        first = family.row(start)
    return _continue(family, first, np.log(low), np.log(high), seed, switch, longest, points)


@guarded
def penalty_path(
    problem: Problem,
    data: Data,
    *,
    penalties: tuple[float, float],
    start: State | Mapping[str, ArrayLike] | None = None,
    widths: Mapping[str, int] | None = None,
    logarithmic: bool = False,
    starts: int = 16,
    seed: int = 0,
    switch: bool = True,
    longest: float | None = None,
    points: int = _POINTS,
) -> Continuation:
    """Critical points of L + ω Σ_k ‖W_k‖² as ω goes from one value to another: the regularisation path.

    Args:
        problem: network and loss, without decay of its own.
        data: samples.
        penalties: first and last ω.
        start: weights near a critical point at the first ω, whose curve alone is followed, with what leaves it. By
            default curves begin at the origin, where it is critical, and at all critical points that searches find at
            both ends, so that the direction of the path does not matter.
        widths: rows of hidden blocks.
        logarithmic: whether log ω is the parameter, for paths over decades; ω is positive then.
        starts: how many searches there are at each end.
        seed: of the searches.
        switch: whether more than one curve is followed; without it that of a minimum at the first ω, where no start is
            given.
        longest: steps are at most so long in (W, parameter); by default 0.2, or a hundredth of the range where that is
            more.
        points: at most so many on a curve.

    Raises:
        LanguageError, DataError: for bad input; RunFailed: if there is no critical point near the start.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> tree = fl.penalty_path(
        ...     fl.Problem("W2 @ W1 @ x", loss="square"), data, penalties=(0.75, 0.5), widths={"W1": 1}, points=5
        ... )
        >>> tree.dataset.parameter.dims, len(tree.events)
        (('point',), 0)
    """
    low, high = _range("penalties", penalties, positive=logarithmic)
    _require_smooth(problem)
    if start is not None:
        start = start.state if isinstance(start, CriticalPoint) else start
        widths = _widths(problem, start.V if isinstance(start, State) else start) | dict(widths or {})
    family = Penalties(problem, data, widths, logarithmic)
    p, q = (np.log(low), np.log(high)) if logarithmic else (low, high)
    starts = count("starts", starts, 1, 16)
    rng = np.random.default_rng(checked_seed(seed))
    if start is not None or not switch:
        first = family.row(start) if start is not None else family.descend(p, rng)
        return _continue(family, first, p, q, seed, switch, longest, points)
    first, *others = [(u, at) for at in (p, q) for u in family.critical(at, starts, rng)] or [
        (family.descend(p, rng), p)
    ]
    return _continue(family, *first, q if first[1] == p else p, seed, switch, longest, points, others=others)


def _widths(problem: Problem, start: Mapping[str, ArrayLike]) -> dict[str, int]:
    """Rows of the hidden blocks of a start."""
    expects("start", start, Mapping, "a state, a critical point or weights by block", "`path.last`")
    network = problem.network
    outer = {network.input_dim, *network.output_shape}
    start = {name: array(f"start[{name!r}]", v) for name, v in start.items()}
    hidden = [
        w for w, shape in network.shapes.items() if shape and not isinstance(shape[0], int) and shape[0] not in outer
    ]
    return {w: int(np.shape(start[w])[0]) for w in hidden if w in start and np.ndim(start[w])}


def _require_smooth(problem: Problem) -> None:
    problem.require_gradient("continuation")
    problem.network.require_slots("continuation")
    if any(slot.bends for slot in problem.network.slots):
        raise LanguageError(
            f"`{problem.network.text[:120]}` must have smooth activations, got kinks; use for example `relu(…)**2`."
        )


def _range(name: str, ends: Sequence[float] | np.ndarray, positive: bool) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in ends) if isinstance(ends, Sequence | np.ndarray) else (ends, ends)
    except (TypeError, ValueError, OverflowError):
        low = high = float("nan")
    if low == high or not np.isfinite([low, high]).all() or (positive and min(low, high) <= 0):
        raise must_be(
            name, ends, f"two different finite numbers{' above 0' if positive else ''}", "for example (1.0, 100.0)"
        )
    return low, high


def _continue(
    family: Family,
    first: np.ndarray,
    p: float,
    q: float,
    seed: int,
    switch: bool,
    longest: float | None,
    points: int,
    *,
    others: Sequence[tuple[np.ndarray, float]] = (),
) -> Continuation:
    """Follow the curve through a critical point at p, then those through others that lie on none of the curves before,
    and all that leaves them.
    """
    require_x64("continuation")
    longest = max(0.2, 0.01 * abs(q - p)) if longest is None else longest
    for name, value in (("longest", longest), ("points", points)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise must_be(name, value, "a finite number above 0", "a larger one, or leave it out")
    u, residual = at_parameter(family, first, p)
    if not residual <= family.resolution(p):
        raise RunFailed(
            f"no critical point was found near the start at {family.name} = {p:g} (residual {residual:.1e}); pass"
            " another `start`."
        )
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
            events[event] = replace(events[event], leads_to=(*events[event].leads_to, number))
        for crossing in found:
            known = next(
                (
                    k
                    for k, e in enumerate(events)
                    if same(family, crossing.spot.u, crossing.spot.p, e._spot.u, e._spot.p, 1e-4)
                ),
                None,
            )
            if known is not None:
                continue
            leaving = departures(family, crossing, rng) if not (crossing.is_fold or crossing.is_jump) else []
            events.append(_event(crossing, leaving, number))
            if switch:
                beyond = [crossing.beyond] if crossing.beyond is not None else []
                todo += [(start, crossing.spot, len(events) - 1) for start in [*(d.spot for d in leaving), *beyond]]
    settings = {
        "from": p,
        "to": q,
        "seed": seed,
        "switch": switch,
        "longest": longest,
        "points": points,
        "unfollowed": len(todo) + len(left),
    }
    return Continuation(
        tuple(branches),
        tuple(events),
        columns(family, branches),
        family.name,
        family,
        {**provenance(), "settings": settings},
    )


def _begin(family: Family, u: np.ndarray, p: float, q: float) -> Spot:
    """A critical point at p with its tangent on the way to q."""
    u, residual = at_parameter(family, u, p)
    return spot(family, u, p, residual, np.r_[np.zeros(len(u)), np.copysign(1.0, q - p)], 0.0)


def _event(at: Crossing, leaving: list[Departure], branch: int) -> Event:
    here = at.spot
    return Event(
        kind(at, leaving), float(here.p), branch, (), at.kernel.shape[1], (at.before, at.after), here.residual, here
    )
