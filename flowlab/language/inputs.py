"""What the structure of a network says of its outputs as functions of the input, whatever the weights are."""

from collections.abc import Sequence

from flowlab.language.expr import Expr
from flowlab.language.input_facts import CONSTANT, IDENTITY, AsFunction
from flowlab.language.operations import Operation
from flowlab.language.traversal import fold

__all__ = ["AsFunction", "as_function"]


def as_function(nodes: Sequence[Expr]) -> AsFunction:
    """Of the last node.

    Args:
        nodes: operands before the nodes that use them.

    Raises:
        MissingRule: if an operation has no rule `as_function`.
    """
    return fold(nodes, lambda node: IDENTITY if node.is_input else CONSTANT, lambda _: CONSTANT, _applied)[
        id(nodes[-1])
    ]


def _applied(word: Operation, parts: Sequence[AsFunction], node: Expr) -> AsFunction:
    # Whatever the operation is, it makes a constant of constants.
    if all(part.constant for part in parts):
        return CONSTANT
    # Where other samples are in it, it is no function of this one's input alone.
    return AsFunction() if word.mixes_samples(node.params) else word.as_function(parts, node.params)
