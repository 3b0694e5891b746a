"""Words that pull-backs of matrix words are written with: the solution of Lyapunov's equation, and the polar factor."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flowlab.core.typing import Array, Namespace, Params
from flowlab.language import matrix_functions as functions
from flowlab.language.operations.base import Handle, Operation, Piece, Tape, operations
from flowlab.language.operations.matrix_rules import without_unit
from flowlab.language.operations.pieces import function_piece
from flowlab.language.types import Shapes, Type


@operations.register("lyapunov")
class Lyapunov(Operation):
    """The solution X of R X + X R = D, with a symmetric positive definite R as its first operand."""

    in_language = False
    reading = (
        "lyapunov(R, D) is the matrix X with R @ X + X @ R = D",
        r"$\operatorname{lyapunov}(R, D)$ is the matrix $X$ with $R X + X R = D$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[1].shape)

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return all(kind.symmetric for kind in args)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return functions.lyapunov(xp, args[0], args[1])

    def simpler(self, tape: Tape, args: Sequence[Handle], params: Params) -> Any:
        R, D = args
        # R X + X R = c I has the solution c/2 of the inverse.
        made = without_unit(tape, D, tape("inverse", R))
        return made and tape("scale", made, params=(Fraction(1, 2),))


@operations.register("polar")
class Polar(Operation):
    """The compact polar factor U V^T of A = U S V^T, over the singular values that are not zero."""

    in_language = False
    reading = (
        "polar(A) is U @ V.T where A = U @ S @ V.T has singular values above zero on the diagonal of S",
        r"$\operatorname{polar}(A)$ is $U V^{\top}$ where $A = U S V^{\top}$ has singular values above zero on the"
        r" diagonal of $S$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[0].shape)

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return args[0].symmetric

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return functions.polar(xp, args[0])

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return function_piece(self.name, tex, parts, ())
