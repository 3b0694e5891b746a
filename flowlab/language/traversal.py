"""One fold over an expression: a value for every node, from the values of its operands and the rule of its operation.

    degrees = fold(f, read=lambda: 0, weigh=lambda _: 1, apply=lambda word, parts, params: word.polynomial_degree(parts, params))

The fold is a loop over nodes, each of them met once, so neither long chains nor shared parts cost recursion or time. A rule is a
method of the operation's class, and an operation without it raises `MissingRule`: no walker falls back to a weaker answer.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from flowlab.language.expr import Expr
from flowlab.language.operations.base import Operation, operations

T = TypeVar("T")


def fold(
    expression: Expr | Iterable[Expr],
    read: Callable[[], T],
    weigh: Callable[[str], T],
    apply: Callable[[Operation, Sequence[T], tuple], T],
) -> dict[int, T]:
    """The value of every node, by its identity.

    Args:
        expression: an expression, or its nodes with operands before the nodes that use them.
        read: the value of the input.
        weigh: the value of the weight block of a name.
        apply: the value of an operation, from its word, the values of its operands and its parameters.

    Raises:
        UnknownName: if a node's operation is not registered.
        MissingRule: if an operation has no rule of the kind that `apply` asks for.
    """
    values: dict[int, T] = {}
    for node in expression.nodes() if isinstance(expression, Expr) else expression:
        if node.op == "input":
            values[id(node)] = read()
        elif node.op == "weight":
            values[id(node)] = weigh(node.params[0])
        else:
            values[id(node)] = apply(operations[node.op](), [values[id(arg)] for arg in node.args], node.params)
    return values
