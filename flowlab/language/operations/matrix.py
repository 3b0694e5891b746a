"""Words of matrices: trace, root, inverse, log-determinant, nuclear norm, and multiples of the identity.

A multiple of the identity stands on the tape as one value, so that what multiplies by it, or solves with it, can be
written without it.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language import matrix_functions as functions
from flowlab.language.input_facts import CONSTANT, AsFunction
from flowlab.language.operations.algebra import fraction_text
from flowlab.language.operations.base import (
    PRODUCT,
    SUM,
    Channel,
    Exponents,
    Handle,
    Linear,
    Operation,
    Piece,
    Sign,
    Tape,
    operations,
)
from flowlab.language.operations.matrix_rules import number_of
from flowlab.language.types import Shapes, Type

ROUNDING = float(np.finfo(float).eps)
EYE = Piece("eye"), Piece(r"\mathbf I")


def _square(shapes: Shapes, kind: Type, told: str, operand: str, symmetric: bool = False) -> Type:
    """The type of a square matrix.

    Raises:
        ShapeMismatch: for anything else.
    """
    if kind.rank != 2 or kind.sampled or not shapes.unify(*kind.shape):
        got = f"got `{operand}` of shape {shapes.told(kind)}"
        raise ShapeMismatch(f"`{told}` must have a square matrix without samples, {got}; write for example `W @ W.T`.")
    if symmetric and not kind.symmetric:
        # Inside of what was composed, `bures(…)`, an operand has no text of its own.
        which = "an operand" if operand == told else f"`{operand}`"
        way = 'write `W @ W.T`, a constant, sums and products of such, or `fl.Network(…, symmetric=["W"])`'
        raise ShapeMismatch(f"`{told}` must have a symmetric matrix, got {which}, which need not be one; {way}.")
    return Type(shapes.settle(kind).shape, symmetric=kind.symmetric)


class _OfMatrix(Operation):
    """A function of a square matrix that is no polynomial in it."""

    called = True

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return None if parts[0] else 0

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return CONSTANT if parts[0].constant else AsFunction()

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        raise LanguageError(
            f"`{self.name}` must be worked out in numbers, got symbols; write equations at the depth"
            ' "structural" or "matrix".'
        )


@operations.register("trace")
class Trace(Linear):
    """The sum of the diagonal of a square matrix.

    Examples:
        >>> net = fl.Network("trace(W @ W.T)")
        >>> float(net.outputs({"W": np.diag([1.0, 2.0])}, {}).ravel()[0])
        5.0
    """

    called = True
    reading = ("trace(A) adds up the diagonal of A", r"$\operatorname{trace}(A)$ adds up the diagonal of $A$")

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        _square(shapes, args[0], told, operands[0])
        return Type(())

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return xp.trace(args[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return sum(args[0][i, i] for i in range(len(args[0])))

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return args[0]

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("eye", args[0], cot, params=(Fraction(1),))]


@operations.register("root")
class Root(_OfMatrix):
    """The positive semidefinite root of a symmetric matrix, root(A) @ root(A) = A.

    Examples:
        >>> net = fl.Network("trace(root(W @ W.T))")
        >>> float(net.outputs({"W": np.diag([1.0, 2.0])}, {}).ravel()[0])
        3.0
    """

    wants_symmetric = True
    reading = (
        "root(A) is the symmetric root of A, root(A) @ root(A) = A",
        r"$\operatorname{root}(A)$ is the symmetric root of $A$, $\operatorname{root}(A) \operatorname{root}(A) = A$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return _square(shapes, args[0], told, operands[0], symmetric=True)

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return True

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        return exps.times(Fraction(1, 2), args[0])

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return functions.root(xp, args[0])

    def defect(self, value: Array, moves: bool) -> str:
        return _indefinite(value, strictly=moves)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("lyapunov", out, cot)]


@operations.register("inverse")
class Inverse(_OfMatrix):
    """The inverse of a square matrix.

    Examples:
        >>> net = fl.Network("trace(inverse(W @ W.T))")
        >>> float(net.outputs({"W": np.diag([1.0, 2.0])}, {}).ravel()[0])
        1.25
    """

    passes_transpose = True
    reading = (
        "inverse(A) is the inverse of the matrix A",
        r"$\operatorname{inverse}(A)$ is the inverse of the matrix $A$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return _square(shapes, args[0], told, operands[0])

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return args[0].symmetric

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        return exps.times(Fraction(-1), args[0])

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return xp.linalg.inv(args[0])

    def defect(self, value: Array, moves: bool) -> str:
        sizes = np.linalg.svd(value, compute_uv=False)
        return "is singular" if not sizes[-1] > ROUNDING * len(value) * sizes[0] else ""

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        turned = tape("transpose", out)
        return [tape("scale", tape("matmul", tape("matmul", turned, cot), turned), params=(Fraction(-1),))]


@operations.register("logdet")
class LogDet(_OfMatrix):
    """The logarithm of the determinant of a symmetric positive definite matrix.

    Examples:
        >>> net = fl.Network("logdet(W @ W.T)")
        >>> round(float(net.outputs({"W": np.diag([1.0, 2.0])}, {}).ravel()[0]), 4)
        1.3863
    """

    wants_symmetric = True
    reading = (
        "logdet(A) is the logarithm of the determinant of A",
        r"$\operatorname{logdet}(A)$ is the logarithm of the determinant of $A$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        _square(shapes, args[0], told, operands[0], symmetric=True)
        return Type(())

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        exps.require_zero(args[0], "a logarithm turns factors into summands")
        return exps.zero()

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return functions.logdet(xp, args[0])

    def defect(self, value: Array, moves: bool) -> str:
        return _indefinite(value, strictly=True)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("hadamard", cot, tape("inverse", args[0]))]


@operations.register("nuclear")
class Nuclear(_OfMatrix):
    """The nuclear norm of a matrix: the sum of its singular values, the trace of root(A @ A.T).

    Its gradient is the compact polar factor, over the singular values that are not zero; at rank loss it is the least
    of all subgradients.

    Examples:
        >>> net = fl.Network("nuclear(W)")
        >>> float(net.outputs({"W": np.diag([1.0, -2.0])}, {}).ravel()[0])
        3.0
    """

    of_square = ("trace", "root")
    reading = (
        "nuclear(A) is the sum of the singular values of A",
        r"$\operatorname{nuclear}(A)$ is the sum of the singular values of $A$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        _matrix(shapes, args[0], told, operands[0])
        return Type(())

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return functions.nuclear(xp, args[0])

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return any(args[0]), False

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("hadamard", cot, tape("polar", args[0]))]


def _matrix(shapes: Shapes, kind: Type, told: str, operand: str) -> None:
    if kind.rank != 2 or kind.sampled:
        raise ShapeMismatch(
            f"`{told}` must have a matrix without samples, got `{operand}` of shape {shapes.told(kind)}; write for"
            " example `W2 @ W1`."
        )


@operations.register("add_eye")
class AddEye(Operation):
    """A + c s I, with a number c and, where there is one, a scalar s; written with `eye`."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        if len(args) > 1 and args[1] != Type(()):
            raise ShapeMismatch(
                f"`{told}` must have `eye` times a number or a scalar, got `{operands[1]}` of shape"
                f" {shapes.told(args[1])}; use `@` for a product of matrices."
            )
        return _square(shapes, args[0], told, operands[0])

    def ranks(self, args: Sequence[Type | None], params: Params) -> Sequence[int | None]:
        return [None, 0][: len(args)]

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return args[0].symmetric

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        if len(args) > 1:
            exps.require_equal(args[0], args[1], "both terms of the sum must scale alike")
        else:
            exps.require_zero(args[0], "the identity does not scale")
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return max(parts)

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return parts[0] + (parts[1] if len(parts) > 1 else CONSTANT)

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return args[0] + _size(args[1:], params) * xp.eye(args[0].shape[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return args[0] + xp.exact(params[0]) * (args[1] if len(args) > 1 else 1) * np.eye(len(args[0]), dtype=int)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [cot, *(tape("scale", tape("trace", cot), params=params) for _ in args[1:])]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        plus, number = params[0] >= 0, abs(params[0])
        eye = _multiple(tex, parts[1:], number)
        return Piece(f"{parts[0].within(SUM, tex)} {'+' if plus else '-'} {eye.within(PRODUCT, tex)}", SUM)

    reading = ("eye is the identity matrix of fitting size", r"$\mathbf I$ is the identity matrix of fitting size")


def _size(scalars: Sequence[Array], params: Params) -> Any:
    return float(params[0]) * (scalars[0] if scalars else 1.0)


def _multiple(tex: bool, scalars: Sequence[Piece], number: Fraction) -> Piece:
    if number == -1:
        positive = _multiple(tex, scalars, Fraction(1))
        return Piece(f"-{positive.text}", SUM, negated=positive)
    factors = [piece.within(PRODUCT, tex) for piece in scalars]
    if number != 1:
        factors = [fraction_text(number, tex), *factors]
    text = (r"\, " if tex else " * ").join([*factors, EYE[tex].text])
    return Piece(text, SUM if number < 0 else PRODUCT if factors else EYE[tex].binds)


@operations.register("eye")
class Eye(Operation):
    """A number times a scalar times the identity matrix of the size of a first operand.

    What users write as `eye` is taken up by the sum or the product around it, which has the size.
    """

    in_language = False
    inlined = True
    unit = True
    reading = AddEye.reading

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        if not args or args[0].rank != 2:
            raise ShapeMismatch(
                "`eye` must stand in a sum or a product with a square matrix, got it alone; write for example"
                " `W @ W.T + 0.3 * eye`."
            )
        return _square(shapes, args[0], told, operands[0])

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return True

    def simpler(self, tape: Tape, args: Sequence[Any], params: Params) -> Any:
        number = number_of(tape, args[1]) if len(args) > 1 else None
        return None if number is None else tape("eye", args[0], params=(params[0] * number,))

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return _size(args[1:], params) * xp.eye(args[0].shape[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return xp.exact(params[0]) * (args[1] if len(args) > 1 else 1) * np.eye(len(args[0]), dtype=int)

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return _multiple(tex, parts[1:], params[0])


def _indefinite(value: Array, strictly: bool) -> str:
    """What keeps a symmetric matrix from being positive definite, or semidefinite."""
    values = np.linalg.eigvalsh(0.5 * (value + value.T))
    room = ROUNDING * len(value) * float(np.abs(values).max(initial=0.0))
    if values[0] < -room:
        return f"is not positive definite, its smallest eigenvalue is {values[0]:.3g}"
    if strictly and values[0] <= room:
        return "is singular"
    return ""
