"""The result of a run: states over time as a labelled data set, and how the run ended."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded, short
from flowlab.core.errors import LanguageError
from flowlab.core.provenance import provenance
from flowlab.core.typing import Json, Record
from flowlab.language import netcdf
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

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
class Outcome:
    """How a run ended.

    Attributes:
        kind: one of `"done"`, `"event"`, `"budget"`, `"stalled"`, `"nonfinite"`, `"nonunique"`.
        message: one sentence.
        event: name of the event, for `"event"`.
        error: of log t at the event (dimensionless), estimated from the local errors of all steps; None without an
            event.
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
class Trajectory:
    """States over time.

    Attributes:
        dataset: `log_t`, `log_loss`, `min_margin`, `log_R` over `step`; `rho` over `(step, block)` (the norms of
            groups; for neurons the blocks are `"W1[0]"`, …); `V_<name>` over `step` and the block's own axes.
        outcome: how the run ended.
        last: the last state.
        stats: `steps`, `rejected`, `evaluations`, `wall_seconds`.
        problem, data: what was run.
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
    ) -> "Trajectory":
        """A run by its stacked states; the labelled data set is built when it is first asked for.

        Args:
            problem: what was run.
            data: the samples.
            log_t: logarithm of time at each row, (S,); -inf at the start.
            states: a State whose arrays have a leading axis of length S.
            outcome: how the run ended.
            stats: counts of steps and seconds.
            kind: `"flow"` or `"descent"`.
            extra: provenance besides versions (seeds, tolerances), or what gives it.
            variables: further variables, name: (dims, values, long name).
            seen: `log_loss`, `min_margin` and `log_R` of every row, where they are known; else computed here.
        """
        counts = dict(stats)

        def build() -> xr.Dataset:
            more = extra() if callable(extra) else extra or {}
            return _table(problem, data, log_t, states, outcome, counts, kind, more, variables or {}, seen)

        last = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[-1]), states)
        path = cls.__new__(cls)
        vars(path).update(_build=build, outcome=outcome, last=last, stats=counts, problem=problem, data=data)
        return path

    def __getstate__(self) -> Record:
        # A trajectory is copied with its data set, which replaces what builds it.
        return {"dataset": self.dataset} | self.__dict__

    @property
    def kind(self) -> str:
        """`"flow"` or `"descent"`."""
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

    def __len__(self) -> int:
        return int(self.dataset.sizes["step"])

    @guarded
    def state(self, i: int) -> State:
        """The state of row i; from the end, where it is negative.

        Raises:
            LanguageError: if there is no such row.
        """
        if not -len(self) <= i < len(self):
            raise LanguageError(
                f"`i={i}` must be a row of the trajectory, from 0 to {len(self) - 1}; pass -1 for the last."
            )
        V = {name: jnp.asarray(self.dataset[f"V_{name}"].values[i]) for name in self.problem.network.weights}
        row = self.dataset["rho"].values[i]
        rho: dict[str, list[float]] = {}
        scalar: dict[str, bool] = {}
        for label, value in zip(self.dataset["block"].values.tolist(), row, strict=True):
            name, _, place = label.partition("[")
            rho.setdefault(name, []).append(float(value))
            scalar[name] = not place
        return State(
            rho={k: jnp.asarray(np.float64(v[0]) if scalar[k] else np.array(v)) for k, v in rho.items()},
            V=V,
            per=self.problem.per,
        )

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
        dataset = dataset.assign_coords(block=dataset["block"].astype(str))
        empty = cls(
            dataset,
            Outcome(end["kind"], end["message"], end["event"], end.get("error")),
            State(rho={}, V={}),
            record["stats"],
            problem,
            data,
        )
        return cls(dataset, empty.outcome, empty.state(-1), record["stats"], problem, data)

    def __repr__(self) -> str:
        end = self.dataset.isel(step=-1)
        numbers = ", ".join(f"{name}={float(end[name]):.4g}" for name in ("log_t", "log_loss", "min_margin"))
        return f"Trajectory({self.kind}, {len(self)} rows, {numbers}, {self.outcome.kind})"


# Set here: in the body of the class it would be a default, after which every field needs one.
Trajectory.dataset = _Rows()  # pyright: ignore[reportAttributeAccessIssue]


def _table(
    problem: Problem,
    data: Data,
    log_t: np.ndarray,
    states: State,
    outcome: Outcome,
    stats: Mapping[str, Any],
    kind: str,
    extra: Mapping[str, Any],
    variables: Mapping[str, tuple[tuple[str, ...], np.ndarray, str]],
    seen: Mapping[str, np.ndarray] | None,
) -> xr.Dataset:
    """The labelled data set of `Trajectory.from_states`."""
    seen = _observed(problem, states, data) if seen is None else seen
    long = {
        "log_loss": "log of the data loss",
        "min_margin": "smallest margin of the normalised network",
        "log_R": "log of the product of norms R",
    }
    entries: Record = {"log_t": ("step", np.asarray(log_t, dtype=np.float64), _attrs("log of flow time t"))}
    entries |= {name: ("step", np.asarray(seen[name]), _attrs(long[name])) for name in long}
    labels, columns = _norm_columns(states)
    entries["rho"] = (("step", "block"), columns, _attrs("norm of each group of weights"))
    for name in problem.network.weights:
        values = np.asarray(states.V[name])
        axes = tuple(f"{name}_{i}" for i in range(values.ndim - 1))
        entries[f"V_{name}"] = (("step", *axes), values, _attrs(f"direction of {name}"))
    for name, (dims, values, told) in variables.items():
        entries[name] = (dims, values, _attrs(told))
    rows = xr.Dataset(entries, coords={"block": labels})
    source = {"name": data.name, "n": data.n, "d": data.d, "kind": data.kind, "sha256": data.sha256()}
    record = provenance(
        kind=kind,
        problem=problem.describe(),
        problem_signature=problem.signature,
        data=source,
        outcome=asdict(outcome),
        stats=dict(stats),
        rows=rows_digest(rows),
        **extra,
    )
    return rows.assign_attrs(flowlab=json.dumps(record, sort_keys=True), kind=kind)


def rows_digest(dataset: xr.Dataset) -> Record:
    """How many rows there are, and the SHA-256 of times, norms, directions and what was observed in them;
    kept with a run, it tells what was altered.
    """
    told = hashlib.sha256()
    for name in (
        "log_t",
        "log_loss",
        "min_margin",
        "log_R",
        "rho",
        *sorted(str(v) for v in dataset.data_vars if str(v).startswith("V_")),
    ):
        told.update(np.ascontiguousarray(dataset[name].values, dtype=np.float64).data)
    return {"count": int(dataset.sizes["step"]), "sha256": told.hexdigest()}


def _attrs(long_name: str) -> dict[str, str]:
    return {"units": "dimensionless", "long_name": long_name}


def _observed(problem: Problem, states: State, data: Data) -> dict[str, np.ndarray]:
    """Loss, margin and norm product of every row, in numpy: no compilation for a table of results."""
    rows = next(iter(states.V.values())).shape[0]
    stacked = jax.tree.map(np.asarray, states)
    x, y = np.asarray(data.x), np.asarray(data.y)
    out = {name: np.empty(rows) for name in ("log_loss", "min_margin", "log_R")}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for i in range(rows):
            weights = problem.scheme.weights(
                np, {k: v[i] for k, v in stacked.rho.items()}, {k: v[i] for k, v in stacked.V.items()}, problem.per
            )
            outputs = problem.network.outputs(weights, x, np)
            out["log_loss"][i] = problem.loss.log_loss(np, outputs, y, problem.reduction)
            out["log_R"][i] = problem.log_product(weights, np)
            out["min_margin"][i] = problem.loss.margins(np, outputs, y).min() * np.exp(-out["log_R"][i])
    return out


def _norm_columns(states: State) -> tuple[list[str], np.ndarray]:
    labels, columns = [], []
    for name, values in states.rho.items():
        array = np.asarray(values)
        if array.ndim == 1:
            labels.append(name)
            columns.append(array)
        else:
            labels += [f"{name}[{i}]" for i in range(array.shape[1])]
            columns += list(array.T)
    return labels, np.stack(columns, axis=1)
