"""The transpose of a matrix."""

from collections.abc import Sequence
from typing import Any

from flowlab.core.errors import ShapeMismatch
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.operations.base import ATOM, Handle, IndexSum, Linear, Piece, Tape, operations
from flowlab.language.operations.index_sums import sampled
from flowlab.language.operations.matrix_rules import Factors, turned
from flowlab.language.types import Shapes, Type


@operations.register("transpose")
class Transpose(Linear):
    """The transpose of a matrix, of each one where there is one per sample.

    Examples:
        >>> fl.Network(fl.transpose(fl.weight("W")) @ fl.x)
        Network('W.T @ x')
    """

    called = True
    inlined = True
    turns = True

    def factors(self, args: Sequence[Factors]) -> Factors:
        return turned(args[0])

    def simpler(self, tape: Tape, args: Sequence[Any], params: Params) -> Any:
        word, _, _ = tape.made_of(args[0])
        # A transpose of a transpose stands on the tape as it is: print has neither.
        return None if word is not None and word.turns else tape.turned(args[0])

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        if args[0].rank != 2:
            raise ShapeMismatch(
                f"`{told}` transposes `{operands[0]}`, which has shape {shapes.told(args[0])} and is not a matrix;"
                " leave `.T` out."
            )
        return Type(args[0].shape[::-1], args[0].sampled)

    def index_sum(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        return IndexSum((sampled(args[0], "ij"),), sampled(args[0], "ji"))

    def entries(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        return self.index_sum(args, params) if args[0].sampled else None

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return args[0].swapaxes(-1, -2)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("transpose", cot)]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        if tex:
            return parts[0].transpose(True)
        # The language's text parses back to what was written, transposes of transposes included.
        return Piece(f"{parts[0].within(ATOM)}.T")

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return parts[0].transpose(tex)
