"""What a figure is: a class that turns results into curves and paints them; `draw` sets the page."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flowlab.core.arguments import guarded, short
from flowlab.core.errors import LanguageError
from flowlab.core.registry import Registry
from flowlab.core.typing import Record
from flowlab.figures.record import Drawn, source
from flowlab.figures.style import COLOURS, COLUMN, DASHES, GUIDE, MARKS, STYLE, shown
from flowlab.language.drawable import RUNS, Drawable, ResultLike
from flowlab.language.problem import Problem

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.trajectory import Trajectory

figures: Registry[type["Picture"]] = Registry("figure")

LOG_T = r"$\log t$"
TRUE_LENGTH: Any = {"angles": "xy", "scale_units": "xy", "scale": 1.0}
"""Of arrows that end where their curve says."""
_LATE = 100.0
"""Beyond this log t the axis of log t is itself logarithmic, but around zero."""


@dataclass
class Curve:
    """What is drawn of one kind: a line, marks, arrows, bars or cells; kept so that its numbers can be written beside
    the picture.

    Attributes:
        label: what the legend says; the same in several panels where it is the same thing.
        x, y: of points, (S,).
        marker: of points that no line joins.
        panel: on which of the picture's axes.
        x_to, y_to: where arrows and bars end, (S,); None for lines and points.
        look: `"line"`, `"limit"` (a predicted value), `"arrows"`, `"bars"`, or a word that the picture's own `paint`
            knows.
        colour: where the picture chooses it.
        path, row: of which result it is, and which of that result's curves; set by `draw`.
        dashed: whether it is of a descent; set by `draw`.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    marker: str = ""
    panel: int = 0
    x_to: np.ndarray | None = None
    y_to: np.ndarray | None = None
    look: str = "line"
    colour: str = ""
    path: int = 0
    row: int = 0
    dashed: bool = False

    @property
    def shift(self) -> tuple[np.ndarray, np.ndarray]:
        """From where arrows and bars begin to where they end."""
        across, up = (np.zeros_like(a) if b is None else b - a for a, b in ((self.x, self.x_to), (self.y, self.y_to)))
        return across, up


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    y_label: str
    x_label: str = LOG_T
    log_y: bool = False
    log_x: bool = False


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
    alone: ClassVar[bool] = False
    """Whether it shows one result and no more."""
    takes_runs: ClassVar[bool] = False
    """Whether its `taken` makes what it draws of a flow or a descent."""
    of: ClassVar[str] = "trajectory"
    """What it draws: trajectories, or a result of another kind, by the `kind` that such a result has."""

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

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        """Draw curves on axes; a picture with a look of its own has its own."""
        for curve, look in zip(curves, looks(curves), strict=True):
            stroke(axes[curve.panel], curve, look)
        frames = self.frames(curves)
        for frame, ax in zip(frames, axes, strict=True):
            dress(ax, frame)
            if self.columns == 1 and frame is not frames[-1] and frame.x_label == frames[-1].x_label:
                ax.set_xlabel("")
        legend(canvas, axes)


def looks(curves: Sequence[Curve]) -> list[Record]:
    """Colour, dash and mark of every curve: equal labels look alike; all others differ in two ways, one of them seen
    without colour.
    """
    labels: list[str] = []
    several = len({c.path for c in curves}) > 1
    descents = any(c.dashed for c in curves)
    per_path = max((c.row for c in curves if c.look == "line" and not c.marker), default=0) > 0
    found = []
    for c in curves:
        if c.look == "limit":
            found.append({"color": GUIDE, "linestyle": DASHES[2], "linewidth": 0.9})
            continue
        if c.label not in labels:
            labels.append(c.label)
        # A colour of its own for every label: where a descent follows its flow, the dashes must still be seen.
        place = labels.index(c.label)
        look: Record = {"color": c.colour or COLOURS[place % len(COLOURS)]}
        if c.marker:
            look |= {"linestyle": "", "marker": c.marker, "markersize": 4}
        elif descents:
            look["linestyle"] = "--" if c.dashed else "-"
        else:
            look["linestyle"] = DASHES[(c.path if several else c.row) % len(DASHES)]
        if not c.marker and per_path and (several or descents):
            look |= {"marker": MARKS[c.row % len(MARKS)], "markersize": 3, "markevery": (0.04 + 0.03 * c.row, 0.25)}
        found.append(look)
    return found


