"""Sweeps over log t: medians for every value of a swept key, with the range over all other keys."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import Curve, Picture, dress, figures, legend, looks, stroke
from flowlab.figures.style import COLOURS, formula, shown

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.result import Result

_BAND = "band"


class _OfSweep(Picture):
    """One column of a sweep. The key whose values have colours is that with the fewest, if those are few."""

    of = "sweep"
    alone = True
    told_apart = False
    column: ClassVar[str]

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        if self.column not in ds or not np.isfinite(ds[self.column]).any():
            raise LanguageError(
                f'the figure "{self.name}" must have points with numbers of `{self.column}`, got none; run the sweep,'
                " or draw another figure."
            )
        by = _coloured(ds)
        if by is None:
            lines = _lines("median of all points", ds["log_t"].values, ds[self.column])
            return [replace(line, told=_points(ds["outcome"].values)) for line in lines]
        told = f"width of {formula(by)}" if by in path.problem.network.weights else shown(by)
        each = ((value, ds.isel({by: i})) for i, value in enumerate(ds[by].values.tolist()))
        return [
            replace(curve, told=f"{told}: {shown(str(value))}{_short(of['outcome'].values)}")
            for value, of in each
            for curve in _lines(f"{by} = {value}", ds["log_t"].values, of[self.column])
        ]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        for curve, look in zip(curves, looks(curves), strict=True):
            if curve.look == _BAND and curve.y_to is not None:
                axes[0].fill_between(curve.x, curve.y, curve.y_to, color=look["color"], alpha=0.2, linewidth=0)
            else:
                stroke(axes[0], curve, look)
        dress(axes[0], self.frames(curves)[0])
        legend(canvas, axes)


def _points(outcomes: np.ndarray) -> str:
    """How many points a median is of, and how many of them ended before they should."""
    return f"median of {outcomes.size} points{_short(outcomes)}"


def _short(outcomes: np.ndarray) -> str:
    """How many points ended before they should, where some did."""
    short = int((~np.isin(outcomes, ("done", "event"))).sum())
    return f", {short} of {outcomes.size} cut short" if short else ""


def _coloured(ds: "xr.Dataset") -> str | None:
    """The swept key with the fewest values, of those with 2 up to as many as there are colours."""
    sizes = {str(name): ds.sizes[name] for name in ds["outcome"].dims if 1 < ds.sizes[name] <= len(COLOURS)}
    return min(sizes, key=lambda name: sizes[name], default=None)


def _lines(label: str, log_t: np.ndarray, values: "xr.DataArray") -> list[Curve]:
    """The median over all points, where at least half of those that began have a number, and their range."""
    rows = values.transpose("log_t", ...).values.reshape(len(log_t), -1)
    there = np.isfinite(rows)
    keep = there.sum(axis=1) * 2 >= max(there.any(axis=0).sum(), 1)
    if not keep.any():
        return []
    rows, x = np.where(there, rows, np.nan)[keep], log_t[keep]
    line = Curve(label, x, np.nanmedian(rows, axis=1))
    if there.any(axis=0).sum() == 1:
        return [line]
    return [line, Curve(label, x, np.nanmin(rows, axis=1), look=_BAND, x_to=x, y_to=np.nanmax(rows, axis=1))]


@figures.register("sweep")
class Loss(_OfSweep):
    """The loss."""

    title = "sweep: log loss over log t, medians for the values of a key with the range over all others"
    column, y_label = "log_loss", r"$\log L$"


@figures.register("sweep_margin")
class Margin(_OfSweep):
    """The smallest margin of the normalised network."""

    title = "sweep: smallest normalised margin over log t, medians with ranges"
    column, y_label = "min_margin", "smallest margin"


@figures.register("sweep_objective")
class Objective(_OfSweep):
    """The objective, of problems without samples."""

    title = "sweep: objective over log t, medians with ranges"
    column, y_label = "objective", "objective"
