"""Operations that only derived equations use: contractions over samples, norms, and scalar coefficients."""

from collections.abc import Sequence

from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.operations.base import (
    POWER,
    PRODUCT,
    SUM,
    IndexSum,
    Operation,
    Piece,
    diagonal,
    entrywise,
    lift,
    operations,
    product,
    times,
)
from flowlab.language.operations.index_sums import SAMPLES, letters, sampled
from flowlab.language.types import Shapes, Type


class Derived(Operation):
    """An operation of derived equations; users cannot write it."""

    in_language = False


@operations.register("outer")
class Outer(Derived):
    """a b^T, summed over the samples where the operands have them."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[0].shape + args[1].shape)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        (a, b), (ta, tb) = args, types
        if not (ta.sampled or tb.sampled):
            return a[:, None] * b[None, :] if ta.rank and tb.rank else a * b
        if not ta.sampled:
            return a[:, None] * b.sum(axis=0) if tb.rank else a * b.sum(axis=0)
        if not tb.sampled:
            return a.sum(axis=0)[:, None] * b if tb.rank else a.sum(axis=0) * b
        # A number per sample stands first: with the features first, the compiler would copy them transposed.
        return a.T @ b if ta.rank and tb.rank else b @ a if ta.rank else a @ b

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        (a, b), (ta, tb) = parts, types
        if ta.sampled != tb.sampled:
            # What has no samples stands before the sum over them.
            sums = [Contract().render(tex, [p], [t], ()) for p, t in zip(parts, types, strict=True)]
            a, b = (sums[i] if t.sampled else parts[i] for i, t in enumerate(types))
            ta, tb = Type(ta.shape), Type(tb.shape)
        if not ta.sampled and not (ta.rank and tb.rank):
            return times(a, b) if tex else entrywise(tex, a, b)
        if tb.rank and not ta.rank:
            # A row times a matrix of samples is a vector, which stands as a column.
            a, b = b, a
        made, turned = product(tex, a, b.transpose(tex)), product(tex, b, a.transpose(tex))
        return Piece(made.text, made.binds, turned=turned)


@operations.register("contract")
class Contract(Derived):
    """The sum over samples."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[0].shape)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return args[0].sum(axis=0)

    def entries(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        axes = letters(args[0].rank)
        return None if args[0].is_matrix else IndexSum((SAMPLES + axes,), axes)

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return Piece(rf"{parts[0].within(PRODUCT, True)} \mathbf 1" if tex else f"sum_n({parts[0].text})", PRODUCT)


@operations.register("total")
class Total(Derived):
    """The sum over features, leaving the samples."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type((), args[0].sampled)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return args[0].sum(axis=tuple(range(1 if out.sampled else 0, args[0].ndim)))

    def entries(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        axes = letters(args[0].rank)
        return None if args[0].is_matrix else IndexSum((sampled(args[0], axes),), sampled(args[0], ""))

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        if tex:
            rows = r" \mathbf 1" if types[0].rank == 2 else ""
            return Piece(rf"\mathbf 1^{{\top}} {parts[0].within(PRODUCT, True)}{rows}", PRODUCT)
        return Piece(f"sum({parts[0].text})" if types[0].rank < 2 else f"sum(sum({parts[0].text}).T)")


@operations.register("spread")
class Spread(Derived):
    """A scalar (per sample) repeated over the features of a second value; divided by their number for a mean."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[1].shape, args[0].sampled)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        width = args[1].shape[-1]
        share = args[0] / width if params[0] == "mean" else args[0]
        return share[..., None] * xp.ones((width,), dtype=args[1].dtype)

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        words = (r"\operatorname{ones}", r"\operatorname{rows}") if tex else ("ones", "rows")
        ones, rows = (Piece(f"{word}({parts[1].text})") for word in words)
        spread = product(tex, ones, parts[0]) if tex or types[0].sampled else entrywise(tex, ones, parts[0])
        if params[0] != "mean":
            return spread
        return Piece(rf"\tfrac{{1}}{{{rows.text}}} {spread.text}" if tex else f"{spread.text} / {rows.text}", PRODUCT)


@operations.register("inner")
class Inner(Derived):
    """The inner product of two unsampled values, over everything (`"block"`) or row by row (`"rows"`).

    Sampled operands are multiplied and summed over samples as well.
    """

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[0].shape[:1] if params[0] == "rows" and args[0].rank >= 2 else ())

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        product = args[0] * args[1]
        return product.sum(axis=tuple(range(1, product.ndim))) if out.rank else product.sum()

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        open_, close = (r"\left\langle ", r"\right\rangle") if tex else ("<", ">")
        mark = ("_{\\text{row}}" if tex else "_row") if params[0] == "rows" and types[0].rank >= 2 else ""
        return Piece(f"{open_}{parts[0].text}, {parts[1].text}{close}{mark}")


@operations.register("length")
class Norm(Derived):
    """The Euclidean norm of all operands together, or of each row of the first (`"rows"`)."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[0].shape[:1] if params[0] == "rows" and args[0].rank >= 2 else ())

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        if out.rank:
            return xp.sqrt((args[0] * args[0]).sum(axis=tuple(range(1, args[0].ndim))))
        return xp.sqrt(sum((a * a).sum() for a in args))

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        bar = r"\lVert " if tex else "|"
        end = r"\rVert" if tex else "|"
        mark = ("_{\\text{row}}" if tex else "_row") if params[0] == "rows" and types[0].rank >= 2 else ""
        return Piece(bar + ", ".join(p.text for p in parts) + end + mark)


@operations.register("row_scale")
class RowScale(Derived):
    """A scalar times a value, or a vector of row factors times the rows of a matrix."""

    lengthens = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[1]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return lift(args[0], types[0], out.sampled and not types[0].sampled, out.rank) * args[1]

    def entries(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        rank = args[1].rank
        return IndexSum(("i", letters(rank)), letters(rank)) if args[0].rank and rank > 2 else None

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        if types[0].rank and tex:
            return Piece(rf"{diagonal(parts[0]).text}\, {parts[1].within(PRODUCT, True)}", PRODUCT)
        times = r"\, " if tex else " * "
        if parts[0].text.startswith("-"):
            return Piece(f"{parts[0].text}{times}{parts[1].within(POWER, tex)}", SUM)
        return Piece(f"{parts[0].within(PRODUCT, tex)}{times}{parts[1].within(POWER, tex)}", PRODUCT)


@operations.register("over_count")
class OverCount(Derived):
    """A sampled value divided by the number of samples (the mean over samples instead of their sum)."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return args[0] / args[0].shape[0]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        # The sign of what is divided goes in front of the fraction.
        inner = (parts[0].negated or parts[0]).within(POWER, tex)
        made = Piece(rf"\tfrac{{1}}{{N}} {inner}" if tex else f"{inner} / N", PRODUCT)
        return made if parts[0].negated is None else Piece(f"-{made.text}", SUM, negated=made)


@operations.register("omit_sample")
class OmitSample(Derived):
    """A sampled value with one sample set to zero: the mutation that forgets a data point."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        keep = (xp.arange(args[0].shape[0]) != int(params[0])).astype(args[0].dtype)
        return args[0] * keep.reshape((-1,) + (1,) * (args[0].ndim - 1))

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return Piece(rf"{parts[0].text}_{{\setminus {params[0]}}}" if tex else f"omit({parts[0].text}, {params[0]})")
