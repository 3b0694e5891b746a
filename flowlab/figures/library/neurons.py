"""Units of a two-layer network over the plane, from their start to their end, and the margin next to the best one
(P18).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flowlab.core.typing import Record
from flowlab.figures.figure import LOG_T, Curve, Panel, Picture, above, arrows, figures, late
from flowlab.figures.style import COLOURS, DASHES, GUIDE, MARKS, PAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.result import Result

_THICK = 0.022
"""Inches: the arrow of a unit."""


@figures.register("neurons")
class Neurons(Picture):
    """|a_i| w_i over their sum of lengths: dots where a unit starts, arrows where it ends, crosses for the units of the
    best solution.
    """

    title = "samples and units over the plane along a flow, and its margin next to the best one"
    of = "neurons"
    alone = True
    columns = 2
    size = (PAGE, 3.0)
    panels = (Panel(r"$x_2$", r"$x_1$"), Panel(r"$\min_n q_n / \Vert\theta\Vert^2$", LOG_T))

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        units, signs = ds["neuron"].values, ds["sign"].values
        x, y = ds["x"].values, ds["y"].values
        # Samples on the scale of the units, the farthest on the unit circle.
        x = x / np.linalg.norm(x, axis=1).max()
        out = []
        for value, marker in ((1, "P"), (-1, "_")):
            if (y == value).any():
                out.append(
                    Curve(f"samples, y = {value:+d}", x[y == value, 0], x[y == value, 1], marker, look="samples")
                )
        for k in range(units.shape[1]):
            name = f"unit {k} ({'+' if signs[k] >= 0 else '-'})"
            end = units[-1, k]
            out.append(Curve(name, units[:, k, 0], units[:, k, 1], look="walk", time=ds["log_t"].values))
            out.append(Curve(f"{name}, end", np.zeros(1), np.zeros(1), x_to=end[:1], y_to=end[1:], look="arrows"))
        if "best_neuron" in ds:
            best = ds["best_neuron"].values
            out.append(Curve("best units", best[:, 0], best[:, 1], "x", look="best"))
        log_t = ds["log_t"].values
        keep = np.isfinite(log_t)
        out.append(Curve("flow", log_t[keep], ds["margin"].values[keep], panel=1))
        if "best_margin" in ds:
            out.append(
                Curve(
                    "largest margin", log_t[keep][[0, -1]], np.full(2, float(ds["best_margin"])), panel=1, look="limit"
                )
            )
        return out

    def at(self, curves: Sequence[Curve], now: float) -> list[Curve]:
        found = super().at(curves, now)
        for i, c in enumerate(found):
            # The arrow of a unit, which follows its walk.
            if c.look == "arrows" and len(found[i - 1].x):
                found[i] = replace(c, x_to=found[i - 1].x[-1:], y_to=found[i - 1].y[-1:])
        return found

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        ends = {c.look: float(c.y[-1]) for c in curves if c.panel == 1}
        best = f", the largest possible one is {ends['limit']:.3g}" if "limit" in ends else ""
        return [
            f"{sum(c.look == 'walk' for c in curves)} units; marks are their starts, arrows their ends, grey lines"
            " where samples switch them",
            f"The margin ends at {ends['line']:.3g}{best}",
        ]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        plane, right = axes
        entries: Record = {}
        reach = max(float(np.abs(np.r_[c.x, c.y]).max()) for c in curves if c.panel == 0) * 1.12
        for c in curves:
            if c.look == "samples":
                (entries[c.label],) = plane.plot(c.x, c.y, c.marker, color="#000000", markersize=6, zorder=5)
                for a, b in zip(c.x, c.y, strict=True):
                    # A unit on this side of the line through the origin is on for the sample.
                    far = 3.0 * reach / np.hypot(a, b)
                    plane.plot(
                        [-b * far, b * far],
                        [a * far, -a * far],
                        color="#BBBBBB",
                        linewidth=0.6,
                        linestyle=DASHES[2],
                        zorder=0,
                        gid="guide",
                    )
        walks = [c for c in curves if c.look == "walk"]
        ends = [c for c in curves if c.look == "arrows"]
        for k, (walk, end) in enumerate(zip(walks, ends, strict=True)):
            colour = COLOURS[k % len(COLOURS)]
            look: Record = {"color": colour, "linestyle": DASHES[k % len(DASHES)], "marker": MARKS[k % len(MARKS)]}
            (entries[walk.label],) = plane.plot(walk.x, walk.y, markevery=[0], markersize=4, **look)
            arrows(plane, end, colour, zorder=3, width=_THICK)
        for c in curves:
            if c.look == "best":
                (entries[c.label],) = plane.plot(
                    c.x, c.y, "x", color=GUIDE, markersize=5, markeredgewidth=1.2, zorder=4
                )
            elif c.panel == 1:
                look = (
                    {"color": GUIDE, "linestyle": DASHES[2], "linewidth": 0.9}
                    if c.look == "limit"
                    else {"color": COLOURS[0]}
                )
                right.plot(c.x, c.y, label=c.label, **look)
        plane.set(
            xlim=(-reach, reach), ylim=(-reach, reach), xlabel=self.panels[0].x_label, ylabel=self.panels[0].y_label
        )
        plane.set_aspect("equal")
        right.set(xlabel=LOG_T, ylabel=self.panels[1].y_label)
        late(right)
        right.legend()
        above(canvas, list(entries.values()), list(entries))
