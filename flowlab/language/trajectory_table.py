"""The labelled data set of a trajectory: its columns, computed from states where they are not known, and its digest."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.provenance import provenance
from flowlab.core.typing import Json, Record
from flowlab.language.data import Batch, Data
from flowlab.language.observables import PREFIX
from flowlab.language.problem import Problem
from flowlab.language.state import State


def table(
    problem: Problem,
    data: Data,
    log_t: np.ndarray,
    states: State,
    outcome: Mapping[str, Json],
    stats: Mapping[str, Any],
    kind: str,
    extra: Mapping[str, Any],
    variables: Mapping[str, tuple[tuple[str, ...], np.ndarray, str]],
    seen: Mapping[str, np.ndarray] | None,
) -> xr.Dataset:
    """The labelled data set of `Trajectory.from_states`."""
    seen = _observed(problem, states, data) if seen is None else seen
    long = {"objective": "the objective"} if problem.loss.is_value else {}
    long |= {
        "log_loss": "log of the data loss",
        "min_margin": "smallest margin; of the normalised network, where it has one",
        "log_R": "log of the product of norms R",
    }
    entries: Record = {name: ("step", np.asarray(seen[name]), _attrs(long[name])) for name in long}
    labels, columns = _norm_columns(states)
    entries["rho"] = (("step", "block"), columns, _attrs("norm of each group of weights"))
    for name in problem.network.weights:
        values = np.asarray(states.V[name])
        axes = tuple(f"{name}_{i}" for i in range(values.ndim - 1))
        entries[f"V_{name}"] = (("step", *axes), values, _attrs(f"direction of {name}"))
    for name, (dims, values, told) in variables.items():
        entries[name] = (dims, values, _attrs(told))
    times = ("step", np.asarray(log_t, dtype=np.float64), _attrs("log of flow time t"))
    rows = xr.Dataset(entries, coords={"block": labels, "log_t": times})
    source = {"name": data.name, "n": data.n, "d": data.d, "kind": data.kind, "sha256": data.sha256()}
    record = provenance(
        kind=kind,
        problem=problem.describe(),
        problem_signature=problem.signature,
        data=source,
        outcome=dict(outcome),
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
        *sorted(str(v) for v in dataset.data_vars if str(v).startswith(("V_", PREFIX))),
    ):
        told.update(np.ascontiguousarray(dataset[name].values, dtype=np.float64).data)
    return {"count": int(dataset.sizes["step"]), "sha256": told.hexdigest()}


def weights_of(problem: Problem, state: State) -> dict[str, np.ndarray]:
    """The weights that a state stands for under the scheme of a problem, by block, in numpy."""
    rho, V = ({k: np.asarray(v) for k, v in blocks.items()} for blocks in (state.rho, state.V))
    found = problem.scheme.weights(np, rho, V, problem.per)
    return {name: np.asarray(found[name]) for name in problem.network.weights}


def weights_of_rows(problem: Problem, states: State) -> Iterator[dict[str, np.ndarray]]:
    """The same for every row of states that have a leading axis over rows."""
    rho, V = ({k: np.asarray(v) for k, v in blocks.items()} for blocks in (states.rho, states.V))
    for i in range(len(next(iter(V.values())))):
        rho_i, V_i = ({k: v[i] for k, v in blocks.items()} for blocks in (rho, V))
        found = problem.scheme.weights(np, rho_i, V_i, problem.per)
        yield {name: np.asarray(found[name]) for name in problem.network.weights}


def _attrs(long_name: str) -> dict[str, str]:
    return {"units": "dimensionless", "long_name": long_name}


def _observed(problem: Problem, states: State, data: Data) -> dict[str, np.ndarray]:
    """Loss, margin and norm product of every row, in numpy: no compilation for a table of results."""
    x, y = data.in_numpy
    names = ("log_loss", "min_margin", "log_R", *(("objective",) if problem.loss.is_value else ()))
    out = {name: np.empty(len(next(iter(states.V.values())))) for name in names}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for i, weights in enumerate(weights_of_rows(problem, states)):
            outputs = problem.network.outputs(weights, x, np)
            out["log_loss"][i] = problem.loss.log_loss(np, outputs, y, problem.reduction)
            if problem.loss.is_value:
                out["objective"][i] = problem.objective(weights, Batch(x, y), np)
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
