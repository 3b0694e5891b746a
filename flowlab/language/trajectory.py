"""The result of a run: states over time as a labelled data set, and how the run ended."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from flowlab.core.arguments import count, guarded, must_be, short
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.precision import require_x64
from flowlab.core.typing import ArrayLike, Json, Record
from flowlab.language import netcdf
from flowlab.language.checkpoints import stacked
from flowlab.language.data import Data
from flowlab.language.drawable import TRAINING
from flowlab.language.interpolation import at, resampled, to_dataframe
from flowlab.language.observables import PREFIX, Observables, Observers
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory_html import trajectory_parts
from flowlab.language.trajectory_table import table, weights_of, weights_of_rows

OUTCOMES = {
    "done": "the horizon was reached",
    "event": "an event stopped the run",
    "budget": "a limit on steps or wall time stopped the run early",
    "stalled": (
        "the flow cannot be followed any further: steps below the resolution of time, a norm that vanished, or rest"
        " without an end"
    ),
    "nonfinite": "a rate or a state stopped being finite",
    "nonunique": "more than one continuation solves the equations",
}


@dataclass(frozen=True)
@displayed
class Outcome:
    """How a run ended.

    Attributes:
        kind: one of `"done"`, `"event"`, `"budget"`, `"stalled"`, `"nonfinite"`, `"nonunique"`.
        message: one sentence.
        event: name of the event, for `"event"`.
        error: of log t at the event (dimensionless), estimated from the local errors of all steps; None without an
            event.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> path.outcome.kind
        'done'
        >>> fl.Outcome("event", "the loss fell below its level.", event="low").event
        'low'
    """

    kind: str
    message: str
    event: str | None = None
    error: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in OUTCOMES:
            raise LanguageError(f"`{short(self.kind)}` is no outcome; use one of {', '.join(OUTCOMES)}.")

    @property
    def ok(self) -> bool:
        """Whether the run ended where it was asked to."""
        return self.kind in ("done", "event")

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class _Rows:
    """A field that holds a labelled data set, built when it is first read where `_build` stands in its place.

    Labels cost more than a short run does, and many runs are asked for their last state alone.
    """

    def __get__(self, path: "Trajectory | None", owner: type) -> "xr.Dataset | _Rows":
        if path is None:
            return self
        held = vars(path)
        if "dataset" not in held:
            held["dataset"] = held["_build"]()
            del held["_build"]
        return held["dataset"]

    def __set__(self, path: "Trajectory", value: xr.Dataset) -> None:
        vars(path)["dataset"] = value


@dataclass(frozen=True)
@displayed
class Trajectory:
    """States over time.

    Attributes:
        dataset: `log_loss`, `min_margin`, `log_R` over `step`, whose coordinate is `log_t`, and `objective` where it
            has no samples; `rho` over `(step, block)` (the norms of groups; for neurons the blocks are `"W1[0]"`, …);
            `V_<name>` over `step` and the block's own axes.
        outcome: how the run ended.
        last: the last state.
        stats: `steps`, `rejected`, `evaluations`, `wall_seconds`.
        problem, data: what was run.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> path.outcome.kind, path.dataset.log_loss.dims
        ('done', ('step',))
        >>> round(path.at(log_t=2.5).rho["W"].item(), 3)
        4.272
    """

    dataset: xr.Dataset
    outcome: Outcome
    last: State
    stats: Record
    problem: Problem
    data: Data | None

    @classmethod
    def from_states(
        cls,
        problem: Problem,
        data: Data,
        log_t: np.ndarray,
        states: State,
        outcome: Outcome,
        stats: Mapping[str, Json],
        *,
        kind: str,
        extra: Mapping[str, Json] | Callable[[], Mapping[str, Json]] | None = None,
        variables: Mapping[str, tuple[tuple[str, ...], np.ndarray, str]] | None = None,
        seen: Mapping[str, np.ndarray] | None = None,
        observe: Observers | None = None,
    ) -> "Trajectory":
        """A run by its stacked states; the labelled data set is built when it is first asked for.

        Args:
            problem: what was run.
            data: the samples.
            log_t: logarithm of time at each row, (S,); -inf at the start.
            states: a State whose arrays have a leading axis of length S.
            outcome: how the run ended.
            stats: counts of steps and seconds.
            kind: one of `flowlab.language.problem.RUNS`.
            extra: provenance besides versions (seeds, tolerances), or what gives it.
            variables: further variables, name: (dims, values, long name).
            seen: `log_loss`, `min_margin` and `log_R` of every row, where they are known; else computed here.
            observe: what is evaluated at the weights of every row; where it fails, the outcome says so.
        """
        counts, columns, failures = dict(stats), dict(variables or {}), {}
        if observe is not None and observe.functions:
            found = observe.along(weights_of_rows(problem, states))
            columns |= found.columns()
            failures = {"observed": found.failures}
            if found.failures:
                outcome = replace(outcome, message=f"{outcome.message} {found.told()}")
        end = asdict(outcome)

        def build() -> xr.Dataset:
            more = {**(extra() if callable(extra) else extra or {}), **failures}
            return table(problem, data, log_t, states, end, counts, kind, more, columns, seen)

        last = jax.tree.map(lambda leaf: jax.device_put(np.array(np.asarray(leaf)[-1])), states)
        path = cls.__new__(cls)
        vars(path).update(_build=build, outcome=outcome, last=last, stats=counts, problem=problem, data=data)
        return path

    @classmethod
    @guarded
    def from_weights(
        cls,
        times: Sequence[float],
        weights: Sequence[Mapping[str, ArrayLike]],
        *,
        problem: Problem,
        data: Data,
        rtol: float | None = None,
        observe: Observables | None = None,
    ) -> "Trajectory":
        """Checkpoints of a training of the user's own, so that claims, figures and monitors speak about it.

        Args:
            times: of the checkpoints, growing: steps times the step size, in units of flow time (dimensionless).
            weights: at every time, the weights by block name; arrays of numpy, jax or torch.
            problem: network and loss that were trained. The training is compared with the flow of its scheme.
            data: the samples that it was trained on.
            rtol: how well the training follows a flow, relative; claims that need a tolerance ask for it.
            observe: functions of the weights, as for `integrate`.

        Returns:
            A trajectory of the kind `"training"`. Statements about flows are held against it; where its rows do not
            move as the flow of `problem` does, their verdicts are undecided and say so.

        Raises:
            LanguageError, ShapeMismatch, DataError, TooLarge: for bad input, naming the checkpoint.

        Example:
            >>> fl.Trajectory.from_weights([0.0, 0.1], [{"W": w0}, {"W": w1}], problem=fl.Problem("W @ x"), data=data)
        """
        require_x64("Trajectory.from_weights")
        if rtol is not None and not 0 < rtol < 1:
            raise must_be("rtol", rtol, "between 0 and 1", "for example 1e-3")
        log_t, states = stacked(times, weights, problem, data)
        observers = Observers.of(observe, next(weights_of_rows(problem, states)))
        end = Outcome("done", f"{len(log_t)} checkpoints were given.")
        return cls.from_states(
            problem,
            data,
            log_t,
            states,
            end,
            {"steps": len(log_t) - 1, "rejected": 0, "evaluations": 0, "wall_seconds": 0.0},
            kind=TRAINING,
            extra={"settings": {} if rtol is None else {"rtol": rtol}},
            observe=observers,
        )

    def __getstate__(self) -> Record:
        # A trajectory is copied with its data set, which replaces what builds it.
        return {"dataset": self.dataset} | self.__dict__

    @property
    def kind(self) -> str:
        """`"flow"`, `"descent"`, or `"training"` where the checkpoints are of a training of the user's own."""
        return str(self.dataset.attrs["kind"])

    @property
    def provenance(self) -> Record:
        """Versions, seeds, tolerances and hashes of this run."""
        return json.loads(self.dataset.attrs["flowlab"])

    @property
    def monitors(self) -> dict[str, dict[str, Any]]:
        """What was watched along a flow: loss, smoothed margin and conserved quantities, each with `worst`,
        `bound`, `holds` and `what`.
        """
        return self.provenance.get("monitors", {})

    @property
    def observed(self) -> dict[str, xr.DataArray]:
        """What `observe` recorded, by name: numbers over `step`, or over `step` and axes of their own.

        Example:
            >>> path.observed["test_error"].values  # (steps,)
        """
        return {str(k)[len(PREFIX) :]: v for k, v in self.dataset.data_vars.items() if str(k).startswith(PREFIX)}

    @property
    def rtol(self) -> float:
        """The relative tolerance that the rows were computed to (dimensionless).

        Raises:
            LanguageError: if the trajectory has none, as a descent, or checkpoints without one.
        """
        found = self.provenance.get("settings", {}).get("rtol")
        if found is None:
            raise LanguageError(
                f"the {self.kind} must have a relative tolerance, got none; pass a flow, or checkpoints with `rtol`."
            )
        return float(found)

    def __len__(self) -> int:
        return int(self.dataset.sizes["step"])

    @guarded
    def state(self, i: int) -> State:
        """The state of row i; from the end, where it is negative.

        Raises:
            LanguageError: if there is no such row.
        """
        return jax.device_put(self._row(i))

    def _row(self, i: int) -> State:
        """The state of a row, of arrays of numpy that nothing else holds."""
        if not -len(self) <= i < len(self):
            raise LanguageError(
                f"`i={i}` must be a row of the trajectory, from 0 to {len(self) - 1}; pass -1 for the last."
            )
        V = {name: np.array(self.dataset[f"V_{name}"].values[i]) for name in self.problem.network.weights}
        row = self.dataset["rho"].values[i]
        rho: dict[str, list[float]] = {}
        scalar: dict[str, bool] = {}
        for label, value in zip(self.dataset["block"].values.tolist(), row, strict=True):
            name, _, place = label.partition("[")
            rho.setdefault(name, []).append(float(value))
            scalar[name] = not place
        return State(
            rho={k: np.array(v[0] if scalar[k] else v) for k, v in rho.items()},
            V=V,
            per=self.problem.per,
        )

    @guarded
    def weights(self, i: int) -> dict[str, np.ndarray]:
        """The weights of row i, by block, in numpy; from the end, where i is negative.

        Raises:
            LanguageError: if there is no such row.

        Example:
            >>> path.weights(-1)["W1"].shape
        """
        return weights_of(self.problem, self._row(i))

    def places(self, rows: int) -> np.ndarray:
        """At most so many row numbers, evenly spread, first and last among them."""
        return np.unique(np.linspace(0, len(self) - 1, min(count("rows", rows, 1, 50), len(self))).round().astype(int))

    @guarded
    def save(self, path: str | Path) -> Path:
        """Write the data set as NetCDF, or as Zarr where the name ends in `.zarr`; all or nothing, with a checksum over
        all it holds.

        Raises:
            OutputError: if it cannot be written, or Zarr is not installed.
        """
        return netcdf.write(self.dataset, path, (".nc", ".zarr"))

    @classmethod
    @guarded
    def load(cls, path: str | Path, data: Data | None = None) -> "Trajectory":
        """Read a saved trajectory; `data` is not stored and can be given again. One without a checksum, from before
        there were any, comes with a warning.

        Raises:
            OutputError: if the file is missing, damaged, or was not written by `save`.
        """
        dataset = netcdf.read(path, "trajectory")
        try:
            return cls.restored(dataset, data)
        except Exception as error:
            raise netcdf.not_one(path, "trajectory", error) from None

    @classmethod
    def restored(cls, dataset: xr.Dataset, data: Data | None = None) -> "Trajectory":
        """The trajectory whose labelled data set this is; `data` is not in it.

        Raises:
            KeyError, TypeError, ValueError: for a data set of something else.
        """
        record = json.loads(dataset.attrs["flowlab"])
        problem, end = Problem.from_description(record["problem"]), record["outcome"]
        # In what earlier versions have stored, the time is one of the variables.
        dataset = dataset.assign_coords(block=dataset["block"].astype(str)).set_coords("log_t")
        empty = cls(
            dataset,
            Outcome(end["kind"], end["message"], end["event"], end.get("error")),
            State(rho={}, V={}),
            record["stats"],
            problem,
            data,
        )
        return cls(dataset, empty.outcome, empty.state(-1), record["stats"], problem, data)

    at = at
    resampled = resampled
    to_dataframe = to_dataframe
    _html_parts = trajectory_parts

    def __repr__(self) -> str:
        end, value = self.dataset.isel(step=-1), self.problem.loss.is_value
        names = ("log_t", "objective") if value else ("log_t", "log_loss", "min_margin")
        numbers = ", ".join(f"{name}={float(end[name]):.4g}" for name in names)
        return f"Trajectory({self.kind}, {len(self)} rows, {numbers}, {self.outcome.kind})"


# Set here: in the body of the class it would be a default, after which every field needs one.
Trajectory.dataset = _Rows()  # pyright: ignore[reportAttributeAccessIssue]
