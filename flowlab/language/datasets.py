"""Named data sets, files and synthetic generators: `load("digits:3v8")`."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from os import PathLike, fspath, sep
from pathlib import Path
from typing import Any

import numpy as np

from flowlab.core.arguments import expects, line, must_be, short, tail
from flowlab.core.errors import DataError, MissingExtra, UnknownName
from flowlab.core.memory import require_memory
from flowlab.core.registry import Registry, nearest
from flowlab.core.seeds import checked_seed
from flowlab.language.arrays import finite, numbers, standardized
from flowlab.language.data import Data, fitting
from flowlab.language.tables import SUFFIXES, numeral, read_table

generators: Registry[Callable[..., tuple[np.ndarray, np.ndarray]]] = Registry("data generator")
_TABLES = {"breast_cancer": "breast_cancer.csv", "digits": "digits.csv.gz", "iris": "iris.csv", "wine": "wine_data.csv"}
BUNDLED = tuple(_TABLES)
"""Data sets that come with scikit-learn; nothing is downloaded."""


def load(
    spec: str | PathLike[str],
    *,
    standardize: bool = False,
    seed: int = 0,
    kind: str | None = None,
    label: str | None = None,
) -> Data:
    """A data set by name.

    Args:
        spec: `"iris"` (all classes), `"iris:setosa"` (that class is +1, the rest -1), `"wine:0v2"` or
            `"iris:setosa v virginica"` (the first is +1, the second -1), `"breast_cancer"` (malignant is -1), a path to
            `.npz` (arrays `x`, `y`), `.csv` or `.tsv` (see `flowlab.language.tables`), or a generator such as
            `"gaussian?n=20&d=5&margin=0.1"` or `"teacher?n=100&d=5&width=4"`.
        standardize: shift and scale every feature to mean 0 and standard deviation 1; constant features become 0.
        seed: of the generators.
        kind: force `"binary"`, `"classes"` or `"targets"` for files.
        label: name of the column that holds the labels of a `.csv` or `.tsv` file with a header; by default the last
            column.

    Raises:
        UnknownName: for an unknown data set, class, generator or label, with the nearest known one.
        DataError: for files that cannot be read or values that cannot be used.
        TooLarge: for what does not fit into memory.
        LanguageError: for a seed that is not an integer from 0 on.
        MissingExtra: if scikit-learn is not installed.

    Examples:
        >>> fl.load("gaussian?n=20&d=5&margin=0.1", seed=1)
        Data('gaussian?n=20&d=5&margin=0.1', n=20, d=5, kind='binary')
    """
    seed = checked_seed(seed)
    expects("standardize", standardize, (bool, np.bool_), "True or False", "one of them")
    expects("label", label, (str, type(None)), "the name of a column", "for example 'species'")
    named = fspath(spec) if isinstance(spec, PathLike) else spec
    if not isinstance(named, str) or not named:
        raise DataError(
            f"`{short(spec)}` names no data set; use for example 'iris:setosa' or a path to .npz, .csv or .tsv."
        )
    path, names = Path(named), None
    if path.suffix.lower() in SUFFIXES:
        x, y = read_table(path, label)
        # Text has no integer type: whole numbers other than ±1 alone are taken as classes.
        if (
            path.suffix.lower() != ".npz"
            and kind is None
            and y.dtype.kind == "f"
            and not (y % 1).any()
            and not np.isin(y, (-1, 1)).all()
        ):
            kind = "classes"
    elif label is not None:
        raise DataError(
            f"`{line(named)}` has no columns with names; leave out `label`, which is for .csv and .tsv files."
        )
    elif named is not spec or sep in named:
        raise DataError(f"`{tail(named)}` has no known format; give a path to .npz, .csv or .tsv.")
    elif "?" in named or named in generators:
        x, y = _generate(named, seed)
    else:
        x, y, names = _bundled(named)
    if standardize:
        x = numbers(x, f"`{line(named)}` x")
        fitting(x.shape, y.shape, f"`{line(named)}`")
        finite(x, f"`{line(named)}` x")
        x = standardized(x)
    return Data(x, y, name=named if len(named) < 80 else path.name, kind=kind, class_names=names)


def _bundled(spec: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...] | None]:
    name, _, choice = spec.partition(":")
    if name not in BUNDLED:
        known = [*BUNDLED, *generators.names()]
        guess = nearest(name, known)
        hint = f" did you mean `{guess}`?" if guess else ""
        raise UnknownName(
            f"`{line(name)}` is not a known data set;{hint} Known: {', '.join(known)}, and paths to .npz, .csv or .tsv."
        )
    x, target, names = _from_sklearn(name)
    if not choice:
        return x, np.where(target == 1, 1.0, -1.0) if len(names) == 2 else target.astype(np.int64), tuple(names)
    first, second = _two(choice, names)
    positive = _class(first, names, spec)
    if second is None:
        return x, np.where(target == positive, 1.0, -1.0), None
    negative = _class(second, names, spec)
    if positive == negative:
        raise DataError(f"`{line(spec)}` sets the class {line(first)} against itself; choose two different ones.")
    keep = (target == positive) | (target == negative)
    return x[keep], np.where(target[keep] == positive, 1.0, -1.0), (names[negative], names[positive])


def _from_sklearn(name: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Samples, class numbers and class names, from the files that scikit-learn installs.

    Importing scikit-learn takes longer than everything else that loading does, so its tables are read where they lie;
    where they do not, its own loader is asked.
    """
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise MissingExtra(
            f'`{name}` comes with scikit-learn, which is not installed; run `pip install "flowlab[data]"`.'
        )
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
        return (
            np.asarray(bunch.data, dtype=np.float64),
            np.asarray(bunch.target, dtype=np.int64),
            [str(n) for n in bunch.target_names],
        )


