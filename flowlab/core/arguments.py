"""Checks of arguments at public entries: the message names what is wrong before anything breaks on it."""

import inspect
import math
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, Union, Unpack, get_args, get_origin, get_type_hints

import numpy as np

from flowlab.core.errors import CallError, FlowlabError, LanguageError, ShapeMismatch
from flowlab.core.registry import nearest
from flowlab.core.remedies import CALLED, ELSEWHERE, PASS
from flowlab.core.typing import Array, ArrayLike, Record, Scalar

P = ParamSpec("P")
R = TypeVar("R")

_WHAT = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "a text",
    NoneType: "None",
    Mapping: "a mapping",
    dict: "a mapping",
    Sequence: "a list",
    tuple: "a list",
    list: "a list",
    Iterable: "a list",
    Callable: "a function",
    Array: "an array",
    ArrayLike: "an array",
    Scalar: "a number",
}


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Guard a public entry: every argument must be of the kind that its annotation names, elements and keys included.

    A float may be any real number within the range of float64, an int any whole number there; NaN and truth values are
    neither. Ranges and lengths are for the function.

    Raises:
        LanguageError: by the entry, naming the argument.

    Example:
        >>> fl.lower(3)
        LanguageError: `flow=3` must be FlowEquations, got a value of type int; pass `fl.derive(problem)`.
    """
    signature = inspect.signature(function)

    @cache
    def kinds() -> Record:
        # When first called: annotations may name classes that are defined further down.
        return get_type_hints(function)

    @wraps(function)
    def entry(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            call = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _another_call(function.__name__, signature, error, kwargs) from None
        for name, value, kind in _values(signature, kinds(), call):
            if not _is(value, kind):
                raise _refusal(*_offender(name, value, kind))
        return function(*args, **kwargs)

    return entry


def _values(
    signature: inspect.Signature, kinds: Mapping[str, Any], call: inspect.BoundArguments
) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and kind of all that a call passes, spread arguments one by one."""
    for name, value in call.arguments.items():
        kind, spread = kinds.get(name, Any), signature.parameters[name].kind
        if spread is inspect.Parameter.VAR_POSITIONAL:
            yield from ((name, each, kind) for each in value)
        elif spread is inspect.Parameter.VAR_KEYWORD:
            # Of a dictionary whose keys have kinds of their own, or one kind for all.
            own = get_type_hints(get_args(kind)[0]) if get_origin(kind) is Unpack else {}
            yield from ((key, each, own.get(key, Any if own else kind)) for key, each in value.items())
        else:
            yield name, value, kind


def _another_call(name: str, signature: inspect.Signature, error: TypeError, given: Iterable[str]) -> CallError:
    """The error of a call whose arguments do not fit the function."""
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name not in ("self", "cls")]
    written, got = shown(f"{name}{inspect.Signature(plain)}", 160), str(error).removeprefix("got ")
    remedy = next((f"pass {ELSEWHERE[name, word]}" for word in given if (name, word) in ELSEWHERE), "")
    unknown = re.search(r"unexpected keyword argument '(\w+)'", got)
    if unknown and not remedy:
        guess = nearest(unknown[1], [p.name for p in plain])
        remedy = f"pass `{guess}`, if that is meant" if guess else f"leave `{unknown[1]}` out"
    return CallError(f"`{name}` must be called as `{written}`, got {got}; {remedy or 'change the arguments'}.")


def _offender(name: str, value: Any, kind: Any) -> tuple[str, Any, Any]:
    """Name, value and kind of what does not fit: an entry of a mapping, or the whole argument."""
    for choice in _choices(kind):
        if get_origin(choice) in (Mapping, dict) and isinstance(value, Mapping):
            of_keys, of_values = get_args(choice)
            for key, one in value.items():
                if not _is(key, of_keys):
                    return f"key of {name}", key, of_keys
                if not _is(one, of_values):
                    return _offender(f"{name}[{short(key, 40)}]", one, of_values)
    return name, value, kind


def _refusal(name: str, value: Any, kind: Any) -> LanguageError:
    remedy = next((PASS[word] for word in map(_word, _choices(kind)) if word in PASS), "")
    what = " or ".join(dict.fromkeys(_what(choice) for choice in _choices(kind)))
    fits = not isinstance(value, Real) or isinstance(value, bool) or _held(value)
    given = f"a value of type {type(value).__name__}" if fits else "one that float64 does not hold"
    return LanguageError(f"`{name}={short(value, 40)}` must be {what}, got {given}{remedy and f'; pass {remedy}'}.")


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _word(kind: Any) -> str:
    return getattr(get_origin(kind) or kind, "__name__", str(kind))


def _what(kind: Any) -> str:
    """A kind in words, with its elements where it has some."""
    origin, inner = get_origin(kind) or kind, [k for k in get_args(kind) if k is not Ellipsis]
    if origin in (Sequence, tuple, list, Iterable) and inner:
        return f"a list of {_several(inner[0])}"
    if origin in (Mapping, dict) and len(inner) == 2 and inner[1] is not Any:
        return f"a mapping of names to {_several(inner[1])}"
    if origin is Callable and inner and isinstance(inner[0], list):
        return f"a function of {len(inner[0])} argument{'s' * (len(inner[0]) != 1)}"
    return _WHAT.get(origin) or CALLED.get(_word(kind), _word(kind))


