"""Which units are on for which samples, at one time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import Curve, Panel, Picture, above, figures
from flowlab.figures.library.kinks import timeline
from flowlab.figures.style import COLUMN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.trajectory import Trajectory

_MOST = 60
"""Units and samples that are drawn: cells of less than a millimetre are not told apart."""
_CELL, _LEAST, _MARGIN = 0.18, 1.0, 0.7
"""Inches of a cell, of the least that all of them take, and of what is around them."""
_LOOKS: dict[str, Any] = {"on": {"facecolor": "#0072B2"}, "off": {"facecolor": "#E8E8E8"}}
_LOOKS |= {"sliding": {"facecolor": "#E69F00", "hatch": "//////"}}


@figures.register("activations")
class Activations(Picture):
    """A cell for every unit and sample at the end of a run, shaded by the side of the kink; as an animation, along the
    run. Each curve is one stretch of time of one cell.
    """

    title = "activation pattern: which units are on for which samples, at the end of a run"
    flows_only = True
    alone = True

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, sides = timeline(path)
        ds = path.dataset
        slots, units, samples = (ds[f"pair_{name}"].values for name in ("slot", "unit", "sample"))
        own = ds["log_t"].values
        begin = own[np.isfinite(own)][0] if np.isfinite(own).any() else 0.0
        times = np.r_[min(begin, log_t[1:-1].min(initial=begin)), log_t[1:]]
        # Units of several layers stand above each other.
        rows = {key: i for i, key in enumerate(sorted(set(zip(slots.tolist(), units.tolist(), strict=True))))}
        out = []
        for pair in range(sides.shape[1]):
            row, sample = rows[int(slots[pair]), int(units[pair])], int(samples[pair])
            if sample < 0 or max(row, sample) >= _MOST:
                continue
            change = np.r_[0, np.flatnonzero(np.diff(sides[:, pair])) + 1, len(sides) - 1]
            for a, b in zip(change[:-1].tolist(), change[1:].tolist(), strict=True):
                if times[b] > times[a]:
                    side = {1: "on", 0: "sliding", -1: "off"}[int(sides[a, pair])]
                    label = f"{side} from log t = {times[a]:.6g} to {times[b]:.6g}"
                    where = np.array([float(sample)]), np.array([float(row)])
                    out.append(Curve(label, *where, look="cell", time=np.array([times[a], times[b]])))
        if not out:
            raise LanguageError(
                'the figure "activations" must have kinks of units on samples, got none; draw "loss" instead.'
            )
        return out

    def at(self, curves: Sequence[Curve], now: float) -> list[Curve]:
        return [c for c in curves if c.time is not None and c.time[0] <= now] or list(curves[:1])

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        return (Panel("unit", "sample"),)

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        rows = 1 + max(float(c.y[0]) for c in curves)
        return COLUMN, _MARGIN + min(4.0, max(_LEAST, _CELL * rows))

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        last = [c.label.partition(" ")[0] for c in _latest(curves)]
        return [f"At the end {', '.join(f'{last.count(side)} are {side}' for side in _LOOKS)}"]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        from matplotlib.patches import Patch, Rectangle

        (ax,) = axes
        for c in _latest(curves):
            x, y = float(c.x[0]), float(c.y[0])
            look = _LOOKS[c.label.partition(" ")[0]]
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1.0, 1.0, edgecolor="#FFFFFF", linewidth=0.4, **look))
        across, up = (max(float(v[0]) for v in values) for values in ([c.x for c in curves], [c.y for c in curves]))
        ax.set(xlim=(-0.5, across + 0.5), ylim=(up + 0.5, -0.5), xlabel="sample", ylabel="unit")
        ax.set_xticks(np.arange(0, across + 1, 1 + across // 12))
        ax.set_yticks(np.arange(0, up + 1, 1 + up // 12))
        ax.tick_params(length=0)
        above(canvas, [Patch(**look) for look in _LOOKS.values()], list(_LOOKS), handlelength=1.4)


def _latest(curves: Sequence[Curve]) -> list[Curve]:
    """Of every cell the stretch that begins last."""
    cells: dict[tuple[float, float], Curve] = {}
    for c in curves:
        assert c.time is not None
        found = cells.get((float(c.x[0]), float(c.y[0])))
        if found is None or found.time is None or c.time[0] >= found.time[0]:
            cells[float(c.x[0]), float(c.y[0])] = c
    return list(cells.values())
