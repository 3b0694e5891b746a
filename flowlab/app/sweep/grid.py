"""The points of a sweep: a specification and what its swept keys become, keyed by hashes and composed into batches."""

import hashlib
import itertools
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from flowlab.app.schema import schema
from flowlab.app.spec import complaint
from flowlab.app.words import loaded
from flowlab.core.arguments import short
from flowlab.core.errors import SpecError
from flowlab.core.hashing import sha256_json
from flowlab.core.provenance import versions
from flowlab.core.typing import Json, Record
from flowlab.language.tables import SUFFIXES

MOST = 1_000_000
"""Points of one sweep."""
LANE = ("start.seed", "start.scale", "start.weights", "data.seed", "data.constants")
"""Keys in which the points of one batch may differ: starts and samples of one problem."""
ARGUMENTS = ("integrate.rtol", "integrate.atol", "integrate.max_steps", "integrate.wall_seconds")
"""Further keys that no compiled program depends on."""
_TAKEN = frozenset(("log_t", "block", "claim", "outcome", "point", "steps", "ended", "answer", "measured")) | {
    *("log_loss", "min_margin", "log_R", "objective", "rho")
}
"""Names that the result has for other things."""
_RANGE = re.compile(r"(-?\d+):(-?\d+)(?::(-?\d+))?")


@dataclass(frozen=True)
class Axis:
    """One swept key.

    Attributes:
        key: its dotted name.
        values: what it becomes, in order.
        name: its dimension in the result: the last part of the key, or the whole with `_` where that is taken.
    """

    key: str
    values: tuple[Json, ...]
    name: str


@dataclass(frozen=True)
class Point:
    """One specification of a sweep.

    Attributes:
        place: which value it has on each axis.
        spec: the merged specification.
        key: SHA-256 of it, of the files that it reads, and of the version or files of this package.
        shape: SHA-256 of what its compiled programs depend on; points of one shape share them.
        settings: SHA-256 of all but starts and samples.
    """

    place: tuple[int, ...]
    spec: Record
    key: str
    shape: str
    settings: str


@dataclass(frozen=True)
class Grid:
    """All points of a sweep, the last axis fastest."""

    axes: tuple[Axis, ...]
    points: tuple[Point, ...]

    def called(self, point: Point) -> str:
        """A point by its values, in the order of the keys' names."""
        told = sorted(zip(self.axes, point.place, strict=True), key=lambda pair: pair[0].key)
        return ", ".join(f"{axis.key}={json.dumps(axis.values[i], ensure_ascii=False)}" for axis, i in told)


def parsed(texts: Iterable[str]) -> dict[str, tuple[Json, ...]]:
    """Swept keys and their values, as `--over` has them.

    Args:
        texts: such as `start.seed=0:100` (0 to 99), `start.seed=0:100:10`, `network.widths.W1=8,16,32`,
            `problem.loss=logistic,exponential`, or values as TOML writes them, such as `data.source="a,b","c"`.

    Raises:
        SpecError: for a text without a key or values, and for a key that comes twice.

    Example:
        >>> parsed(["start.seed=0:3"])
        {'start.seed': (0, 1, 2)}
    """
    found: dict[str, tuple[Json, ...]] = {}
    for text in texts:
        key, equals, told = (part.strip() for part in text.partition("="))
        if not equals or not key or not told:
            raise SpecError(f"`--over` must be a key and its values, got `{text}`; write for example start.seed=0:100.")
        if key in found:
            raise SpecError(f"`--over {key}` must be given once, got it twice; join its values by commas.", key)
        found[key] = _values(told)
    return found


def _values(text: str) -> tuple[Json, ...]:
    """A range of integers, or values as TOML writes them, or words without quotes."""
    whole = _RANGE.fullmatch(text)
    if whole:
        first, last, step = int(whole[1]), int(whole[2]), int(whole[3] or 1)
        if step == 0 or len(range(first, last, step)) > MOST:
            raise SpecError(
                f"a range must have 1 to {MOST} values and a step other than 0, got `{text}`; write for example 0:100."
            )
        return tuple(range(first, last, step))
    read = _toml(text)
    if read is not None:
        return tuple(read)
    return tuple(value[0] if (value := _toml(part)) else part.strip() for part in text.split(","))


def _toml(text: str) -> list[Any] | None:
    """The values between commas, as TOML writes them; None for other text."""
    try:
        found = tomllib.loads(f"values = [{text}]")
    except (ValueError, RecursionError):
        return None
    # A text of several lines may hold more than one key.
    return found["values"] if list(found) == ["values"] else None


