"""What is drawn, as numbers: curves, and the axes they lie on."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

LOG_T, LOG_L = r"$\log t$", r"$\log L$"
UNTOLD = "_nolegend_"
"""What matplotlib takes for: not in the legend."""
TRUE_LENGTH: Any = {"angles": "xy", "scale_units": "xy", "scale": 1.0}
"""Of arrows that end where their curve says."""


@runtime_checkable
class AxesLike(Protocol):
    """Axes of matplotlib, which is not imported before something is drawn."""

    @property
    def name(self) -> str: ...

    def plot(self, *args: Any, **kwargs: Any) -> Any: ...

    def get_legend_handles_labels(self) -> Any: ...


@dataclass
class Curve:
    """What is drawn of one kind: a line, marks, arrows, bars or cells; kept so that its numbers can be written beside
    the picture.

    Attributes:
        label: what it is, as the table beside the picture says; the same in several panels where it is the same thing.
        x, y: of points, (S,).
        marker: of points that no line joins.
        panel: on which of the picture's axes.
        x_to, y_to: where arrows and bars end, (S,); None for lines and points.
        look: `"line"`, `"limit"` (a predicted value), `"arrows"`, `"bars"`, or a word that the picture's own `paint`
            knows.
        colour: where the picture chooses it.
        told: what the legend says, with formulas between dollar signs; the label where it is empty.
        key: what decides how it looks where that is not the label: curves of one key look alike.
        hue: the place of its block in the network, so that a block has one colour in all figures.
        time: when points are reached, (S,), for animations; of curves over log t that is `x`.
        path, row: of which result it is, and which of that result's curves; set by `draw`.
        dashed: whether it is of a descent; set by `draw`.
        before: how many labels the axes had before; set by `draw`.
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
    told: str = ""
    key: str = ""
    hue: int | None = None
    time: np.ndarray | None = None
    path: int = 0
    row: int = 0
    dashed: bool = False
    before: int = 0

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


def clock(curve: Curve, frame: Panel) -> np.ndarray | None:
    """When the points of a curve are reached; None of curves that do not run in time, such as limits."""
    if curve.time is not None:
        return curve.time
    return curve.x if frame.x_label == LOG_T and curve.look == "line" and curve.x_to is None else None


def until(curve: Curve, times: np.ndarray, now: float) -> Curve:
    """A curve up to a time, its last point between two of its own."""
    count = int(np.searchsorted(times, now, side="right"))
    part = {name: value[:count] for name in _COLUMNS if (value := getattr(curve, name)) is not None}
    if 0 < count < len(times) and np.isfinite(times[count - 1]):
        share = (now - times[count - 1]) / (times[count] - times[count - 1])
        for name, values in part.items():
            whole = getattr(curve, name)
            part[name] = np.append(values, whole[count - 1] + share * (whole[count] - whole[count - 1]))
    return replace(curve, **part)


_COLUMNS = ("x", "y", "x_to", "y_to", "time")