def stroke(ax: "Axes", curve: Curve, look: Record) -> None:
    """Draw one curve."""
    label = shown(curve.label)
    if curve.look == "arrows":
        ax.quiver(curve.x, curve.y, *curve.shift, color=look["color"], label=label, width=0.004, **TRUE_LENGTH)
    elif curve.look == "bars":
        ax.barh(curve.y, curve.shift[0], left=curve.x, height=0.8, color=look["color"], label=label)
    else:
        ax.plot(curve.x, curve.y, label=label, **look)


def dress(ax: "Axes", frame: Panel) -> None:
    """Labels and scales of one pair of axes."""
    ax.set_xlabel(frame.x_label)
    ax.set_ylabel(frame.y_label)
    if frame.log_y:
        ax.set_yscale("log")
    if frame.log_x:
        ax.set_xscale("log")
    elif frame.x_label == LOG_T:
        late(ax)


def late(ax: "Axes") -> None:
    """An axis of log t that reaches thousands or millions, and still shows the beginning."""
    low, high = (float(v) for v in ax.dataLim.intervalx)
    if not high > _LATE:
        return
    # Linear around zero and logarithmic beyond, without a corner between.
    ax.set_xscale("asinh", linear_width=1.0)
    decades = [10.0**k for k in range(1, int(np.floor(np.log10(high) + 1e-9)) + 1)]
    ticks = [*([-10.0] if low < -5.0 else []), 1.0 if low > 0.0 else 0.0, *decades[:: 1 + len(decades) // 7]]
    ax.set_xticks(ticks, [f"${t:g}$" if abs(t) <= 10.0 else f"$10^{{{round(np.log10(t))}}}$" for t in ticks])
    ax.minorticks_off()
    ax.set_xlim(low * (1.3 if low < 0 else 0.7), high * 1.3)


def legend(canvas: "Figure", axes: "Sequence[Axes]") -> None:
    """One legend for all axes: inside where there is one pair and few lines, else above, for which the page grows."""
    entries: Record = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        entries |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in entries}
    alone = next(iter(entries.values()), None)
    if not entries or (len(entries) == 1 and getattr(alone, "get_marker", lambda: "None")() in ("", "None")):
        return
    if len(axes) == 1 and len(entries) <= 4:
        axes[0].legend(list(entries.values()), list(entries))
        return
    above(canvas, list(entries.values()), list(entries))


def above(canvas: "Figure", handles: "Sequence[Artist]", labels: Sequence[str], **more: Any) -> None:
    """A legend above all axes, in as many columns as fit, on a page that grows by its height."""
    width, height = canvas.get_size_inches()
    # In inches: a letter, and the line of an entry with the space around it.
    letter, line = 0.048, 0.14 * more.get("handlelength", 2.4) + 0.2
    sizes = [line + letter * len(label.replace("$", "")) for label in labels]

    def reach(columns: int) -> float:
        rows, longer = divmod(len(sizes), columns)
        starts = [k * rows + min(k, longer) for k in range(columns + 1)]
        return sum(max(sizes[a:b]) for a, b in pairwise(starts))

    columns = max((n for n in range(1, len(labels) + 1) if reach(n) <= width), default=1)
    canvas.set_size_inches(width, height + 0.16 * -(-len(labels) // columns))
    canvas.legend(
        list(handles),
        list(labels),
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.0,
        borderaxespad=0.2,
        **more,
    )


def load_library() -> None:
    """Import every figure; importing registers it."""
    package = import_module("flowlab.figures.library")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def sort(path: Any) -> str:
    """What a figure is `of` for a result: `"trajectory"`, or its own kind."""
    return "trajectory" if path.kind in RUNS else path.kind


@guarded
def draw(name: str, *paths: ResultLike | Drawable) -> Drawn:
    """Draw a registered figure of one or more trajectories, or of what else it is a figure of.

    Args:
        name: as `flowlab list figures` shows it.
        paths: trajectories, or results of the kind that the figure is of. Where there are descents, flows are solid and
            descents dashed. The figure "architecture" takes a network, a problem or its equations as well.

    Raises:
        UnknownName: for an unknown figure; LanguageError: without trajectories, or for results of another kind.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> drawn = fl.draw("norms", path)
        >>> drawn.save("norms.png").name
        'norms.png'
    """
    load_library()
    picture = figures[name]()
    results: tuple[Any, ...] = tuple(picture.taken(path) for path in paths)
    if strange := [path for path in results if not _drawable(path)]:
        raise LanguageError(
            f'the figure "{name}" must be drawn from a {picture.of}, got {short(strange[0])}; pass a result of flowlab.'
        )
    wrong = [path for path in results if sort(path) != picture.of]
    if wrong:
        raise LanguageError(
            f'the figure "{name}" must be drawn from a {picture.of}, got a {wrong[0].kind}; choose another by'
            " `flowlab list figures`."
        )
    results = tuple(path for path in results if path.kind == "flow" or not picture.flows_only)
    if not results and picture.of != "trajectory":
        raise LanguageError(f'the figure "{name}" must have a result of the kind "{picture.of}", got none; pass one.')
    if not results:
        raise LanguageError(
            f'the figure "{name}" must have a {"flow" if picture.flows_only else "trajectory"}, got none; pass one.'
        )
    if picture.alone and len(results) > 1:
        raise LanguageError(
            f'the figure "{name}" must have one {picture.of}, got {len(results)}; draw them one by one.'
        )
    curves = []
    for i, (suffix, path, found) in enumerate(zip(_suffixes(results), results, picture.compared(results), strict=True)):
        rows = list(dict.fromkeys(curve.label for curve in found))
        for c in found:
            label = c.label if c.look == "limit" or not picture.told_apart else c.label + suffix
            curves.append(replace(c, label=label, path=i, row=rows.index(c.label), dashed=path.kind == "descent"))
    # No pyplot: it keeps global state, and the user's own backend is none of our business.
    from matplotlib import style
    from matplotlib.figure import Figure

    # From matplotlib's defaults: a user's own settings must not change what equal results look like.
    with style.context(STYLE, after_reset=True):
        frames = picture.frames(curves)
        columns = min(picture.columns, len(frames))
        canvas = Figure(figsize=picture.page(curves), layout="constrained")
        grid = canvas.subplots(-(-len(frames) // columns), columns, squeeze=False)
        axes = list(grid.ravel())
        for spare in axes[len(frames) :]:
            spare.remove()
        picture.paint(canvas, axes[: len(frames)], curves)
        told = (
            f"{p.kind} of {p.problem.network.text}, {p.problem.loss.name} loss, {p.problem.scheme.name}"
            for p in results
        )
        drawn = Drawn(name, canvas, curves, "; ".join(told), picture.title, [source(p) for p in results])
        # The layout is solved once and kept for every format that is saved.
        engine: Any = canvas.get_layout_engine()
        engine.execute(canvas)
        canvas.set_layout_engine("none")
    return drawn


def _drawable(path: Any) -> bool:
    try:
        return isinstance(path.kind, str) and isinstance(path.problem, Problem)
    except Exception:
        # Attributes of a foreign class may raise anything.
        return False


def _suffixes(paths: Sequence[Any]) -> list[str]:
    """What tells the curves of several results apart: kind, scheme or network, and a number where none of them does."""
    if len(paths) == 1:
        return [""]
    if len({p.kind for p in paths}) == len(paths):
        return [f", {p.kind}" for p in paths]
    schemes = [p.problem.scheme.short_name for p in paths]
    for told in (schemes, [p.problem.network.text for p in paths]):
        if len(set(told)) == len(paths):
            return [f", {words}" for words in told]
    return [f", {p.kind} {i}" for i, p in enumerate(paths, 1)]


def started(path: "Trajectory") -> tuple[np.ndarray, np.ndarray]:
    """Log t, and which rows have t > 0."""
    log_t = path.dataset["log_t"].values
    keep = np.isfinite(log_t)
    return log_t[keep], keep
