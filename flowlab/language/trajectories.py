"""The result of a batch: trajectories of many runs, one by one and as one labelled data set."""

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from flowlab.core.arguments import count, guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.typing import ArrayLike, Record
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome, Trajectory

_SHOWN = 10
"""Runs that a notebook shows one by one."""


@displayed
class Trajectories(Sequence[Trajectory]):
    """Runs from many starts.

    Each of them is a `Trajectory` as any other, made when it is first asked for; claims and figures take it as they
    take a single run.

    Args:
        made: every run, or what makes it.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> starts = fl.initial_state("W @ x", data, seed=range(3))
        >>> paths = fl.integrate(fl.lower(fl.derive(problem)), starts, data, until=fl.log_time(3.0))
        >>> len(paths), paths[2].outcome.kind
        (3, 'done')
        >>> paths.resampled(5).log_loss.sizes["log_t"]
        5
    """

    def __init__(self, made: Sequence[Trajectory | Callable[[], Trajectory]]) -> None:
        self._runs: list[Trajectory | Callable[[], Trajectory]] = list(made)

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, run: int | slice) -> "Trajectory | Trajectories":  # type: ignore[override]
        if isinstance(run, slice):
            return Trajectories(self._runs[run])
        if not -len(self) <= run < len(self):
            raise IndexError(f"`run` must be from 0 to {len(self) - 1}, got {run}.")
        found = self._runs[run]
        if not isinstance(found, Trajectory):
            found = self._runs[run] = found()
        return found

    def __iter__(self) -> Iterator[Trajectory]:
        return (self._run(run) for run in range(len(self)))

    def _run(self, run: int) -> Trajectory:
        found = self[run]
        assert isinstance(found, Trajectory)
        return found

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """How every run ended."""
        return tuple(path.outcome for path in self)

    @property
    def problem(self) -> Problem:
        """What was run; of batches over learning rates, that of the first run."""
        return self._run(0).problem

    @property
    def data(self) -> tuple[Data | None, ...]:
        """The samples of every run."""
        return tuple(path.data for path in self)

    @property
    def last(self) -> State:
        """The last states, with a leading axis over runs."""
        return jax.tree.map(
            lambda *leaves: jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves])), *(path.last for path in self)
        )

    @property
    def stats(self) -> Record:
        """Sums over runs of `steps`, `rejected` and `evaluations`; `wall_seconds` and `compile_seconds` of all runs
        together.
        """
        each = [path.stats for path in self]
        sums: Record = {name: sum(stats[name] for stats in each) for name in ("steps", "rejected", "evaluations")}
        longest = {
            name: max(stats[name] for stats in each)
            for name in ("wall_seconds", "compile_seconds")
            if all(name in stats for stats in each)
        }
        return {"runs": len(self)} | sums | longest

    @property
    def dataset(self) -> xr.Dataset:
        """Rows of all runs over `(run, step)`: what has a row per step, NaN beyond the last row of a run; `rows` and
        `outcome` over `run`.
        """
        rows = max(len(path) for path in self)
        return self._table("step", rows, lambda _, values: _padded(values, rows))

    @guarded
    def resampled(self, log_t: ArrayLike | int = 100) -> xr.Dataset:
        """Rows of all runs on common times, over `(run, log_t)`.

        Between stored rows numbers are linear in log t, and within the first step linear in t. Times that a run has not
        reached are NaN.

        Args:
            log_t: logarithms of the times, growing (dimensionless); or how many, evenly spread from the first step
                that all runs have taken to the latest time of any.

        Raises:
            LanguageError: for times that do not grow.
        """
        if isinstance(log_t, int):
            paths = [np.asarray(path.dataset.log_t) for path in self]
            first = max((each[1] if len(each) > 1 else -np.inf for each in paths), default=-np.inf)
            last = max(each[-1] for each in paths)
            if not np.isfinite(first):
                raise LanguageError("`resampled` must have runs of two rows or more; pass the times as `log_t`.")
            grid = np.linspace(first, last, count("log_t", log_t, 2, 100))
        else:
            grid = np.asarray(log_t, dtype=np.float64)
            if grid.ndim != 1 or not grid.size or not (np.diff(grid) > 0).all():
                raise must_be("log_t", log_t, "times that grow", "for example `np.linspace(0.0, 6.0, 50)`")
        table = self._table("log_t", len(grid), lambda path, values: _between(path, values, grid), numbers=True)
        return table.assign_coords(log_t=grid)

    def _table(
        self, axis: str, size: int, row: Callable[[Trajectory, np.ndarray], np.ndarray], numbers: bool = False
    ) -> xr.Dataset:
        """What has a row per step, for all runs, over `(run, axis)`."""
        paths = list(self)
        first, entries = paths[0].dataset, {}
        for name, variable in first.data_vars.items():
            if "step" not in variable.dims or str(name) == axis or (numbers and variable.dtype.kind not in "fiu"):
                continue
            values = np.stack([row(path, np.asarray(path.dataset[name].values)) for path in paths])
            entries[str(name)] = (("run", axis, *variable.dims[1:]), values, dict(variable.attrs))
        entries["rows"] = ("run", np.array([len(path) for path in paths]), {"long_name": "rows of the run"})
        ends = np.array([path.outcome.kind for path in paths])
        entries["outcome"] = ("run", ends, {"long_name": "how the run ended"})
        return xr.Dataset(entries, coords={"block": first["block"], "run": np.arange(len(paths))})

    def _html_parts(self) -> list[str]:
        return [repr(self), *(f"{run}: {path!r}" for run, path in zip(range(_SHOWN), self, strict=False))]

    def __str__(self) -> str:
        kinds = [path.outcome.kind for path in self]
        told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
        return f"Trajectories({len(self)} runs: {told})"


def _padded(values: np.ndarray, rows: int) -> np.ndarray:
    """Rows of a run, up to so many; NaN, 0 or nothing in those that it has not."""
    empty = np.full((rows - len(values), *values.shape[1:]), np.nan if values.dtype.kind == "f" else None)
    if values.dtype.kind != "f":
        empty = np.zeros(empty.shape, dtype=values.dtype)
    return np.concatenate([values, empty])


def _between(path: Trajectory, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Rows of a run at other times."""
    log_t, out = np.asarray(path.dataset.log_t.values), np.full((len(grid), *values.shape[1:]), np.nan)
    inside = np.flatnonzero(grid <= log_t[-1])
    if len(log_t) < 2 or not inside.size:
        return out
    right = np.clip(np.searchsorted(log_t, grid[inside]), 1, len(log_t) - 1)
    low, high = log_t[right - 1], log_t[right]
    with np.errstate(invalid="ignore"):
        part = np.where(np.isfinite(low), (grid[inside] - low) / (high - low), np.exp(grid[inside] - high))
    part = part.reshape(-1, *[1] * (values.ndim - 1))
    with np.errstate(invalid="ignore"):
        out[inside] = values[right - 1] + part * (values[right] - values[right - 1])
    return out
