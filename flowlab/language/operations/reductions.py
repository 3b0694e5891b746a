"""Sums and means over features, over one axis, or over the samples."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

import sympy as sp

from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.operations.axes import OVER_SAMPLES, array_axis, axis_of, counted
from flowlab.language.operations.base import Channel, Handle, IndexSum, Linear, Option, Piece, Sign, Tape, operations
from flowlab.language.operations.index_sums import SAMPLES, letters, pulled, sampled, total
from flowlab.language.operations.matrix_forms import matrix_form
from flowlab.language.operations.pieces import function_piece, option_text
from flowlab.language.types import Shapes, Type


class Reduction(Linear):
    """Sum or mean of a value over its features, over one of its axes, or over the samples.

    Without an axis it goes over all features of a sample. An axis is a number, counted from 0 without the samples, or
    the text 'samples'.
    """

    called = True
    shown = "sum"
    options: ClassVar[Mapping[str, Option]] = {"axis": None}

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        kind = args[0]
        if not params and kind.rank == 0:
            over = f'; go over samples by `axis="{OVER_SAMPLES}"`, or leave' if kind.sampled else "; leave"
            what = f"`{operands[0]}`, which has shape {shapes.told(kind)} and is not a vector"
            raise ShapeMismatch(f"`{told}` adds up {what}{over} `{self.shown}` out.")
        if not params:
            return Type((), kind.sampled)
        axis = axis_of(kind, params[0], shapes, told, operands[0])
        return Type(kind.shape) if axis is None else Type(kind.shape[:axis] + kind.shape[axis + 1 :], kind.sampled)

    def index_sum(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        kind = args[0]
        if not params and kind.rank == 1:
            return None
        axes = letters(kind.rank)
        own = sampled(kind, axes)
        if not params:
            left = own[:1] if kind.sampled else ""
        elif params[0] == OVER_SAMPLES:
            left = axes
        else:
            left = own.replace(axes[int(params[0])], "")
        return IndexSum((own,), left, self.shown == "mean")

    def entries(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        found = self.index_sum(args, params)
        return None if found is None or matrix_form(found, SAMPLES, False, [Piece("")]) else found

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        found = self.index_sum(types, params)
        made = None if found is None else matrix_form(found, SAMPLES, tex, parts)
        return made or self.render(tex, parts, types, params)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        found = self.index_sum(types, params)
        if found is not None:
            return total(xp, found, args)
        made = args[0].sum(axis=-1)
        return made / args[0].shape[-1] if self.shown == "mean" else made

    def mixes_samples(self, params: Params) -> bool:
        return OVER_SAMPLES in params

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        found = self.index_sum([args[0].type], params)
        if found is not None:
            return pulled(tape, found, args, cot)
        return [tape("spread", cot, args[0], params=(self.shown,))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        over = "" if not params else f", axis={option_text(params[0])}"
        if tex:
            return Piece(rf"\operatorname{{{self.shown}}}({parts[0].text}{over.replace('axis=', '')})")
        return Piece(f"{self.shown}({parts[0].text}{over})")


@operations.register("sum")
class SumFeatures(Reduction):
    """The sum over the features, `sum(z)`, one axis, `sum(z, axis=0)`, or the samples, `axis="samples"`.

    Examples:
        >>> net = fl.Network("sum(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[1.0]]
    """


@operations.register("mean")
class MeanFeatures(Reduction):
    """The mean over the features, `mean(z)`, one axis, `mean(z, axis=0)`, or the samples, `axis="samples"`.

    Examples:
        >>> net = fl.Network("mean(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.3333]]
    """

    shown = "mean"


@operations.register("per_size")
class PerSize(Linear):
    """A value divided by a power of the size of one of its axes: per_size(W, axis=-1, power=0.5) is W over the root of
    its fan-in.

    Examples:
        >>> net = fl.Network("per_size(W, axis=-1, power=0.5) @ x")
        >>> net.outputs({"W": np.ones((1, 4))}, np.ones((1, 4))).tolist()
        [[2.0]]
    """

    called = True
    options: ClassVar[Mapping[str, Option]] = {"axis": Fraction(-1), "power": Fraction(1)}
    reading = (
        "per_size(A, i, p) is A divided by the p-th power of the size of its axis i, counted from 0",
        r"$\operatorname{per\_size}(A, i, p)$ is $A$ divided by the $p$-th power of the size of its axis $i$ (from 0)",
    )

    def admit(self, told: str, signs: Sequence[Sign], params: Params) -> None:
        if not isinstance(self.option_values(params)[1], int | Fraction):
            raise LanguageError(f"`{told}` must have a number as `power`, got {self.option_values(params)[1]}.")

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        axis_of(args[0], self.option_values(params)[0], shapes, told, operands[0])
        return args[0]

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return (Channel(0),)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        axis, power = self.option_values(params)
        size = args[0].shape[array_axis(axis, types[0])]
        if args[0].dtype == object:
            return args[0] / sp.Integer(size) ** xp.exact(power)
        return args[0] * float(size) ** -float(power or 0)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("per_size", cot, params=params)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        axis, power = self.option_values(params)
        return function_piece(self.name, tex, parts, (counted(axis, types[0]), power))
