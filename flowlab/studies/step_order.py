"""`step_order`: how fast descent comes near its flow and its modified flow as the step shrinks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.discrete.descent.descend import descend
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.studies.flow_and_descent import CORRECTION, RTOL, begin, descent_rows, flow_rows

_ROUND_OFF = 1e3


@dataclass(frozen=True)
@displayed
class StepOrder:
    """Distances of descent from its two flows for several steps, and the orders fitted to them; prints as a table.

    Attributes:
        dataset: over `step`: `flow`, `modified`: the largest ‖w_k - w(η k)‖ over common times; `floor`, distances below
            which are roundings and are not fitted.
        orders: by model, the slope of log distance over log step.
        errors: by model, its standard error, and by how much it would change if it kept drifting as it does between the
            smallest steps; both NaN where fewer than three distances are above the floor.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> found = fl.step_order(problem, start, data, time=1.0, steps=(0.1, 0.05, 0.025))
        >>> sorted(found.orders)
        ['flow', 'modified']
    """

    dataset: xr.Dataset
    orders: dict[str, float]
    errors: dict[str, float]

    def __str__(self) -> str:
        ds, told = self.dataset, ["step         from the flow   from the modified flow"]
        told += [
            f"{float(h):<12.5g} {float(a):13.4e}   {float(b):13.4e}"
            for h, a, b in zip(ds["step"], ds["flow"], ds["modified"], strict=True)
        ]
        told += [f"order of {name}: {self.orders[name]:.4f} ± {self.errors[name]:.4f}" for name in self.orders]
        return "\n".join(told)


@guarded
def step_order(
    problem: Problem,
    start: State,
    data: Data,
    *,
    time: float,
    steps: Sequence[float],
    rows: int = 17,
    correction: float = CORRECTION,
) -> StepOrder:
    """How fast descent comes near its flow and its modified flow as the step shrinks: orders 1 and 2.

    Args:
        problem: network, loss, reduction and decay.
        start: where all begin.
        data: samples.
        time: T, the same for all steps: each is changed to T/⌈T/η⌉.
        steps: at least three different step sizes.
        rows: at most so many common times.
        correction: c in the modified loss L + c η ‖∇L‖²; no other value than 1/4 has order 2.

    Raises:
        LanguageError, ShapeMismatch, DataError, PrecisionTooLow: for bad input; RunFailed: where a descent or a flow
            does not reach the time.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> found = fl.step_order(problem, start, data, time=1.0, steps=(0.1, 0.05, 0.025))
        >>> {name: round(order) for name, order in found.orders.items()}
        {'flow': 1, 'modified': 2}
    """
    problem.require_plain("`step_order`")
    for step in steps:
        begin("step_order", problem, start, data, step, time)
    numbers = sorted({math.ceil(time / step * (1 - 1e-12)) for step in steps})
    if len(numbers) < 3:
        raise LanguageError(
            f"`steps` must make at least three different numbers of steps, got {len(numbers)} of {tuple(steps)!r}; pass"
            " more."
        )
    if isinstance(correction, bool) or not isinstance(correction, int | float) or not math.isfinite(correction):
        raise must_be("correction", correction, "a finite number", "0.25 for the modified flow")
    curvature, w = begin("step_order", problem, start, data, steps[0], time)
    distances: dict[str, list[float]] = {"flow": [], "modified": []}
    for number in numbers:
        step = time / number
        counts = np.unique(np.linspace(0, number, min(int(rows), number + 1)).round().astype(int))
        every = math.gcd(*np.diff(counts).tolist())
        walk, outcome = descent_rows(
            curvature, descend(problem, start, data, step=step, count=number, record_every=every), number
        )
        if not outcome.ok:
            raise RunFailed(
                f"descent of step {step:g} did not reach the time {time:g} ({outcome}); pass smaller `steps`."
            )
        for name, part in (("flow", 0.0), ("modified", float(correction) * step)):
            found, outcome = flow_rows(curvature, w, step * counts, part)
            if not outcome.ok:
                raise RunFailed(f"the {name} flow did not reach the time {time:g} ({outcome}); pass smaller `steps`.")
            distances[name].append(float(np.linalg.norm(walk[counts // every] - found, axis=1).max()))
    sizes, floor = time / np.array(numbers), _ROUND_OFF * RTOL * (1.0 + float(np.linalg.norm(w)))
    fits = {name: _order(sizes, np.array(values), floor) for name, values in distances.items()}
    told = {"units": "dimensionless", "long_name": "largest distance from descent"}
    dataset = xr.Dataset(
        {name: ("step", np.array(v), told) for name, v in distances.items()} | {"floor": floor}, coords={"step": sizes}
    )
    return StepOrder(
        dataset, {name: fit[0] for name, fit in fits.items()}, {name: fit[1] for name, fit in fits.items()}
    )


def _order(steps: np.ndarray, distances: np.ndarray, floor: float) -> tuple[float, float]:
    """The fitted order and its error, with what is left of higher orders in it; steps from the largest to
    the smallest.
    """
    order, error = fitted_order(steps, distances, floor)
    if not math.isfinite(order):
        return order, error
    keep = distances > floor
    local = np.diff(np.log(distances[keep])) / np.diff(np.log(steps[keep]))
    return order, float(np.hypot(error, 2.0 * local[-1] - local[-2] - order))


def fitted_order(steps: np.ndarray, distances: np.ndarray, floor: float = 0.0) -> tuple[float, float]:
    """The slope of log distance over log step by least squares, and its standard error; NaN with fewer than three
    distances above the floor.
    """
    keep = distances > floor
    if keep.sum() < 3:
        return math.nan, math.nan
    a, b = np.log(steps[keep]), np.log(distances[keep])
    a = a - a.mean()
    slope = float(a @ b / (a @ a))
    rest = b - b.mean() - slope * a
    return slope, float(np.sqrt(rest @ rest / (len(a) - 2) / (a @ a)))
