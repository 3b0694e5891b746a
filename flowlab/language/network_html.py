"""A network as notebooks show it: its formula, and a table of its blocks and inputs."""

from typing import Protocol, runtime_checkable

from flowlab.core import html
from flowlab.core.html import Markup
from flowlab.language.boxes import Box, Nodes, boxes_of, placed
from flowlab.language.degrees import Symmetry
from flowlab.language.types import Dim

MOST = 40
"""Boxes that a diagram in a notebook shows; `fl.draw("architecture", network)` shows more."""
_WIDE, _HIGH, _LETTER, _GAP = 60.0, 44.0, 7.5, 22.0
"""Least width of a box and height of a lane, width of a letter, and space between columns, in pixels."""


@runtime_checkable
class Shaped(Nodes, Protocol):
    """A network, as far as it is shown."""

    roles: dict[str, str]
    shapes: dict[str, tuple[Dim, ...]]
    inputs: dict[str, tuple[Dim, ...]]
    constants: dict[str, tuple[Dim, ...]]
    symmetry: Symmetry


def network_parts(network: Shaped) -> list[str]:
    """The formula, its scaling symmetry, and a row for every leaf: role, axes, degree."""
    shapes = {**network.shapes, **network.inputs, **network.constants}
    rows = [
        (name, role, " × ".join(map(str, shapes.get(name, ()))) or "scalar", _degree(name, network.symmetry))
        for name, role in network.roles.items()
    ]
    return [
        Markup("<code>{}</code>").format(str(network)),
        *_drawn(network),
        html.soft(network.symmetry.kind),
        html.table(("leaf", "role", "axes", "degree"), rows, "leaves of the network"),
    ]


def _degree(name: str, symmetry: Symmetry) -> str:
    degree = symmetry.degree(name) if name in symmetry.weights else None
    return "" if degree is None else str(degree)


def _drawn(network: Shaped) -> list[Markup]:
    """The boxes of the network and what joins them, as a picture of lines and words; none for long networks."""
    boxes = boxes_of(network)
    if len(boxes) > MOST:
        return []
    edges = placed(boxes)
    top, columns = max(box.lane for box in boxes), range(max(box.column for box in boxes) + 1)
    widths = [max((_width(box) for box in boxes if box.column == c), default=_WIDE) for c in columns]
    lefts = [sum(widths[:c]) + c * _GAP + 4.0 for c in columns]
    lowest = min(min(box.lane for box in boxes), min((lane for *_, lane in edges), default=0))
    top = max(top, max((lane for *_, lane in edges), default=0))
    lines = [_line(boxes[a], boxes[b], lane, lefts, widths, top) for a, b, lane in edges]
    shapes = [_box(box, lefts[box.column], widths[box.column], _middle(box.lane, top)) for box in boxes]
    picture = Markup(
        '<div class="wide"><svg role="img" aria-label="diagram of the network" width="{0:.0f}" height="{1:.0f}"'
        ' viewBox="0 0 {0:.0f} {1:.0f}" fill="none" stroke="currentColor" font-size="12">{2}</svg></div>'
    )
    size = lefts[-1] + widths[-1] + 4.0, (top - lowest + 1) * _HIGH
    return [picture.format(*size, Markup().join([*lines, *shapes]))]


def _words(box: Box) -> list[str]:
    return [box.text or "x", *box.after]


def _width(box: Box) -> float:
    return max(_WIDE, 16.0 + _LETTER * max(map(len, _words(box))))


def _middle(lane: int, top: int) -> float:
    return (top - lane + 0.5) * _HIGH


def _line(a: Box, b: Box, lane: int, lefts: list[float], widths: list[float], top: int) -> Markup:
    """A connection, which runs in its own lane between the columns of its ends."""
    begin, end = lefts[a.column] + widths[a.column], lefts[b.column]
    ways = [(begin, _middle(a.lane, top)), (begin + 8.0, _middle(lane, top))]
    ways += [(end - 8.0, _middle(lane, top)), (end, _middle(b.lane, top))]
    return Markup('<polyline points="{}"></polyline>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in ways))


def _box(box: Box, left: float, width: float, middle: float) -> Markup:
    words = _words(box)
    high = 14.0 * len(words) + 6.0
    frame = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="4"></rect>')
    told = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="middle" fill="currentColor" stroke="none">{}</text>')
    first = middle - 7.0 * (len(words) - 1) + 4.0
    lines = [told.format(left + width / 2, first + 14.0 * i, word) for i, word in enumerate(words)]
    return Markup().join([frame.format(left, middle - high / 2, width, high), *lines])
