"""Named data sets, files and synthetic generators: `load("digits:3v8")`."""

import csv
import zipfile
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from flowlab.core.errors import DataError, MissingExtra, UnknownName
from flowlab.core.registry import Registry, nearest
from flowlab.core.seeds import checked_seed
from flowlab.language.data import Data

generators: Registry[Callable[..., tuple[np.ndarray, np.ndarray]]] = Registry("data generator")
_TABLES = {"breast_cancer": "breast_cancer.csv", "digits": "digits.csv.gz", "iris": "iris.csv", "wine": "wine_data.csv"}
BUNDLED = tuple(_TABLES)
"""Data sets that come with scikit-learn; nothing is downloaded."""


def load(spec: str, *, standardize: bool = False, seed: int = 0, kind: str | None = None) -> Data:
    """A data set by name.

    Args:
        spec: `"iris"` (all classes), `"iris:setosa"` (that class is +1, the rest -1), `"wine:0v2"` or
            `"iris:setosa v virginica"` (the first is +1, the second -1), `"breast_cancer"` (malignant is -1), a path to
            `.npz` (arrays `x`, `y`) or `.csv` (labels in the last column, a header is recognised), or a generator such as
            `"gaussian?n=20&d=5&margin=0.1"` or `"teacher?n=100&d=5&width=4"`.
        standardize: shift and scale every feature to mean 0 and standard deviation 1; constant features are only shifted.
        seed: of the generators.
        kind: force `"binary"`, `"classes"` or `"targets"` for files.

    Raises:
        UnknownName: for an unknown data set, class or generator, with the nearest known one.
        DataError: for files that cannot be read or values that cannot be used.
        LanguageError: for a seed that is not an integer from 0 on.
        MissingExtra: if scikit-learn is not installed.
    """
    seed = checked_seed(seed)
    if not isinstance(spec, str) or not spec:
        raise DataError(f"`{spec!r}` names no data set; use for example 'iris:setosa' or a path to .npz or .csv.")
    path = Path(spec)
    if path.suffix in (".npz", ".csv"):
        x, y = _npz(path) if path.suffix == ".npz" else _csv(path)
    elif "?" in spec or spec in generators:
        x, y = _generate(spec, seed)
    else:
        x, y = _bundled(spec)
    if standardize:
        x = np.asarray(x, dtype=np.float64)
        spread = x.std(axis=0)
        x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return Data(x, y, name=spec if len(spec) < 80 else path.name, kind=kind)


def _bundled(spec: str) -> tuple[np.ndarray, np.ndarray]:
    name, _, choice = spec.partition(":")
    if name not in BUNDLED:
        known = [*BUNDLED, *generators.names()]
        guess = nearest(name, known)
        hint = f" did you mean `{guess}`?" if guess else ""
        raise UnknownName(f"`{name}` is not a known data set;{hint} Known: {', '.join(known)}, and paths to .npz or .csv.")
    x, target, names = _from_sklearn(name)
    if not choice:
        return (x, np.where(target == 1, 1.0, -1.0)) if len(names) == 2 else (x, target.astype(np.int64))
    first, second = _two(choice, names)
    positive = _class(first, names, spec)
    if second is None:
        return x, np.where(target == positive, 1.0, -1.0)
    negative = _class(second, names, spec)
    if positive == negative:
        raise DataError(f"`{spec}` sets the class {first} against itself; choose two different ones.")
    keep = (target == positive) | (target == negative)
    return x[keep], np.where(target[keep] == positive, 1.0, -1.0)


