"""The operations of a network as boxes in columns by depth, in lanes where paths run side by side.

A box is an operation on values that depend on the input, with the weight blocks that it applies and with the functions
of one operand that follow it. The longest path from the input to the output lies in lane 0; what runs beside it gets
the free lane that is nearest, so that no connection crosses a box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Protocol, runtime_checkable

from flowlab.language.expr import Expr
from flowlab.language.operations import Piece
from flowlab.language.traversal import word_of
from flowlab.language.types import Type

_HOLE = "·"
"""Stands for an operand that depends on the input."""
_FUSED = 2
"""Functions of one operand that the box before them shows; more would make it too tall to read."""
_DIGITS = 24
"""Characters of a line of what an operation is called."""


@runtime_checkable
class Nodes(Protocol):
    """A network, as far as its boxes ask."""

    nodes: tuple[Expr, ...]

    def text_of(self, node: Expr) -> str: ...

    def type_of(self, node: Expr) -> Type: ...


@dataclass
class Box:
    """An operation on the way from the input to the output.

    Attributes:
        text: what it does; empty for the input.
        blocks: the weight blocks that it applies.
        inputs: boxes whose values it takes.
        node: the expression whose value it has.
        after: functions that are applied to its value.
        column: the depth, from 0 at the input.
        lane: 0 on the longest path; above it positive.
    """

    text: str
    blocks: tuple[str, ...]
    inputs: tuple[int, ...]
    node: Expr
    after: list[str] = field(default_factory=list)
    column: int = 0
    lane: int = 0


@dataclass(frozen=True)
class _Inside:
    """A value within a call that is drawn as one box: the boxes that the call takes so far, and its blocks."""

    inputs: tuple[int, ...]
    blocks: tuple[str, ...]


_Value = int | tuple[Piece, tuple[str, ...]] | _Inside
"""A box, an expression of blocks alone, or a value within a call."""


def boxes_of(network: Nodes) -> list[Box]:
    """The boxes of a network, operands before what uses them; a call that is composed of operations is one box."""
    users = _users(network)
    boxes: list[Box] = []
    values: dict[int, _Value] = {}
    for node in network.nodes:
        word = word_of(node)
        if word is None and node.block is None:
            values[id(node)] = len(boxes)
            boxes.append(Box(network.text_of(node), (), (), node))
            continue
        if word is None:
            values[id(node)] = Piece(str(node.block)), (str(node.block),)
            continue
        parts = [values[id(arg)] for arg in node.args]
        pieces = [part[0] if isinstance(part, tuple) else Piece(_HOLE) for part in parts]
        blocks = tuple(dict.fromkeys(name for part in parts for name in _blocks(part)))
        made = word.render(False, pieces, [network.type_of(arg) for arg in node.args], node.params)
        before = tuple(dict.fromkeys(i for part in parts for i in _inputs(part)))
        if not before:
            values[id(node)] = made, blocks
        elif users[id(node)] == {_call(node)} and node.within:
            values[id(node)] = _Inside(before, blocks)
        else:
            within = node.within and any(isinstance(part, _Inside) for part in parts)
            text = _called(str(node.within).replace("…", _HOLE) if within else made.text)
            # What a call takes is not told apart, so that its blocks have a line of their own.
            text = "\n".join((text, ", ".join(blocks))) if within and blocks else text
            values[id(node)] = _added(boxes, Box(text, blocks, before, node), users)
    return boxes


def _call(node: Expr) -> int:
    """What a node is drawn as a part of: the call that it was composed for, or itself."""
    return id(node.within) if node.within else id(node)


def _users(network: Nodes) -> dict[int, set[int]]:
    """What uses the value of each node; all of one call are one."""
    found: dict[int, set[int]] = {id(node): set() for node in network.nodes}
    for node in network.nodes:
        for arg in node.args:
            found[id(arg)].add(_call(node))
    return found


def _blocks(part: _Value) -> tuple[str, ...]:
    return part[1] if isinstance(part, tuple) else part.blocks if isinstance(part, _Inside) else ()


def _inputs(part: _Value) -> tuple[int, ...]:
    return (part,) if isinstance(part, int) else part.inputs if isinstance(part, _Inside) else ()


def _added(boxes: list[Box], box: Box, users: dict[int, set[int]]) -> int:
    """The box that shows an operation: the one before it, where it is a function of that one alone, or its own."""
    first, *others = box.inputs
    last = boxes[first]
    alone = not others and not box.blocks and last.inputs and len(users[id(last.node)]) == 1
    if not alone or len(last.after) >= _FUSED or "\n" in box.text:
        boxes.append(box)
        return len(boxes) - 1
    last.after.append(box.text)
    last.node = box.node
    return first


def _called(text: str) -> str:
    """What an operation is called: `relu(·)` is relu, `W1 @ ·` is W1, `· + ·` is +; what is long has several lines."""
    if text.endswith(f"({_HOLE})") and text.count("(") == 1:
        text = text[: -len(_HOLE) - 2]
    elif "(" not in text:
        text = text.replace(_HOLE, "").strip().removesuffix(" @")
    if len(text) <= _DIGITS:
        return text
    # The letters of `einsum` have a line of their own.
    head, quote, tail = text.rpartition("', ")
    lines = [head + quote.strip(), ""] if head else [""]
    for word in tail.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if len(longer) <= _DIGITS or not lines[-1] else [*lines, word]
    return "\n".join(lines)


def placed(boxes: list[Box]) -> list[tuple[int, int, int]]:
    """Set column and lane of every box; all connections as (from, to, lane between them)."""
    for box in boxes:
        box.column = max((boxes[i].column + 1 for i in box.inputs), default=0)
    edges = [(i, k) for k, box in enumerate(boxes) for i in box.inputs]
    for k, box in enumerate(boxes):
        followers = [boxes[b].column for a, b in edges if a == k]
        # What has no input stands beside what it is used by.
        box.column = box.column if box.inputs or not followers or k == 0 else max(box.column, min(followers) - 1)
    taken: set[tuple[int, int]] = set()
    left = set(range(len(boxes)))
    while left:
        line = _longest(boxes, left)
        first, last = boxes[line[0]], boxes[line[-1]]
        begin = max((boxes[i].column + 1 for i in first.inputs), default=first.column)
        end = min((boxes[b].column - 1 for a, b in edges if a == line[-1]), default=last.column)
        lane = _free(taken, range(min(begin, first.column), max(end, last.column) + 1))
        for k in line:
            boxes[k].lane = lane
        taken |= {(column, lane) for column in range(first.column, last.column + 1)}
        left -= set(line)
    found = []
    for a, b in sorted(edges, key=lambda edge: boxes[edge[1]].column - boxes[edge[0]].column):
        between = range(boxes[a].column + 1, boxes[b].column)
        straight = boxes[a].lane == boxes[b].lane and _next(boxes, a, b)
        lane = boxes[b].lane if straight or not between else _free(taken, between, (boxes[a].lane, boxes[b].lane))
        if between and not straight:
            taken |= {(column, lane) for column in between}
        found.append((a, b, lane))
    return found


def _next(boxes: list[Box], a: int, b: int) -> bool:
    """Whether no box lies between two of one lane."""
    return not any(boxes[a].column < box.column < boxes[b].column and box.lane == boxes[a].lane for box in boxes)


def _longest(boxes: list[Box], left: set[int]) -> list[int]:
    """The longest chain of boxes that are left, each an input of the next one."""
    length: dict[int, tuple[int, int]] = {}
    for k in sorted(left, key=lambda k: boxes[k].column):
        before = max(((length[i][0], i) for i in boxes[k].inputs if i in length), default=(0, -1))
        length[k] = before[0] + 1, before[1]
    at = max(length, key=lambda k: (length[k][0], k))
    line = [at]
    while length[line[-1]][1] >= 0:
        line.append(length[line[-1]][1])
    return line[::-1]


def _free(taken: set[tuple[int, int]], columns: range, first: Sequence[int] = ()) -> int:
    """A lane in which no column is taken: one of the first, else the one nearest to 0, above before below."""
    near = (k for i in count() for k in ((i, -i) if i else (0,)))
    return next(lane for lane in chain(first, near) if not any((column, lane) in taken for column in columns))
