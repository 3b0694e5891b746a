"""The page of a sweep: what was swept, how its points ended, and its figures."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from flowlab.app import html
from flowlab.app.html import Shown
from flowlab.app.sweep.grid import Grid
from flowlab.core.arguments import shown
from flowlab.core.typing import Json, Record
from flowlab.language.result import Result

_MOST = 200
"""Points that are listed."""
_FIGURES = {"sweep": "log_loss", "sweep_margin": "min_margin", "sweep_objective": "objective"}
"""Figures of a sweep, and what each needs numbers of."""


def sweep_report(result: Result, grid: Grid, spec: Mapping[str, Json], failures: Mapping[str, Record]) -> str:
    """The page of a sweep.

    Args:
        result: of the kind `"sweep"`.
        grid: its points.
        spec: what all points share.
        failures: what is known of points that broke, by key.
    """
    from flowlab.figures import draw

    ds = result.dataset
    figures = [
        Shown.of(draw(name, result))
        for name, column in _FIGURES.items()
        if column in ds and bool(np.isfinite(ds[column].values).any())
    ]
    names = [axis.name for axis in grid.axes]
    rows = [
        (
            *(shown(axis.values[i], 40) for axis, i in zip(grid.axes, point.place, strict=True)),
            str(ds["outcome"].values[point.place]),
            html.number(float(ds["ended"].values[point.place]), 6),
            html.number(float(ds["steps"].values[point.place]), 6),
        )
        for point in grid.points[:_MOST]
    ]
    counts = Counter(str(outcome) for outcome in ds["outcome"].values.ravel())
    told = {
        "title": f"Sweep of {result.problem.network.text}",
        "count": len(grid.points),
        "counts": ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common()),
        "axes": [(axis.key, shown(list(axis.values), 300)) for axis in grid.axes],
        "figures": figures,
        "heads": (*names, "outcome", "ended at log t", "steps"),
        "rows": rows,
        "more": max(0, len(grid.points) - _MOST),
        "failures": [(key[:12], str(why.get("message", ""))) for key, why in failures.items()],
        "spec": dict(spec),
    }
    return str(html.rendered("sweep.html", told))
