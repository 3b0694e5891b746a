"""Four models of gradient descent side by side, and how fast two of them come near it as the step shrinks.

For a step η, in the time t = η k:

    flow       dw/dt = -∇L                     gradient flow; descent leaves it by O(η)
    modified   dw/dt = -∇(L + (η/4) ‖∇L‖²)     the flow of backward error analysis; descent leaves it by O(η²)
    central    the time-averaged descent at the edge of stability; the gradient flow while the sharpness is below 2/η
               (`flowlab.studies.central_flow`)
    discrete   w⁺ = w - η ∇L                   `descend` itself

(D. G. T. Barrett, B. Dherin, "Implicit gradient regularization", ICLR 2021; J. Cohen et al., "Understanding
optimization in deep learning with central flows", 2024.) The flows are integrated here from autodiff of the objective
alone, by Runge-Kutta of order 8 at tight tolerances. On networks with kinks the second order is lost where a step
crosses one, and the modified flow is no better than the flow in order (though often in size).
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.discrete.descent.descend import descend
from flowlab.discrete.descent.sharpness import Curvature
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome
from flowlab.studies.central_flow import central_flow
from flowlab.studies.flow_and_descent import CORRECTION, begin, descent_rows, flow_rows

MODELS = ("flow", "modified", "central", "discrete")
_DIVERGED = 6.0 * math.log(10.0)
_ENTRIES = 30_000_000


@dataclass(frozen=True)
@displayed
class Unfit:
    """The outcome of a model that was computed, or could not be, and stands for nothing.

    Attributes:
        kind: `"undefined"`, where the model does not exist from this start on; `"diverged"`, where its loss is finite
            but beyond a million times the first.
        message: one sentence.
    """

    kind: str
    message: str
    ok = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
@displayed
class Models:
    """Models of one descent at common times; prints as a table, and is drawn by `draw("models", …)`,
    `"models_sharpness"`, `"models_distance"`.

    Attributes:
        dataset: over `model` and `time` (t = η k, not in logs): `W_<name>`, `log_loss` (of the data), `sharpness`;
            `variance`, of the oscillation: tr Σ for the central flow, the mean of ‖w_{k+1} - 2w_k + w_{k-1}‖²/16 for
            the descent, averaged like it, NaN for the others; `distance_averaged`, from the descent averaged over time;
            over (`model`, `other`, `time`): `distance`. Distances are 2‖a - b‖/(‖a‖ + ‖b‖). Over (`model`, `other`):
            `shadowing`, the first of the times at which their distance is above the tolerance, infinite where it never
            is, NaN where one of them ends before. What lies beyond the end of a model is NaN. `edge`: 2/η.
        outcomes: how every model ended.
        step: η.
        tolerance: of the shadowing time.
        problem, data: what was descended.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> found = fl.models(problem, start, data, step=0.1, time=2.0, rows=5)
        >>> found.dataset.model.values.tolist()
        ['flow', 'modified', 'central', 'discrete']
    """

    dataset: xr.Dataset
    outcomes: dict[str, Outcome | Unfit]
    step: float
    tolerance: float
    problem: Problem
    data: Data
    kind = "models"

    def shadowing(self, model: str, other: str = "discrete") -> float:
        """The first time at which two models are further apart than the tolerance."""
        return float(self.dataset["shadowing"].sel(model=model, other=other))

    def __str__(self) -> str:
        ds = self.dataset
        told = [
            f"gradient descent of step {self.step:g} on {self.problem.network.text}; edge 2/step ="
            f" {float(ds['edge']):.5g}"
        ]
        heads = " ".join(
            f"{head:>10s}" for head in ("to time", "log loss", "sharpness", "distance", "averaged", "shadows to")
        )
        told.append(f"{'model':9s} {'outcome':10s} {heads}")
        for model in MODELS:
            row, end = ds.sel(model=model), self.outcomes[model]
            have = np.flatnonzero(np.isfinite(row["sharpness"].values))
            if not len(have):
                told.append(f"{model:9s} {end}")
                continue
            last = row.isel(time=int(have[-1]))
            numbers = (
                last["log_loss"],
                last["sharpness"],
                last["distance"].sel(other="discrete"),
                last["distance_averaged"],
            )
            shown = " ".join(f"{float(v):10.4g}" for v in (*numbers, self.shadowing(model)))
            told.append(
                f"{model:9s} {end.kind:10s} {float(last['time']):10.4g} {shown}{'' if end.ok else f'  {end.message}'}"
            )
        return "\n".join(told)


@guarded
def models(
    problem: Problem,
    start: State,
    data: Data,
    *,
    step: float,
    time: float,
    rows: int = 101,
    window: int = 1,
    tolerance: float = 0.05,
    parts: int = 2,
) -> Models:
    """Gradient flow, modified flow, central flow and gradient descent from one start, at common times.

    A model that cannot be had, or not to the end, says so in its outcome and costs none of the others.

    Args:
        problem: network, loss, reduction and decay; the weights descend, whatever its scheme.
        start: where all begin.
        data: samples.
        step: η, above zero.
        time: T; descent takes ⌊T/η⌋ steps.
        rows: at most so many common times.
        window: the average of the descent at step k is weighed by sin² over the steps k - window … k + window: 1 takes
            (1, 2, 1)/4 and removes oscillations of period two; wider ones also remove slower cycles of the sharpness.
        tolerance: distance that ends shadowing.
        parts: of η, the steps of the central flow.

    Raises:
        LanguageError, ShapeMismatch, DataError, PrecisionTooLow: for bad input.

    Examples:
        >>> data, problem = fl.Data([[1.0], [2.0]], [0.5, 1.5]), fl.Problem("W @ x", loss="square")
        >>> sorted(fl.models(problem, fl.initial_state("W @ x", data, seed=0), data, step=0.1, time=2.0).outcomes)
        ['central', 'discrete', 'flow', 'modified']
    """
    problem.require_plain("`models`")
    curvature, w = begin("models", problem, start, data, step, time)
    for name, value, least in (("rows", rows, 2), ("window", window, 1), ("parts", parts, 1)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise must_be(name, value, f"an integer from {least} on", "a larger one")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance <= sys.float_info.max:
        raise must_be("tolerance", tolerance, "a finite number above 0", "for example 0.05")
    # A time that is a multiple of the step but for roundings is reached.
    count = int(time / step * (1 + 1e-12))
    if (count + window) * curvature.size > _ENTRIES:
        raise LanguageError(
            f"{count} steps of {curvature.size} weights are too many to compare; use a larger `step` or a smaller"
            " `time`."
        )
    counts = np.unique(np.linspace(0, count, min(int(rows), count + 1)).round().astype(int))
    walk = descend(problem, start, data, step=step, count=count + int(window), record_every=1)
    steps, outcome = descent_rows(curvature, walk, count)
    found: dict[str, np.ndarray] = {"discrete": steps[counts[counts < len(steps)]]}
    outcomes: dict[str, Outcome | Unfit] = {"discrete": outcome}
    for name, correction in (("flow", 0.0), ("modified", CORRECTION)):
        found[name], outcomes[name] = flow_rows(curvature, w, step * counts, correction * step)
    variance = {name: np.full(len(counts), np.nan) for name in MODELS}
    found["central"], outcomes["central"], variance["central"] = _central(curvature, w, step, counts, int(parts))
    averaged, variance["discrete"] = _averaged(steps, counts, int(window))
    seen = {name: _losses_and_sharpness(curvature, found[name]) for name in MODELS}
    for name in MODELS:
        # Finite weights can have a loss that is not.
        log_loss, sharpest = seen[name]
        good = int(np.argmin(np.r_[(log_loss < np.inf) & np.isfinite(sharpest), False]))
        if good < len(found[name]):
            found[name] = found[name][:good]
            outcomes[name] = Outcome(
                "nonfinite",
                f"loss or Hessian is not finite at time {step * counts[good]:g}; use a smaller step than {step:g}.",
            )
        far = np.flatnonzero(log_loss[:good] > log_loss[0] + _DIVERGED) if good else []
        if outcomes[name].ok and len(far):
            outcomes[name] = Unfit(
                "diverged",
                f"the loss is a million times the first at time {step * counts[far[0]]:g}; use a smaller step than"
                f" {step:g}.",
            )
    dataset = _dataset(curvature, step, counts, found, averaged, seen, variance, float(tolerance))
    return Models(dataset, {name: outcomes[name] for name in MODELS}, float(step), float(tolerance), problem, data)


def _central(
    curvature: Curvature, w: np.ndarray, step: float, counts: np.ndarray, parts: int
) -> tuple[np.ndarray, Outcome | Unfit, np.ndarray]:
    variance = np.full(len(counts), np.nan)
    try:
        found = central_flow(curvature, w, step, counts, parts=parts)
    except (LanguageError, RunFailed) as error:
        return np.empty((0, curvature.size)), Unfit("undefined", str(error)), variance
    variance[: len(found.rows)] = found.variance
    return (
        found.rows,
        (
            Outcome("stalled", found.failed)
            if found.failed
            else Outcome("done", f"the time {step * counts[-1]:g} was reached.")
        ),
        variance,
    )


def _averaged(steps: np.ndarray, counts: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The descent averaged about every count, (S, P), and the variance of its oscillation, (S,); NaN beyond its end."""
    rows, variance = np.full((len(counts), steps.shape[1]), np.nan), np.full(len(counts), np.nan)
    for i, k in enumerate(counts.tolist()):
        # Symmetric, so that drift cancels; narrower where there is not as much on both sides.
        half = min(window, k, len(steps) - 1 - k)
        if half < 0:
            break
        weights = np.sin(np.pi * np.arange(1, 2 * half + 2) / (2 * half + 2)) ** 2
        weights /= weights.sum()
        about = steps[k - half : k + half + 1]
        rows[i] = weights @ about
        if half:
            bends = about[2:] - 2.0 * about[1:-1] + about[:-2]
            inner = weights[1:-1] / weights[1:-1].sum()
            variance[i] = float(inner @ (bends * bends).sum(axis=1)) / 16.0
    return rows, variance


