"""Samples and labels, checked once when they are made."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import DataError
from flowlab.core.hashing import sha256_arrays
from flowlab.core.precision import require_x64

KINDS = ("binary", "classes", "targets")


class Data(eqx.Module):
    """A data set.

    Attributes:
        x: inputs, (N, d), float64.
        y: labels: ±1 as floats (`"binary"`), integers 0..C-1 (`"classes"`), or real targets (N,) or (N, o).
        name: what it is called (static).
        kind: which of the three (static); given as `"binary"`, all labels may be of one class.
        n_classes: C for `"classes"`, 2 for `"binary"`, else None (static).

    Raises:
        DataError: if shapes do not fit, values are missing or not finite, or there is one class only.
        PrecisionTooLow: without float64.
    """

    x: jax.Array
    y: jax.Array
    name: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    n_classes: int | None = eqx.field(static=True)

    def __init__(self, x: object, y: object, *, name: str = "data", kind: str | None = None) -> None:
        require_x64("Data")
        inputs, labels = _numbers(x, f"`{name}` x"), _numbers(y, f"`{name}` y")
        if inputs.ndim != 2 or inputs.size == 0:
            raise DataError(f"`{name}` x has shape {inputs.shape}; give a non-empty (N, d) array of N samples with d features.")
        if labels.ndim not in (1, 2) or labels.shape[0] != inputs.shape[0]:
            raise DataError(f"`{name}` y has shape {labels.shape} but x has {inputs.shape[0]} samples; give one label per sample.")
        _finite(inputs, f"`{name}` x")
        _finite(labels, f"`{name}` y")
        self.kind = _kind(labels, kind, name)
        self.name = name
        self.n_classes = None
        if self.kind == "classes":
            labels = labels.astype(np.int64)
            found = np.unique(labels)
            if len(found) < 2:
                raise DataError(f"`{name}` has one class only ({found[0]}); a classifier needs at least two.")
            if found[0] != 0 or found[-1] != len(found) - 1:
                raise DataError(f"`{name}` has the labels {found[:8].tolist()}; classes are numbered 0..C-1 without gaps.")
            self.n_classes = len(found)
        elif self.kind == "binary":
            # Papers fold labels into inputs, so that one class is an instance; from a file it is a mistake.
            if len(np.unique(labels)) < 2 and kind != "binary":
                raise DataError(f'`{name}` has one class only ({labels[0]:g}); a classifier needs both -1 and +1, or say kind="binary" if that is meant.')
            self.n_classes = 2
        self.x = jnp.asarray(inputs, dtype=jnp.float64)
        self.y = jnp.asarray(labels) if self.kind == "classes" else jnp.asarray(labels, dtype=jnp.float64)

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


def _numbers(values: object, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"its type is {array.dtype}")
        return array if array.dtype.kind in "iu" else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} is not an array of numbers ({error}); convert it first.") from None


def _finite(array: np.ndarray, what: str) -> None:
    bad = np.argwhere(~np.isfinite(array.astype(np.float64)))
    if len(bad):
        place = ", ".join(f"{name} {i}" for name, i in zip(("row", "column"), bad[0], strict=False))
        raise DataError(f"{what} has {array[tuple(bad[0])]} at {place} ({len(bad)} such values); remove or fill them.")


def _kind(labels: np.ndarray, kind: str | None, name: str) -> str:
    signs = labels.ndim == 1 and bool(np.isin(labels, (-1, 1)).all())
    whole = labels.ndim == 1 and labels.dtype.kind in "iu"
    if kind is None:
        return "binary" if signs else "classes" if whole else "targets"
    if kind not in KINDS:
        raise DataError(f"`kind={kind!r}` is not known; use one of {', '.join(KINDS)}.")
    if kind == "binary" and not signs:
        odd = next(v for v in np.unique(labels) if v not in (-1, 1))
        raise DataError(f"`{name}` has the label {odd:g}, outside -1 and +1; relabel the two classes.")
    if kind == "classes" and not (labels.ndim == 1 and bool((labels == np.round(labels)).all())):
        raise DataError(f"`{name}` has labels that are not integers; classes are numbered 0..C-1.")
    return kind
