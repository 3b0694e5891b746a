"""Activations and their slopes as operations."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flowlab.core.typing import Array, Namespace
from flowlab.language.activations import Activation, activations
from flowlab.language.expr import exact
from flowlab.language.operations.base import Exponents, Handle, Operation, Piece, Sign, Tape, operations
from flowlab.language.types import Shapes, Type


def activation_of(params: tuple) -> Activation:
    """The activation object named by an operation's parameters (name, then its numbers)."""
    return activations[params[0]](*params[1:])


def degree_of(params: tuple) -> Fraction | None:
    """The degree of the activation named by an operation's parameters, as the decimal its author wrote; None where it has none."""
    degree = activation_of(params).degree
    return None if degree is None else exact(degree)


@operations.register("activation")
class Activate(Operation):
    """σ(z) entrywise."""

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

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        return activation_of(params).signs(*args[0])

    def reaches(self, args: Sequence[Sign], params: tuple) -> list[bool]:
        return [activation_of(params).reaches(*args[0])]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return activation_of(params).numeric(xp, args[0])

    def pullback(self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple) -> list[Handle | None]:
        return [tape("hadamard", cot, tape("slope", args[0], params=params))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        return _called(activation_of(params).latex() if tex else params[0], parts[0], params)


@operations.register("slope")
class Slope(Operation):
    """σ'(z) entrywise, with the value at kinks that the activation states."""

    in_language = False

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        return args[0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return activation_of(params).slope(xp, args[0])

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        return _called(activation_of(params).latex(prime=True) if tex else f"{params[0]}'", parts[0], params)


def _called(name: str, part: Piece, params: tuple) -> Piece:
    """A function with its numbers, such as the leak of a leaky ReLU, behind its argument."""
    return Piece(f"{name}({part.text}" + "".join(f", {float(p)!r}" for p in params[1:]) + ")")
