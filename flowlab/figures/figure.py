"""What a figure is: a class that draws trajectories on axes; `draw` sets the page and `save` writes it with its data."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flowlab.core.errors import LanguageError, OutputError
from flowlab.core.registry import Registry

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory

figures: Registry[type["Picture"]] = Registry("figure")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind readers."""

STYLE = {
    "figure.figsize": (3.4, 2.4), "figure.dpi": 150, "font.size": 8, "axes.linewidth": 0.6, "lines.linewidth": 1.2, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "pdf.fonttype": 42, "svg.hashsalt": "flowlab", "axes.labelsize": 8, "legend.fontsize": 7,
}  # fmt: skip


@dataclass
class Curve:
    """One drawn line, kept so that its numbers can be written beside the picture."""

    label: str
    x: np.ndarray
    y: np.ndarray


class Picture(ABC):
    """One figure. `title` is what `flowlab list figures` says of it."""

    name: ClassVar[str]
    title: ClassVar[str]
    x_label: ClassVar[str] = r"$\log t$"
    y_label: ClassVar[str]
    log_y: ClassVar[bool] = False

    @abstractmethod
    def curves(self, path: "Trajectory") -> list[Curve]:
        """The lines of one trajectory."""


@dataclass
class Drawn:
    """A drawn figure: save it as PDF, SVG, PNG or PGF; the numbers go beside it as CSV."""

    name: str
    canvas: Any
    curves: list[Curve] = field(default_factory=list)

    def save(self, path: str | Path) -> Path:
        """Write the picture, and its data as `<name>.csv` beside it.

        Raises:
            OutputError: if the format is unknown or the place cannot be written.
        """
        path = Path(path)
        if path.suffix not in (".pdf", ".svg", ".png"):
            raise OutputError(f"`{path.name}` has no known picture format; use .pdf, .svg or .png.")
        # Dates would make equal pictures differ.
        metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}[path.suffix]
        try:
            self.canvas.savefig(path, metadata=metadata, dpi=300 if path.suffix == ".png" else None)
            rows = ["curve,x,y"] + [f"{c.label},{a!r},{b!r}" for c in self.curves for a, b in zip(c.x.tolist(), c.y.tolist(), strict=True)]
            path.with_suffix(".csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"`{path}` cannot be written ({error.strerror}); choose another folder.") from None
        return path


def load_library() -> None:
    """Import every figure; importing registers it."""
    package = import_module("flowlab.figures.library")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def draw(name: str, *paths: "Trajectory") -> Drawn:
    """Draw a registered figure of one or more trajectories; flows are solid, descents dashed.

    Raises:
        UnknownName: for an unknown figure; LanguageError: without trajectories.
    """
    load_library()
    picture = figures[name]()
    if not paths:
        raise LanguageError(f"the figure \"{name}\" needs at least one trajectory.")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context(STYLE):
        canvas, axes = plt.subplots(layout="constrained")
        drawn = Drawn(name, canvas)
        for path in paths:
            for i, curve in enumerate(_labelled(picture.curves(path), path, paths)):
                axes.plot(curve.x, curve.y, label=curve.label, color=COLOURS[i % len(COLOURS)], linestyle="-" if path.kind == "flow" else "--")
                drawn.curves.append(curve)
        axes.set_xlabel(picture.x_label)
        axes.set_ylabel(picture.y_label)
        if picture.log_y:
            axes.set_yscale("log")
        if len(drawn.curves) > 1:
            axes.legend()
        plt.close(canvas)
    return drawn


def _labelled(curves: list[Curve], path: "Trajectory", paths: Sequence["Trajectory"]) -> list[Curve]:
    if len(paths) == 1:
        return curves
    suffix = path.kind if len({p.kind for p in paths}) == len(paths) else f"{path.kind} {list(paths).index(path) + 1}"
    return [Curve(f"{c.label}, {suffix}", c.x, c.y) for c in curves]




def started(path: "Trajectory") -> tuple[np.ndarray, np.ndarray]:
    """log t, and which rows have t > 0."""
    log_t = path.dataset["log_t"].values
    keep = np.isfinite(log_t)
    return log_t[keep], keep
