"""What an operation says of matrices: which products are symmetric, what is simpler, and where it is defined."""

from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from flowlab.core.typing import Array, Params
from flowlab.language.types import Type

Factors = tuple[tuple[Hashable, bool | None], ...]
"""Matrices whose product a value is: by name, and whether each is transposed; None for one that is symmetric."""
_MOST_FACTORS = 1_000
"""Beyond which a product is a matrix of its own: far above the deepest network, far below trouble."""


class MatrixRules:
    """The rules of matrices that operations have; by default none."""

    unit: ClassVar[bool] = False
    """Whether it is a multiple of the identity matrix, which products and solutions are written without."""
    scales: ClassVar[bool] = False
    """Whether it multiplies by a number, its parameter."""
    turns: ClassVar[bool] = False
    """Whether it is the transpose."""
    passes_transpose: ClassVar[bool] = False
    """Whether the transpose of the result is the result of the transposes."""
    of_square: ClassVar[tuple[str, ...]] = ()
    """The words, outermost first, that give of A A^T what it gives of A; empty where none do."""
    wants_symmetric: ClassVar[bool] = False
    """Whether its operand must be a symmetric matrix; constants that it takes are held to that."""

    def number(self, args: Sequence[Type]) -> Fraction | None:
        """The number that the result is whatever its operands are, by their types; None where it depends on them."""
        return None

    def factors(self, args: Sequence[Factors]) -> Factors | None:
        """The factors of a product of matrices, from those of the operands; None where it is none."""
        return None

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        """Whether the result is a symmetric matrix because of what the operands are."""
        return False

    def defect(self, value: Array, moves: bool) -> str:
        """Why it is not defined at a value of its first operand, or the flow where that moves, as the rest of a
        sentence; empty where it is.
        """
        return ""

    def simpler(self, tape: Any, args: Sequence[Any], params: Params) -> Any:
        """The result in fewer operations, where operands of derived equations allow it; None where they do not."""
        return None


class Products:
    """Which matrices are products of others, so that those are known that are symmetric whatever their factors are:
    the transpose of `P @ S @ P.T` has the same factors in the same order.
    """

    def __init__(self) -> None:
        self._factors: dict[Hashable, Factors] = {}

    def symmetric(self, key: Hashable, word: MatrixRules, args: Sequence[tuple[Hashable, Type]]) -> bool:
        """Take a matrix into account, by its name and those of the operands, and say whether it is symmetric."""
        own = word.factors([self.of(name, kind) for name, kind in args])
        if own is None or len(own) > _MOST_FACTORS:
            return word.is_symmetric([kind for _, kind in args])
        self._factors[key] = own
        return own == turned(own)

    def of(self, key: Hashable, kind: Type) -> Factors:
        """The factors of a product; a matrix that is not one is its own factor."""
        return self._factors.get(key) or ((key, None if kind.symmetric else False),)


def turned(factors: Factors) -> Factors:
    """The factors of the transpose."""
    return tuple((key, None if mark is None else not mark) for key, mark in reversed(factors))


def number_of(tape: Any, value: Any) -> Fraction | None:
    """The number that a value on the tape is whatever the weights are; None for any other."""
    word, args, params = tape.made_of(value)
    if word is None:
        return None
    inner = number_of(tape, args[0]) if word.scales else None
    return word.number([arg.type for arg in args]) if inner is None else params[0] * inner


def without_unit(tape: Any, eye: Any, value: Any) -> Any:
    """The product of a multiple of the identity and a value, written without it; None where the first is none."""
    word, args, params = tape.made_of(eye)
    if word is None or not word.unit:
        return None
    for scalar in args[1:]:
        value = tape("hadamard", scalar, value)
    return value if params[0] == 1 else tape("scale", value, params=params)
