"""Where flows end, against where the constrained problem has its critical points: which flow came to which point, and
which points attract.

The flow on the directions at fixed norms and the gradient of the constrained problem have the same zeros (Poggio,
Banburski and Liao 2020; P5), so every flow that comes to rest is at a critical point, and a point is left by almost
every flow unless it attracts.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.typing import Json, Record
from flowlab.discrete.critical.critical_points import CriticalPoints, settle
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

Field = Callable[[float, State, Data], State]
TOLERANCE = 1e-8


@dataclass(frozen=True)
@displayed
class FlowLimits:
    """Which flow came to which critical point; prints as two tables.

    Attributes:
        points: the critical points, numbered as they stand.
        dataset: over `flow`: `nearest` point, its `distance` modulo symmetry (√Σ_k ‖V_k - g V'_k‖², dimensionless),
            `matched` where that is below the tolerance, `to_critical`, the distance to the critical point that Newton's
            method finds from the end itself (nan where it finds none), `log_norm` at the end; over (`flow`, `point`):
            `distances`; over `point`: `reached`, how many flows matched it, `attracting`, `log_loss`, `index`, and
            `rate`, ‖V̇‖ of the given field there over its root mean square at random directions (nan without a field,
            and where there are kinks).
        random_rate: the smallest such rate over 16 random directions: what a field looks like where it does not vanish.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> points = fl.critical_points(fl.Problem("W @ x"), data, norm=2.0, starts=4)
        >>> start = fl.beside(points, 0)
        >>> found = fl.flow_limits([start, start], points)
        >>> found.dataset.nearest.values.tolist()
        [0, 0]
    """

    points: CriticalPoints
    dataset: xr.Dataset
    random_rate: float

    @property
    def unmatched(self) -> list[int]:
        """Flows that ended at none of the points."""
        return [int(i) for i in np.flatnonzero(~self.dataset["matched"].values)]

    @property
    def unreached(self) -> list[int]:
        """Attracting points that no flow reached."""
        ds = self.dataset
        return [int(i) for i in np.flatnonzero(ds["attracting"].values & (ds["reached"].values == 0))]

    def to_dict(self) -> Record:
        """Tables as lists, for JSON; what is not a number is None."""

        def plain(value: Json) -> Json:
            if isinstance(value, list):
                return [plain(v) for v in value]
            return None if isinstance(value, float) and not np.isfinite(value) else value

        return {str(k): plain(v.values.tolist()) for k, v in self.dataset.data_vars.items()} | {
            "tolerance": self.dataset.attrs["tolerance"]
        }

    def __str__(self) -> str:
        ds, told = self.dataset, [str(self.points), "flow  nearest  distance   to critical  log norm"]
        for i in range(ds.sizes["flow"]):
            row = ds.isel(flow=i)
            matched = "" if bool(row["matched"]) else "  not at any of the points"
            told.append(
                f"{i:4d}  {int(row['nearest']):7d}  {float(row['distance']):8.1e}  {float(row['to_critical']):11.1e} "
                f" {float(row['log_norm']):8.4g}{matched}"
            )
        known = bool(np.isfinite(self.random_rate))
        told.append("point  reached  attracting" + ("  rate of the field" if known else ""))
        for k in range(ds.sizes["point"]):
            row = ds.isel(point=k)
            rate = float(row["rate"])
            shown = "" if not known else "  on a kink" if np.isnan(rate) else f"  {rate:.1e}"
            told.append(
                f"{k:5d}  {int(row['reached']):7d}  {'yes' if bool(row['attracting']) else 'no':10s}{shown}".rstrip()
            )
        if known:
            told.append(f"at random directions the field is at least {self.random_rate:.1e} of its typical size")
        return "\n".join(told)


@guarded
def flow_limits(
    ends: Sequence[Trajectory | State] | Trajectory | State,
    points: CriticalPoints,
    *,
    field: Field | None = None,
    tolerance: float = TOLERANCE,
) -> FlowLimits:
    """Hold the ends of flows against critical points.

    Args:
        ends: trajectories, of which the last state counts, or states. Only their directions are compared; norms are for
            the caller to choose equal.
        points: from `critical_points`.
        field: a vector field `field(t, state, data)` such as `lower` gives; its rates are evaluated at the points (P5).
        tolerance: distance below which an end is at a point.

    Raises:
        LanguageError: without ends or points; ShapeMismatch: for states of other shapes.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_norm(np.log(2.0)))
        >>> points = fl.critical_points(problem, data, norm=2.0, starts=4)
        >>> found = fl.flow_limits(path, points)
        >>> found.dataset.distance.shape
        (1,)
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance <= sys.float_info.max:
        raise must_be("tolerance", tolerance, "a number above 0", f"for example {TOLERANCE}")
    listed = [ends] if isinstance(ends, Trajectory | State) else list(ends)
    if not listed or not len(points):
        raise LanguageError(
            f"flows and points must be at least one each, got {len(listed)} and {len(points)}; pass more."
        )
    con, states = points.constrained, [e.last if isinstance(e, Trajectory) else e for e in listed]
    rows = [con.row(state) for state in states]
    distances = np.array([[points.symmetries.distance(row, con.row(p.state)) for p in points] for row in rows])
    settled = []
    for row in rows:
        end = settle(con, row)
        settled.append(points.symmetries.distance(row, end.theta) if end.residual <= 1e-10 else np.nan)
    nearest, matched = distances.argmin(axis=1), distances.min(axis=1) <= tolerance
    rates, random_rate = _rates(points, field)
    variables = {
        "nearest": ("flow", nearest),
        "distance": ("flow", distances.min(axis=1)),
        "matched": ("flow", matched),
        "to_critical": ("flow", np.array(settled)),
        "log_norm": (
            "flow",
            np.array(
                [
                    float(np.asarray(con.problem.log_product({k: np.asarray(w) for k, w in s.weights().items()}, np)))
                    for s in states
                ]
            ),
        ),
        "distances": (("flow", "point"), distances),
        "reached": ("point", np.bincount(nearest[matched], minlength=len(points))),
        "attracting": ("point", np.array([p.attracting for p in points])),
        "log_loss": ("point", np.array([p.log_loss for p in points])),
        "index": ("point", np.array([p.index for p in points])),
        "rate": ("point", rates),
    }
    return FlowLimits(points, xr.Dataset(variables, attrs={"tolerance": tolerance}), random_rate)


