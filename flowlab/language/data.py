"""Samples and labels, checked once when they are made."""

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import expects, line, short
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, several
from flowlab.core.hashing import sha256_arrays
from flowlab.core.pickling import received, sent
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, ArrayLike, Given, Json, Record
from flowlab.language.arrays import as_array, finite, names_of, numbers

KINDS = ("binary", "classes", "targets", "none")


@displayed
class Data(eqx.Module):
    """A data set.

    Labels may be given as a column, (N, 1); as truth values, of which True is +1; and as class names, which are sorted:
    two of them are -1 and +1, more are 0..C-1. Integers other than ±1 are classes, other numbers targets.

    Args:
        x: the input `x`, (N, d) or (N, ...); it may be left out where there are others.
        y: labels; without them, and without `x`, arrays by name are constants, for objectives without samples.
        constants: what all samples share, arrays by name.
        arrays: further inputs by name, (N, ...): `fl.Data(x, y, A=A)`.

    Attributes:
        given: inputs and constants by name, float64.
        y: labels: ±1 as floats (`"binary"`), integers 0..C-1 (`"classes"`), or real targets (N,) or (N, o); zeros
            where there are none (`"none"`).
        name: what it is called (static).
        kind: which of the four (static); given as `"binary"`, all labels may be of one class.
        n_classes: C for `"classes"`, 2 for `"binary"`, else None (static).
        constant_names: which of `given` have no axis of samples (static).
        class_names: of the classes 0..C-1, or of -1 and +1, where labels were names; else None (static).

    Raises:
        DataError: if shapes do not fit, values are masked, missing or not finite, or there is one class only.
        TooLarge: if the samples do not fit into memory.
        PrecisionTooLow: without float64.

    Examples:
        >>> fl.Data([[1.0, 0.5], [-1.0, 0.2]], ["yes", "no"])
        Data('data', n=2, d=2, kind='binary')
        >>> fl.Data(A=[[0.0, 1.0], [-1.0, 0.0]])
        Data('data', constants A, kind='none')
    """

    given: dict[str, jax.Array]
    y: jax.Array
    constant_names: tuple[str, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    n_classes: int | None = eqx.field(static=True)
    class_names: tuple[str, ...] | None = eqx.field(static=True)

    __getstate__, __setstate__ = sent, received

    def __init__(
        self,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        name: str = "data",
        kind: str | None = None,
        class_names: tuple[str, ...] | None = None,
        constants: Mapping[str, ArrayLike] | None = None,
        **arrays: ArrayLike,
    ) -> None:
        require_x64("Data")
        expects("name", name, str, "a text", "a name to call the data by")
        if kind is not None and (not isinstance(kind, str) or kind not in KINDS):
            raise DataError(f"`kind={short(kind)}` is not known; use one of {', '.join(KINDS)}.")
        if class_names is not None and not _names(class_names):
            raise DataError(
                f"`class_names` must be a list of texts, got {short(class_names)}; pass for example ('no', 'yes')."
            )
        told = f"`{line(name)}`"
        expects("constants", constants, (Mapping, type(None)), "arrays by name", 'for example `{"A": a}`')
        if y is None and x is None and kind is None:
            # Without labels nothing says that there are samples, so arrays by name are constants.
            constants, arrays, kind = {**(constants or {}), **arrays}, {}, "none"
        elif (y is None) != (kind == "none") or (y is not None and x is None and not arrays):
            got = "no labels" if y is None else "no input" if kind != "none" else "labels of no kind"
            raise DataError(f"{told} must have inputs and labels, got {got}.")
        named = arrays if x is None else {"x": x, **arrays}
        inputs = {key: numbers(value, f"{told} {key}") for key, value in named.items()}
        fixed = {key: numbers(value, f"{told} {key}") for key, value in (constants or {}).items()}
        twice = next((key for key in fixed if key in inputs), None)
        if twice is not None:
            raise DataError(f"{told} must have `{line(twice)}` as an input or a constant, got both; name it once.")
        if y is None:
            samples = next((len(values) for values in inputs.values() if values.ndim), 1)
            labels, whole, found = np.zeros(samples), False, None
        else:
            labels, whole, found = _labels(y, f"{told} y", kind)
        for key, values in inputs.items():
            fitting(values.shape, labels.shape, told, key)
            finite(values, f"{told} {key}")
        for key, values in fixed.items():
            finite(values, f"{told} {key}")
        finite(labels, f"{told} y")
        self.kind = "none" if y is None else _kind(labels, whole, kind, told)
        self.name, self.n_classes, self.class_names = name, None, found or class_names
        if self.kind in ("binary", "classes"):
            labels = labels.ravel()
            self.n_classes = _classes(labels, told) if self.kind == "classes" else 2
        # Papers fold labels into inputs, so that one class is an instance; from a file it is a mistake.
        if self.kind == "binary" and kind != "binary" and len(np.unique(labels)) < 2:
            raise DataError(
                f'{told} has one class only ({labels[0]:g}); a classifier needs both -1 and +1, or say kind="binary" if'
                " that is meant."
            )
        # `jnp.asarray` would compile a program for every shape.
        self.given = {key: jax.device_put(values) for key, values in {**inputs, **fixed}.items()}
        self.constant_names = tuple(fixed)
        self.y = jax.device_put(labels.astype(np.int64) if self.kind == "classes" else labels)

    @property
    def x(self) -> jax.Array:
        """The input `x`, (N, d) or (N, ...).

        Raises:
            DataError: if there is none.
        """
        if "x" not in self.given:
            names = ", ".join(f"`{key}`" for key in self.given)
            raise DataError(f"`{line(self.name)}` must have the input `x`, got {names}; pass `fl.Data(x, y)`.")
        return self.given["x"]

    @property
    def inputs(self) -> Given:
        """What a network takes: the only input as an array, or all inputs and constants by name."""
        return self.given["x"] if set(self.given) == {"x"} else self.given

    @property
    def in_numpy(self) -> tuple[Given, np.ndarray]:
        """Inputs and labels in numpy, where nothing is to be compiled."""
        return jax.tree.map(np.asarray, self.inputs), np.asarray(self.y)

    @property
    def flat(self) -> jax.Array:
        """All inputs of a sample as one row, (N, d)."""
        rows = [v.reshape(self.n, -1) for key, v in self.given.items() if key not in self.constant_names]
        return rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=1)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of inputs, for one sample, and of constants, by name."""
        return {
            key: values.shape if key in self.constant_names else values.shape[1:] for key, values in self.given.items()
        }

    def as_input(self, name: str, shape: tuple[int, ...]) -> "Data":
        """The input `x` under another name and in another shape, as images or tokens.

        Args:
            name: of the input.
            shape: of one sample; its entries are those of a row of `x`, the last axis fastest.

        Raises:
            DataError: for a shape with another number of entries.

        Example:
            >>> fl.load("digits:3v8").as_input("X", (1, 8, 8))
        """
        features = math.prod(self.x.shape[1:])
        if math.prod(shape) != features:
            raise DataError(
                f"`{line(name)}` must have {several(features, 'entry')} per sample, as `x` has, got the shape"
                f" {short(shape)}; pass another."
            )
        others = {key: v for key, v in self.given.items() if key != "x"}
        return self._remade(self.name, {name: self.x.reshape(self.n, *shape), **others})

    def called(self, name: str) -> "Data":
        """The same samples under another name."""
        return self._remade(name, self.given)

    def _remade(self, name: str, given: Mapping[str, jax.Array]) -> "Data":
        """The same labels, with inputs and constants by name."""
        constants = {key: given[key] for key in self.constant_names}
        arrays = {key: v for key, v in given.items() if key not in constants}
        y = None if self.kind == "none" else self.y
        return Data(y=y, name=name, kind=self.kind, class_names=self.class_names, constants=constants, **arrays)

    def batch(self, chosen: Array) -> "Batch":
        """Some of the samples, by their numbers."""
        if isinstance(self.inputs, Mapping):
            part: Given = {k: v if k in self.constant_names else v[chosen] for k, v in self.given.items()}
            return Batch(part, self.y[chosen])
        return Batch(self.inputs[chosen], self.y[chosen])

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.y.shape[0])

    @property
    def d(self) -> int:
        """Number of features of a sample, of all its inputs together."""
        return sum(math.prod(shape) for key, shape in self.shapes.items() if key not in self.constant_names)

    @property
    def outputs(self) -> int:
        """How many outputs a network needs for these labels."""
        if self.kind == "classes":
            return self.n_classes or 0
        return int(self.y.shape[1]) if self.y.ndim == 2 else 1

    def to_json(self) -> Record:
        """All of it for JSON: `x` and `y`, other inputs as `arrays`, constants, name, kind and hash."""
        values = {key: np.asarray(v).tolist() for key, v in self.given.items()}
        record: Record = {"x": values["x"]} if "x" in values else {}
        others = {key: v for key, v in values.items() if key != "x" and key not in self.constant_names}
        record |= {"arrays": others} if others else {}
        record |= {"constants": {key: values[key] for key in self.constant_names}} if self.constant_names else {}
        return record | {
            "y": None if self.kind == "none" else np.asarray(self.y).tolist(),
            "name": self.name,
            "kind": self.kind,
            "sha256": self.sha256(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Json]) -> "Data":
        """The data of a `to_json()`."""
        # What stands under a name is known to those who wrote it, and checked by what is made of it.
        told: Any = stored
        more = told.get("arrays", {})
        return cls(
            told.get("x"), told["y"], name=told["name"], kind=told["kind"], constants=told.get("constants"), **more
        )

    def sha256(self) -> str:
        """Hash of the samples and labels."""
        return sha256_arrays({**{key: np.asarray(v) for key, v in self.given.items()}, "y": np.asarray(self.y)})

    def __repr__(self) -> str:
        if self.kind == "none" and len(self.constant_names) == len(self.given):
            return f"Data({self.name!r}, constants {', '.join(self.constant_names) or 'none'}, kind='none')"
        return f"Data({self.name!r}, n={self.n}, d={self.d}, kind={self.kind!r})"


class Batch(NamedTuple):
    """Inputs and labels of some samples, without names or checks."""

    inputs: Given
    y: Array

    @property
    def given(self) -> Mapping[str, Array]:
        """Inputs and constants by name."""
        return self.inputs if isinstance(self.inputs, Mapping) else {"x": self.inputs}


def fitting(x: tuple[int, ...], y: tuple[int, ...], told: str, name: str = "x") -> None:
    """Refuse shapes that are no samples and their labels; DataError with both."""
    samples = x[0] if len(x) >= 2 - (name != "x") and 0 not in x else 0
    if not samples:
        raise DataError(
            f"{told} {name} has shape {short(x)}; give a non-empty (N, d) array of N samples with d features."
        )
    if len(y) not in (1, 2) or y[0] != samples or 0 in y:
        raise DataError(f"{told} y has shape {short(y)} but {name} has {samples} samples; give one label per sample.")


def _labels(y: object, what: str, kind: str | None) -> tuple[np.ndarray, bool, tuple[str, ...] | None]:
    """Labels as float64, whether they were integers, and the class names where they were text."""
    array = as_array(y, what)
    named = names_of(array, what)
    if named is not None:
        which, names = named
        first, *others = names
        if kind == "targets":
            raise DataError(f"{what} has class names such as {short(first)}; targets must be numbers.")
        if not others:
            raise DataError(f"{what} has one class only ({short(first)}); a classifier needs at least two.")
        two = len(names) == 2 and kind != "classes"
        return (2.0 * which - 1.0 if two else which.astype(np.float64)), True, names
    labels = numbers(array, what)
    column = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
    truths = array.dtype.kind == "b" or (
        array.dtype.kind == "O" and all(isinstance(v, bool | np.bool_) for v in array.ravel().tolist())
    )
    if truths and column and kind in (None, "binary"):
        return 2.0 * labels - 1.0, True, None
    integers = array.dtype.kind in "iu" or (
        array.dtype.kind == "O" and all(isinstance(v, Integral) for v in array.ravel().tolist())
    )
    return labels, integers, None


def _kind(labels: np.ndarray, whole: bool, kind: str | None, told: str) -> str:
    column = labels.size == len(labels)
    signs = column and bool(np.isin(labels, (-1, 1)).all())
    if kind is None:
        return "binary" if signs else "classes" if column and whole else "targets"
    if kind == "binary" and not signs:
        odd = next(iter(v for v in np.unique(labels) if v not in (-1, 1)), None)
        remedy = "give 2*y - 1" if bool(np.isin(labels, (0, 1)).all()) else "relabel the two classes"
        label = f"the label {odd:g}, outside -1 and +1" if odd is not None else f"labels of shape {labels.shape}"
        raise DataError(f"{told} has {label}; {remedy}.")
    if kind == "classes" and not (column and bool((labels == np.round(labels)).all())):
        raise DataError(f"{told} has labels that are not one integer per sample; classes are numbered 0..C-1.")
    return kind


def _classes(labels: np.ndarray, told: str) -> int:
    """How many classes there are; DataError unless they are 0..C-1."""
    found = np.unique(labels)
    if len(found) < 2:
        raise DataError(f"{told} has one class only ({found[0]:.17g}); a classifier needs at least two.")
    # Compared as float64: an integer type would wrap labels beyond its range.
    if not np.array_equal(found, np.arange(len(found))):
        some = ", ".join(
            f"{int(v)}" if v == round(v) and abs(v) < 1e20 else f"{v:g}" for v in [*found[:6], *found[6:][-1:]]
        )
        raise DataError(
            f"{told} has the labels {some}; classes are numbered 0..C-1 without gaps; for numbers that are not classes"
            ' say kind="targets".'
        )
    return len(found)


def _names(value: object) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, tuple | list) and all(isinstance(name, str) for name in value)
