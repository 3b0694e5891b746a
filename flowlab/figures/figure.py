"""What a figure is: a class that turns results into curves and paints them."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flowlab.core.registry import Registry
from flowlab.figures.curve import LOG_L as LOG_L
from flowlab.figures.curve import LOG_T as LOG_T
from flowlab.figures.curve import TRUE_LENGTH as TRUE_LENGTH
from flowlab.figures.curve import Curve as Curve
from flowlab.figures.curve import Panel as Panel
from flowlab.figures.curve import clock, until
from flowlab.figures.painting import above as above
from flowlab.figures.painting import around_zero as around_zero
from flowlab.figures.painting import arrows as arrows
from flowlab.figures.painting import dress as dress
from flowlab.figures.painting import late as late
from flowlab.figures.painting import legend as legend
from flowlab.figures.painting import looks as looks
from flowlab.figures.painting import stroke as stroke
from flowlab.figures.seen import seen
from flowlab.figures.style import COLUMN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.trajectory import Trajectory

figures: Registry[type["Picture"]] = Registry("figure")


class Picture(ABC):
    """One figure. `title` is what `flowlab list figures` says of it.

    All that is drawn is in its curves, whose numbers are written beside the picture: `paint` gets nothing else.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    x_label: ClassVar[str] = LOG_T
    y_label: ClassVar[str] = ""
    log_y: ClassVar[bool] = False
    panels: ClassVar[tuple[Panel, ...]] = ()
    """Several pairs of axes, in rows of `columns`; by default one, with the labels above."""
    columns: ClassVar[int] = 1
    size: ClassVar[tuple[float, float]] = (COLUMN, 2.4)
    """Width and height in inches, without a legend above."""
    flows_only: ClassVar[bool] = False
    """Whether a descent has nothing to show in it and is left out."""
    told_apart: ClassVar[bool] = True
    """Whether labels of several results get the kind, scheme or number of theirs; else the picture names
    them itself.
    """
    panel_each: ClassVar[bool] = False
    """Whether every label has a panel of its own that names it, so that the legend names results alone."""
    alone: ClassVar[bool] = False
    """Whether it shows one result and no more."""
    takes_runs: ClassVar[bool] = False
    """Whether its `taken` makes what it draws of a flow or a descent."""
    clock_is_log: ClassVar[bool] = True
    """Whether the times of its curves are log t, not t."""
    own_page: ClassVar[bool] = False
    """Whether it lays out its page itself, by `self.width`, so that it cannot be a panel among others."""
    square: ClassVar[bool] = False
    """Whether its panels keep their shape where the page is wider."""
    of: ClassVar[str] = "trajectory"
    """What it draws: trajectories, or a result of another kind, by the `kind` that such a result has."""

    width: float | None = None
    """Of the page in inches, where the user says; set by `draw`."""

    def taken(self, given: Any) -> Any:
        """The result that is drawn of what was given; for pictures of things that are no results yet."""
        return given

    @abstractmethod
    def curves(self, path: Any) -> list[Curve]:
        """What is drawn of one trajectory, or of one other result."""

    def compared(self, paths: Sequence[Any]) -> list[list[Curve]]:
        """What is drawn of every result, for figures that compare them."""
        return [self.curves(path) for path in paths]

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        """All pairs of axes; for pictures whose number of them depends on what they show."""
        return self.panels or (Panel(self.y_label, self.x_label, self.log_y),)

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        """Width and height in inches; for pictures that grow with what they show."""
        return self.size

    def at(self, curves: Sequence[Curve], now: float) -> list[Curve]:
        """What is drawn of curves at a time, by the clock of those that have one."""
        frames = self.frames(curves)
        clocks = (clock(c, frames[c.panel]) for c in curves)
        return [c if times is None else until(c, times, now) for c, times in zip(curves, clocks, strict=True)]

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        """Sentences of the caption after the title: how the curves go, where the picture says nothing else."""
        return list(seen(self.frames(curves), curves))

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        """Draw curves on axes; a picture with a look of its own has its own."""
        for curve, look in zip(curves, looks(curves), strict=True):
            stroke(axes[curve.panel], curve, look)
        frames = self.frames(curves)
        for frame, ax in zip(frames, axes, strict=True):
            dress(ax, frame)
        legend(canvas, axes)


def load_library() -> None:
    """Import every figure; importing registers it."""
    package = import_module("flowlab.figures.library")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def started(path: "Trajectory") -> tuple[np.ndarray, np.ndarray]:
    """Log t, and which rows have t > 0."""
    log_t = path.dataset["log_t"].values
    keep = np.isfinite(log_t)
    return log_t[keep], keep
