"""Where a figure is drawn: on a page of its own, as wide as asked for, or into axes that a user has."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import numpy as np

from flowlab.core.arguments import short
from flowlab.core.errors import LanguageError
from flowlab.figures.curve import Curve, Panel
from flowlab.figures.figure import Picture

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DRAWN: "WeakKeyDictionary[Axes, list[Curve]]" = WeakKeyDictionary()
"""What has been drawn into axes of users, so that the next drawing looks different."""
_SHAPE = 0.75
"""Height of panels in one row, of their width, at least."""


def sheet(picture: Picture, curves: Sequence[Curve], width: float | None) -> tuple[int, tuple[float, float]]:
    """Columns of panels, and width and height in inches. Panels are as wide as they were meant to be, as nearly as
    whole panels fill the width; those that become wider grow less in height, by the root of it.
    """
    frames, (wide, high) = picture.frames(curves), picture.page(curves)
    columns = min(picture.columns, len(frames))
    if width is None or picture.own_page:
        return columns, (wide, high)
    meant, tall = wide / columns, high / -(-len(frames) // columns)
    most = max(1, min(len(frames), round(width / meant)))
    rows = -(-len(frames) // most)
    # As many columns as the rows need: four panels in three columns would leave a hole.
    columns = -(-len(frames) // rows)
    scale = width / columns / meant
    high = tall * (scale if scale < 1.0 or picture.square else float(np.sqrt(scale)))
    # What was meant to stand above each other is too flat side by side.
    return columns, (width, rows * max(high, _SHAPE * width / columns if rows == 1 < len(frames) else 0.0))


def own_page(picture: Picture, curves: Sequence[Curve], width: float | None) -> "tuple[Figure, list[Axes]]":
    """A figure drawn on a page of its own."""
    # No pyplot: it keeps global state, and the user's own backend is none of our business.
    from matplotlib.figure import Figure

    frames = picture.frames(curves)
    columns, size = sheet(picture, curves, width)
    canvas = Figure(figsize=size, layout="constrained")
    grid = canvas.subplots(-(-len(frames) // columns), columns, squeeze=False)
    axes = list(grid.ravel())
    for spare in axes[len(frames) :]:
        spare.remove()
    axes = axes[: len(frames)]
    picture.paint(canvas, axes, curves)
    _align(frames, axes, columns)
    return canvas, axes


def settle(canvas: "Figure") -> None:
    """Solve the layout once, and keep it for every format that is saved."""
    engine: Any = canvas.get_layout_engine()
    engine.execute(canvas)
    canvas.set_layout_engine("none")


def _align(frames: Sequence[Panel], axes: "Sequence[Axes]", columns: int) -> None:
    """Panels above each other that show the same along x get equal ends, and the label once, below; so do those side
    by side with y.
    """
    places = range(len(axes))
    for which in ("x", "y"):
        across = [[i for i in places if i % columns == c] for c in range(columns)]
        rows = [list(group) for _, group in groupby(places, key=lambda i: i // columns)]
        for line in across if which == "x" else rows:
            for (label, *_), run in groupby(line, key=lambda i: _along(which, frames[i], axes[i])):
                if label:
                    _share(which, [axes[i] for i in run])


def _along(which: str, frame: Panel, ax: "Axes") -> tuple[str, str]:
    """What an axis shows, and its scale."""
    return (frame.x_label, ax.get_xscale()) if which == "x" else (frame.y_label, ax.get_yscale())


def _share(which: str, axes: "Sequence[Axes]") -> None:
    """Equal ends, and labels at the last one below or the first one at the left alone."""
    ends = np.array([getattr(ax, f"get_{which}lim")() for ax in axes])
    side = "labelbottom" if which == "x" else "labelleft"
    for ax in axes:
        getattr(ax, f"set_{which}lim")(ends[:, 0].min(), ends[:, 1].max())
    for ax in axes[:-1] if which == "x" else axes[1:]:
        # Ticks stay, so that the eye finds the same place in both.
        ax.set(**{f"{which}label": ""})
        ax.tick_params(axis=cast(Any, which), which="both", **{side: False})


def of_user(name: str, ax: Any, picture: Picture, frames: Sequence[Panel]) -> "list[Axes]":
    """The axes that a user gave, one for every panel.

    Raises:
        LanguageError: for anything else.
    """
    from matplotlib.axes import Axes

    if picture.own_page:
        raise LanguageError(
            f'`ax` must be left out for the figure "{name}", which lays out a page of its own; save it.'
        )
    given = [ax] if isinstance(ax, Axes) else list(np.ravel(ax)) if isinstance(ax, Sequence | np.ndarray) else [ax]
    wrong = next((each for each in given if not isinstance(each, Axes) or each.name != "rectilinear"), None)
    if wrong is not None or not given:
        what = f"{wrong.name} axes" if isinstance(wrong, Axes) else short(wrong if given else ax, 40)
        raise LanguageError(
            f"`ax` must be plain axes of matplotlib or a list of them, got {what}; pass for example `fig.subplots()`."
        )
    if len(given) != len(frames):
        raise LanguageError(
            f'`ax` must be {len(frames)} axes for the {len(frames)} panels of the figure "{name}", got {len(given)};'
            f" pass for example `fig.subplots({len(frames)})`."
        )
    return given


def earlier(axes: "Sequence[Axes]") -> tuple[int, int]:
    """How many results and how many labels have been drawn into axes before."""
    seen = [c for ax in axes for c in _DRAWN.get(ax, []) if ax.has_data()]
    return max((c.path + 1 for c in seen), default=0), len({c.label for c in seen if c.look != "limit"})


def into(picture: Picture, axes: "Sequence[Axes]", curves: Sequence[Curve]) -> "Figure":
    """Draw into axes of a user, which take on the looks of the house; the page stays as it is."""
    for ax in axes:
        _adopt(ax)
    picture.paint(cast("Figure", _Guest(axes)), axes, curves)
    for i, ax in enumerate(axes):
        _DRAWN[ax] = [*_DRAWN.get(ax, []), *(c for c in curves if c.panel == i)]
    page: Any = axes[0].figure
    while page.figure is not page:
        page = page.figure
    return page


class _Guest:
    """What a picture asks of its canvas, where the page is a user's: a legend goes above the first axes."""

    def __init__(self, axes: "Sequence[Axes]") -> None:
        self.ax = axes[0]

    def get_size_inches(self) -> np.ndarray:
        box = self.ax.get_window_extent()
        dpi = cast(Any, self.ax.figure).dpi
        return np.array([box.width / dpi, box.height / dpi])

    def set_size_inches(self, width: float, height: float) -> None:
        """The page is the user's."""

    def legend(self, handles: "list[Artist]", labels: list[str], *, loc: str, **more: Any) -> None:
        self.ax.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), **more)


