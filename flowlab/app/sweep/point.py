"""What a process does for a sweep: a batch of points, whose flows are one program where they are short and small.

Batched flows have the bits of the whole batch, so all points of a batch are lanes of it, those that are done already as
well. What a batch does not take to its end is run point by point, and written down on the way.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowlab.app.asked import accuracy, begun, horizons, observables, posed
from flowlab.app.compile_cache import keep_compiled
from flowlab.app.sweep.records import PLAN, Folder
from flowlab.app.words import load_words
from flowlab.claims import check
from flowlab.core.errors import FlowlabError, OutputError
from flowlab.core.hashing import canonical_json
from flowlab.core.provenance import versions
from flowlab.core.typing import Record
from flowlab.discrete import descend
from flowlab.dynamics import integrate
from flowlab.dynamics.storage.archive import Archive
from flowlab.dynamics.storage.codec import BeingWritten
from flowlab.language.data import Data
from flowlab.language.observables import PREFIX
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.lowering.vector_field import VectorField
from flowlab.symbolic.derive import derive

SHORT = 1.0
"""Seconds of a run below which those after it in its batch are not written down on the way."""
WORK = 2**20
"""Samples times unknowns of all lanes of a batch: beyond, a step costs more than what lanes share."""
ATTEMPTS = 4096
"""Attempted steps of a batched flow: a kill costs a whole batch, so long flows go alone and are written on the way."""
_WAIT = 0.5
"""Seconds between two looks at a point that another process works on."""
_COUNTS = ("steps", "rejected", "evaluations")
_COLUMNS = ("log_t", "log_loss", "min_margin", "log_R", "objective", "rho")


def run_batch(task: Mapping[str, Any]) -> int:
    """Run what is left of a batch of points.

    Args:
        task: from `flowlab.app.sweep.drive`: `out`, `folder`, `words`; `points`, each with `key` and `spec`; `left`,
            keys of those that are to be recorded; and `alone`, whether every flow is to be run on its own.

    Returns:
        How many points it recorded; what came of them is in the folder. A point that raises is recorded as failed, and
        costs none of the others.

    Raises:
        OutputError: if the folder is not there, or cannot be written.
    """
    folder = Folder(Path(task["out"]))
    if not (folder.root / PLAN).is_file():
        raise OutputError(f"a worker must see the folder `{folder.root}`, got none there; use a shared file system.")
    _begin(task["words"])
    recorded, brief = 0, False
    waiting: list[Record] = [p for p in task["points"] if p["key"] in task["left"] and not folder.has(p["key"])]
    flows = {} if task["alone"] or not waiting else _flows(task["points"], task["folder"])
    while waiting:
        busy = []
        for point in waiting:
            if folder.has(point["key"]):
                continue
            try:
                flow = flows.pop(point["key"], None)
                seconds = _record(point, task["folder"], folder, flow, store=flow is None and not brief)
            except BeingWritten:
                # A process that the scheduler has given up works on; a lock dies with its process.
                busy.append(point)
                continue
            recorded, brief = recorded + 1, seconds is not None and seconds < SHORT
        if busy:
            time.sleep(_WAIT)
        waiting = busy
    return recorded


def _begin(words: list[str]) -> None:
    # A process of our own; in the user's, who asked for the sweep has set it.
    if not jax.config.read("jax_enable_x64"):
        jax.config.update("jax_enable_x64", True)
        keep_compiled()
    for file in words:
        load_words(Path(file))


def _flows(points: Sequence[Record], origin: str) -> dict[str, Trajectory]:
    """Flows of the points of a batch, by key, that one program takes to their ends."""
    lanes: dict[str, tuple[VectorField, Data, State, int]] = {}
    for point in points:
        # What is wrong with a point is told where it is run alone.
        with suppress(Exception):
            lanes[point["key"]] = _begun(point["spec"], origin)
    spec = points[0]["spec"]
    told = accuracy(spec)
    limit = told.get("max_steps", ATTEMPTS + 1)
    work = sum(max(1, data.n) * _unknowns(start) for _, data, start, _ in lanes.values())
    # A limit on time would count that of other lanes.
    if len(lanes) < 2 or work > WORK or "wall_seconds" in told:
        return {}
    fields, data, starts, _ = zip(*lanes.values(), strict=True)
    shared = len({id(each) for each in data}) == 1
    try:
        paths = _integrated(
            spec, origin, fields[0], list(starts), data[0] if shared else list(data), max_steps=min(limit, ATTEMPTS)
        )
        found = dict(zip(lanes, paths, strict=True))
    except Exception:
        return {}
    return {key: path for key, path in found.items() if limit <= ATTEMPTS or path.outcome.kind != "budget"}


def _record(point: Record, origin: str, folder: Folder, flow: Trajectory | None, *, store: bool) -> float | None:
    """Run a point, but for its flow where that is known, and record it; the seconds of its run without compilation, or
    None where it broke.
    """
    key, spec = point["key"], point["spec"]
    try:
        told, arrays, seconds = _run(spec, origin, folder.unfinished(key) if store else None, flow)
    except BeingWritten:
        raise
    except Exception as error:
        # Whatever breaks in one point, the others go on.
        told = {"key": key, "spec": spec, "error": type(error).__name__, "message": str(error), "versions": versions()}
        folder.fail(key, told | {"on_purpose": isinstance(error, FlowlabError)})
        return None
    folder.record(key, {"key": key, "spec": spec, "versions": versions()} | told, arrays)
    folder.discard(key)
    return seconds


def _run(
    spec: Record, origin: str, store: Path | None, flow: Trajectory | None = None
) -> tuple[Record, dict[str, np.ndarray], float]:
    """What is told of a point, its arrays, and the seconds of its run."""
    field, data, start, seed = _begun(spec, origin)
    problem, path = field.problem, flow or _flow(spec, origin, field, data, start, seed, store)
    seconds = path.stats["wall_seconds"] - path.stats.get("compile_seconds", 0.0)
    walk = descend(problem, start, data, seed=seed, **spec["witness"]) if "witness" in spec else None
    # Verdicts take longer than most runs: those that the specification names, and no others.
    names = spec.get("verify", {}).get("claims", [])
    verdicts = check(names, problem, data, path, *([] if walk is None else [walk]), seed=seed)
    end = {"kind": path.outcome.kind, "message": path.outcome.message, "event": path.outcome.event}
    told: Record = {
        "outcome": end,
        "stats": {name: path.stats[name] for name in _COUNTS},
        "blocks": path.dataset["block"].values.tolist(),
        "monitors": {name: bool(seen["holds"]) for name, seen in path.monitors.items()},
        "verdicts": {v.id: {"answer": v.answer, "measured": _number(v.measured)} for v in verdicts},
        "witness": None if walk is None else walk.outcome.kind,
    }
    return told, _arrays(path), seconds


def _flow(
    spec: Record, origin: str, field: VectorField, data: Data, start: State, seed: int, store: Path | None
) -> Trajectory:
    """The flow of a point on its own."""

    def run() -> Trajectory:
        return _integrated(spec, origin, field, start, data, seed=seed, store=store)

    try:
        return run()
    except BeingWritten:
        raise
    except OutputError:
        if store is None or not Archive.exists(store):
            raise
        # What is there is of other versions, or damaged.
        Archive.remove(store)
        return run()


def _integrated(spec: Record, origin: str, field: VectorField, start: Any, data: Any, **told: Any) -> Any:
    """`integrate` as the specification asks for it, of one start or of several."""
    seen = observables(spec, _beside(origin), field.problem)
    return integrate(field, start, data, until=horizons(spec), observe=seen or None, **accuracy(spec) | told)


def _unknowns(start: State) -> int:
    return sum(np.size(leaf) for leaf in jax.tree.leaves(start))


def _beside(origin: str) -> Path:
    """A file in the folder where paths of a specification begin."""
    return Path(origin) / "spec.toml"


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _arrays(path: Trajectory) -> dict[str, np.ndarray]:
    """Columns of numbers over rows, and the weights of the last row."""
    rows = path.dataset
    columns = {name: rows[name].values for name in _COLUMNS if name in rows}
    columns |= {
        str(name): c.values for name, c in rows.data_vars.items() if str(name).startswith(PREFIX) and c.ndim == 1
    }
    return columns | {f"last_{name}": value for name, value in path.weights(-1).items()}


def _begun(spec: Record, origin: str) -> tuple[VectorField, Data, State, int]:
    """Field, data, start and seed of a point."""
    names = "network", "problem", "data", "start"
    return _begun_as(canonical_json({name: spec[name] for name in names if name in spec}), str(_beside(origin)))


@lru_cache(maxsize=64)
def _begun_as(text: str, beside: str) -> tuple[VectorField, Data, State, int]:
    """The same, which a batch asks for before its points do."""
    spec = json.loads(text)
    field, data = _posed(canonical_json({name: told for name, told in spec.items() if name != "start"}), beside)
    return field, data, *begun(spec, field.problem, data)


@lru_cache(maxsize=4)
def _posed(text: str, beside: str) -> tuple[VectorField, Data]:
    """Field and data, once for all points that share them."""
    problem, data = posed(json.loads(text), Path(beside))
    return _field(canonical_json(problem.describe())), data


@lru_cache(maxsize=16)
def _field(text: str) -> VectorField:
    """The field of a problem, whatever its data and widths: programs are compiled for a field and shapes."""
    return lower(derive(Problem.from_description(json.loads(text))))
