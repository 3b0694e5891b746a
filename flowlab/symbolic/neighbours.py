"""Blocks next to one another: of which one acts on the product of the other, behind functions and factors."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from flowlab.language.expr import Expr
from flowlab.language.network import Network
from flowlab.language.operations.base import Channel
from flowlab.language.problem import Problem
from flowlab.language.traversal import word_of


@dataclass(frozen=True)
class Neighbours:
    """Two blocks of which `outer` acts on `inner`'s product alone,
    behind functions and factors of joint degree `degree`, entry by entry if `diagonal`.
    """

    inner: str
    outer: str
    diagonal: bool
    degree: Fraction


def adjacent(problem: Problem) -> list[Neighbours]:
    """All neighbouring blocks that are used once each."""
    network = problem.network
    uses = Counter(arg.block for node in network.nodes for arg in node.args if arg.block is not None)
    parents = Counter(id(arg) for node in network.nodes for arg in node.args)
    chained = {id(arg) for node in network.nodes for arg in node.args if _is_product(node) and parents[id(arg)] == 1}

    def factors(node: Expr) -> list[Expr]:
        """A product's factors from left to right, however it was bracketed and whatever numbers it is multiplied by."""
        out, stack = [], [node]
        while stack:
            here = stack.pop()
            alone = here is node or parents[id(here)] == 1
            part = _multiplied(network, here) if alone else None
            if part is not None:
                stack.append(part)
            elif _is_product(here) and alone:
                stack += here.args[::-1]
            else:
                out.append(here)
        return out

    found = []
    for node in network.nodes:
        if not _is_product(node) or id(node) in chained:
            continue
        chain = factors(node)
        for outer, below in pairwise(chain):
            for inner, diagonal, degree in _behind(network, below, parents):
                if inner is not below and not _is_product(inner):
                    # A weight alone behind a function acts on nothing.
                    continue
                a, b = factors(inner)[0].block, outer.block
                if a is not None and b is not None and uses[a] == uses[b] == 1 and len(network.shapes[a]) == 2:
                    found.append(Neighbours(a, b, diagonal, degree))
    place = {w: i for i, w in enumerate(network.weights)}
    # A product multiplied by a number is met by itself as well as in the product around it.
    return sorted(dict.fromkeys(found), key=lambda n: place[n.inner])


def _is_product(node: Expr) -> bool:
    word = word_of(node)
    return word is not None and word.composes


def _channels(network: Network, node: Expr) -> tuple[Channel, ...]:
    """The operands that a balance passes to at a node; none at a leaf."""
    word = word_of(node)
    return word.channels([network.type_of(arg) for arg in node.args], node.params) if word is not None else ()


def _multiplied(network: Network, node: Expr) -> Expr | None:
    """What a constant, or one number of the network, multiplies as a whole; None where there is neither."""
    passed = _channels(network, node)
    whole = len(passed) == 1 and not passed[0].entrywise and passed[0].degree == 1
    return node.args[passed[0].operand] if whole else None


def _behind(network: Network, node: Expr, parents: Counter[int]) -> Iterator[tuple[Expr, bool, Fraction]]:
    """What stands behind the elementwise functions and factors at a node,
    whether it passes them entry by entry alone, and their joint degree in it.
    """
    stack = [(node, False, Fraction(1))]
    while stack:
        node, diagonal, degree = stack.pop()
        if parents[id(node)] != 1 and node.block is None:
            continue
        passed = _channels(network, node)
        stack += [(node.args[c.operand], diagonal or c.entrywise, degree * c.degree) for c in passed[::-1]]
        if not passed:
            yield node, diagonal, degree
