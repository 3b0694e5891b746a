"""One fold over an expression: a value for every node, from the values of its operands and the rule of its operation.

    degrees = fold(f, lambda _: 0, lambda _: 1, lambda word, parts, node: word.polynomial_degree(parts, node.params))

The fold is a loop over nodes, each of them met once, so neither long chains nor shared parts cost recursion or time. A
rule is a method of the operation's class, and an operation without it raises `MissingRule`: no walker falls back to a
weaker answer.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from flowlab.language.activations import Activation
from flowlab.language.expr import Expr
from flowlab.language.operations.base import Operation, operations

T = TypeVar("T")


def fold(
    expression: Expr | Iterable[Expr],
    read: Callable[[Expr], T],
    weigh: Callable[[str], T],
    apply: Callable[[Operation, Sequence[T], Expr], T],
    known: dict[int, T] | None = None,
) -> dict[int, T]:
    """The value of every node, by its identity.

    Args:
        expression: an expression, or its nodes with operands before the nodes that use them.
        read: the value of an input or a constant, from its node.
        weigh: the value of the weight block of a name.
        apply: the value of an operation, from its word, the values of its operands and its node (for parameters).
        known: values of nodes that are met outside the expression; those inside it are written there too.

    Raises:
        UnknownName: if a node's operation is not registered.
        MissingRule: if an operation has no rule of the kind that `apply` asks for.
    """
    values: dict[int, T] = {} if known is None else known
    for node in expression.nodes() if isinstance(expression, Expr) else expression:
        if node.block is not None:
            values[id(node)] = weigh(node.block)
        elif node.leaf is not None:
            values[id(node)] = read(node)
        else:
            values[id(node)] = apply(operations[node.op](), [values[id(arg)] for arg in node.args], node)
    return values


def word_of(node: Expr) -> Operation | None:
    """The operation of a node; None at the input and at weights."""
    return operations[node.op]() if node.args else None


def function_of(node: Expr) -> Activation | None:
    """The elementwise function that a node applies; None where it is none."""
    word = word_of(node)
    return word.function(node.params) if word is not None else None


def symmetric_constants(nodes: Sequence[Expr]) -> frozenset[str]:
    """The constants that words take which want a symmetric matrix."""
    takers = (node for node in nodes if node.args and operations[node.op].wants_symmetric)
    return frozenset(node.args[0].params[0] for node in takers if node.args[0].is_constant)