def _two(choice: str, names: list[str]) -> tuple[str, str | None]:
    for between in (" vs ", " v ", "v"):
        first, found, second = choice.partition(between)
        if found and choice not in names and (between != "v" or (first.isdecimal() and second.isdecimal())):
            return first.strip(), second.strip()
    return choice, None


def _class(told: str, names: list[str], spec: str) -> int:
    if told in names:
        return names.index(told)
    if told.isdecimal() and len(told) < 9 and int(told) < len(names):
        return int(told)
    guess = nearest(told, names)
    hint = f" did you mean `{guess}`?" if guess else ""
    raise UnknownName(
        f"`{line(told)}` in `{line(spec)}` is not a class;{hint} Classes: {', '.join(names)}, or their numbers from 0."
    )


def _generate(spec: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    name, _, query = spec.partition("?")
    make = generators[name]
    options: dict[str, float] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key in options or not math.isfinite(numeral(value)):
            raise DataError(
                f"`{line(part)}` in `{line(spec)}` is not an option with one finite number; write for example n=20."
            )
        options[key] = numeral(value)
    known = make.__code__.co_varnames[1 : make.__code__.co_argcount]
    for key in options:
        if key not in known:
            guess = nearest(key, known) or known[0]
            raise UnknownName(
                f"`{line(key)}` in `{line(spec)}` is not an option of {name}; did you mean `{guess}`? Known:"
                f" {', '.join(known)}."
            )
    return make(np.random.default_rng(seed), **options)


def _shape(n: float, d: float) -> tuple[int, int]:
    size, dims = _size(n, "n"), _size(d, "d")
    # The samples, and a copy of them on the way to a data set.
    require_memory(16 * size * dims, f"a data set of {size} samples with {dims} features")
    return size, dims


def _size(n: float, what: str) -> int:
    if n != int(n) or not 2 <= n <= 10**7:
        raise must_be(what, n, "a whole number from 2 to 10,000,000", "for example 20", DataError)
    return int(n)


@generators.register("gaussian")
def gaussian(
    rng: np.random.Generator, n: float = 20, d: float = 5, margin: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian samples, labelled by a random hyperplane through 0 and moved off it to at least `margin`."""
    size, dims = _shape(n, d)
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
    (size, dims), units = _shape(n, d), _size(width, "width")
    require_memory(8 * (size + dims) * units, f"a teacher of {units} units on {size} samples")
    x = rng.normal(size=(size, dims))
    output = np.maximum(x @ rng.normal(size=(dims, units)), 0.0) @ rng.normal(size=units)
    return x, np.where(output > np.median(output), 1.0, -1.0)
