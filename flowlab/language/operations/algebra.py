"""Sums, products and transposes: the operations a network is written with."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flowlab.core.errors import ShapeMismatch
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.exact_numbers import exact
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.base import (
    POWER,
    PRODUCT,
    SUM,
    Channel,
    Exponents,
    Handle,
    IndexSum,
    IndexTerms,
    Linear,
    Measured,
    Operation,
    Piece,
    Product,
    Sign,
    Tape,
    diagonal,
    entrywise,
    operations,
    product,
    times,
)
from flowlab.language.operations.index_sums import SAMPLES, letters, pulled, sampled, total
from flowlab.language.operations.matrix_rules import Factors, number_of, without_unit
from flowlab.language.operations.meeting import aligned, lifted, met, of_channels
from flowlab.language.types import Shapes, Type

LONGEST_FRACTION = 10**6
"""Denominator up to which a number is printed as a fraction; beyond it stands for a decimal, such as 2 over pi."""


def fraction_text(number: Fraction, tex: bool) -> str:
    """A coefficient as it is printed."""
    if number.denominator == 1:
        return str(number.numerator)
    if number.denominator > LONGEST_FRACTION and exact(float(number)) == number:
        return repr(float(number))
    if tex:
        sign = "-" if number < 0 else ""
        return rf"{sign}\tfrac{{{abs(number.numerator)}}}{{{number.denominator}}}"
    return f"{number.numerator}/{number.denominator}"


@operations.register("matmul")
class MatMul(Product):
    """Matrix or inner product; of two vectors their dot product; `vector @ matrix` is the transpose's action."""

    composes = True

    def factors(self, args: Sequence[Factors]) -> Factors:
        return args[0] + args[1]

    def simpler(self, tape: Tape, args: Sequence[Any], params: Params) -> Any:
        a, b = args
        return without_unit(tape, a, b) or without_unit(tape, b, a)

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        a, b = args
        sampled = a.sampled or b.sampled
        if not a.rank or not b.rank:
            both = " by ".join(
                f"`{name}` of shape {shapes.told(kind)}" for name, kind in zip(operands, args, strict=True)
            )
            raise ShapeMismatch(
                f"`{told}` multiplies {both} with `@`; use `*` where one side is a number, and capitals for matrices."
            )
        if not shapes.unify(a.shape[-1], b.shape[0]):
            shapes.clash(a, b, f"`{told}` does not fit", operands)
        return Type(a.shape[:-1] + b.shape[1:], sampled)

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: Params) -> Any:
        if parts[0].block is None:
            return super().scale_square(xp, parts, params)
        W, a = (part.value for part in parts)
        squares, size = xp.sum(W * W, axis=-1), xp.sum(a * a, axis=-1)
        return size[:, None] * squares if W.ndim == 2 else size * squares

    def index_sum(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        a, b = args
        shared = min(a.rank, b.rank) == 1 and max(a.rank, b.rank) <= 2
        if a.is_matrix and b.is_matrix and (shared or not (a.sampled or b.sampled)) and a.rank + b.rank <= 4:
            return None
        left, right = letters(a.rank), letters(b.rank - 1, a.rank)
        out = (SAMPLES if a.sampled or b.sampled else "") + left[:-1] + right
        return IndexSum((sampled(a, left), sampled(b, left[-1] + right)), out)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        (a, b), (ta, tb) = args, types
        found = self.index_sum(types, params)
        if found is not None:
            return total(xp, found, args)
        if ta.sampled and tb.sampled:
            return (a * b).sum(axis=-1)
        if tb.sampled:
            return b @ a.T
        return a @ b

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        a, b = args
        found = self.index_sum([a.type, b.type], params)
        if found is not None:
            return pulled(tape, found, args, cot)
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

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return _algebra(tex, parts, types) if tex else product(tex, *parts)

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
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
    passes_transpose = True

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return all(kind.symmetric for kind in args)

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return aligned(shapes, args, told, operands)

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        exps.require_equal(args[0], args[1], "both terms of the sum must scale alike")
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return max(parts)

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return parts[0] + parts[1]

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: Params) -> Any:
        return parts[0].square() + parts[1].square()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        (p, n), (q, m) = args[0], args[1][:: 1 if self.sign > 0 else -1]
        return p or q, n or m

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        a, b = (lifted(v, t, out) for v, t in zip(args, types, strict=True))
        return a + b if self.sign > 0 else a - b

    def entries(self, args: Sequence[Type], params: Params) -> IndexTerms | None:
        if args[0] == args[1] or all(kind.is_matrix for kind in args):
            return None
        large = max(args, key=lambda kind: kind.rank)
        axes = [sampled(kind, letters(large.rank)[met(kind, large)]) for kind in args]
        several = SAMPLES * any(kind.sampled for kind in args)
        return IndexTerms(tuple(axes), several + letters(large.rank), (1, self.sign))

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        backs = [cot, cot if self.sign > 0 else tape("scale", cot, params=(Fraction(-1),))]
        return [of_channels(tape, back, arg.type, out.type) for back, arg in zip(backs, args, strict=True)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        plus, last = self.sign > 0, parts[1]
        if plus and last.negated:
            plus, last = False, last.negated
        a, b = parts[0].within(SUM, tex), last.within(PRODUCT, tex)
        if plus and last.text.startswith("-") and not last.text.startswith("-("):
            plus, b = False, last.text[1:].lstrip()
        return Piece(f"{a} {'+' if plus else '-'} {b}", SUM)

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        if tex and types[0].sampled != types[1].sampled:
            # A value without samples is repeated over them: it becomes a product with a row of ones.
            ones = Piece(r"\mathbf 1^{\top}")
            parts = [p if t.sampled else product(True, p, ones) for p, t in zip(parts, types, strict=True)]
        return self.render(tex, parts, types, params)


@operations.register("add")
class Add(_Addition):
    """a + b."""

    def simpler(self, tape: Tape, args: Sequence[Any], params: Params) -> Any:
        # What meets its own transpose, a symmetric matrix, counts twice; in a longer sum too.
        a, b = args
        if b.type.rank != 2 or b.type.sampled:
            return None
        word, terms, _ = tape.made_of(a)
        rest, last = terms if isinstance(word, Add) and not a.name else (None, a)
        if last is not b:
            return None
        twice = tape("scale", b, params=(Fraction(2),))
        return twice if rest is None else tape("add", rest, twice)


@operations.register("sub")
class Sub(_Addition):
    """a - b."""

    sign = -1


@operations.register("scale")
class Scale(Linear):
    """c z with an exact constant c."""

    inlined = True
    scales = True
    passes_transpose = True

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return args[0].symmetric

    def simpler(self, tape: Tape, args: Sequence[Any], params: Params) -> Any:
        word, inner, known = tape.made_of(args[0])
        again = word is not None and word.scales and not args[0].name
        if word is None or args[0].type.sampled or not (word.unit or again):
            return None
        number = known[0] * params[0]
        return inner[0] if again and number == 1 else tape(word.name, *inner, params=(number,))

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return (Channel(0),)

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: Params) -> Any:
        return float(params[0]) ** 2 * parts[0].square()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        p, n = args[0]
        return (p, n) if params[0] > 0 else (n, p) if params[0] < 0 else (False, False)

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        return [params[0] != 0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return float(params[0]) * args[0]

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return args[0] * xp.exact(params[0])

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("scale", cot, params=params)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
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
    squares = True
    passes_transpose = True

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return all(kind.symmetric or not kind.rank for kind in args)

    def simpler(self, tape: Tape, args: Sequence[Any], params: Params) -> Any:
        for a, b in (args, args[::-1]):
            number = number_of(tape, a)
            if number is not None:
                return tape("scale", b, params=(number,))
        return None

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        a, b = args
        if a.rank and b.rank:
            return aligned(shapes, args, told, operands)
        return Type(a.shape or b.shape, a.sampled or b.sampled)

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        ranked = [i for i, kind in enumerate(args) if kind.rank]
        return (Channel(ranked[0]),) if len(ranked) == 1 else (Channel(0, True), Channel(1, True))

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        a, b = (lifted(v, t, out) for v, t in zip(args, types, strict=True))
        return a * b

    def index_sum(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        a, b = args
        rank, several = max(a.rank, b.rank), a.sampled or b.sampled
        if a == b or rank + several <= 2 or not (a.rank or a.sampled) or not (b.rank or b.sampled):
            return None
        axes, large = letters(rank), max(args, key=lambda kind: kind.rank)
        return IndexSum((sampled(a, axes[met(a, large)]), sampled(b, axes[met(b, large)])), SAMPLES * several + axes)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        a, b = args
        found = self.index_sum([a.type, b.type], params)
        if found is not None:
            return pulled(tape, found, args, cot)
        return [tape("hadamard", cot, b), tape("hadamard", cot, a)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        if tex and not all(t.rank for t in types):
            return times(*parts)
        return entrywise(tex, *parts)

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        if types[0] == types[1] and (types[0].rank or types[0].sampled):
            return entrywise(tex, *parts)
        if not all(kind.is_matrix for kind in types):
            return times(*parts) if tex else entrywise(tex, *parts)
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
