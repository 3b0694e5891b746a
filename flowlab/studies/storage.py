"""Results on disk, for figures and reports that are made again from them: `save` any, and read all that a
folder holds.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, OutputError
from flowlab.core.files import is_folder, writing
from flowlab.core.hashing import sealed, unsealed
from flowlab.core.provenance import versions
from flowlab.core.typing import Json, Record
from flowlab.discrete.critical.critical_points import CriticalPoints
from flowlab.language.drawable import RUNS, ResultLike
from flowlab.language.netcdf import kind_of
from flowlab.language.problem import Problem
from flowlab.language.result import Result
from flowlab.language.trajectory import Trajectory

_FIRST = ("trajectory.nc", "witness.nc")
_STORED = (".nc", ".zarr")
POINTS = "critical.json"


@displayed
class StoredPoints(list[SimpleNamespace]):
    """Critical points read from `critical.json`: the numbers of every point, without what was needed to find them."""

    kind = "critical points"

    def __init__(self, record: Record) -> None:
        super().__init__(_point(p) for p in record["points"])
        self.problem = Problem.from_description(record["problem"])
        self.provenance = {
            k: record[k] for k in ("versions", "seed", "norm", "rho", "starts", "lost", "data") if k in record
        }


def _point(told: Record) -> SimpleNamespace:
    lists = {
        "eigenvalues": np.array(told["eigenvalues"], dtype=np.float64),
        "multipliers": np.array(told["multipliers"], dtype=np.float64),
    }
    return SimpleNamespace(**(told | lists), to_dict=lambda: told)


@guarded
def save(result: ResultLike, path: str | Path) -> Path:
    """Write a result that figures are made of: trajectories, portraits and the like as they are; continuations, models,
    distances as tables.

    Args:
        result: anything with a `kind` that a figure is of.
        path: to write, `.nc`; `.json` for critical points.

    Raises:
        OutputError: if it cannot be written; LanguageError: for another kind of result.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> saved = fl.save(path, "path.nc")
        >>> fl.open("path.nc").outcome.kind
        'done'
    """
    if isinstance(result, Trajectory | Result):
        return result.save(path)
    if isinstance(result, CriticalPoints):
        return _json(points_record(result), Path(path))
    if not _labelled(result):
        raise LanguageError(
            f"`result` must have labelled numbers, got a value of type {type(result).__name__}; pass for example a"
            " trajectory."
        )
    dataset = result.dataset
    events = getattr(result, "events", ())
    if events:
        # Folds and branch points, one row each.
        columns = {
            f"event_{name}": ("event", np.array([getattr(e, name) for e in events]))
            for name in ("kind", "branch", "parameter")
        }
        dataset = dataset.assign(columns)
    return Result.of(
        result.kind,
        dataset,
        result.problem,
        getattr(result, "data", None),
        **getattr(result, "provenance", {}).get("settings", {}),
    ).save(path)


@runtime_checkable
class _Table(ResultLike, Protocol):
    """A result whose numbers are one labelled data set."""

    dataset: xr.Dataset


def _labelled(result: ResultLike) -> TypeGuard[_Table]:
    try:
        return isinstance(getattr(result, "dataset", None), xr.Dataset) and isinstance(result.problem, Problem)
    except Exception:
        # Attributes of a foreign class may raise anything.
        return False


def points_record(points: CriticalPoints, **more: Json) -> Record:
    """Critical points and where they are from, for JSON."""
    rho = {k: np.asarray(r).tolist() for k, r in points.constrained.spheres.rho.items()}
    data = {"name": points.data.name, "sha256": points.data.sha256()}
    listed = [p.to_dict() for p in points]
    told = {
        "points": listed,
        "starts": points.starts,
        "lost": points.lost,
        "rho": rho,
        "problem": points.problem.describe(),
        "data": data,
    }
    count = {k: getattr(points, k) for k in ("euler_sum", "euler_characteristic", "complete")}
    return {**told, **count, "versions": versions(), **more}


def _json(record: Record, path: Path) -> Path:
    if path.suffix != ".json":
        raise OutputError(f"`{path.name}` has no known format; use a name that ends in .json for critical points.")
    part = path.with_name(f".{path.name}.unfinished")
    with writing(path):
        part.write_text(json.dumps(sealed(record), indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")
        os.replace(part, path)
    return path


def load(path: str | Path) -> Any:
    """Read one stored result, whatever its kind.

    Raises:
        OutputError: if the file holds none.
    """
    path = Path(path)
    if path.suffix == ".json":
        try:
            return StoredPoints(unsealed(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise OutputError(
                f"`{path}` holds no critical points ({type(error).__name__}: {error}); write some by `flowlab"
                " critical`."
            ) from None
    kind = kind_of(path, "trajectory or other result")
    return Trajectory.load(path) if kind in RUNS else Result.load(path)


@guarded
def results(places: str | Path | Sequence[str | Path], of: str | None = None) -> list[Any]:
    """All results that folders and files hold: of a run its flow and then its witness, then the others by name.

    Args:
        places: one folder or file, or several.
        of: only those of one kind, `"trajectory"` or what a figure is of.

    Raises:
        OutputError: if there is none, or a file that was named cannot be read.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> saved = fl.save(path, "path.nc")
        >>> [found.kind for found in fl.results("path.nc")]
        ['flow']
    """
    listed = [places] if isinstance(places, str | Path) else list(places)
    found: list[Any] = []
    for place in map(Path, listed):
        if is_folder(place) and place.suffix != ".zarr":
            names = [p.name for p in place.iterdir() if p.suffix in _STORED and not p.name.startswith(".")] + (
                [POINTS] if (place / POINTS).is_file() else []
            )
            files = [
                place / name
                for name in sorted(
                    names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)
                )
            ]
        else:
            files = [place]
        found += [load(file) for file in files]
    chosen = [r for r in found if of is None or ("trajectory" if r.kind in RUNS else r.kind) == of]
    if not chosen:
        held = ", ".join(sorted({r.kind for r in found})) or "nothing"
        told = ", ".join(f"`{place}`" for place in map(str, listed))
        raise OutputError(f"{told} holds no {of or 'result'} but {held}; make one and write it there.")
    return chosen
