"""How near verdicts came to their bounds, as one figure, and the runs behind each as another."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.app.html import Shown
from flowlab.claims.verdict import ANSWERS, Verdict
from flowlab.core.errors import FlowlabError
from flowlab.figures import Drawn, draw
from flowlab.figures.caption import caption
from flowlab.figures.curve import Curve
from flowlab.figures.figure import Picture, above
from flowlab.figures.page import own_page, settle
from flowlab.figures.style import COLUMN, GUIDE, house, shown
from flowlab.language.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = (("o", "#009E73"), ("X", "#D55E00"), ("D", "#E69F00"))
_LOOKS: dict[str, tuple[str, str]] = dict(zip(ANSWERS, _MARKS, strict=True))
_LEAST = 1e-9
"""Parts of a bound that are drawn at the left edge: what is exact has no place on a logarithmic axis."""
_ROW, _MARGIN = 0.14, 0.8
"""Inches of a verdict, and of what is around all."""
_RUNS = 5
"""Runs of one claim that are drawn."""


def nearness(v: Verdict) -> float:
    """The part of its bound that a verdict takes; NaN where it has no bound to be near to."""
    parts = [
        abs(q["measured"] - q["expected"]) / q["tolerance"]
        for q in v.evidence.get("quantities", ())
        if q["tolerance"] and q["measured"] is not None and q["relation"] == "="
    ]
    if parts:
        return max(parts)
    if v.measured is None or v.bound is None or not v.bound > 0.0 or not math.isfinite(v.measured):
        return math.nan
    return max(v.measured, 0.0) / v.bound


class _Bounds(Picture):
    """A mark for every verdict that has a number and a bound."""

    title = "parts of their bounds that verdicts take"
    x_label = "measured / bound"

    def curves(self, path: Sequence[Verdict]) -> list[Curve]:
        near = [(v, nearness(v)) for v in path]
        rows = [(v, part) for v, part in near if math.isfinite(part)]
        return [
            Curve(f"{v.id}, {v.answer}", np.array([max(part, _LEAST)]), np.array([float(i)]), _LOOKS[v.answer][0])
            for i, (v, part) in enumerate(rows)
        ]

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        return COLUMN, _MARGIN + _ROW * max(len(curves), 3)

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        beyond = sum(float(c.x[0]) > 1.0 for c in curves)
        return [f"{len(curves)} verdicts have a number and a bound, {beyond} of them beyond it, right of the line at 1"]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        (ax,) = axes
        entries: dict[str, Any] = {}
        for c in curves:
            answer = c.label.rpartition(", ")[2]
            marker, colour = _LOOKS[answer]
            (entries[answer],) = ax.plot(c.x, c.y, marker, color=colour, markersize=4)
        ax.axvline(1.0, color=GUIDE, linewidth=0.8, gid="guide")
        ax.set(xscale="log", ylim=(len(curves) - 0.4, -0.6), xlabel=self.x_label)
        ax.set_yticks([float(c.y[0]) for c in curves], [shown(c.label.rpartition(", ")[0]) for c in curves])
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", color="#EEEEEE", linewidth=0.5)
        above(canvas, list(entries.values()), list(entries), handlelength=1.0)


def bounds_figure(verdicts: Sequence[Verdict]) -> list[Shown]:
    """The figure of all verdicts; none where none has a number and a bound."""
    picture = _Bounds()
    curves = picture.curves(verdicts)
    if not curves:
        return []
    with house():
        canvas, _ = own_page(picture, curves, None)
        settle(canvas)
    return [Shown.of(Drawn("verdicts", canvas, curves, "", picture.title, [], caption(picture, curves)))]


def run_figures(folder: Path) -> list[Shown]:
    """The losses of the runs that were recorded for a claim, in one figure."""
    runs = [Trajectory.load(file) for file in sorted(folder.glob("*.nc"))[:_RUNS]]
    some = [run for run in runs if not run.problem.loss.is_value and len(run) > 2]
    if not some:
        return []
    try:
        return [Shown.of(draw("loss", *some), "loss of the runs behind it")]
    except FlowlabError:
        # A run of the claim's own kind that has no loss to show.
        return []
