"""When every pair of a unit and a sample is off, on, or slides along its kink."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import LOG_T, Curve, Picture, above, figures, late
from flowlab.figures.library.kinks import timeline
from flowlab.figures.style import COLUMN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.trajectory import Trajectory

_MOST = 48
_POINTS, _ROW = 7, 0.12
"""Points of the label of a band, and inches of a band, which are a little more."""
_LOOKS = {
    "on": {"color": "#0072B2"},
    "off": {"color": "#E8E8E8"},
    "sliding": {"color": "#E69F00", "hatch": "//////", "edgecolor": "#555555", "linewidth": 0.3},
}


@figures.register("events")
class Events(Picture):
    """One band for every pair that changes side, 48 at most; the label of the axis counts those that stay."""

    title = "when every pair of a unit and a sample is off, on, or slides along its kink"
    y_label = "unit, sample"
    flows_only = True

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, sides = timeline(path)
        ds = path.dataset
        slots, units, samples = (ds[f"pair_{name}"].values for name in ("slot", "unit", "sample"))
        changing = np.flatnonzero((sides != sides[0]).any(axis=0))
        some = changing if len(changing) else np.arange(sides.shape[1])
        order = np.lexsort((samples[some], units[some], slots[some]))[:_MOST]
        own = ds["log_t"].values
        begin = own[np.isfinite(own)][0] if np.isfinite(own).any() else 0.0
        met = log_t[1:-1]
        times = np.r_[min(begin, met.min(initial=begin)), log_t[1:]]
        several = len(set(slots.tolist())) > 1
        out = []
        for row, pair in enumerate(some[order].tolist()):
            where = f"{units[pair]}, {samples[pair]}" if samples[pair] >= 0 else f"{units[pair]}"
            who = f"{f'{slots[pair]}: ' if several else ''}{where}"
            change = np.r_[0, np.flatnonzero(np.diff(sides[:, pair])) + 1, len(sides) - 1]
            for a, b in zip(change[:-1].tolist(), change[1:].tolist(), strict=True):
                side = {1: "on", 0: "sliding", -1: "off"}[int(sides[a, pair])]
                span = np.array([times[a]]), np.array([float(row)]), np.array([times[b]])
                if span[2] > span[0]:
                    ends = {"x_to": span[2], "y_to": span[1], "time": times[[a, b]]}
                    out.append(Curve(f"{side} ({who})", span[0], span[1], look="bars", **ends))
        return out

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        rows = len({(c.path, float(c.y[0])) for c in curves})
        return COLUMN, 0.75 + _ROW * max(rows, 6)

    def at(self, curves: Sequence[Curve], now: float) -> list[Curve]:
        begun = (c for c in curves if c.x[0] <= now)
        return [replace(c, x_to=np.minimum(c.x_to, now)) for c in begun if c.x_to is not None] or list(curves[:1])

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        rows = len({(c.path, float(c.y[0])) for c in curves})
        sliding = len({(c.path, float(c.y[0])) for c in curves if c.label.startswith("sliding")})
        return [f"{rows} pairs are shown, of which {sliding} slide for a while"]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        (ax,) = axes
        offsets, told = {}, {}
        for c in curves:
            offsets.setdefault((c.path, float(c.y[0])), len(offsets))
            place = offsets[c.path, float(c.y[0])]
            side, _, who = c.label.partition(" (")
            told[place] = who.partition(")")[0]
            label = side if side not in ax.get_legend_handles_labels()[1] else "_nolegend_"
            ax.barh([place], c.shift[0], left=c.x, height=0.8, label=label, **({"linewidth": 0.0} | _LOOKS[side]))
        begin, last = min(float(c.x[0]) for c in curves), max(float(c.x[0] + c.shift[0][0]) for c in curves)
        late(ax)
        if last > begin:
            ax.set_xlim(begin, last)
        ax.set_yticks(list(told), list(told.values()), fontsize=_POINTS)
        ax.set_ylim(len(offsets) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(LOG_T)
        ax.set_ylabel("unit, sample")
        handles, labels = ax.get_legend_handles_labels()
        above(canvas, handles, labels, handlelength=1.4)
