"""Powers, activations and the slopes of activations as operations."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.activations import Activation, activations
from flowlab.language.exact_numbers import exact
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.algebra import fraction_text
from flowlab.language.operations.base import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
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

_LARGEST = 64
"""Of an exponent: far above any network's, and small enough that powers of ordinary numbers are numbers."""


def activation_of(params: Params) -> Activation:
    """The activation object named by an operation's parameters (name, then its numbers)."""
    return activations[params[0]](*params[1:])


def degree_of(params: Params) -> Fraction | None:
    """The degree of the activation named by an operation's parameters, as the decimal its author wrote;
    None where it has none.
    """
    degree = activation_of(params).degree
    return None if degree is None else exact(degree)


@operations.register("power")
class Power(Operation):
    """z^a entrywise: a whole power of anything, or a broken one of what is never negative (relu, abs, softmax).

    A negative power of zero is not finite, and a run that meets one says so.
    """

    bends = True

    def admit(self, told: str, signs: Sequence[Sign], params: Params) -> None:
        exponent, (_, negative) = params[0], signs[0]
        if not 0 < abs(exponent) <= _LARGEST:
            raise LanguageError(
                f"`{told}` must have an exponent from -{_LARGEST} to {_LARGEST} other than 0, got {exponent}."
            )
        if exponent.denominator != 1 and negative:
            what = f"`{told}` takes a broken power of what may be negative"
            raise LanguageError(f"{what}; write relu(z), abs(z) or sum(z**2) below it.")

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        whole = params[0].denominator == 1 and params[0] > 0
        return parts[0] * int(params[0]) if whole else None if parts[0] else 0

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return parts[0] ** params[0]

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return (Channel(0, True, params[0]),)

    def smooths_kinks(self, params: Params) -> bool:
        return params[0] > 1

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        p, n = args[0]
        return (p, n) if params[0].denominator == 1 and params[0] % 2 else (p or n, False)

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        return [any(args[0]) or params[0] == 1]

    def parts(self, params: Params) -> Mapping[str, Fraction]:
        return {Fraction(1): {"linear": Fraction(1)}, Fraction(2): {"square": Fraction(1)}}.get(params[0], {})

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        return exps.times(params[0], args[0])

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        z, exponent = args[0], params[0]
        if exponent.denominator == 1:
            return z ** int(exponent) if exponent > 0 else (1.0 / z) ** int(-exponent)
        if exponent < 0:
            return (1.0 / z) ** float(-exponent)
        # The base is never negative; where it is 0, autodiff of 0**a would divide by it.
        safe = xp.where(z > 0, z, xp.ones_like(z))
        return xp.where(z > 0, safe ** float(exponent), xp.zeros_like(z))

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return args[0] ** xp.exact(params[0])

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        exponent = params[0]
        if exponent == 1:
            return [cot]
        lower = args[0] if exponent == 2 else tape("power", args[0], params=(exponent - 1,))
        return [tape("hadamard", cot, tape("scale", lower, params=(exponent,)))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        inner = parts[0].within(ATOM, tex)
        shown = str(params[0].numerator) if params[0].denominator == 1 else str(float(params[0]))
        return Piece(rf"{inner}^{{\odot {shown}}}" if tex else f"{inner}**{shown}", POWER)


@operations.register("activation")
class Activate(Operation):
    """σ(z) entrywise."""

    bends = True
    bent = True

    def function(self, params: Params) -> Activation | None:
        return activation_of(params)

    def parts(self, params: Params) -> Mapping[str, Fraction]:
        return activation_of(params).parts

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        activation_of(params)
        return args[0]

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        degree = degree_of(params)
        if degree is None:
            exps.require_zero(args[0], f"{params[0]} is not homogeneous, so its argument must not scale")
            return exps.zero()
        return exps.times(degree, args[0])

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return parts[0] if activation_of(params).piecewise_linear else None

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        word, a = activation_of(params), parts[0]
        if word.linear:
            return a
        # A function of degree 0 is that through any activation.
        degree = a.degree if a.degree == 0 else None
        if a.degree and word.degree is not None:
            degree = a.degree * Fraction(word.degree)
        parity = 1 if a.parity == 1 else word.parity if a.parity == -1 else None
        return AsFunction(None, degree, parity, a.vanishes and float(word.numeric(np, np.zeros(()))) == 0.0)

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        degree = degree_of(params)
        return (Channel(0, not activation_of(params).linear, degree),) if degree else ()

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: Params) -> Any:
        if activation_of(params).degree != 1:
            return super().scale_square(xp, parts, params)
        return parts[0].square()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return activation_of(params).signs(*args[0])

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        return [activation_of(params).reaches(*args[0])]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return activation_of(params).numeric(xp, args[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        z = sp.Symbol("z", real=True)
        return _entrywise(activation_of(params).symbolic(z), z, args[0])

    def with_slope(self, slope: Any, z: Any) -> Any:
        return slope * z

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("hadamard", cot, tape("slope", args[0], params=params))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return _called(activation_of(params).latex() if tex else params[0], parts[0], params)


@operations.register("slope")
class Slope(Operation):
    """σ'(z) entrywise, with the value at kinks that the activation states."""

    in_language = False
    inlined = True
    bent = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return activation_of(params).slope(xp, args[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        z = sp.Symbol("z", real=True)
        return _entrywise(sp.diff(activation_of(params).symbolic(z), z), z, args[0])

    def with_slope(self, slope: Any, z: Any) -> Any:
        return slope

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return _called(activation_of(params).latex(prime=True) if tex else f"{params[0]}'", parts[0], params)


def _entrywise(meaning: sp.Expr, z: sp.Symbol, values: np.ndarray) -> np.ndarray:
    """A function of z at every entry of an array of SymPy expressions."""
    return np.vectorize(lambda value: meaning.subs(z, value), otypes=[object])(values)


def _called(name: str, part: Piece, params: Params) -> Piece:
    """A function with its numbers, such as the leak of a leaky ReLU, behind its argument."""
    return Piece(f"{name}({part.text}" + "".join(f", {float(p)!r}" for p in params[1:]) + ")")


@operations.register("shift")
class Shift(Operation):
    """z + c entrywise with an exact constant c, written `z + 1` or `1 - z`."""

    inlined = True
    reading = ("A + 1 and 1 - A have the number in every entry", r"$A + 1$ and $1 - A$ have the number in every entry")

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        if params[0]:
            exps.require_zero(args[0], "the number does not scale, so the other term must not")
            return exps.zero()
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return parts[0]

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return parts[0] + AsFunction((0, 0), Fraction(0), 1, params[0] == 0)

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: Params) -> Any:
        return parts[0].square()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        p, n = args[0]
        return p or params[0] > 0, n or params[0] < 0

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return args[0] + float(params[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return args[0] + xp.exact(params[0])

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [cot]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        number, part = params[0], parts[0]
        if part.negated is not None:
            return Piece(f"{fraction_text(number, tex)} - {part.negated.within(PRODUCT, tex)}", SUM)
        sign = "-" if number < 0 else "+"
        return Piece(f"{part.within(SUM, tex)} {sign} {fraction_text(abs(number), tex)}", SUM)
