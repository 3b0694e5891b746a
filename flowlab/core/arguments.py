"""What a caller gave, checked at the entry: a wrong kind of thing is told by name, not by whatever breaks on it later."""

from numbers import Integral
from typing import Any

import numpy as np

from flowlab.core.errors import LanguageError


def expects(name: str, value: Any, kind: type | tuple[type, ...], told: str) -> None:
    """Ask that an argument is of a kind.

    Args:
        name: of the argument.
        value: what was given.
        kind: what it is to be.
        told: how to get one, as it ends the message.

    Raises:
        LanguageError: if it is not.
    """
    if not isinstance(value, kind):
        raise LanguageError(f"`{name}` is {_shown(value)}; give {told}.")


def array(name: str, value: Any) -> np.ndarray:
    """Real numbers as an array of float64.

    Raises:
        LanguageError: for what is ragged, complex or no number.
    """
    try:
        found = np.asarray(value)
        if found.dtype.kind not in "biuf":
            raise TypeError
        return found.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise LanguageError(f"`{name}` is {_shown(value)}; give real numbers, in rows of one length.") from None


def count(name: str, value: Any, least: int, such: int) -> int:
    """A whole number from `least` on, of any integer type, as a plain one.

    Raises:
        LanguageError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise LanguageError(f"`{name}={value!r}` is no number of {name}; use an integer from {least} on, such as {such}.")
    return int(value)


def short(value: Any, most: int = 60) -> str:
    """The print of a value as a part of one line: printable characters alone, and at most so many of them."""
    try:
        text = repr(value)
    except Exception:
        # An integer of 5,000 digits has no print, and that of a foreign class may raise anything.
        text = f"a value of type {type(value).__name__}"
    return _cut("".join(c if c.isprintable() else " " for c in text), most)


def shown(value: object, longest: int = 60) -> str:
    """What a user wrote, as an error quotes it: one line, control characters escaped, without its middle where long."""
    line = (" ".join(value.split()) or repr(value)) if isinstance(value, str) else repr(value)
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    half = (longest - 3) // 2
    return line if len(line) <= longest else f"{line[: longest - 3 - half]}...{line[-half:]}"


def line(text: object, most: int = 60) -> str:
    """Text of a user as a part of one line: escaped as `repr` does, without its quotes, and cut."""
    return _cut(repr(str(text))[1:-1], most)


def tail(path: object, most: int = 100) -> str:
    """A path as a part of one line; of a long one the end, which tells more than the beginning."""
    text = repr(str(path))[1:-1]
    return text if len(text) <= most else "..." + text[3 - most :]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _shown(value: Any) -> str:
    return f"{short(value, 40)}, of type {type(value).__name__}"
