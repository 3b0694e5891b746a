"""Powers, activations and the slopes of activations as operations."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Array, Namespace
from flowlab.language.activations import Activation, activations
from flowlab.language.exact_numbers import exact
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.base import (
    ATOM,
    POWER,
    Channel,
    Exponents,
    Handle,
    Measured,
    Operation,
    Piece,
    Sign,
    Tape,
    operations,
)
from flowlab.language.types import Shapes, Type


def activation_of(params: tuple) -> Activation:
    """The activation object named by an operation's parameters (name, then its numbers)."""
    return activations[params[0]](*params[1:])


def degree_of(params: tuple) -> Fraction | None:
    """The degree of the activation named by an operation's parameters, as the decimal its author wrote;
    None where it has none.
    """
    degree = activation_of(params).degree
    return None if degree is None else exact(degree)


@operations.register("power")
class Power(Operation):
    """z^a entrywise: a positive integer power of anything, or a real a >= 1 of what is never negative (relu, abs)."""

    bends = True

    def admit(self, told: str, signs: Sequence[Sign], params: tuple) -> None:
        exponent, (_, negative) = params[0], signs[0]
        if not 1 <= exponent <= 64:
            raise LanguageError(f"`{told}` has the exponent {exponent}; write one from 1 to 64.")
        if exponent.denominator != 1 and negative:
            what = f"`{told}` takes a broken power of what may be negative"
            raise LanguageError(f"{what}; write relu(z) or abs(z) below it.")

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: tuple) -> int | None:
        whole = params[0].denominator == 1 and params[0] > 0
        return parts[0] * int(params[0]) if whole else None if parts[0] else 0

    def as_function(self, parts: Sequence[AsFunction], params: tuple) -> AsFunction:
        return parts[0] ** params[0]

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        return (Channel(0, True, params[0]),)

    def smooths_kinks(self, params: tuple) -> bool:
        return params[0] > 1

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        p, n = args[0]
        return (p, n) if params[0].denominator == 1 and params[0] % 2 else (p or n, False)

    def reaches(self, args: Sequence[Sign], params: tuple) -> list[bool]:
        return [any(args[0]) or params[0] == 1]

    def degree(self, exps: Exponents, args: Sequence[Any], params: tuple) -> Any:
        return exps.times(params[0], args[0])

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        z, exponent = args[0], params[0]
        if exponent.denominator == 1:
            return z ** int(exponent)
        # The base is never negative; where it is 0, autodiff of 0**a would divide by it.
        safe = xp.where(z > 0, z, xp.ones_like(z))
        return xp.where(z > 0, safe ** float(exponent), xp.zeros_like(z))

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: tuple) -> Any:
        return args[0] ** xp.exact(params[0])

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        exponent = params[0]
        if exponent == 1:
            return [cot]
        lower = args[0] if exponent == 2 else tape("power", args[0], params=(exponent - 1,))
        return [tape("hadamard", cot, tape("scale", lower, params=(exponent,)))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        inner = parts[0].within(ATOM, tex)
        shown = str(params[0].numerator) if params[0].denominator == 1 else str(float(params[0]))
        return Piece(rf"{inner}^{{\odot {shown}}}" if tex else f"{inner}**{shown}", POWER)


@operations.register("activation")
class Activate(Operation):
    """σ(z) entrywise."""

    bends = True
    bent = True

    def function(self, params: tuple) -> Activation | None:
        return activation_of(params)

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        activation_of(params)
        return args[0]

    def degree(self, exps: Exponents, args: Sequence[Any], params: tuple) -> Any:
        degree = degree_of(params)
        if degree is None:
            exps.require_zero(args[0], f"{params[0]} is not homogeneous, so its argument must not scale")
            return exps.zero()
        return exps.times(degree, args[0])

    def polynomial_degree(self, parts: Sequence[int], params: tuple) -> int | None:
        return parts[0] if activation_of(params).piecewise_linear else None

    def as_function(self, parts: Sequence[AsFunction], params: tuple) -> AsFunction:
        word, a = activation_of(params), parts[0]
        if word.linear:
            return a
        # A function of degree 0 is that through any activation.
        degree = a.degree if a.degree == 0 else None
        if a.degree and word.degree is not None:
            degree = a.degree * Fraction(word.degree)
        parity = 1 if a.parity == 1 else word.parity if a.parity == -1 else None
        return AsFunction(None, degree, parity, a.vanishes and float(word.numeric(np, np.zeros(()))) == 0.0)

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        degree = degree_of(params)
        return (Channel(0, not activation_of(params).linear, degree),) if degree else ()

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: tuple) -> Any:
        if activation_of(params).degree != 1:
            return super().scale_square(xp, parts, params)
        return parts[0].square()

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        return activation_of(params).signs(*args[0])

    def reaches(self, args: Sequence[Sign], params: tuple) -> list[bool]:
        return [activation_of(params).reaches(*args[0])]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return activation_of(params).numeric(xp, args[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: tuple) -> Any:
        z = sp.Symbol("z", real=True)
        return _entrywise(activation_of(params).symbolic(z), z, args[0])

    def with_slope(self, slope: Any, z: Any) -> Any:
        return slope * z

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        return [tape("hadamard", cot, tape("slope", args[0], params=params))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        return _called(activation_of(params).latex() if tex else params[0], parts[0], params)


@operations.register("slope")
class Slope(Operation):
    """σ'(z) entrywise, with the value at kinks that the activation states."""

    in_language = False
    inlined = True
    bent = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        return args[0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return activation_of(params).slope(xp, args[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: tuple) -> Any:
        z = sp.Symbol("z", real=True)
        return _entrywise(sp.diff(activation_of(params).symbolic(z), z), z, args[0])

    def with_slope(self, slope: Any, z: Any) -> Any:
        return slope

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        return _called(activation_of(params).latex(prime=True) if tex else f"{params[0]}'", parts[0], params)


def _entrywise(meaning: sp.Expr, z: sp.Symbol, values: np.ndarray) -> np.ndarray:
    """A function of z at every entry of an array of SymPy expressions."""
    return np.vectorize(lambda value: meaning.subs(z, value), otypes=[object])(values)


def _called(name: str, part: Piece, params: tuple) -> Piece:
    """A function with its numbers, such as the leak of a leaky ReLU, behind its argument."""
    return Piece(f"{name}({part.text}" + "".join(f", {float(p)!r}" for p in params[1:]) + ")")