def _adopt(ax: "Axes") -> None:
    """Give axes that hold nothing yet the looks of the house; ticks are made later, under other settings."""
    import matplotlib

    if ax.has_data():
        return
    rc: Any = matplotlib.rcParams
    sides: Any = ("left", "center", "right")
    titles = {side: ax.get_title(loc=side) for side in sides}
    ax.clear()
    ax.set_facecolor(rc["axes.facecolor"])
    for side, spine in ax.spines.items():
        spine.set_visible(rc[f"axes.spines.{side}"])
    for side, title in titles.items():
        ax.set_title(title, loc=side)
    for axis in ("x", "y"):
        for which in ("major", "minor"):
            told = {name: rc[f"{axis}tick.{which}.{name}"] for name in ("size", "width", "pad")}
            ax.tick_params(axis=cast(Any, axis), which=cast(Any, which), **told)
        colour = rc[f"{axis}tick.labelcolor"]
        ax.tick_params(
            axis=cast(Any, axis),
            which="both",
            direction=rc[f"{axis}tick.direction"],
            color=rc[f"{axis}tick.color"],
            labelcolor=rc[f"{axis}tick.color"] if colour == "inherit" else colour,
            labelsize=rc[f"{axis}tick.labelsize"],
            labelfontfamily=rc["font.family"],
        )
