"""Flows of several schemes from one start, at equal norm and at equal time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import LOG_T, Curve, Panel, Picture, figures
from flowlab.figures.style import PAGE

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory

_LOG_R = r"$\log R$"


@figures.register("schemes")
class Schemes(Picture):
    """Margins over log R and over log t, and how far directions are from those of the first flow at equal R and at
    equal t.

    Directions between stored rows are interpolated by monotone cubics in log R and in log t. Where R has not yet grown
    (before its last smallest value) equal R has no meaning and is left out.
    """

    title = "flows of several schemes: margins, and distances from the first, at equal R and at equal t"
    flows_only = True
    told_apart = False
    size = (PAGE, 3.6)
    columns = 2
    panels = (
        Panel("margin", _LOG_R),
        Panel("margin", LOG_T),
        Panel(r"$\Vert V - V_{\mathrm{first}}\Vert$", _LOG_R, log_y=True),
        Panel(r"$\Vert V - V_{\mathrm{first}}\Vert$", LOG_T, log_y=True),
    )

    def curves(self, path: "Trajectory") -> list[Curve]:
        return [
            Curve("margin", clock[rows], path.dataset["min_margin"].values[rows], panel=i)
            for i, (clock, rows) in enumerate(_clocks(path))
        ]

    def compared(self, paths: Sequence[Any]) -> list[list[Curve]]:
        first = paths[0]
        shape = _directions(first).shape[1]
        out = []
        for path in paths:
            found = self.curves(path)
            if _directions(path).shape[1] != shape:
                raise LanguageError(
                    f"flows must be of one network, got also `{path.problem.network.text[:80]}`; compare schemes of"
                    " one."
                )
            for i, ((own, rows), (clock, at)) in enumerate(zip(_clocks(path), _clocks(first), strict=True)):
                inside = rows[(own[rows] >= clock[at[0]]) & (own[rows] <= clock[at[-1]])]
                if path is first or len(at) < 2 or not len(inside):
                    continue
                there = PchipInterpolator(clock[at], _directions(first)[at])(own[inside])
                far = np.linalg.norm(_directions(path)[inside] - there, axis=1)
                apart = far > 1e-12
                if apart.any():
                    found.append(Curve("margin", own[inside][apart], far[apart], panel=2 + i))
            out.append(found)
        names = [path.problem.scheme.short_name for path in paths]
        names = [f"{name} {i}" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]
        for curves, name in zip(out, names, strict=True):
            for curve in curves:
                curve.label = name
        return out


def _directions(path: "Trajectory") -> np.ndarray:
    return np.concatenate(
        [path.dataset[f"V_{name}"].values.reshape(len(path), -1) for name in path.problem.network.weights], axis=1
    )


def _clocks(path: "Trajectory") -> list[tuple[np.ndarray, np.ndarray]]:
    """Log R and log t, each with the rows along which it grows."""
    out = []
    for name in ("log_R", "log_t"):
        clock = path.dataset[name].values
        start = int(np.argmin(np.where(np.isfinite(clock), clock, np.inf)))
        rows = np.arange(start, len(clock))
        top = np.maximum.accumulate(clock[rows])
        out.append((clock, rows[np.r_[True, clock[rows][1:] > top[:-1]]]))
    return out
