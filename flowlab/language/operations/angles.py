"""Angles between vectors: what Gaussian means of functions of two projections depend on."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import sympy as sp

from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.base import (
    Channel,
    Exponents,
    Handle,
    Operation,
    Option,
    Piece,
    Sign,
    Tape,
    operations,
)
from flowlab.language.operations.derived import Derived
from flowlab.language.operations.pieces import function_piece
from flowlab.language.types import Shapes, Type

_ROUNDINGS = float(8 * np.finfo(float).eps) ** 2
"""Squared chord of two unit vectors up to which they are one vector, rounded twice."""


@operations.register("angle")
class Angle(Operation):
    """The angles between the rows of A and those of B, in radians: a number for two vectors, else one per row or pair.

    With numbers p and q behind them, a and b are first continued to (a, √p, 0) and (b, 0, √q), so that the cosine is
    a·b/√((|a|² + p)(|b|² + q)). Its slope is taken as 0 where vectors are parallel, where it has none.

    Examples:
        >>> net = fl.Network("angle(a, b)", constants=("b",))
        >>> float(net.outputs({"a": np.array([1.0, 0.0])}, {"b": np.array([0.0, 2.0])})[0, 0]) / np.pi
        0.5
    """

    called = True
    operands = (2, 2)
    options: ClassVar[Mapping[str, Option]] = {"p": Fraction(0), "q": Fraction(0)}
    reading = (
        "angle(A, B, p, q) has the angles of rows (a, sqrt(p), 0) of A and (b, 0, sqrt(q)) of B; else p = q = 0",
        r"$\angle(A, B, p, q)$ has the angles of the rows $(a, \sqrt p, 0)$ of $A$ and $(b, 0, \sqrt q)$ of $B$; "
        r"$p$ and $q$ are 0 unless given",
    )

    def admit(self, told: str, signs: Sequence[Sign], params: Params) -> None:
        for number in self.option_values(params):
            if not isinstance(number, int | Fraction) or number < 0:
                raise LanguageError(f"`{told}` must have numbers from 0 on behind its vectors, got {number}.")

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        a, b = _rows_of(shapes, args, told, operands)
        if not shapes.unify(args[0].shape[-1], args[1].shape[-1]):
            shapes.clash(args[0], args[1], f"`{told}` needs vectors of one length", operands)
        return Type(a.shape + b.shape)

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        for arg, number in zip(args, self.option_values(params), strict=True):
            if number:
                exps.require_zero(arg, "the number that continues its rows does not scale")
        return exps.zero()

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return None

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return AsFunction()

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return True, False

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        near, far = _chords(xp, args[0], args[1], self.option_values(params))[:2]
        return (2.0 * xp.arctan2(near, far)).reshape(np.shape(args[0])[:-1] + np.shape(args[1])[:-1])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        (a, b), cosine = (np.atleast_2d(arg) for arg in args), _cosines(xp, args, self.option_values(params))
        made = np.vectorize(sp.acos, otypes=[object])(cosine)
        return made.reshape(tuple(len(m) for m, arg in zip((a, b), args, strict=True) if np.ndim(arg) == 2))

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        a, b = args
        p, q = self.option_values(params)
        turned = tape("transpose", cot) if cot.type.rank == 2 else cot
        return [
            tape("angle_slope", cot, a, b, params=(p, q) if p or q else ()),
            tape("angle_slope", turned, b, a, params=(q, p) if p or q else ()),
        ]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        made = function_piece("angle", tex, parts, params)
        return Piece(made.text.replace(r"\operatorname{angle}", r"\angle")) if tex else made


@operations.register("magnitude")
class Magnitude(Operation):
    """The length of a vector, or of every row of a matrix; its slope at 0 is not finite.

    Examples:
        >>> net = fl.Network("magnitude(w)", shapes={"w": (2,)})
        >>> float(net.outputs({"w": np.array([3.0, 4.0])}, {}).ravel()[0])
        5.0
    """

    called = True
    reading = (
        "magnitude(A) has the lengths of the rows of A",
        r"$\operatorname{norm}(A)$ has the lengths of the rows of $A$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return _rows_of(shapes, args, told, operands)[0]

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return None

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return AsFunction()

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return any(args[0]), False

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return xp.sqrt((args[0] * args[0]).sum(axis=-1))

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        found = _sizes(xp, np.atleast_2d(args[0]), 0)
        return found if np.ndim(args[0]) == 2 else np.asarray(found[0], dtype=object)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        scale = tape("hadamard", cot, tape("power", out, params=(Fraction(-1),)))
        if args[0].type.rank == 1:
            return [tape("hadamard", scale, args[0])]
        return [tape("einsum", args[0], scale, params=("ij,i->ij",))]


@operations.register("angle_slope")
class AngleSlope(Derived):
    """Row i is the sum over j of C_ij times the gradient of the angle between a_i and b_j in a_i; 0 where they are
    parallel.
    """

    reading = (
        "angle_slope(C, A, B) has as row i the sum over j of C_ij times the slope in a_i of the angle of a_i and b_j",
        r"$\angle'(C, A, B)$ has as row $i$ the sum over $j$ of $C_{ij}$ times the gradient in $a_i$ of the angle of "
        r"$a_i$ and $b_j$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[1]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        cot, a, b = args
        near, far, a_unit, b_unit, length = _chords(xp, a, b, params or (0, 0))
        # Of half of both chords, and not the sine of the angle: exactly zero at opposite vectors too.
        sine, cosine = near * far / 2.0, (far - near) * (far + near) / 4.0
        parallel = sine == 0
        share = xp.where(parallel, 0.0, cot.reshape(sine.shape) / xp.where(parallel, 1.0, sine))
        across = (share * cosine).sum(axis=1, keepdims=True) * a_unit - share @ b_unit
        return (across / length).reshape(np.shape(a))

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        cot, a, b = (np.asarray(arg, dtype=object) for arg in args)
        numbers = params or (0, 0)
        cosine = _cosines(xp, [a, b], numbers)
        cot, rows, others = cot.reshape(cosine.shape), np.atleast_2d(a), np.atleast_2d(b)
        sizes = [_sizes(xp, m, e) for m, e in zip((rows, others), numbers, strict=True)]
        made = np.zeros(rows.shape, dtype=object)
        for i, j in np.ndindex(cosine.shape):
            c = cosine[i, j]
            slope = (others[j] / sizes[1][j] - c * rows[i] / sizes[0][i]) / (sizes[0][i] * sp.sqrt(1 - c**2))
            made[i] = made[i] - cot[i, j] * slope
        return made.reshape(a.shape)

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        made = function_piece("angle_slope", tex, parts, params)
        return Piece(made.text.replace(r"\operatorname{angle\_slope}", r"\angle'")) if tex else made


def _rows_of(shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str]) -> list[Type]:
    """The types of what has one entry per row of the operands."""
    for kind, name in zip(args, operands, strict=False):
        if kind.sampled or kind.rank not in (1, 2):
            what = f"`{name}`, which has shape {shapes.told(kind)}"
            raise ShapeMismatch(f"`{told}` must be of vectors or of rows of matrices without samples, got {what}.")
    return [Type(kind.shape[:-1]) for kind in args]


def _chords(xp: Namespace, a: Array, b: Array, numbers: Sequence[Any]) -> tuple[Array, Array, Array, Array, Array]:
    """|u - v| and |u + v| of all pairs of unit vectors, which tell an angle to all digits at both of its ends (Kahan);
    the rows divided by their lengths, and the lengths of the first, (h, 1).
    """
    p, q = (float(number) for number in numbers)
    a, b = xp.atleast_2d(a), xp.atleast_2d(b)
    la, lb = (xp.sqrt((m * m).sum(axis=1, keepdims=True) + e) for m, e in ((a, p), (b, q)))
    u, v = a / la, b / lb
    beside = p / (la * la) + (q / (lb * lb)).T
    near, far = (_root(xp, ((u[:, None, :] + s * v[None, :, :]) ** 2).sum(axis=-1) + beside) for s in (-1.0, 1.0))
    return near, far, u, v, la


def _root(xp: Namespace, square: Array) -> Array:
    """The square root, with value and slope 0 where there are roundings alone."""
    clear = square > _ROUNDINGS
    return xp.where(clear, xp.sqrt(xp.where(clear, square, 1.0)), 0.0)


def _sizes(xp: Any, rows: np.ndarray, number: Any) -> np.ndarray:
    return np.array([sp.sqrt(sum(e**2 for e in row) + xp.exact(Fraction(number))) for row in rows], dtype=object)


def _cosines(xp: Any, args: Sequence[Any], numbers: Sequence[Any]) -> np.ndarray:
    a, b = (np.atleast_2d(np.asarray(arg, dtype=object)) for arg in args)
    return (a @ b.T) / np.outer(_sizes(xp, a, numbers[0]), _sizes(xp, b, numbers[1]))