def _losses_and_sharpness(curvature: Curvature, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log loss of the data, which is -inf where all is fitted exactly, and sharpness, of every row; NaN where they are
    not defined.
    """
    log_loss, sharpest, first = np.full(len(rows), np.nan), np.full(len(rows), np.nan), None
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for i, row in enumerate(rows):
            if not np.isfinite(row).all():
                continue
            log_loss[i] = float(np.asarray(curvature.problem.log_loss(curvature.weights(row), curvature.data, np)))
            try:
                values, vectors = curvature.top(row, first=first)
            except RunFailed:
                continue
            sharpest[i], first = values[0], vectors[:, 0]
    return log_loss, sharpest


def _dataset(
    curvature: Curvature,
    step: float,
    counts: np.ndarray,
    found: Mapping[str, np.ndarray],
    averaged: np.ndarray,
    seen: Mapping[str, tuple[np.ndarray, np.ndarray]],
    variance: Mapping[str, np.ndarray],
    tolerance: float,
) -> xr.Dataset:
    size = len(counts)

    def padded(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.full((size - len(values), *values.shape[1:]), np.nan)])

    rows = np.stack([padded(found[name]) for name in MODELS])
    lengths = np.linalg.norm(rows, axis=2)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=3) * 2.0 / (lengths[:, None] + lengths[None])
    from_averaged = np.linalg.norm(rows - averaged, axis=2) * 2.0 / (lengths + np.linalg.norm(averaged, axis=1))
    passed = apart > tolerance
    first = step * counts[passed.argmax(axis=2)]
    shadowing = np.where(passed.any(axis=2), first, np.where(np.isnan(apart).any(axis=2), np.nan, np.inf))

    def told(values: np.ndarray, long_name: str, dims: tuple[str, ...] = ("model", "time")) -> Any:
        return dims, values, {"units": "dimensionless", "long_name": long_name}

    ends = {name: len(found[name]) for name in MODELS}
    variables = {
        "log_loss": told(np.stack([padded(seen[name][0][: ends[name]]) for name in MODELS]), "log of the data loss"),
        "sharpness": told(
            np.stack([padded(seen[name][1][: ends[name]]) for name in MODELS]), "largest eigenvalue of the Hessian"
        ),
        "variance": told(np.stack([variance[name] for name in MODELS]), "variance of the oscillation"),
        "distance": told(apart, "relative distance of two models", ("model", "other", "time")),
        "distance_averaged": told(from_averaged, "relative distance from the averaged descent"),
        "shadowing": told(shadowing, "first time at which the distance is above the tolerance", ("model", "other")),
        "edge": told(np.asarray(2.0 / step), "edge of stability", ()),
    }
    for name, block in curvature.weights(rows).items():
        variables[f"W_{name}"] = told(
            block, f"weights {name}", ("model", "time", *(f"{name}_{i}" for i in range(block.ndim - 2)))
        )
    coordinates = {
        "model": list(MODELS),
        "other": list(MODELS),
        "time": ("time", step * counts, {"units": "dimensionless", "long_name": "time"}),
    }
    return xr.Dataset(variables, coords=coordinates, attrs={"step": float(step), "tolerance": tolerance})
