"""Calls of function words: what stands between the brackets, checked against what the word takes."""

import inspect
from collections.abc import Mapping
from fractions import Fraction

from flowlab.core.arguments import short, shown
from flowlab.core.errors import LanguageError
from flowlab.language.activations import activations
from flowlab.language.exact_numbers import exact
from flowlab.language.expr import COMPOSING, Expr
from flowlab.language.operations import Operation, operations
from flowlab.language.operations.base import Option, composed

Argument = Expr | Option | float
"""What may stand between the brackets of a function."""


def apply(name: str, *arguments: Argument, **options: Option | float) -> Expr:
    """Apply a function word.

    Args:
        name: of an activation, an operation that is called, or a function composed of them.
        arguments: a text where the word starts with one, expressions, then numbers and options by place.
        options: by name.

    Raises:
        LanguageError: for arguments that the word does not take.
        UnknownName: for an unknown word.
    """
    if name in composed:
        return _composed(name, arguments, options)
    if name in activations:
        return _activation(name, arguments, options)
    return _operation(name, operations[name], arguments, options)


def _activation(name: str, arguments: tuple[Argument, ...], options: Mapping[str, Option | float]) -> Expr:
    z = _expressions(name, arguments[:1] or (None,))[0]
    count = sum(isinstance(value, Expr) for value in arguments)
    if count > 1:
        raise LanguageError(f"`{name}` must be called with one expression, got {count}; leave the others out.")
    odd = next(iter(options), None)
    if odd is not None:
        told = f"`{name}` has no option `{shown(odd)}`"
        raise LanguageError(f"{told}; give numbers by their place, as in `leaky_relu(z, 0.1)`.")
    numbers = tuple(exact(n) for n in arguments[1:])  # type: ignore[arg-type]
    activations[name](*numbers)
    return Expr("activation", (z,), (name, *numbers))


def _composed(name: str, arguments: tuple[Argument, ...], options: Mapping[str, Option | float]) -> Expr:
    function, signature = composed[name], inspect.signature(composed[name])
    try:
        bound = signature.bind(*arguments, **options)
    except TypeError as error:
        raise LanguageError(
            f"`{name}` must be called as `{name}{_shape(signature)}`, got something else ({error})."
        ) from None
    for parameter in signature.parameters.values():
        if parameter.annotation is Expr and parameter.name in bound.arguments:
            value = bound.arguments[parameter.name]
            several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
            _expressions(name, value if several else (value,))
    plain = [_plain(value) for value in bound.args]
    named = {key: _plain(value) for key, value in bound.kwargs.items()}
    written = [_written(value) for value in arguments] + [f"{key}={_written(v)}" for key, v in options.items()]
    # Of functions within one another the outermost is what the user wrote.
    token = COMPOSING.set(COMPOSING.get() or f"{name}({', '.join(written)})")
    try:
        return function(*plain, **named)
    finally:
        COMPOSING.reset(token)


def _written(value: Argument) -> str:
    """An argument in few letters."""
    return "…" if isinstance(value, Expr) else short(_plain(value), 20)


def _plain(value: Argument) -> Argument:
    """A number as Python writes it: functions of a user's own know no fractions."""
    if not isinstance(value, Fraction):
        return value
    return value.numerator if value.denominator == 1 else float(value)


def _shape(signature: inspect.Signature) -> str:
    """The arguments of a function as a user would list them."""
    names = signature.parameters.values()
    return "(" + ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in names) + ")"


def _operation(
    name: str, word: type[Operation], arguments: tuple[Argument, ...], options: Mapping[str, Option | float]
) -> Expr:
    params: list[Option] = []
    rest = list(arguments)
    if word.leads_with_text:
        first = rest.pop(0) if rest else None
        if not isinstance(first, str):
            raise LanguageError(f"`{name}` must start with a text, got {_told(first)}; see `help(flowlab.{name})`.")
        params.append(first)
    count = next((i for i, value in enumerate(rest) if not isinstance(value, Expr)), len(rest))
    least, most = word.operands
    if most is not None and count > most:
        told = f"`{name}` must be called with {_counted(least, most)}, got {count}"
        raise LanguageError(f"{told}; leave the others out.")
    parts, numbers = rest[:count], rest[count:]
    if count < least:
        _expressions(name, (*parts, *(numbers[:1] or [None])))
        told = f"`{name}` must be called with {_counted(least, most)}, got {count}"
        raise LanguageError(f"{told}; write them in front of its numbers.")
    if word.parameters or not word.options:
        if len(numbers) != word.parameters:
            wanted = f"an expression and {word.parameters} numbers" if word.parameters else "one argument"
            raise LanguageError(f"`{name}` takes {wanted}, got {1 + len(numbers)}; leave the others out.")
        _no_others(name, options, ())
        params += [exact(n) for n in numbers]  # type: ignore[arg-type]
    else:
        params += _options(name, word, numbers, options)
    return Expr(name, _expressions(name, tuple(parts)), tuple(params))


def _options(
    name: str, word: type[Operation], numbers: list[Argument], given: Mapping[str, Option | float]
) -> list[Option]:
    """The options of a call in their order; those at the end that are left at their default are left out."""
    known = word.options
    _no_others(name, given, tuple(known))
    if len(numbers) > len(known):
        raise LanguageError(f"`{name}` must be called with at most {len(known)} options, got {len(numbers)}.")
    by_place = dict(zip(known, numbers, strict=False))
    twice = next((key for key in by_place if key in given), None)
    if twice is not None:
        raise LanguageError(f"`{name}` must have the option `{twice}` once, got it by place and by name.")
    found: list[Option] = []
    for key, default in known.items():
        value = by_place.get(key, given.get(key, default))
        if isinstance(value, Expr):
            told = f"the option `{key}` of `{name}` must be a number or a text, got an expression"
            raise LanguageError(f"{told}; write expressions in front.")
        found.append(value if value is None or isinstance(value, str) else exact(value))
    return word.shortened(tuple(found))


def _no_others(name: str, given: Mapping[str, object], known: tuple[str, ...]) -> None:
    odd = next((key for key in given if key not in known), None)
    if odd is not None:
        ways = f"use {', '.join(f'`{key}`' for key in known)}" if known else "leave it out"
        raise LanguageError(f"`{name}` has no option `{shown(odd)}`; {ways}.")


def _expressions(name: str, parts: tuple[Argument, ...]) -> tuple[Expr, ...]:
    for part in parts:
        if isinstance(part, int | float | Fraction) and not isinstance(part, bool):
            told = f"`{name}` has the number {shown(str(part), 40)} where an expression is needed"
            raise LanguageError(f"{told}; write for example `{name}(W @ x)`.")
        if not isinstance(part, Expr):
            raise LanguageError(f"`{name}` needs an expression, not `{_told(part)}`.")
    return tuple(part for part in parts if isinstance(part, Expr))


def _told(value: object) -> str:
    return shown(value) if isinstance(value, str) else short(value)


def _counted(least: int, most: int | None) -> str:
    if least == most:
        return "one expression" if least == 1 else f"{least} expressions"
    return f"at least {least} expressions" if most is None else f"{least} to {most} expressions"
