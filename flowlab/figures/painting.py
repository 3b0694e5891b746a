"""Curves as marks on axes: how each looks, scales of axes, legends."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.core.typing import Record
from flowlab.figures.curve import LOG_L, LOG_T, TRUE_LENGTH, Curve, Panel
from flowlab.figures.style import DASHES, GUIDE, MARKS, palette, shown

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_LATE = 100.0
"""Beyond this log t the axis of log t is itself logarithmic, but around zero."""
_HUGE = 1e250
"""Above which a logarithmic axis gets no room around its curves."""
_TONES = (0.0, -0.45, 0.45, -0.7, 0.65)
"""How far the colour of a block goes towards black (below 0) or white, from result to result: dashes on a line of the
same colour would not be seen.
"""
_ARROW = {"units": "inches", "width": 0.012, "headwidth": 4.0, "headlength": 4.5, "headaxislength": 4.0}
"""Of arrows: their size on paper does not depend on that of the axes."""


def looks(curves: Sequence[Curve]) -> list[Record]:
    """Colour, dash and mark of every curve: equal labels look alike; all others differ in two ways, one of them seen
    without colour. A block has the same colour everywhere.
    """
    colours, lines = palette(), [c for c in curves if c.look != "limit"]
    several = len({c.path for c in curves}) > 1 or any(c.path for c in curves)
    descents = any(c.dashed for c in curves)
    per_path = max((c.row for c in curves if c.look == "line" and not c.marker), default=0) > 0
    hues = {c.hue for c in lines if c.hue is not None}
    by_block = len(hues) > 1
    places = _places(lines, max(hues, default=-1) + 1 if by_block else 0, by_block)
    found: list[Record] = []
    own: dict[tuple[int, int], Any] = {}
    for c in curves:
        if c.look == "limit":
            found.append(_limit(c, curves, own if several else {}))
            continue
        place = places[c.key or c.label]
        colour = c.colour or colours[place % len(colours)]
        if by_block and c.hue is not None and not c.colour:
            colour = _toned(colour, _TONES[c.path % len(_TONES)])
        own[c.path, c.panel] = colour
        look: Record = {"color": colour}
        if c.marker:
            look |= {"linestyle": "", "marker": c.marker, "markersize": 4}
        elif descents:
            look["linestyle"] = "--" if c.dashed else "-"
        else:
            look["linestyle"] = DASHES[(c.path if several else c.row) % len(DASHES)]
        if not c.marker and per_path and (several or descents):
            look |= {"marker": MARKS[c.row % len(MARKS)], "markersize": 3, "markevery": (0.04 + 0.03 * c.row, 0.25)}
        found.append(look)
    return found


def _places(lines: Sequence[Curve], first: int, by_block: bool) -> dict[str, int]:
    """Which colour every label has: that of its block, else the next one."""
    places: dict[str, int] = {}
    for c in lines:
        name = c.key or c.label
        if name in places:
            continue
        if by_block and c.hue is not None:
            places[name] = c.hue
        else:
            places[name] = c.before + first
            first += 1
    return places


def _limit(c: Curve, curves: Sequence[Curve], own: dict[tuple[int, int], Any]) -> Record:
    """A predicted value, in the colour of its result where there are several; two of one result differ in dashes."""
    names = list(dict.fromkeys(o.label for o in curves if o.look == "limit" and (o.path, o.panel) == (c.path, c.panel)))
    dash = DASHES[(2 + names.index(c.label)) % len(DASHES)]
    return {"color": own.get((c.path, c.panel), GUIDE), "linestyle": dash, "linewidth": 0.9}


def _toned(colour: str, tone: float) -> Any:
    from matplotlib.colors import to_hex, to_rgb

    if not tone:
        return colour
    end = 1.0 if tone > 0 else 0.0
    mixed: Any = [(1.0 - abs(tone)) * v + abs(tone) * end for v in to_rgb(colour)]
    return to_hex(mixed)


def legend_text(curve: Curve) -> str:
    """What a legend says of a curve."""
    return curve.told or shown(curve.label)


def stroke(ax: "Axes", curve: Curve, look: Record) -> None:
    """Draw one curve."""
    label = legend_text(curve)
    if curve.look == "arrows":
        arrows(ax, curve, look["color"], label=label)
    elif curve.look == "bars":
        ax.barh(curve.y, curve.shift[0], left=curve.x, height=0.8, color=look["color"], label=label)
    else:
        ax.plot(curve.x, curve.y, label=label, **look)


def arrows(ax: "Axes", curve: Curve, colour: str, **more: Any) -> None:
    """Draw the arrows of a curve, of one thickness on paper whatever the size of the axes."""
    ax.quiver(curve.x, curve.y, *curve.shift, color=colour, **(_ARROW | TRUE_LENGTH | more))


def dress(ax: "Axes", frame: Panel) -> None:
    """Labels and scales of one pair of axes."""
    ax.set_xlabel(frame.x_label)
    ax.set_ylabel(frame.y_label)
    if frame.log_y:
        low, high = (float(v) for v in ax.dataLim.intervaly)
        if high > _HUGE:
            # Room and ticks beyond the largest number that float64 holds would be infinite.
            ax.set_ymargin(0.0)
        ax.set_yscale("log")
        if high > _HUGE:
            begin, end = np.floor(np.log10(max(low, 1.0 / _HUGE))), np.floor(np.log10(high))
            ticks = 10.0 ** np.arange(begin, end + 1.0, max(1.0, np.ceil((end - begin) / 6.0)))
            ax.set_yticks(ticks, [_power(float(t)) for t in ticks])
            ax.set_yticks([], minor=True)
    elif frame.y_label == LOG_L:
        deep(ax)
    if frame.log_x:
        ax.set_xscale("log")
    elif frame.x_label == LOG_T:
        late(ax)


def late(ax: "Axes") -> None:
    """An axis of log t that reaches thousands or millions, and still shows the beginning."""
    low, high = (float(v) for v in ax.dataLim.intervalx)
    if high > _LATE:
        ax.set_xscale("asinh", linear_width=1.0)
        _decades(ax.xaxis, low, high)
        ax.set_xlim(low * (1.3 if low < 0 else 0.7), high * 1.3)


def deep(ax: "Axes") -> None:
    """An axis of log L that goes down as far as late times do: powers of t, of which log L falls by one, are lines."""
    low, high = (float(v) for v in ax.dataLim.intervaly)
    if low < -_LATE:
        ax.set_yscale("asinh", linear_width=1.0)
        _decades(ax.yaxis, low, high)
        ax.set_ylim(low * 1.3, high * 1.3 if high > 0 else high * 0.7)


def _decades(axis: "Axis", low: float, high: float, unit: float = 1.0) -> None:
    """Ticks of an axis that is linear around zero and logarithmic beyond `unit`, without a corner between."""
    ticks: list[float] = []
    for sign, end in ((-1.0, -low), (1.0, high)):
        # Next to a longer side the shorter one needs fewer.
        top = int(np.floor(np.log10(max(end, unit) / unit) + 1e-9))
        every = 1 + max(int(np.log10(max(high, -low) / unit)), 0) // 6
        ticks += [sign * unit * 10.0**k for k in range(1, top + 1) if (top - k) % every == 0 or top < 2]
    ticks += [0.0] if low <= 0.0 <= high else [unit] if high > 0 else [-unit]
    axis.set_ticks(sorted(ticks), labels=[_power(t) for t in sorted(ticks)], minor=False)
    axis.set_ticks([], minor=True)


def _power(value: float) -> str:
    """A tick at a power of ten."""
    if abs(value) in (0.0, 1.0, 10.0):
        return f"${value:g}$"
    return f"${'-' if value < 0 else ''}10^{{{round(np.log10(abs(value)))}}}$"


def around_zero(ax: "Axes", unit: float) -> None:
    """A y axis that is linear within `unit` of zero and logarithmic beyond."""
    low, high = (float(v) for v in ax.dataLim.intervaly)
    ax.set_yscale("asinh", linear_width=unit)
    _decades(ax.yaxis, min(low, 0.0), max(high, 0.0), unit)


def legend(canvas: "Figure", axes: "Sequence[Axes]") -> None:
    """One legend for all axes, above them, where it lies on no curve; none for one line without a mark."""
    entries: Record = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        entries |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in entries}
    alone = next(iter(entries.values()), None)
    if not entries or (len(entries) == 1 and getattr(alone, "get_marker", lambda: "None")() in ("", "None")):
        return
    above(canvas, list(entries.values()), list(entries))


def above(canvas: "Figure", handles: "Sequence[Artist]", labels: Sequence[str], **more: Any) -> None:
    """A legend above all axes, in as many columns as fit, on a page that grows by its height."""
    width, height = canvas.get_size_inches()
    # In inches: a letter, and the line of an entry with the space around it.
    letter, line = 0.048, 0.14 * more.get("handlelength", 2.4) + 0.2
    sizes = [line + letter * len(_letters(label)) for label in labels]

    def reach(columns: int) -> float:
        rows, longer = divmod(len(sizes), columns)
        starts = [k * rows + min(k, longer) for k in range(columns + 1)]
        return sum(max(sizes[a:b]) for a, b in pairwise(starts))

    columns = max((n for n in range(1, len(labels) + 1) if reach(n) <= width), default=1)
    canvas.set_size_inches(width, height + 0.16 * -(-len(labels) // columns))
    canvas.legend(
        list(handles),
        list(labels),
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.0,
        borderaxespad=0.2,
        **more,
    )


def _letters(label: str) -> str:
    """About as many letters as a label is set with: braces, commands and signs of formulas take no room."""
    return re.sub(r"\\[a-zA-Z]+", "x", label).translate(str.maketrans("", "", "${}_^\\"))
