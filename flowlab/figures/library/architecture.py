"""The diagram of a network: boxes in columns by depth, and brackets of the conservation laws between blocks."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flowlab.figures.figure import Curve, Panel, Picture, figures
from flowlab.figures.style import COLOURS, COLUMN, PAGE, STYLE, law_formula, shown
from flowlab.language.block_symbols import symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.result import Result

_LEAST, _PAD, _GAP = 0.13, 0.07, 0.28
"""Inches: the narrowest text of a box, what is around it, and what is between two columns for an arrow."""
_TITLE, _SMALL, _LINE = 8, 7, 0.13
"""Points of the name of a box and of its other lines; inches of a line."""
_TRACK, _BRACKET, _EDGE, _END = 0.2, 0.17, 0.1, 0.3
"""Inches: a lane without boxes, a level of brackets, the margin of the page, and the arrow of the output."""
_BESIDE, _ASIDE, _APART = 0.08, 0.05, 0.03
"""Inches: between the ties of two brackets within one column; beside the middle of a box, or beside boxes that a tie
passes, and between two of these.
"""
_CORNER, _TURN, _ROW, _TALL = 0.06, 0.05, 0.19, 0.28
"""Inches: a rounded corner, how far from the middle between two columns a connection turns, and a row of the list,
without and with sums, which have their indices below.
"""
_FILLS = {"block": "#DCEBF5", "input": "#FFFFFF", "operation": "#EFEFEF"}
_LAW = COLOURS[1]


class _Box(NamedTuple):
    """A box on the page: its lines of text (first the name), kind, strip, middle and size in inches."""

    lines: tuple[str, ...]
    kind: str
    strip: int
    x: float
    y: float
    width: float
    height: float


@figures.register("architecture")
class Architecture(Picture):
    """Boxes with the shapes of their blocks and the degrees κ of their scaling, where they have some; brackets join
    the blocks of a conservation law. Deep networks are cut into strips, as lines of a text are.
    """

    title = "operations, shapes and scaling degrees of a network, with the conservation laws between its blocks"
    of = "architecture"
    alone = True
    own_page = True

    def taken(self, given: Any) -> Any:
        from flowlab.language.diagram import KIND, architecture

        return given if getattr(given, "kind", None) == KIND else architecture(given)

    def curves(self, path: "Result") -> list[Curve]:
        """Coordinates are inches from the lower left corner of the page, whose size is the first curve."""
        return _Page(path.dataset, self.width).curves()

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        blocks = sum(c.look == "block" for c in curves)
        laws = sum(c.look == "text" for c in curves)
        told = f"{laws} laws, joined by number below the blocks that they tie" if laws else "No law is shown"
        return [f"{blocks} boxes with blocks, shaded, from the input at the left to the output", told]

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        return (Panel("", ""),)

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        return float(curves[0].x[1]), float(curves[0].y[1])

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        (ax,) = axes
        ax.set_xlim(0.0, curves[0].x[1])
        ax.set_ylim(0.0, curves[0].y[1])
        ax.axis("off")
        for curve in curves[1:]:
            _PAINT[curve.look](ax, curve)


class _Page:
    """Where everything of a diagram lies on its page."""

    def __init__(self, ds: Any, width: float | None = None) -> None:
        self.ds = ds
        self.column, self.lane = ds["column"].values.astype(int), ds["lane"].values.astype(int)
        self.lines = [tuple(_lines(ds, k)) for k in range(len(self.column))]
        self.widths = self._columns()
        total = sum(self.widths) + 2 * _EDGE + _END
        self.width = width or (COLUMN if total <= COLUMN else PAGE)
        self.strips = list(self._strips())
        self.middles = self._middles()
        self.laws = [(i, ds["tie_box"].values[ds["tie_law"].values == i]) for i in range(ds.sizes["law"])]
        self.levels = self._levels()
        self.heights, self.lanes = self._lanes()
        self.names, self.across = self._listed()
        self.rows = -(-len(self.names) // self.across)
        self.row = _TALL if any(r"\sum" in name for name in self.names) else _ROW
        under = _BRACKET * (1 + max(self.levels.values(), default=-1))
        self.strip = sum(self.heights.values()) + under + _EDGE
        self.height = self.strip * len(self.strips) + self.rows * self.row + _EDGE
        self.boxes = [self.box(k) for k in range(len(self.column))]

    def _columns(self) -> list[float]:
        """Widths of all columns, gap included."""
        longest = [_widest(lines) for lines in self.lines]
        return [max(longest[k] for k in np.flatnonzero(self.column == c)) + _GAP for c in range(max(self.column) + 1)]

    def _strips(self) -> Iterator[range]:
        """The columns of every strip, about as many in each."""
        room, total = self.width - 2 * _EDGE - _END, sum(self.widths)
        target = total / np.ceil(total / room)
        begin, used = 0, 0.0
        for c, width in enumerate(self.widths):
            if c > begin and (used + width > room or used >= target):
                yield range(begin, c)
                begin, used = c, 0.0
            used += width
        yield range(begin, len(self.widths))

    def _middles(self) -> list[tuple[int, float]]:
        """Strip and middle of every column."""
        found = []
        for s, columns in enumerate(self.strips):
            wide = sum(self.widths[c] for c in columns)
            x = _EDGE + max(0.0, self.width - 2 * _EDGE - _END - wide) / 2 * (len(self.strips) == 1)
            for c in columns:
                found.append((s, x + self.widths[c] / 2))
                x += self.widths[c]
        return found

    def _levels(self) -> dict[tuple[int, ...], int]:
        """A level below the boxes for every set of boxes that laws tie: brackets of one level do not overlap."""
        levels: dict[tuple[int, ...], int] = {}
        for _, ties in self.laws:
            group = tuple(int(k) for k in ties)
            if len(group) < 2 or group in levels:
                continue
            low, high = min(self.column[list(group)]), max(self.column[list(group)])
            others = [(level, min(self.column[list(g)]), max(self.column[list(g)])) for g, level in levels.items()]
            level = 0
            # Those within one column meet whatever begins or ends there.
            while any(
                level == other and ((a < high and low < b) or (low in (a, b) and (low == high or a == b)))
                for other, a, b in others
            ):
                level += 1
            levels[group] = level
        return levels

    def _lanes(self) -> tuple[dict[int, float], dict[int, float]]:
        """Height of every lane, and its middle above the lowest one's bottom."""
        used = sorted({*self.lane.tolist(), *self.ds["edge_lane"].values.astype(int).tolist()})
        heights = {
            lane: max((self._box_height(int(k)) + 0.16 for k in np.flatnonzero(self.lane == lane)), default=_TRACK)
            for lane in used
        }
        at, middles = 0.0, {}
        for lane in used:
            middles[lane] = at + heights[lane] / 2
            at += heights[lane]
        return heights, middles

    def _box_height(self, k: int) -> float:
        return _LINE * len(self.lines[k]) + 2 * 0.05

    def _listed(self) -> tuple[list[str], int]:
        """The laws as they are listed below the strips, and in how many columns."""
        told = zip(self.ds["law_latex"].values.tolist(), self.ds["law_text"].values.tolist(), strict=True)
        names = [f"{i}   {law_formula(latex, text)}" for i, (latex, text) in enumerate(told, 1)]
        wide = 0.35 + max(map(_width, names), default=0.0)
        return names, max(1, min(int((self.width - 2 * _EDGE) / wide), -(-len(names) // 4)))

    def base(self, strip: int) -> float:
        """Where the lowest lane of a strip begins."""
        below = (len(self.strips) - 1 - strip) * self.strip + self.rows * self.row + _EDGE
        return below + self.strip - sum(self.heights.values())

    def box(self, k: int) -> _Box:
        """A box on the page."""
        strip, x = self.middles[self.column[k]]
        kind = "input" if not (self.ds["edge_to"].values == k).any() and not self.ds["blocks"].values[k] else "block"
        kind = kind if self.ds["blocks"].values[k] or kind == "input" else "operation"
        width = _widest(self.lines[k])
        return _Box(
            self.lines[k], kind, strip, x, self.base(strip) + self.lanes[self.lane[k]], width, self._box_height(k)
        )

    def curves(self) -> list[Curve]:
        """All that is drawn."""
        boxes = self.boxes
        out = [Curve("page", np.array([0.0, self.width]), np.array([0.0, self.height]), look="page")]
        for a, b, lane in zip(
            *(self.ds[f"edge_{name}"].values.tolist() for name in ("from", "to", "lane")), strict=True
        ):
            out += self._edge(boxes[a], boxes[b], a, b, lane)
        end = boxes[-1]
        tip = np.array([end.x + end.width / 2, end.x + end.width / 2 + _END - 0.05])
        out.append(Curve("output", tip, np.full(2, end.y), look="arrow"))
        for group, level in self.levels.items():
            numbers = ", ".join(str(i + 1) for i, ties in self.laws if tuple(ties.tolist()) == group)
            out += self._bracket([boxes[k] for k in group], level, numbers)
        for box in boxes:
            x, y = box.x - box.width / 2, box.y - box.height / 2
            corner = np.array([x + box.width]), np.array([y + box.height])
            label = " | ".join(box.lines)
            out.append(Curve(label, np.array([x]), np.array([y]), x_to=corner[0], y_to=corner[1], look=box.kind))
        for i, text in enumerate(self.names):
            x = _EDGE + (i // self.rows) * (self.width - 2 * _EDGE) / self.across
            y = _EDGE + (self.rows - i % self.rows - 0.5) * self.row
            out.append(Curve(text, np.array([x]), np.array([y]), look="text"))
        return out

    def _edge(self, a: _Box, b: _Box, i: int, k: int, lane: int) -> list[Curve]:
        """A connection, in pieces where it goes from strip to strip; it turns between columns."""
        after = self.middles[self.column[i]][1] + self.widths[self.column[i]] / 2
        before = self.middles[self.column[k]][1] - self.widths[self.column[k]] / 2
        pieces = []
        for strip in range(a.strip, b.strip + 1):
            y = self.base(strip) + self.lanes[lane]
            points = [(a.x + a.width / 2, a.y), (after - _TURN, a.y), (after + _TURN, y)]
            if strip > a.strip:
                points = [(0.0, y)]
            if strip < b.strip:
                points.append((self.right(strip), y))
            else:
                points += [(before - _TURN, y), (before + _TURN, b.y), (b.x - b.width / 2, b.y)]
            # Between neighbours there is one turn alone; where nothing turns, points are those of one line.
            points = points[:2] + points[4:] if len(points) == 6 and self.column[k] == self.column[i] + 1 else points
            flat = len({round(v, 9) for _, v in points}) == 1
            ends = np.array([points[0], points[-1]] if flat else points)
            pieces.append(Curve("connection", ends[:, 0], ends[:, 1], look="arrow" if strip == b.strip else "line"))
        return pieces

    def right(self, strip: int) -> float:
        """Where a strip ends."""
        last = self.strips[strip][-1]
        return self.middles[last][1] + self.widths[last] / 2 + _TURN

    def _bracket(self, tied: list[_Box], level: int, numbers: str) -> list[Curve]:
        """The bracket of laws below the boxes that they tie, in pieces where it goes from strip to strip."""
        out = []
        first, last = min(box.strip for box in tied), max(box.strip for box in tied)
        for strip in range(first, last + 1):
            here = sorted((box for box in tied if box.strip == strip), key=lambda box: box.x)
            y = self.base(strip) - _BRACKET * (level + 0.6)
            ties = [self._tie(box, here, level, y) for box in here]
            ats = [float(x[-1]) for x, _ in ties]
            left = min(ats) if strip == first else 0.0
            right = max(ats) if strip == last else self.right(strip)
            out.append(Curve(numbers, np.array([left, right]), np.array([y, y]), look="bracket"))
            out += [Curve("tie", x, down, look="tie") for x, down in ties]
        return out

    def _tie(self, box: _Box, tied: Sequence[_Box], level: int, y: float) -> tuple[np.ndarray, np.ndarray]:
        """The line from a box down to its bracket, among the boxes of a strip that it ties: from its side, where other
        boxes stand below it.
        """
        inward = 1.0 if box.x == min(each.x for each in tied) else -1.0
        below = [b for b in self.boxes if b.strip == box.strip and b.x == box.x and b.y < box.y]
        if below:
            side = max(b.width for b in [box, *below]) / 2 + _ASIDE + _APART * level
            start, x = box.x + inward * box.width / 2, box.x + inward * side
            return np.array([start, x, x]), np.array([box.y - box.height / 4, box.y - box.height / 4, y])
        alone = len({each.x for each in tied}) == 1
        x = box.x - _BESIDE * level if alone else box.x + inward * _ASIDE
        return np.array([x, x]), np.array([box.y - box.height / 2, y])


def _lines(ds: Any, k: int) -> Iterator[str]:
    """The text of a box: its name, functions behind it, shapes and degrees of its blocks."""
    names = str(ds["blocks"].values[k]).split() or [str(ds["text"].values[k])]
    yield from (_titled(text, names) for text in str(ds["text"].values[k]).split("\n"))
    yield from (shown(text) for text in str(ds["after"].values[k]).split("\n") if text)
    yield from (_dimensions(text) for text in str(ds["shape"].values[k]).split("\n") if text)
    yield from (rf"$\kappa = {text}$" for text in str(ds["degree"].values[k]).split("\n") if text)


def _titled(text: str, names: Sequence[str]) -> str:
    """A line of a title, with the names in it as formulas."""
    # Not what stands in quotes, such as the letters of `einsum`.
    found = re.split(rf"\b({'|'.join(map(re.escape, names))})\b(?=(?:[^']*'[^']*')*[^']*$)", text)
    return "".join(f"${_named(part)}$" if i % 2 else shown(part) for i, part in enumerate(found))


def _named(name: str) -> str:
    """A name as a formula: W1 has its number as an index."""
    if name.isidentifier():
        return symbol(name)
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"


def _dimensions(text: str) -> str:
    """A shape as a formula: h_W1 x d."""
    parts = []
    for part in text.split(" x "):
        name, _, index = part.partition("_")
        parts.append(f"{name}_{{{_named(index)}}}" if index else name)
    whole = r" \times ".join(parts)
    return f"${whole}$"


def _width(text: str, points: float = _SMALL) -> float:
    """How wide a text is as the figure sets it, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=STYLE["font.family"], math_fontfamily=STYLE["mathtext.fontset"])
    return float(TextPath((0.0, 0.0), text, size=points, prop=font).get_extents().width) / 72.0


def _widest(lines: Sequence[str]) -> float:
    """The width of a box with these lines, in inches; the first one is its name."""
    wide = max(_width(text, _SMALL if i else _TITLE) for i, text in enumerate(lines))
    return max(wide, _LEAST) + 2 * _PAD


def _paint_box(ax: "Axes", curve: Curve) -> None:
    from matplotlib.patches import FancyBboxPatch

    assert curve.x_to is not None
    assert curve.y_to is not None
    x, y = float(curve.x[0]), float(curve.y[0])
    width, height = float(curve.x_to[0]) - x, float(curve.y_to[0]) - y
    style = f"round,pad=0,rounding_size={_CORNER}"
    ax.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=_FILLS[curve.look], edgecolor="#333333", lw=0.7)
    )
    lines = curve.label.split(" | ")
    for i, text in enumerate(lines):
        at = y + height - 0.05 - _LINE * (i + 0.5)
        ax.text(x + width / 2, at, text, ha="center", va="center", fontsize=_SMALL if i else _TITLE)


def _paint_line(ax: "Axes", curve: Curve) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    points = np.stack([curve.x, curve.y], axis=1)
    style = "-|>,head_length=3,head_width=1.6" if curve.look == "arrow" else "-"
    ax.add_patch(FancyArrowPatch(path=Path(points.tolist()), arrowstyle=style, color="#333333", lw=0.8, zorder=0.5))


def _paint_bracket(ax: "Axes", curve: Curve) -> None:
    ax.plot(curve.x, curve.y, color=_LAW, linewidth=0.9, zorder=0.4)
    if curve.look == "bracket":
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        middle = float(curve.x.mean()), float(curve.y[0])
        ax.text(*middle, curve.label, ha="center", va="center", fontsize=_SMALL, color=_LAW, bbox=box)


def _paint_text(ax: "Axes", curve: Curve) -> None:
    number, _, law = curve.label.partition(" ")
    ax.text(float(curve.x[0]), float(curve.y[0]), number, va="center", fontsize=_SMALL, color=_LAW)
    # The plain font of figures has other glyphs in the place of | and <.
    family = None if "$" in law else "DejaVu Sans"
    ax.text(float(curve.x[0]) + 0.2, float(curve.y[0]), law.strip(), va="center", fontsize=_SMALL, fontfamily=family)


_PAINT: Any = {
    **dict.fromkeys(_FILLS, _paint_box),
    **dict.fromkeys(("arrow", "line"), _paint_line),
    **dict.fromkeys(("bracket", "tie"), _paint_bracket),
    "text": _paint_text,
}
