"""Sums, products and transposes: the operations a network is written with."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flowlab.core.errors import ShapeMismatch
from flowlab.core.typing import Array, Namespace
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.base import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    Channel,
    Exponents,
    Handle,
    Linear,
    Measured,
    Operation,
    Piece,
    Product,
    Sign,
    Tape,
    diagonal,
    entrywise,
    lift,
    operations,
    product,
    times,
)
from flowlab.language.types import Shapes, Type


def fraction_text(number: Fraction, tex: bool) -> str:
    """A coefficient as it is printed."""
    if number.denominator == 1:
        return str(number.numerator)
    if tex:
        sign = "-" if number < 0 else ""
        return rf"{sign}\tfrac{{{abs(number.numerator)}}}{{{number.denominator}}}"
    return f"{number.numerator}/{number.denominator}"


@operations.register("matmul")
class MatMul(Product):
    """Matrix or inner product; of two vectors their dot product; `vector @ matrix` is the transpose's action."""

    composes = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        a, b = args
        sampled = a.sampled or b.sampled
        if not a.rank or not b.rank:
            both = " by ".join(
                f"`{name}` of shape {shapes.told(kind)}" for name, kind in zip(operands, args, strict=True)
            )
            raise ShapeMismatch(f"`{told}` multiplies {both} with `@`; use `*` where one side is a number.")
        if not shapes.unify(a.shape[-1], b.shape[0]):
            shapes.clash(a, b, f"`{told}` does not fit", operands)
        return Type(a.shape[:-1] + b.shape[1:], sampled)

    def degree(self, exps: Exponents, args: Sequence[Any], params: tuple) -> Any:
        return exps.add(args[0], args[1])

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        return ()

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: tuple) -> Any:
        if parts[0].block is None:
            return super().scale_square(xp, parts, params)
        W, a = (part.value for part in parts)
        squares, size = xp.sum(W * W, axis=-1), xp.sum(a * a, axis=-1)
        return size[:, None] * squares if W.ndim == 2 else size * squares

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        (a, b), (ta, tb) = args, types
        if ta.sampled and tb.sampled:
            return (a * b).sum(axis=-1)
        if tb.sampled:
            return b @ a.T
        return a @ b

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        a, b = args
        if a.type.rank == 1 and b.type.rank == 1:
            return [
                tape("hadamard", b, cot) if a.type.sampled else tape("outer", b, cot),
                tape("hadamard", a, cot) if b.type.sampled else tape("outer", a, cot),
            ]
        if a.type.rank == 1:
            return [tape("matmul", b, cot), tape("outer", a, cot)]
        if b.type.rank == 1:
            return [tape("outer", cot, b), tape("matmul", tape("transpose", a), cot)]
        return [tape("matmul", cot, tape("transpose", b)), tape("matmul", tape("transpose", a), cot)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        return _algebra(tex, parts, types) if tex else product(tex, *parts)

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        a, b = types
        if not (a.rank == b.rank == 1 and a.sampled):
            return _algebra(tex, parts, types)
        if not b.sampled:
            return _algebra(tex, parts[::-1], types[::-1])
        both = entrywise(tex, *parts)
        if not tex:
            return Piece(f"sum({both.text})")
        return Piece(rf"\mathbf 1^{{\top}} {both.within(PRODUCT, True)}", PRODUCT)


def _algebra(tex: bool, parts: Sequence[Piece], types: Sequence[Type]) -> Piece:
    """The product with vectors as columns: `v @ W` is W^T v, and between two vectors the first is turned."""
    (a, b), first = parts, types[0]
    if first.rank == 2:
        return product(tex, a, b)
    if types[1].rank == 1:
        return product(tex, a.transpose(tex), b)
    made = product(tex, b.transpose(tex), a)
    return Piece(made.text, made.binds, turned=product(tex, a.transpose(tex), b))


class _Addition(Operation):
    """Sum or difference of values of one shape; an unsampled operand is added to every sample."""

    sign = 1
    alike = True
    repeats = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        a, b = args
        shapes.match(a, b, f"`{told}` needs equal shapes", operands)
        return Type(a.shape, a.sampled or b.sampled)

    def degree(self, exps: Exponents, args: Sequence[Any], params: tuple) -> Any:
        exps.require_equal(args[0], args[1], "both terms of the sum must scale alike")
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: tuple) -> int | None:
        return max(parts)

    def as_function(self, parts: Sequence[AsFunction], params: tuple) -> AsFunction:
        return parts[0] + parts[1]

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        return ()

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: tuple) -> Any:
        return parts[0].square() + parts[1].square()

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        (p, n), (q, m) = args[0], args[1][:: 1 if self.sign > 0 else -1]
        return p or q, n or m

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        a, b = (lift(v, t, out.sampled, out.rank) for v, t in zip(args, types, strict=True))
        return a + b if self.sign > 0 else a - b

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        return [cot, cot if self.sign > 0 else tape("scale", cot, params=(Fraction(-1),))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        plus, last = self.sign > 0, parts[1]
        if plus and last.negated:
            plus, last = False, last.negated
        a, b = parts[0].within(SUM, tex), last.within(PRODUCT, tex)
        if plus and last.text.startswith("-") and not last.text.startswith("-("):
            plus, b = False, last.text[1:].lstrip()
        return Piece(f"{a} {'+' if plus else '-'} {b}", SUM)

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        if tex and types[0].sampled != types[1].sampled:
            # A value without samples is repeated over them: it becomes a product with a row of ones.
            ones = Piece(r"\mathbf 1^{\top}")
            parts = [p if t.sampled else product(True, p, ones) for p, t in zip(parts, types, strict=True)]
        return self.render(tex, parts, types, params)


@operations.register("add")
class Add(_Addition):
    """a + b."""


@operations.register("sub")
class Sub(_Addition):
    """a - b."""

    sign = -1


@operations.register("scale")
class Scale(Linear):
    """c z with an exact constant c."""

    inlined = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        return args[0]

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        return (Channel(0),)

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: tuple) -> Any:
        return float(params[0]) ** 2 * parts[0].square()

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        p, n = args[0]
        return (p, n) if params[0] > 0 else (n, p) if params[0] < 0 else (False, False)

    def reaches(self, args: Sequence[Sign], params: tuple) -> list[bool]:
        return [params[0] != 0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return float(params[0]) * args[0]

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: tuple) -> Any:
        return args[0] * xp.exact(params[0])

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        return [tape("scale", cot, params=params)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        inner = parts[0].within(POWER, tex)
        if params[0] == -1:
            return Piece(f"-{inner}", SUM, negated=parts[0])
        number = fraction_text(params[0], tex)
        if tex:
            return Piece(f"{number}\\, {inner}", SUM if params[0] < 0 else PRODUCT)
        return Piece(f"{number} * {inner}", SUM if params[0] < 0 else PRODUCT)


@operations.register("hadamard")
class Hadamard(Product):
    """Entrywise product of values of one shape, or of a scalar with any value."""

    alike = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        a, b = args
        if a.rank and b.rank:
            shapes.match(a, b, f"`{told}` needs equal shapes", operands)
        return Type(a.shape or b.shape, a.sampled or b.sampled)

    def degree(self, exps: Exponents, args: Sequence[Any], params: tuple) -> Any:
        return exps.add(args[0], args[1])

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        ranked = [i for i, kind in enumerate(args) if kind.rank]
        return (Channel(ranked[0]),) if len(ranked) == 1 else (Channel(0, True), Channel(1, True))

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        a, b = (lift(v, t, out.sampled, out.rank) for v, t in zip(args, types, strict=True))
        return a * b

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        a, b = args
        return [tape("hadamard", cot, b), tape("hadamard", cot, a)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        if tex and not all(t.rank for t in types):
            return times(*parts)
        return entrywise(tex, *parts)

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        if types[0] == types[1] and (types[0].rank or types[0].sampled):
            return entrywise(tex, *parts)
        # A number, a row (a value per sample) and a column (a vector of weights) multiply as matrices do.
        kinds = [(t.rank, t.sampled) for t in types]
        wanted = ((0, False), (0, True), (1, False))
        number, row, column = (kinds.index(kind) if kind in kinds else None for kind in wanted)
        if number is None and row is not None and column is not None:
            return product(tex, parts[column], parts[row])
        if not tex:
            return entrywise(tex, *parts)
        if number is not None:
            return times(*parts)
        if row is not None:
            return product(tex, parts[1 - row], diagonal(parts[row]))
        return product(tex, diagonal(parts[column or 0]), parts[1 - (column or 0)])


@operations.register("transpose")
class Transpose(Linear):
    """The transpose of a matrix that does not depend on the input."""

    called = True
    inlined = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        if args[0].rank != 2:
            raise ShapeMismatch(
                f"`{told}` transposes `{operands[0]}`, which has shape {shapes.told(args[0])} and is not a matrix;"
                " leave `.T` out."
            )
        return Type(args[0].shape[::-1], args[0].sampled)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return args[0].T

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        return [tape("transpose", cot)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        if tex:
            return parts[0].transpose(True)
        # The language's text parses back to what was written, transposes of transposes included.
        return Piece(f"{parts[0].within(ATOM)}.T")

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        return parts[0].transpose(tex)


class _Reduction(Linear):
    """Sum or mean of a vector over its features."""

    called = True
    shown = "sum"

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        if args[0].rank != 1:
            what = f"`{operands[0]}`, which has shape {shapes.told(args[0])} and is not a vector"
            raise ShapeMismatch(f"`{told}` adds up {what}; leave `{self.shown}` out.")
        return Type((), args[0].sampled)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return args[0].sum(axis=-1)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        return [tape("spread", cot, args[0], params=(self.shown,))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        return Piece(rf"\operatorname{{{self.shown}}}({parts[0].text})" if tex else f"{self.shown}({parts[0].text})")


@operations.register("sum")
class SumFeatures(_Reduction):
    """The sum of a vector over its features."""


@operations.register("mean")
class MeanFeatures(_Reduction):
    """The mean of a vector over its features."""

    shown = "mean"

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        return args[0].sum(axis=-1) / args[0].shape[-1]
