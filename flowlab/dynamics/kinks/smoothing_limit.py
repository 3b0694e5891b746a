"""The limit of rounded kinks: one run per width, extrapolated; what a run that followed its kinks is compared with."""

import dataclasses
from collections.abc import Sequence
from typing import Unpack

import numpy as np

from flowlab.core.arguments import guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import RunFailed
from flowlab.dynamics.conditions import Condition
from flowlab.dynamics.integrate import Settings, integrate
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.smoothed_field import smoothed

WIDTHS = (4e-5, 2e-5, 1e-5)


@dataclasses.dataclass(frozen=True)
@displayed
class Rounded:
    """The end of runs with rounded kinks, as their width goes to zero.

    Attributes:
        widths: ε of each run, falling by one factor.
        weights: extrapolated, by block.
        error: estimated, in the largest entry of the weights: what extrapolation by one width less would have given,
            off this.
        order: power of ε that the differences between runs fall with; NaN where they do not fall.
        paths: the runs.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W2 @ relu(W1 @ x)")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
        >>> found = fl.rounded(problem, start, data, until=fl.time(0.1), widths=(0.1, 0.05, 0.025))
        >>> found.widths, found.error < 1e-2
        ((0.1, 0.05, 0.025), True)
    """

    widths: tuple[float, ...]
    weights: dict[str, np.ndarray]
    error: float
    order: float
    paths: tuple[Trajectory, ...]

    def distance(self, path: Trajectory) -> float:
        """Largest difference of a weight at the end of a run from the extrapolated one, as a part of the largest
        weight.
        """
        theirs = path.last.weights()
        size = max(float(np.abs(w).max()) for w in self.weights.values())
        return max(float(np.abs(np.asarray(theirs[name]) - w).max()) for name, w in self.weights.items()) / size


@guarded
def rounded(
    problem: Problem,
    start: State,
    data: Data,
    *,
    until: Condition | Sequence[Condition],
    widths: Sequence[float] = WIDTHS,
    **settings: Unpack[Settings],
) -> Rounded:
    """Run a problem with its kinks rounded off at several widths, and extrapolate to none.

    Args:
        problem: with the scheme "gradient_flow".
        start: the state at t = 0.
        data: samples.
        until: where to stop; the end is compared, so it should be a time.
        widths: three or more, each the same part of the one before.
        settings: further arguments of `integrate`.

    Raises:
        LanguageError: if the widths are not such, or the problem is none.
        RunFailed: if a run does not reach its end.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W2 @ relu(W1 @ x)")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.time(0.1))
        >>> found = fl.rounded(problem, start, data, until=fl.time(0.1), widths=(0.1, 0.05, 0.025))
        >>> found.distance(path) < 1e-2
        True
    """
    if not isinstance(problem, Problem):
        raise must_be("problem", problem, "a Problem", "`fl.Problem(...)`, whose kinks are then rounded off")
    try:
        steps = np.asarray(widths, dtype=float)
    except (TypeError, ValueError):
        steps = np.zeros(0)
    if (
        steps.ndim != 1
        or len(steps) < 3
        or not (steps[1:] < steps[:-1]).all()
        or not np.allclose(steps[1:] / steps[:-1], steps[1] / steps[0], rtol=1e-6)
    ):
        raise must_be("widths", widths, "three or more numbers in one falling ratio", "for example (4e-5, 2e-5, 1e-5)")
    implicit: Settings = {"solver": "kvaerno5", **settings}
    paths = []
    for width in steps:
        path = integrate(smoothed(problem, float(width)), start, data, until=until, **implicit)
        if path.outcome.kind not in ("done", "event"):
            raise RunFailed(
                f"the run with kinks rounded off at {width:g} ended as {path.outcome.kind}: {path.outcome.message}"
            )
        paths.append(path)
    ends = [{name: np.asarray(w) for name, w in path.last.weights().items()} for path in paths]
    table = np.array([np.concatenate([w.ravel() for w in end.values()]) for end in ends])
    apart = np.abs(np.diff(table, axis=0)).max(axis=1)
    ratio = float(steps[0] / steps[1])
    order = (
        float(np.log(apart[-2] / apart[-1]) / np.log(ratio))
        if apart[-1] > 0 and apart[-2] > apart[-1]
        else float("nan")
    )
    best, before = _richardson(table, ratio), _richardson(table[:-1], ratio)
    cuts = np.cumsum([w.size for w in ends[0].values()])[:-1]
    weights = {
        name: part.reshape(w.shape) for (name, w), part in zip(ends[0].items(), np.split(best, cuts), strict=True)
    }
    return Rounded(tuple(steps.tolist()), weights, float(np.abs(best - before).max()), order, tuple(paths))


def _richardson(table: np.ndarray, ratio: float) -> np.ndarray:
    """The limit of rows whose error is a series in powers of ε."""
    rows = table.copy()
    for power in range(1, len(table)):
        factor = ratio**power
        rows = (factor * rows[1:] - rows[:-1]) / (factor - 1)
    return rows[0]