@dataclass(frozen=True)
@displayed
class Approach:
    """How far a trajectory is from critical points at every row.

    Attributes:
        dataset: `distance` modulo symmetry over (`step`, `point`), and `log_t` over `step`.
        points: the critical points; `problem` is theirs.
    """

    dataset: xr.Dataset
    points: CriticalPoints
    kind = "approach"

    @property
    def problem(self) -> Problem:
        """The problem that the points are critical for."""
        return self.points.problem


@guarded
def approach(path: Trajectory, points: CriticalPoints, *, rows: int = 100) -> Approach:
    """Distances of a trajectory from critical points; arguments as for `flow_limits`.

    Args:
        path: the trajectory.
        points: from `critical_points`.
        rows: how many of its rows are looked at, evenly spread and with both ends.

    Raises:
        LanguageError: without rows or points; ShapeMismatch: for states of other shapes.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_norm(np.log(2.0)))
        >>> points = fl.critical_points(problem, data, norm=2.0, starts=4)
        >>> fl.approach(path, points, rows=5).kind
        'approach'
    """
    if rows < 2 or not len(points):
        raise LanguageError(
            f"the path must have at least 2 rows, and there must be a point, got {rows} and {len(points)}; pass more."
        )
    con = points.constrained
    ends = [con.row(p.state) for p in points]
    some = np.unique(np.linspace(0, len(path) - 1, min(rows, len(path))).astype(int))
    distances = [[points.symmetries.distance(con.row(path.state(int(i))), end) for end in ends] for i in some]
    return Approach(
        xr.Dataset(
            {
                "distance": (("step", "point"), np.array(distances)),
                "log_t": ("step", path.dataset["log_t"].values[some]),
            }
        ),
        points,
    )


def _rates(points: CriticalPoints, field: Field | None) -> tuple[np.ndarray, float]:
    """‖V̇‖ over the loss at every point, and the least at random directions; both over the root mean square of the
    latter.
    """
    if field is None:
        return np.full(len(points), np.nan), float("nan")
    con, rng = points.constrained, np.random.default_rng(0)

    def rate(state: State) -> float:
        try:
            moved = jax.tree_util.tree_leaves(field(0.0, state, con.data).V)
        except (KeyError, AttributeError, TypeError) as error:
            remedy = "`fl.lower(fl.derive(problem))` of the same problem"
            raise LanguageError(
                f"`field` must give rates at the points, got {type(error).__name__}; pass {remedy}."
            ) from error
        log_loss = float(
            np.asarray(con.problem.log_loss({k: np.asarray(w) for k, w in state.weights().items()}, con.data, np))
        )
        return float(np.sqrt(sum(float((np.asarray(v) ** 2).sum()) for v in moved)) * np.exp(-log_loss))

    random = np.array([rate(con.spheres.state(con.random(rng))) for _ in range(16)])
    size = float(np.sqrt((random**2).mean()))
    return np.array([np.nan if p.kinks else rate(p.state) / size for p in points]), float(random.min() / size)
