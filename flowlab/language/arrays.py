"""What a user hands over as arrays: exact numbers, or one sentence that says which value is not one."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from flowlab.core.arguments import short
from flowlab.core.errors import DataError
from flowlab.core.memory import require_memory

EXACT = 2**53
"""Integers up to here are float64 numbers; beyond it only some are."""
MISSING = frozenset(
    (
        "",
        "#n/a",
        "#n/a n/a",
        "#na",
        "-1.#ind",
        "-1.#qnan",
        "-nan",
        "1.#ind",
        "1.#qnan",
        "<na>",
        "n/a",
        "na",
        "nan",
        "none",
        "null",
        "?",
    )
)
"""How tables write a value that is not there, in lower case: what pandas reads as missing,
and the mark of the UCI repository.
"""
_NARROW = 2.0**-20
"""A range below which, relative to the largest value, a mean is too coarse to be subtracted:
it is known to 2^-53 of that value.
"""


def numbers(values: Any, what: str) -> np.ndarray:
    """Values as an array of float64 that holds exactly the integers it is made from.

    Args:
        values: an array, a data frame, or rows of one length.
        what: how a message calls them.

    Raises:
        DataError: for masked, complex, ragged or sparse values, text, dates, records, and integers that float64 does
            not hold.
        TooLarge: if they do not fit into memory.
    """
    array = as_array(values, what)
    if array.dtype.kind not in "biufO":
        raise DataError(f"{what} must be numbers, got an array of {short(str(array.dtype))}; convert it first.")
    require_memory(8 * array.size, f"{what} of shape {array.shape}")
    if array.dtype.kind == "O":
        for place, value in np.ndenumerate(array):
            if not isinstance(value, Real | np.bool_):
                raise DataError(f"{what} must be numbers, got {short(value)}{at(place)}; convert it first.")
    try:
        with np.errstate(over="ignore", under="ignore"):
            found = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} must be numbers of float64 ({short(str(error), 80)}); convert it first.") from None
    if array.dtype.kind == "O" or array.dtype.itemsize > 8:
        for place in np.argwhere((found == 0) & (array != 0) | np.isinf(found) & ~np.isin(array, (np.inf, -np.inf))):
            raise DataError(
                f"{what} has {short(array[tuple(place)])}{at(place)}; float64 holds numbers from 1e-308 to 1e308, scale"
                " the feature."
            )
    if array.dtype.kind in "iuO":
        for place in np.argwhere(np.abs(found) >= EXACT):
            value = array[tuple(place)]
            if isinstance(value, Integral) and int(value) != int(found[tuple(place)]):
                raise DataError(
                    f"{what} has the integer {short(int(value))}{at(place)}, which float64 cannot hold; scale it or"
                    " leave it out."
                )
    return found


def as_array(values: Any, what: str) -> np.ndarray:
    """Values as an array of whatever type; a DataError for what is masked, sparse, ragged or no array."""
    if hasattr(values, "toarray"):
        raise DataError(f"{what} must be a dense array, got {type(values).__name__}; give `x.toarray()`.")
    try:
        if isinstance(values, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in values):
            values = np.ma.stack([np.ma.asarray(row) for row in values])
        array = np.asarray(values)
        # Of a list with integers beyond 64 bits numpy makes floats, rounded without a word.
        if isinstance(values, list | tuple) and array.dtype.kind == "f" and (np.abs(array) >= EXACT).any():
            array = np.asarray(values, dtype=object)
    except MemoryError:
        raise DataError(f"{what} does not fit into memory; use fewer samples or features.") from None
    except Exception as error:
        # `__array__` of a foreign class may raise anything.
        raise DataError(f"{what} must be an array, or rows of one length ({short(str(error), 80)}).") from None
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(
            f"{what} is a masked array ({int(np.ma.count_masked(values))} masked values); remove or fill them and give"
            " a plain array."
        )
    return array


def finite(array: np.ndarray, what: str) -> None:
    """Refuse values that are missing or infinite; DataError with the first place, counted from 1."""
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise DataError(f"{what} has {array[tuple(bad[0])]}{at(bad[0])} ({len(bad)} such values); remove or fill them.")


def at(place: Any) -> str:
    """A place in an array as messages tell it: rows and columns are counted from 1."""
    return "".join(
        f"{between}{name} {int(i) + 1}"
        for between, name, i in zip((" in ", ", "), ("row", "column"), place, strict=False)
    )


def names_of(labels: np.ndarray, what: str) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Class numbers and the sorted class names of labels that are text; None where they are not.

    Raises:
        DataError: for text among numbers, text that is a number, and marks of missing values.
    """
    flat = labels.ravel()
    text = [isinstance(value, str) for value in flat.tolist()] if labels.dtype.kind in "OU" else [False]
    if not any(text):
        return None
    if labels.ndim == 0 or labels.size != len(labels):
        raise DataError(f"{what} must be one class name per sample, got text of shape {labels.shape}.")
    for i, (value, is_text) in enumerate(zip(flat.tolist(), text, strict=True), 1):
        if not is_text:
            raise DataError(
                f"{what} has {short(value)} in row {i} among class names; give names alone, or numbers alone."
            )
        if value.strip().lower() in MISSING:
            raise DataError(
                f"{what} has {short(value)} in row {i}, which reads as a missing value; leave that sample out, or"
                " rename the class."
            )
        if is_value(value):
            raise DataError(
                f"{what} has the text {short(value)} in row {i}; give numbers as numbers, or class names alone."
            )
    names, found = np.unique([value.strip() for value in flat.tolist()], return_inverse=True)
    return found.ravel().astype(np.int64), tuple(names.tolist())


def is_value(cell: str) -> bool:
    """Whether text stands for a value rather than a name: Python reads it as a number, it has no letter,
    or it is hexadecimal.
    """
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower().startswith(("0x", "+0x", "-0x")) or not any(letter.isalpha() for letter in cell)
    return True


def standardized(x: np.ndarray) -> np.ndarray:
    """Every feature with mean 0 and standard deviation 1; features that are constant become 0.

    Scaled by powers of two on the way, which rounds nothing, so that no mean or square over- or underflows; where a
    feature hardly differs from its least value, that is subtracted first, which rounds nothing either (Sterbenz).

    Args:
        x: samples, (N, d), finite.
    """
    _, power = np.frexp(np.abs(x).max(axis=0))
    x = np.ldexp(x, -power)
    low = x.min(axis=0)
    x = x - np.where(x.max(axis=0) - low < _NARROW, low, 0.0)
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
