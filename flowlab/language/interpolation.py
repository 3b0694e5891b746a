"""What a trajectory is between its rows, and its rows as a table.

Rows are accepted steps, so they lie where the flow needs them. Between them every column is a monotone cubic in
τ = log(1 + t/t_1), t_1 the time of the first row after the start: τ is linear in t at the start and in log t late. No
column overshoots its rows, at kinks neither; directions are brought back to unit length.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy.interpolate import PchipInterpolator

from flowlab.core.arguments import array, guarded, must_be
from flowlab.language.norm_groups import split
from flowlab.language.observables import PREFIX
from flowlab.language.problem import Problem
from flowlab.language.state import State


@runtime_checkable
class Rowed(Protocol):
    """A trajectory, as far as its rows are read."""

    @property
    def dataset(self) -> xr.Dataset: ...

    @property
    def problem(self) -> Problem: ...

    @property
    def outcome(self) -> object: ...

    @property
    def kind(self) -> str: ...

    @property
    def monitors(self) -> Mapping[str, Mapping[str, Any]]: ...

    def state(self, i: int) -> State: ...


@guarded
def at(self: Rowed, log_t: float) -> State:
    """The state at a time between the rows, interpolated (see `flowlab.language.interpolation`).

    Args:
        self: the trajectory.
        log_t: logarithm of the time, from `-inf` at the start to the last row's.

    Raises:
        LanguageError: for a time outside the run.

    Example:
        >>> path.at(log_t=2.5).rho["W1"]
    """
    rows = resampled(self, [log_t])
    label: list[str] = rows["block"].values.tolist()
    rho: dict[str, list[float]] = {}
    for name, value in zip(label, rows["rho"].values[0].tolist(), strict=True):
        rho.setdefault(name.partition("[")[0], []).append(value)
    several = {name.partition("[")[0] for name in label if "[" in name}
    return State(
        rho={k: jnp.asarray(np.array(v) if k in several else np.float64(v[0])) for k, v in rho.items()},
        V={name: jnp.asarray(rows[f"V_{name}"].values[0]) for name in self.problem.network.weights},
        per=self.problem.per,
    )


@guarded
def resampled(self: Rowed, grid: Sequence[float]) -> xr.Dataset:
    """The labelled numbers at other times, over `log_t`, so that runs with different steps go into one data set.

    Args:
        self: the trajectory.
        grid: logarithms of times within the run, growing, (M,).

    Returns:
        The numbers of `dataset` that have a value in every row, with the dimension `log_t` in place of `step`.

    Raises:
        LanguageError: for times outside the run, or that do not grow.

    Example:
        >>> grid = np.linspace(0.0, 4.0, 64)
        >>> xr.concat([path.resampled(grid) for path in paths], dim="seed")
    """
    wanted, known = array("grid", grid), self.dataset["log_t"].values
    if wanted.ndim != 1 or not len(wanted) or not (np.diff(wanted) > 0).all():
        raise must_be("grid", grid, "growing logarithms of times", "for example `np.linspace(0.0, 4.0, 64)`")
    if wanted[0] < known[0] or wanted[-1] > known[-1]:
        raise must_be("grid", grid, f"within the run, from {known[0]:.6g} to {known[-1]:.6g}", "times within it")
    columns = {
        str(name): column
        for name, column in self.dataset.data_vars.items()
        if column.dims[:1] == ("step",) and column.dtype.kind == "f"
    }
    made = {name: (("log_t", *c.dims[1:]), _between(known, c.values, wanted), c.attrs) for name, c in columns.items()}
    weights = self.problem.network.weights
    V = {name: made[f"V_{name}"][1] for name in weights}
    if self.problem.scheme.unit:
        V = _unit_rows(V, self.problem.per)
    made |= {f"V_{name}": (made[f"V_{name}"][0], V[name], made[f"V_{name}"][2]) for name in weights}
    found = xr.Dataset(made, coords={"log_t": wanted, "block": self.dataset["block"]}, attrs={"kind": self.kind})
    found["log_t"].attrs = dict(self.dataset["log_t"].attrs)
    return found


def _between(known: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values, (S, …), at other logarithms of times, (M, …)."""
    scale = known[np.isfinite(known)][:1]
    if not len(scale):
        return np.repeat(values[-1:], len(wanted), axis=0)
    tau, sought = (np.logaddexp(0.0, times - scale) for times in (known, wanted))
    # Of rows at one time, as on the two sides of an event, the last is where the run went on.
    last = np.flatnonzero(np.append(np.diff(tau) > 0, True))
    if len(last) == 1:
        return np.repeat(values[-1:], len(wanted), axis=0)
    sought, nodes, kept = np.clip(sought, tau[0], tau[-1]), tau[last], values[last]
    if np.isfinite(kept).all():
        return np.asarray(PchipInterpolator(nodes, kept, axis=0)(sought))
    return _straight(nodes, kept, sought)


def _straight(nodes: np.ndarray, values: np.ndarray, sought: np.ndarray) -> np.ndarray:
    """Lines between rows, for columns of which some numbers are not finite: these stay with their own rows."""
    left = np.clip(np.searchsorted(nodes, sought, side="right") - 1, 0, len(nodes) - 2)
    part = (sought - nodes[left]) / (nodes[left + 1] - nodes[left])
    weight = part.reshape((-1,) + (1,) * (values.ndim - 1))
    before, after = values[left], values[left + 1]
    with np.errstate(invalid="ignore"):
        between = before * (1.0 - weight) + after * weight
    return np.where(weight == 0.0, before, np.where(weight == 1.0, after, between))


def _unit_rows(V: Mapping[str, np.ndarray], per: str) -> dict[str, np.ndarray]:
    """Directions of unit norm per group, for every row."""
    rows = ({name: v[i] for name, v in V.items()} for i in range(len(next(iter(V.values())))))
    made = [split(np, row, per)[1] for row in rows]
    return {name: np.stack([row[name] for row in made]) for name in V}


@guarded
def to_dataframe(self: Rowed, *, directions: bool = False) -> pd.DataFrame:
    """The rows as a table of pandas: one column per number, `rho_<block>`, and what was observed.

    Args:
        self: the trajectory.
        directions: whether the entries of the directions are columns as well, `V_W1[0,1]`.

    Example:
        >>> path.to_dataframe().plot(x="log_t", y="log_loss")
    """
    told = {"log_t": self.dataset["log_t"].values}
    for key, column in self.dataset.data_vars.items():
        name, values = str(key), column.values
        if column.dims[:1] != ("step",):
            continue
        if column.dims == ("step", "block"):
            told |= {f"rho_{b}": values[:, i] for i, b in enumerate(self.dataset["block"].values.tolist())}
        elif values.ndim == 1:
            told[name.removeprefix(PREFIX)] = values
        elif directions or name.startswith(PREFIX):
            places = np.ndindex(values.shape[1:])
            told |= {f"{name}[{','.join(map(str, at))}]": values[(slice(None), *at)] for at in places}
    return pd.DataFrame(told, index=pd.RangeIndex(len(told["log_t"]), name="step"))