def _from_sklearn(name: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Samples, class numbers and class names, from the files that scikit-learn installs.

    Importing scikit-learn takes longer than everything else that loading does, so its tables are read where they lie; where
    they do not, its own loader is asked.
    """
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise MissingExtra(f"`{name}` comes with scikit-learn, which is not installed; run `pip install \"flowlab[data]\"`.")
    file, names = Path(found.origin).parent / "datasets" / "data" / _TABLES[name], [str(i) for i in range(10)]
    try:
        if name == "digits":
            table = np.loadtxt(file, delimiter=",")
        else:
            with file.open(encoding="utf-8") as lines:
                names = next(lines).strip().split(",")[2:]
                table = np.loadtxt(lines, delimiter=",")
        return table[:, :-1], table[:, -1].astype(np.int64), names
    except (OSError, ValueError):
        from sklearn import datasets

        bunch: Any = getattr(datasets, f"load_{name}")()
        return np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target, dtype=np.int64), [str(n) for n in bunch.target_names]


def _two(choice: str, names: list[str]) -> tuple[str, str | None]:
    for between in (" vs ", " v ", "v"):
        first, found, second = choice.partition(between)
        if found and choice not in names and (between != "v" or (first.isdecimal() and second.isdecimal())):
            return first.strip(), second.strip()
    return choice, None


def _class(told: str, names: list[str], spec: str) -> int:
    if told in names:
        return names.index(told)
    if told.isdecimal() and int(told) < len(names):
        return int(told)
    guess = nearest(told, names)
    hint = f" did you mean `{guess}`?" if guess else ""
    raise UnknownName(f"`{told}` in `{spec}` is not a class;{hint} Classes: {', '.join(names)}, or their numbers from 0.")


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [key for key in ("x", "y") if key not in stored.files]
            if missing:
                raise DataError(f"`{path}` has the arrays {', '.join(stored.files) or 'none'}; save it with arrays named x and y.")
            return stored["x"], stored["y"]
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"`{path}` cannot be read as .npz ({error}); write it with numpy.savez(path, x=…, y=…).") from None


def _csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"`{path}` cannot be read as .csv ({error}); give an existing text file.") from None
    if rows and not all(_is_number(cell) for cell in rows[0]):
        rows = rows[1:]
    if not rows:
        raise DataError(f"`{path}` has no rows of numbers; put one sample per line, the label last.")
    for i, row in enumerate(rows, 1):
        if len(row) != len(rows[0]) or len(row) < 2:
            raise DataError(f"`{path}` has {len(row)} columns in row {i} but {len(rows[0])} in row 1; every row needs the features and a label.")
        for j, cell in enumerate(row, 1):
            if not _is_number(cell):
                raise DataError(f"`{path}` has {cell!r} in row {i}, column {j}; every cell needs a number.")
    table = np.array([[float(cell) for cell in row] for row in rows])
    labels = table[:, -1]
    # Text has no integer type: whole numbers other than ±1 alone are taken as classes.
    whole = bool(np.isfinite(labels).all()) and bool((labels == np.round(labels)).all()) and not bool(np.isin(labels, (-1, 1)).all())
    return table[:, :-1], labels.astype(np.int64) if whole else labels


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _generate(spec: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    name, _, query = spec.partition("?")
    make = generators[name]
    options: dict[str, float] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if not _is_number(value) or not np.isfinite(float(value)):
            raise DataError(f"`{part}` in `{spec}` is no option; write for example n=20.")
        options[key] = float(value)
    known = make.__code__.co_varnames[1 : make.__code__.co_argcount]
    for key in options:
        if key not in known:
            raise UnknownName(f"`{key}` in `{spec}` is not an option of {name}; did you mean `{nearest(key, known) or known[0]}`? Known: {', '.join(known)}.")
    try:
        return make(np.random.default_rng(seed), **options)
    except MemoryError:
        raise DataError(f"`{spec}` does not fit into memory; use fewer samples or features.") from None


def _size(n: float, what: str) -> int:
    if n != int(n) or not 2 <= n <= 10**7:
        raise DataError(f"`{what}={n:g}` is no size; use a whole number from 2 on.")
    return int(n)


@generators.register("gaussian")
def gaussian(rng: np.random.Generator, n: float = 20, d: float = 5, margin: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian samples, labelled by a random hyperplane through 0 and moved off it to at least `margin`."""
    size, dims = _size(n, "n"), _size(d, "d")
    normal = rng.normal(size=dims)
    normal /= np.linalg.norm(normal)
    x = rng.normal(size=(size, dims))
    y = np.where(np.arange(size) % 2 == 0, 1.0, -1.0)
    across = x @ normal
    x += np.outer(y * (margin + np.abs(across)) - across, normal)
    return x, y


@generators.register("teacher")
def teacher(rng: np.random.Generator, n: float = 100, d: float = 5, width: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian samples labelled by the side of the median of a random two-layer ReLU teacher; both classes equal."""
    size, dims, units = _size(n, "n"), _size(d, "d"), _size(width, "width")
    x = rng.normal(size=(size, dims))
    output = np.maximum(x @ rng.normal(size=(dims, units)), 0.0) @ rng.normal(size=units)
    return x, np.where(output > np.median(output), 1.0, -1.0)
