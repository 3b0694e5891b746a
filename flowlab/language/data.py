"""Samples and labels, checked once when they are made."""

from numbers import Integral

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import expects, line, short
from flowlab.core.errors import DataError
from flowlab.core.hashing import sha256_arrays
from flowlab.core.precision import require_x64
from flowlab.core.typing import ArrayLike
from flowlab.language.arrays import as_array, finite, names_of, numbers

KINDS = ("binary", "classes", "targets")


class Data(eqx.Module):
    """A data set.

    Labels may be given as a column, (N, 1); as truth values, of which True is +1; and as class names, which are sorted:
    two of them are -1 and +1, more are 0..C-1. Integers other than ±1 are classes, other numbers targets.

    Attributes:
        x: inputs, (N, d), float64.
        y: labels: ±1 as floats (`"binary"`), integers 0..C-1 (`"classes"`), or real targets (N,) or (N, o).
        name: what it is called (static).
        kind: which of the three (static); given as `"binary"`, all labels may be of one class.
        n_classes: C for `"classes"`, 2 for `"binary"`, else None (static).
        class_names: of the classes 0..C-1, or of -1 and +1, where labels were names; else None (static).

    Raises:
        DataError: if shapes do not fit, values are masked, missing or not finite, or there is one class only.
        TooLarge: if the samples do not fit into memory.
        PrecisionTooLow: without float64.

    Example:
        >>> fl.Data([[1.0, 0.5], [-1.0, 0.2]], ["yes", "no"])
        Data('data', n=2, d=2, kind='binary')
    """

    x: jax.Array
    y: jax.Array
    name: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    n_classes: int | None = eqx.field(static=True)
    class_names: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        name: str = "data",
        kind: str | None = None,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        require_x64("Data")
        expects("name", name, str, "a text to call the data by")
        if kind is not None and (not isinstance(kind, str) or kind not in KINDS):
            raise DataError(f"`kind={short(kind)}` is not known; use one of {', '.join(KINDS)}.")
        if class_names is not None and not _names(class_names):
            raise DataError(
                f"`class_names` must be a list of texts, got {short(class_names)}; pass for example ('no', 'yes')."
            )
        told = f"`{line(name)}`"
        inputs = numbers(x, f"{told} x")
        labels, whole, found = _labels(y, f"{told} y", kind)
        fitting(inputs.shape, labels.shape, told)
        finite(inputs, f"{told} x")
        finite(labels, f"{told} y")
        self.kind = _kind(labels, whole, kind, told)
        self.name, self.n_classes, self.class_names = name, None, found or class_names
        if self.kind != "targets":
            labels = labels.ravel()
            self.n_classes = _classes(labels, told) if self.kind == "classes" else 2
        # Papers fold labels into inputs, so that one class is an instance; from a file it is a mistake.
        if self.kind == "binary" and kind != "binary" and len(np.unique(labels)) < 2:
            raise DataError(
                f'{told} has one class only ({labels[0]:g}); a classifier needs both -1 and +1, or say kind="binary" if'
                " that is meant."
            )
        self.x = jnp.asarray(inputs)
        self.y = jnp.asarray(labels.astype(np.int64) if self.kind == "classes" else labels)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.x.shape[0])

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.x.shape[1])

    @property
    def outputs(self) -> int:
        """How many outputs a network needs for these labels."""
        if self.kind == "classes":
            return self.n_classes or 0
        return int(self.y.shape[1]) if self.y.ndim == 2 else 1

    def sha256(self) -> str:
        """Hash of the samples and labels."""
        return sha256_arrays({"x": np.asarray(self.x), "y": np.asarray(self.y)})

    def __repr__(self) -> str:
        return f"Data({self.name!r}, n={self.n}, d={self.d}, kind={self.kind!r})"


def fitting(x: tuple[int, ...], y: tuple[int, ...], told: str) -> None:
    """Refuse shapes that are no samples and their labels; DataError with both."""
    samples = x[0] if len(x) == 2 and 0 not in x else 0
    if not samples:
        raise DataError(f"{told} x has shape {short(x)}; give a non-empty (N, d) array of N samples with d features.")
    if len(y) not in (1, 2) or y[0] != samples or 0 in y:
        raise DataError(f"{told} y has shape {short(y)} but x has {samples} samples; give one label per sample.")


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