def _several(kind: Any) -> str:
    """A kind of elements in words."""
    each = dict.fromkeys(_what(choice) for choice in _choices(kind))
    return " or ".join(_plural(word) if word.startswith(("a ", "an ")) else word for word in each)


def _plural(word: str) -> str:
    """Several of `a list of numbers` are `lists of numbers`."""
    head, of, rest = word.split(" ", 1)[1].partition(" of ")
    return f"{head}s{of}{rest}"


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated kind."""
    if kind is Any or kind is object or isinstance(kind, TypeVar):
        return True
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        return any(_is(value, choice) for choice in inner)
    if origin in (int, float):
        return isinstance(value, Integral if origin is int else Real) and not isinstance(value, bool) and _held(value)
    if origin is bool:
        return isinstance(value, bool | np.bool_)
    if origin in (Sequence, tuple, list):
        if (
            not isinstance(value, Sequence | np.ndarray)
            or isinstance(value, str | bytes)
            or getattr(value, "ndim", 1) == 0
        ):
            return False
        if origin is tuple and Ellipsis not in inner:
            return all(map(_is, value, inner))
        return not inner or all(_is(one, inner[0]) for one in value)
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and (
            not inner or all(_is(k, inner[0]) and _is(v, inner[1]) for k, v in value.items())
        )
    if origin is Callable and inner and isinstance(inner[0], list):
        return callable(value) and _takes(value, len(inner[0]))
    try:
        return _instance(value, origin)
    except TypeError:
        # Protocols without a class to ask are of what can be called.
        return callable(value)
    except Exception:
        # Attributes of a foreign class may raise anything.
        return False


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments; one that does not tell is believed."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _instance(value: Any, kind: Any) -> bool:
    """As `isinstance`, but an array without dimensions is not iterable: its class has the method, which then raises."""
    return isinstance(value, kind) and (kind is not Iterable or getattr(value, "ndim", 1) != 0)


def _held(value: Any) -> bool:
    """Whether float64 holds a real number, or an infinity; of an integer of 400 digits and of NaN it holds neither."""
    try:
        return not np.isnan(float(value))
    except (OverflowError, ValueError):
        return False


def expects(name: str, value: Any, kind: type | tuple[type, ...], what: str, remedy: str) -> None:
    """Ask that a value is of a kind, where no annotation of a guarded entry says so.

    Args:
        name: of the argument.
        value: what was given.
        kind: what it must be.
        what: the kind in words.
        remedy: what to pass, as it ends the message.

    Raises:
        LanguageError: if it is not.
    """
    if not _instance(value, kind):
        raise _unlike(name, value, what, remedy)


def must_be(name: str, value: Any, what: str, remedy: str, error: type[FlowlabError] = LanguageError) -> FlowlabError:
    """The error of an argument whose kind is right and whose value is not.

    Args:
        name: of the argument.
        value: what was passed.
        what: the values that it may have.
        remedy: what to pass, as it ends the message.
        error: the class of the error.

    Example:
        >>> raise must_be("step", -1.0, "a finite number above 0", "for example 0.1")
        LanguageError: `step` must be a finite number above 0, got -1.0; pass for example 0.1.
    """
    return error(f"`{name}` must be {what}, got {short(value, 40)}; pass {remedy}.")


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
        raise _unlike(name, value, "real numbers in rows of one length", "for example [[0.0, 1.0]]") from None


def named_blocks(name: str, value: Any, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """The arrays of some weight blocks out of a mapping.

    Raises:
        LanguageError: unless it is a mapping with an array of numbers for every block.
    """
    remedy = "for example `path.last.weights()`"
    expects(name, value, Mapping, "a mapping of blocks to arrays", remedy)
    found = {}
    for block in wanted:
        if block not in value:
            given = ", ".join(f"`{line(key)}`" for key in value) or "none"
            raise LanguageError(f"`{name}` must have the block `{block}`, got {given}; pass {remedy}.")
        found[block] = array(f"{name}[{block!r}]", value[block])
    return found


@contextmanager
def fitting(weights: Mapping[str, np.ndarray]) -> Generator[None]:
    """Name the shapes of blocks where a calculation finds that they do not fit each other.

    Raises:
        ShapeMismatch: in place of an error of numpy.
    """
    try:
        yield
    except (ValueError, IndexError):
        shapes = ", ".join(f"`{name}` of shape {value.shape}" for name, value in weights.items())
        raise ShapeMismatch(
            f"blocks must have the shapes of the network, got {shapes}; pass its own weights."
        ) from None


def count(name: str, value: Any, least: int, such: int) -> int:
    """A whole number from `least` on, of any integer type, as a plain one.

    Raises:
        LanguageError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise must_be(name, value, f"an integer from {least} on", f"for example {such}")
    return int(value)


def positive(name: str, value: Any, remedy: str = "for example 0.1") -> float:
    """A finite number above 0, as a float.

    Raises:
        LanguageError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        raise must_be(name, value, "a finite number above 0", remedy)
    return float(value)


def finite(value: Any) -> bool:
    """Whether a real number of any type is finite in float64; an integer of 400 digits is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


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
    line = (" ".join(value.split()) or repr(value)) if isinstance(value, str) else short(value, 1_000)
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


def _unlike(name: str, value: Any, what: str, remedy: str) -> LanguageError:
    """The error of a value of another kind, with its type."""
    given = f"{short(value, 40)} of type {type(value).__name__}"
    return LanguageError(f"`{name}` must be {what}, got {given}; pass {remedy}.")
