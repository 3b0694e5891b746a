"""Where a network has kinks: its activations whose slope jumps at zero, and what is known of their arguments.

On a piece, between two kinks, every slot is multiplication by a slope, so the network is smooth there and stays defined
across the kink: this is what makes the time of a crossing a root that can be found, and a slope between the two sides a
number like any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flowlab.language.activations import Activation
from flowlab.language.expr import Expr
from flowlab.language.operations import Operation, operations
from flowlab.language.traversal import fold, function_of
from flowlab.language.types import Type


@dataclass(frozen=True)
class Slot:
    """An activation with a kink at zero.

    Attributes:
        nodes: identities of the nodes that are this activation of this argument.
        argument: the pre-activation.
        left, right: slopes on both sides of zero.
        tracked: whether crossing the kink bends the flow. Not where only powers above one of the activation are used,
            which have no kink; nor where the slope could not be told by two numbers.
        degree: of the pre-activation as a polynomial in the weights, as long as no slope jumps; None where it is none.
        blocks: weight blocks that the pre-activation depends on.
        sampled: whether the pre-activation has an entry per sample; a kink of weights themselves, as in `abs(W) @ x`,
            has none.
    """

    nodes: tuple[int, ...]
    argument: Expr
    left: float
    right: float
    tracked: bool
    degree: int | None
    blocks: frozenset[str]
    sampled: bool = True


def kinked(nodes: Sequence[Expr], type_of: Callable[[Expr], Type]) -> tuple[Slot, ...]:
    """The slots of a network; equal activations of equal arguments are one.

    Args:
        nodes: operands before the nodes that use them.
        type_of: a node's type.
    """
    keys: dict[int, int] = {}
    number: dict[Any, int] = {}
    users: dict[int, list[Expr]] = {}
    degree: dict[int, int | None] = fold(nodes, lambda: 0, lambda _: 1, _degree)
    blocks: dict[int, frozenset[str]] = fold(
        nodes, frozenset, lambda name: frozenset({name}), lambda _, parts, __: frozenset().union(*parts)
    )
    found: dict[int, tuple[Activation, list[Expr]]] = {}
    for node in nodes:
        key = (node.op, tuple(keys[id(arg)] for arg in node.args), node.block or node.params)
        keys[id(node)] = number.setdefault(key, len(number))
        for arg in node.args:
            users.setdefault(keys[id(arg)], []).append(node)
        word = function_of(node)
        if word is not None and word.kinks:
            found.setdefault(keys[id(node)], (word, []))[1].append(node)
    slots = []
    for key, (activation, same) in found.items():
        argument = same[0].args[0]
        use = users.get(key, [])
        smooth = bool(use) and all(operations[user.op]().smooths_kinks(user.params) for user in use)
        known = activation.kinks == (0.0,) and activation.degree == 1 and bool(blocks[id(argument)])
        left, right = activation.sides[0]
        tracked, sampled, own = known and not smooth, type_of(argument).sampled, id(argument)
        names = tuple(id(n) for n in same)
        slots.append(Slot(names, argument, left, right, tracked, degree[own], blocks[own], sampled))
    return tuple(slots)


def _degree(word: Operation, parts: Sequence[int | None], node: Expr) -> int | None:
    known = [part for part in parts if part is not None]
    return word.polynomial_degree(known, node.params) if len(known) == len(parts) else None
