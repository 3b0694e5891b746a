"""The flow of a direction with two parameters: field, critical points by kind, and basins, on a torus of two angles or
two hemispheres.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowlab.core.typing import Record
from flowlab.figures.figure import Curve, Panel, Picture, above, arrows, figures
from flowlab.figures.style import COLOURS, COLUMN, PAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from flowlab.language.result import Result

_MARKERS = {"minimum": "o", "saddle": "X", "maximum": "^", "Morse-Bott": "s", "non-smooth": "D"}
_FILLED = {
    "minimum": "#000000",
    "saddle": "#FFFFFF",
    "maximum": "#FFFFFF",
    "Morse-Bott": "#000000",
    "non-smooth": "#FFFFFF",
}
_ARROWS = 18
_RIM = float(np.sqrt(2.0))


@figures.register("portrait")
class Portrait(Picture):
    """Arrows tell the sense of the flow and not its speed; cells are shaded by where they end."""

    title = "phase portrait of a direction with two parameters: field, critical points by kind, basins"
    of = "portrait"
    alone = True
    columns = 2
    square = True

    def curves(self, path: "Result") -> list[Curve]:
        ds, out = path.dataset, []
        u, v, basin = ds["u"].values, ds["v"].values, ds["basin"].values
        every = max(1, len(u) // _ARROWS)
        spaced = np.zeros(basin.shape[1:], dtype=bool)
        spaced[every // 2 :: every, every // 2 :: every] = True
        for chart in range(len(basin)):
            for k in np.unique(basin[chart][basin[chart] > -2]).tolist():
                i, j = np.nonzero(basin[chart] == k)
                out.append(
                    Curve(f"basin {k}" if k >= 0 else "undecided", u[i], v[j], marker=",", panel=chart, look="cells")
                )
            du, dv = ds["field_u"].values[chart], ds["field_v"].values[chart]
            speed, arrow = np.hypot(du, dv), 0.62 * every * (u[1] - u[0])
            # On a hemisphere arrows stay within the rim.
            whole = spaced & (len(basin) == 1) | spaced & (np.hypot(u[:, None], v[None]) < _RIM - 0.5 * arrow)
            i, j = np.nonzero(whole & (speed > 0))
            length = arrow / speed[i, j]
            half = 0.5 * length * du[i, j], 0.5 * length * dv[i, j]
            ends = {"x_to": u[i] + half[0], "y_to": v[j] + half[1]}
            out.append(
                Curve("flow", u[i] - half[0], v[j] - half[1], panel=chart, look="arrows", colour="#333333", **ends)
            )
        for kind in _MARKERS:
            for chart in range(len(basin)):
                at = (ds["point_kind"].values.astype(str) == kind) & (ds["point_chart"].values == chart)
                if at.any():
                    out.append(
                        Curve(
                            kind,
                            ds["point_u"].values[at],
                            ds["point_v"].values[at],
                            _MARKERS[kind],
                            panel=chart,
                            look="points",
                        )
                    )
        return out

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        if max(c.panel for c in curves):
            return Panel("", "about the point of least loss"), Panel("", "the other side")
        return (Panel(r"$\varphi_2$", r"$\varphi_1$"),)

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        return (PAGE, 3.6) if max(c.panel for c in curves) else (COLUMN, 3.3)

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        basins = {c.label for c in curves if c.label.startswith("basin")}
        counts = Counter({c.label: 0 for c in curves if c.look == "points"})
        for c in curves:
            if c.look == "points":
                counts[c.label] += len(c.x)
        told = ", ".join(f"{n} of kind {kind}" for kind, n in counts.items())
        return [
            f"Critical points: {told or 'none'}",
            f"Shades are the {len(basins)} basins, with lines between them; arrows tell the sense of the flow",
        ]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        from matplotlib.patches import Circle

        sphere = len(axes) > 1
        entries: Record = {}
        for frame, ax in zip(self.frames(curves), axes, strict=True):
            own = [c for c in curves if c.panel == axes.index(ax)]
            rim = (
                Circle(
                    (0.0, 0.0),
                    _RIM,
                    transform=ax.transData,
                    facecolor="none",
                    edgecolor="#000000",
                    linewidth=0.8,
                    zorder=5,
                )
                if sphere
                else None
            )
            _shade(ax, [c for c in own if c.look == "cells"], rim)
            for c in own:
                if c.look == "arrows":
                    arrows(ax, c, c.colour, zorder=3)
                elif c.look == "points":
                    look = {
                        "markerfacecolor": _FILLED[c.label],
                        "markeredgecolor": "#000000",
                        "markeredgewidth": 0.7,
                        "clip_on": False,
                    }
                    (entries[c.label],) = ax.plot(c.x, c.y, c.marker, markersize=5.5, zorder=6, **look)
            ax.set_aspect("equal")
            ax.set_xlabel(frame.x_label)
            if rim is not None:
                ax.add_patch(rim)
                ax.set(xlim=(-1.02 * _RIM, 1.02 * _RIM), ylim=(-1.02 * _RIM, 1.02 * _RIM), xticks=[], yticks=[])
                for spine in ax.spines.values():
                    spine.set_visible(False)
            else:
                ticks = np.array([-np.pi, -np.pi / 2, 0.0, np.pi / 2, np.pi])
                told = [r"$-\pi$", r"$-\pi/2$", "$0$", r"$\pi/2$", r"$\pi$"]
                ax.set(xlim=(-np.pi, np.pi), ylim=(-np.pi, np.pi), ylabel=frame.y_label)
                ax.set_xticks(ticks, told)
                ax.set_yticks(ticks, told)
                for spine in ax.spines.values():
                    spine.set_visible(True)
        above(canvas, list(entries.values()), list(entries), handlelength=1.0)


def _shade(ax: "Axes", cells: Sequence[Curve], clip: "Patch | None") -> None:
    """Cells in light tints, and dark lines where two basins meet, which are seen without colour."""
    from matplotlib.colors import to_rgb

    x = np.unique(np.concatenate([c.x for c in cells]))
    y = np.unique(np.concatenate([c.y for c in cells]))
    number, shades = np.full((len(x), len(y)), -2), np.full((len(x), len(y), 4), 0.0)
    for c in cells:
        k = int(c.label.split()[1]) if c.label.startswith("basin") else -1
        # The eighth basin and on take the colours of the first ones, lighter.
        colour = np.array(to_rgb(COLOURS[k % 6])) if k >= 0 else np.ones(3)
        share = (0.42, 0.2, 0.65)[k // 6 % 3]
        i, j = np.searchsorted(x, c.x), np.searchsorted(y, c.y)
        number[i, j] = k
        shades[i, j] = np.r_[1.0 - share * (1.0 - colour), 1.0]
    edges = [np.r_[a[0] - (a[1] - a[0]) / 2, (a[1:] + a[:-1]) / 2, a[-1] + (a[-1] - a[-2]) / 2] for a in (x, y)]
    # One pixel a cell, not one path: files stay small.
    extent = (edges[0][0], edges[0][-1], edges[1][0], edges[1][-1])
    mesh = ax.imshow(
        np.swapaxes(shades, 0, 1), extent=extent, origin="lower", interpolation="nearest", aspect="auto", zorder=1
    )
    lines = []
    for i, j in zip(*np.nonzero((number[1:] != number[:-1]) & (number[1:] > -2) & (number[:-1] > -2)), strict=True):
        lines.append([(edges[0][i + 1], edges[1][j]), (edges[0][i + 1], edges[1][j + 1])])
    for i, j in zip(
        *np.nonzero((number[:, 1:] != number[:, :-1]) & (number[:, 1:] > -2) & (number[:, :-1] > -2)), strict=True
    ):
        lines.append([(edges[0][i], edges[1][j + 1]), (edges[0][i + 1], edges[1][j + 1])])
    from matplotlib.collections import LineCollection

    ax.add_collection(LineCollection(lines, colors="#000000", linewidths=0.7, capstyle="projecting", zorder=2))
    if clip is not None:
        mesh.set_clip_path(clip)
