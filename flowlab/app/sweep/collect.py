"""The result of a sweep: the numbers of all points on one grid of log t, with the swept keys as dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowlab.app.sweep.grid import Axis, Grid
from flowlab.app.sweep.records import Folder
from flowlab.core.hashing import canonical_json
from flowlab.core.typing import Json, Record
from flowlab.language.observables import PREFIX
from flowlab.language.problem import Problem
from flowlab.language.result import Result

FAILED, MISSING = "failed", "missing"
ROWS = 64
"""Values of log t in a result."""
_LATE = 100.0
"""Beyond this log t its values are spread as on the axes of figures: evenly in asinh(log t)."""
_LONG = {
    "log_loss": "log of the data loss",
    "min_margin": "smallest margin; of the normalised network, where it has one",
    "log_R": "log of the product of norms R",
    "objective": "the objective",
    "rho": "norm of each group of weights",
    "ended": "log t at which the point ended",
    "steps": "accepted steps",
    "outcome": "how the point ended",
    "point": "key of the point, by which its folder is named",
    "answer": "verdict on a claim",
    "measured": "the number that decides about a claim",
}


def collected(grid: Grid, folder: Folder, problem: Problem, base: Mapping[str, Json], rows: int) -> Result:
    """The result of all points that are done.

    Args:
        grid: the points.
        folder: where they are.
        problem: what the result belongs to: that of the first point.
        base: the specification that was swept.
        rows: how many values of log t.

    Returns:
        A result of the kind `"sweep"`. Its data set has a dimension for every swept key, and `log_t`: `log_loss`,
        `min_margin`, `log_R`, `rho` (by `block`), what was observed, all NaN beyond the end of a point; and without
        `log_t`: `outcome`, `ended`, `steps`, `point`, and of claims `answer` and `measured`. A point that is not there
        has the outcome `"failed"` or `"missing"`.
    """
    done, failures = folder.done(), folder.failures()
    found = {p.place: folder.read(p.key) for p in grid.points if p.key in done}
    shape = tuple(len(axis.values) for axis in grid.axes)
    names = tuple(axis.name for axis in grid.axes)
    ends, keys = np.full(shape, MISSING, dtype="<U9"), np.full(shape, "", dtype="<U64")
    for p in grid.points:
        keys[p.place] = p.key
        if p.place in found:
            ends[p.place] = found[p.place][0]["outcome"]["kind"]
        elif p.key in failures:
            ends[p.place] = FAILED
    numbers = {
        "outcome": (names, ends),
        "point": (names, keys),
        "steps": (names, _scalars(shape, {at: told["stats"]["steps"] for at, (told, _) in found.items()})),
        "ended": (names, _scalars(shape, {at: arrays["log_t"][-1] for at, (_, arrays) in found.items()})),
    }
    log_t = _times([arrays["log_t"] for _, arrays in found.values()], rows)
    numbers |= _columns(found, shape, names, log_t) | _verdicts(found, shape, names)
    coordinates = {axis.name: _coordinate(axis) for axis in grid.axes}
    coordinates["log_t"] = ("log_t", log_t, _attrs("log of flow time t"))
    labels = {"block": _blocks(found), "claim": _claims(found)}
    coordinates |= {name: (name, np.array(words), {}) for name, words in labels.items() if words}
    told = {name: (*value, _attrs(_LONG.get(name, name))) for name, value in numbers.items()}
    dataset = xr.Dataset(told, coords=coordinates)
    over = {axis.key: list(axis.values) for axis in grid.axes}
    made = sorted({canonical_json(point["versions"]) for point, _ in found.values()})
    return Result.of("sweep", dataset, problem, None, spec=dict(base), over=over, versions_of_points=made)


def _attrs(long_name: str) -> dict[str, str]:
    return {"units": "dimensionless", "long_name": long_name}


def _scalars(shape: tuple[int, ...], values: Mapping[tuple[int, ...], float]) -> np.ndarray:
    made = np.full(shape, np.nan)
    for at, value in values.items():
        made[at] = value
    return made


def _coordinate(axis: Axis) -> tuple[str, np.ndarray, Record]:
    """Values along an axis: numbers or text as they are, tables and lists as JSON."""
    kinds = {type(value) for value in axis.values}
    if kinds <= {int, float} or kinds in ({str}, {bool}):
        values = np.array(axis.values)
    else:
        values = np.array([v if isinstance(v, str) else canonical_json(v) for v in axis.values])
    return axis.name, values, {"long_name": axis.key}


def _times(rows: Sequence[np.ndarray], count: int) -> np.ndarray:
    """The common grid: from where all have begun to where the last one ends."""
    finite = [row[np.isfinite(row)] for row in rows]
    finite = [row for row in finite if len(row)]
    if not finite:
        return np.empty(0)
    low, high = max(row[0] for row in finite), max(row[-1] for row in finite)
    if not high > low:
        return np.array([high])
    if high > _LATE:
        return np.sinh(np.linspace(np.arcsinh(low), np.arcsinh(high), count)).clip(low, high)
    return np.linspace(low, high, count)


def _columns(found: Mapping[Any, Any], shape: tuple[int, ...], names: tuple[str, ...], log_t: np.ndarray) -> Record:
    """Columns over log t, of every point that has them."""
    blocks = _blocks(found)
    made: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}

    def room(name: str, *more: tuple[str, int]) -> np.ndarray:
        dims = (*names, "log_t", *(n for n, _ in more))
        if name not in made:
            made[name] = dims, np.full((*shape, len(log_t), *(n for _, n in more)), np.nan)
        return made[name][1]

    for at, (told, arrays) in found.items():
        known = arrays["log_t"]
        for name, values in arrays.items():
            if name == "rho":
                # Nets of other widths have other units.
                places = [blocks.index(block) for block in told["blocks"]]
                room("rho", ("block", len(blocks)))[(*at, slice(None), places)] = _between(known, values, log_t).T
            elif values.ndim == 1 and (name in _LONG or name.startswith(PREFIX)):
                room(name)[at] = _between(known, values[:, None], log_t)[:, 0]
    return made


def _between(known: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Columns, (S, C), at other log t, linear between rows and NaN outside of them: (M, C)."""
    use = np.isfinite(known)
    made = np.full((len(wanted), values.shape[1]), np.nan)
    if use.any():
        for i, column in enumerate(values[use].T):
            made[:, i] = np.interp(wanted, known[use], column, left=np.nan, right=np.nan)
    return made


def _verdicts(found: Mapping[Any, Any], shape: tuple[int, ...], names: tuple[str, ...]) -> Record:
    claims = _claims(found)
    if not claims:
        return {}
    answers, measured = np.full((*shape, len(claims)), "", dtype="<U9"), np.full((*shape, len(claims)), np.nan)
    for at, (told, _) in found.items():
        for i, claim in enumerate(claims):
            verdict = told["verdicts"].get(claim)
            if verdict is not None:
                answers[(*at, i)] = verdict["answer"]
                measured[(*at, i)] = np.nan if verdict["measured"] is None else verdict["measured"]
    return {"answer": ((*names, "claim"), answers), "measured": ((*names, "claim"), measured)}


def _blocks(found: Mapping[Any, Any]) -> list[str]:
    return list(dict.fromkeys(block for told, _ in found.values() for block in told["blocks"]))


def _claims(found: Mapping[Any, Any]) -> list[str]:
    return list(dict.fromkeys(claim for told, _ in found.values() for claim in told["verdicts"]))