def grid(base: Mapping[str, Json], over: Mapping[str, Sequence[Json]], folder: Path) -> Grid:
    """The points of a sweep, every value checked against the schema.

    Args:
        base: the specification.
        over: values by dotted key; the result has one dimension for each.
        folder: where paths of data begin.

    Raises:
        SpecError: for keys or values that a specification cannot have, naming them.
    """
    _finite(base)
    axes = _axes(over)
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST:
        raise SpecError(f"a sweep must have at most {MOST} points, got {count}; sweep fewer values.")
    first, known = [axis.values[0] for axis in axes], schema()
    for i, axis in enumerate(axes):
        # The schema asks something of each key by itself, so that no combination needs a look of its own.
        for value in axis.values:
            _check(merged(base, axes, [*first[:i], value, *first[i + 1 :]]), known, axes, axis)
    words = [hashlib.sha256(file.read_bytes()).hexdigest() for file in loaded()]
    # What a point becomes is a matter of the code as well, of a checkout by its files.
    code = {name: made for name, made in versions().items() if name in ("flowlab", "flowlab_source")}
    digest = cache(lambda path: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None)
    points = []
    for place in itertools.product(*(range(len(axis.values)) for axis in axes)):
        spec = merged(base, axes, [axis.values[i] for axis, i in zip(axes, place, strict=True)])
        read = {source: digest(folder / source) for source in _files(spec)}
        ends = {"until": sorted(spec.get("integrate", {}).get("until", {}))}
        shared = _without(spec, LANE)
        program = _without(shared, (*ARGUMENTS, "integrate.until"))
        points.append(
            Point(
                place,
                spec,
                key=sha256_json({"spec": spec, "files": read, "words": words, "code": code}),
                shape=sha256_json([program, ends, read]),
                settings=sha256_json([shared, read]),
            )
        )
    return Grid(axes, tuple(points))


def batches(points: Sequence[Point], size: int) -> list[list[Point]]:
    """Points of one problem and settings together, at most `size` of them, those of one shape after each other.

    They are composed from the points alone, never from who runs them or what is done already.
    """
    ordered = sorted(points, key=lambda p: (p.shape, p.settings, p.key))
    alike = (list(group) for _, group in itertools.groupby(ordered, key=lambda p: (p.shape, p.settings)))
    return [group[i : i + size] for group in alike for i in range(0, len(group), size)]


def merged(base: Mapping[str, Json], axes: Sequence[Axis], values: Sequence[Json]) -> Record:
    """The specification with swept keys in place; the base stays as it is.

    Raises:
        SpecError: where a key lies below a value that is no table.
    """
    spec: Record = dict(base)
    for axis, value in zip(axes, values, strict=True):
        *above, last = axis.key.split(".")
        table: Record = spec
        for i, part in enumerate(above, 1):
            inner = table.get(part, {})
            if not isinstance(inner, Mapping):
                raise SpecError(
                    f"`over` must have keys of a specification, got `{axis.key}`, where `{'.'.join(above[:i])}` is no"
                    " table; leave the rest out.",
                    axis.key,
                )
            table[part] = dict(inner)
            table = table[part]
        table[last] = value
    return spec


def _axes(over: Mapping[str, Sequence[Json]]) -> tuple[Axis, ...]:
    """The axes of what is swept, each with a dimension of its own name."""
    if not over:
        raise SpecError("a sweep must have at least one swept key, got none; pass for example start.seed=0:100.")
    parts = {key: key.split(".") for key in over}
    lasts = [found[-1] for found in parts.values()]
    axes = []
    for key, given in over.items():
        values = tuple(_plain(key, value) for value in given)
        told = [sha256_json(value) for value in values]
        if not values or len(set(told)) < len(told):
            what = "none" if not values else f"{short(values[_twice(told)], 40)} twice"
            raise SpecError(f"`{key}` must be swept over different values, got {what}; pass for example 0, 1, 2.", key)
        below = next((k for k in over if k != key and parts[k][: len(parts[key])] == parts[key]), None)
        if below is not None:
            raise SpecError(f"`{key}` must not be swept together with `{below}`, which is a part of it; drop one.", key)
        last = parts[key][-1]
        axes.append(Axis(key, values, last if lasts.count(last) == 1 and last not in _TAKEN else key.replace(".", "_")))
    return tuple(axes)


def _finite(base: Mapping[str, Json]) -> None:
    """Refuse what has no hash: infinite horizons."""
    try:
        sha256_json(base)
    except ValueError:
        raise SpecError(
            "a specification must have finite numbers to be swept, got one that is not; write a large one."
        ) from None


def _twice(told: list[str]) -> int:
    return next(i for i, value in enumerate(told) if value in told[:i])


def _plain(key: str, value: Any) -> Json:
    """A value as JSON has it; numbers of numpy become plain ones."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    try:
        sha256_json(value)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError
    except (TypeError, ValueError, RecursionError):
        raise SpecError(
            f"`{key}` must be swept over numbers that 64 bits hold, text, lists or tables, got {short(value, 40)};"
            " write such values.",
            key,
        ) from None
    return value


def _check(spec: Record, known: Record, axes: Sequence[Axis], axis: Axis) -> None:
    """Refuse a specification with something that the schema does not know, and say whether a swept key is at fault."""
    found = complaint(spec, known)
    if found is None:
        return
    keys, what = found
    swept = any(_concerns(other.key.split("."), keys) for other in axes)
    raise SpecError(f"{f'over `{axis.key}`' if swept else 'the specification'}: {what}.", ".".join(keys))


def _concerns(swept: Sequence[str], keys: Sequence[str]) -> bool:
    least = min(len(swept), len(keys))
    return list(swept[:least]) == list(keys[:least])


def _files(spec: Mapping[str, Any]) -> list[str]:
    """Sources of samples that are files."""
    tables = [spec["data"], *spec.get("observe", {}).values()]
    return sorted({t["source"] for t in tables if t.get("source", "").lower().endswith(SUFFIXES)})


def _without(spec: Mapping[str, Any], keys: Iterable[str]) -> Record:
    """A specification without some dotted keys."""
    left = dict(spec)
    for key in keys:
        table, _, name = key.partition(".")
        if name in left.get(table, {}):
            left[table] = {k: v for k, v in left[table].items() if k != name}
    return left
