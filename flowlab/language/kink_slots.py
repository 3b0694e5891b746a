"""Where a network has kinks: its activations whose slope jumps at zero, and what is known of their arguments.

On a piece, between two kinks, every slot is multiplication by a slope, so the network is smooth there and stays defined
across the kink: this is what makes the time of a crossing a root that can be found, and a slope between the two sides a
number like any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowlab.language.activations import Activation
from flowlab.language.expr import Expr, numbered
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
        bends: whether crossing the kink bends the flow; not where only powers above one of the activation are used,
            which have no kink.
        tracked: whether it bends the flow and the activation is its argument times one of two numbers, left and right.
        degree: of the pre-activation as a polynomial in the weights, as long as no slope jumps; None where it is none.
        blocks: weight blocks that the pre-activation depends on.
        sampled: whether the pre-activation has an entry per sample; a kink of weights themselves, as in `abs(W) @ x`,
            has none.
    """

    nodes: tuple[int, ...]
    argument: Expr
    left: float
    right: float
    bends: bool
    tracked: bool
    degree: int | None
    blocks: frozenset[str]
    sampled: bool = True


def jumping(nodes: Sequence[Expr]) -> bool:
    """Whether some activation jumps, as a step does."""
    return any(word.jumps for word in map(function_of, nodes) if word is not None)


def kinked(nodes: Sequence[Expr], type_of: Callable[[Expr], Type]) -> tuple[Slot, ...]:
    """The slots of a network; equal activations of equal arguments are one.

    Args:
        nodes: operands before the nodes that use them.
        type_of: a node's type.
    """
    keys = numbered(nodes)
    users: dict[int, list[Expr]] = {}
    degree: dict[int, int | None] = fold(nodes, lambda _: 0, lambda _: 1, _degree)
    blocks: dict[int, frozenset[str]] = fold(
        nodes,
        lambda _: frozenset[str](),
        lambda name: frozenset({name}),
        lambda _, parts, __: frozenset().union(*parts),
    )
    found: dict[int, tuple[Activation, list[Expr]]] = {}
    for node in nodes:
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
        bends, sampled, own = not smooth, type_of(argument).sampled, id(argument)
        names = tuple(id(n) for n in same)
        slots.append(Slot(names, argument, left, right, bends, bends and known, degree[own], blocks[own], sampled))
    return tuple(slots)


def _degree(word: Operation, parts: Sequence[int | None], node: Expr) -> int | None:
    known = [part for part in parts if part is not None]
    return word.polynomial_degree(known, node.params) if len(known) == len(parts) else None
