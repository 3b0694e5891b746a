"""What a figure is: a class that draws trajectories on axes; `draw` sets the page and `save` writes it with its data."""

import csv
import logging
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flowlab.core.errors import LanguageError, OutputError
from flowlab.core.provenance import versions
from flowlab.core.registry import Registry

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory

figures: Registry[type["Picture"]] = Registry("figure")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind readers."""

STYLE: Any = {
    "figure.figsize": (3.4, 2.4), "figure.dpi": 150, "font.size": 8, "axes.linewidth": 0.6, "lines.linewidth": 1.2, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "pdf.fonttype": 42, "svg.hashsalt": "flowlab", "axes.labelsize": 8, "legend.fontsize": 7,
    "font.family": ["cmr10", "DejaVu Sans"], "mathtext.fontset": "cm", "axes.formatter.use_mathtext": True,
}  # fmt: skip


@dataclass
class Curve:
    """One drawn line, kept so that its numbers can be written beside the picture."""

    label: str
    x: np.ndarray
    y: np.ndarray
    marker: str = ""
    """Of points that no line joins."""


class Picture(ABC):
    """One figure. `title` is what `flowlab list figures` says of it."""

    name: ClassVar[str]
    title: ClassVar[str]
    x_label: ClassVar[str] = r"$\log t$"
    y_label: ClassVar[str]
    log_y: ClassVar[bool] = False
    flows_only: ClassVar[bool] = False
    """Whether a descent has nothing to show in it and is left out."""
    of: ClassVar[str] = "trajectory"
    """What it draws: trajectories, or a result of another kind, by the `kind` that such a result has."""

    @abstractmethod
    def curves(self, path: Any) -> list[Curve]:
        """The lines of one trajectory, or of one other result."""


@dataclass
class Drawn:
    """A drawn figure: save it as PDF, SVG, PNG or PGF; the numbers go beside it as CSV."""

    name: str
    canvas: Any
    curves: list[Curve] = field(default_factory=list)
    subject: str = ""

    def save(self, path: str | Path) -> Path:
        """Write the picture, and its data as `<name>.csv` beside it.

        Raises:
            OutputError: if the format is unknown or the place cannot be written.
        """
        path = Path(path)
        if path.suffix not in (".pdf", ".svg", ".png"):
            raise OutputError(f"`{path.name}` has no known picture format; use .pdf, .svg or .png.")
        maker = f"flowlab {versions()['flowlab']}"
        # Dates would make equal pictures differ.
        metadata = {
            ".pdf": {"CreationDate": None, "Title": self.name, "Subject": self.subject, "Creator": maker},
            ".svg": {"Date": None, "Title": self.name, "Description": self.subject, "Creator": maker},
            ".png": {"Title": self.name, "Description": self.subject, "Software": maker},
        }[path.suffix]
        import matplotlib

        try:
            with matplotlib.rc_context(STYLE), _quiet("fontTools"):
                self.canvas.savefig(path, metadata=metadata, dpi=300 if path.suffix == ".png" else None)
            with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(["curve", "x", "y"])
                table.writerows([c.label, repr(a), repr(b)] for c in self.curves for a, b in zip(c.x.tolist(), c.y.tolist(), strict=True))
        except OSError as error:
            raise OutputError(f"`{path}` cannot be written ({error.strerror}); choose another folder.") from None
        return path


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """No warnings of one logger: Computer Modern was dated before fontTools believes in dates."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def load_library() -> None:
    """Import every figure; importing registers it."""
    package = import_module("flowlab.figures.library")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def draw(name: str, *paths: Any) -> Drawn:
    """Draw a registered figure of one or more trajectories, or of what else it is a figure of; flows are solid, descents dashed.

    Raises:
        UnknownName: for an unknown figure; LanguageError: without trajectories, or for results of another kind.
    """
    load_library()
    picture = figures[name]()
    wrong = [path for path in paths if ("trajectory" if path.kind in ("flow", "descent") else path.kind) != picture.of]
    if wrong:
        raise LanguageError(f'the figure "{name}" is of a {picture.of}, not of a {wrong[0].kind}; draw another of those that `flowlab list figures` shows.')
    paths = tuple(path for path in paths if path.kind == "flow" or not picture.flows_only)
    if not paths and picture.of != "trajectory":
        raise LanguageError(f'the figure "{name}" needs at least one result of the kind "{picture.of}".')
    if not paths:
        raise LanguageError(f"the figure \"{name}\" needs at least one {'flow' if picture.flows_only else 'trajectory'}.")
    # No pyplot: it keeps global state, and the user's own backend is none of our business.
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        canvas = Figure(layout="constrained")
        axes = canvas.subplots()
        told = (f"{p.kind} of {p.problem.network.text}, {p.problem.loss.name} loss, {p.problem.scheme.name}" for p in paths)
        drawn = Drawn(name, canvas, subject="; ".join(told))
        for suffix, path in zip(_suffixes(paths), paths, strict=True):
            for curve in picture.curves(path):
                drawn.curves.append(Curve(curve.label + suffix, curve.x, curve.y))
                # A colour of its own for every curve: where a descent follows its flow, the dashes must still be seen.
                colour = COLOURS[(len(drawn.curves) - 1) % len(COLOURS)]
                line = "" if curve.marker else "--" if path.kind == "descent" else "-"
                axes.plot(curve.x, curve.y, label=_shown(drawn.curves[-1].label), color=colour, linestyle=line, marker=curve.marker, markersize=4)
        axes.set_xlabel(picture.x_label)
        axes.set_ylabel(picture.y_label)
        if picture.log_y:
            axes.set_yscale("log")
        if len(drawn.curves) > 4:
            canvas.legend(loc="outside right upper")
        elif len(drawn.curves) > 1 or drawn.curves[0].marker:
            axes.legend()
        # The layout is solved once and kept for every format that is saved.
        engine: Any = canvas.get_layout_engine()
        engine.execute(canvas)
        canvas.set_layout_engine("none")
    return drawn


def _suffixes(paths: Sequence[Any]) -> list[str]:
    """What tells the curves of several trajectories apart: the kind, and a number where that is not enough."""
    if len(paths) == 1:
        return [""]
    distinct = len({p.kind for p in paths}) == len(paths)
    return [f", {p.kind}" if distinct else f", {p.kind} {i}" for i, p in enumerate(paths, 1)]


def started(path: "Trajectory") -> tuple[np.ndarray, np.ndarray]:
    """Log t, and which rows have t > 0."""
    log_t = path.dataset["log_t"].values
    keep = np.isfinite(log_t)
    return log_t[keep], keep


def _shown(label: str) -> str:
    """A label with its underscores set as formulas: Computer Modern's text font has another glyph in that place."""
    return label.replace("_", r"$\_$")
