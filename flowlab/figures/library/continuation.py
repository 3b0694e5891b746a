"""Curves of critical points: what they are like over the parameter, where they attract, and where they turn
or branch.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flowlab.core.typing import Record
from flowlab.figures.figure import Curve, Panel, Picture, above, dress, figures
from flowlab.figures.style import DASHES, palette, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.result import Result

_EVENTS = {"fold": "D", "vertical": "s"}
"""Marks of events; branch points are rings."""
_WIDE = 1e2
"""From the smallest to the largest value, where a logarithmic axis tells more."""
_PARAMETERS = {"log_norm": r"$\log R$", "decay": r"penalty $\omega$", "log_decay": r"$\log\omega$"}


class _Diagram(Picture):
    """Stretches without negative eigenvalues are solid, others dotted, with a colour for every branch; marks are folds
    and branch points.
    """

    of = "continuation"
    column: ClassVar[str]

    def __init__(self) -> None:
        self.parameters: dict[str, None] = {}

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        values = np.concatenate([c.y[np.isfinite(c.y)] for c in curves] or [np.ones(1)])
        wide = len(values) > 0 and bool((values > 0).all()) and float(values.max()) >= _WIDE * float(values.min())
        across = " or ".join(_PARAMETERS.get(name, name) for name in self.parameters)
        return (Panel(self.y_label, across, log_y=wide),)

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        events = Counter(c.label.partition(" ")[2].partition(",")[0] for c in curves if c.look == "event")
        told = ", ".join(f"{n} of kind {kind}" for kind, n in events.items())
        branches = len({(c.path, c.hue) for c in curves if c.look != "event"})
        kinds = f"Branches: {branches}; solid where they are minima, dotted where they are saddles"
        return [kinds, f"Events: {told}"] if told else [kinds]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        (ax,) = axes
        colours, entries = palette(), {}
        for c in curves:
            if c.look == "event":
                look: Record = {"color": "#000000", "markersize": 5, "zorder": 4, "markerfacecolor": "#FFFFFF"}
                (line,) = ax.plot(c.x, c.y, c.marker, **look)
                entries.setdefault(shown(c.label.partition(" ")[2].partition(",")[0]), line)
                continue
            look = {"color": colours[((c.hue or 0) + c.path) % len(colours)]}
            if c.look == "minima":
                look |= {"linestyle": "-", "linewidth": 1.5}
            else:
                look |= {"linestyle": DASHES[2], "linewidth": 0.9, "marker": ".", "markersize": 2.5}
            (line,) = ax.plot(c.x, c.y, **look)
            entries.setdefault(shown(c.label), line)
        dress(ax, self.frames(curves)[0])
        if len(entries) > 1:
            above(canvas, list(entries.values()), list(entries))

    def curves(self, path: "Result") -> list[Curve]:
        ds, drawn = path.dataset, []
        self.parameters[ds["parameter"].attrs.get("long_name", "parameter")] = None
        branch, p, y = (ds[name].values for name in ("branch", "parameter", self.column))
        attracts = ds["index"].values == 0
        for b in np.unique(branch):
            at = branch == b
            near = at & np.isfinite(y)
            for stable, marker, told in ((True, "", "minima"), (False, ".", "saddles")):
                keep = near & (attracts == stable)
                if keep.any():
                    ends = np.where(keep, p, np.nan)[at], np.where(keep, y, np.nan)[at]
                    drawn.append(Curve(f"branch {b}, {told}", *ends, marker, hue=int(b), look=told))
        for e, (kind, of, parameter) in enumerate(_events(path)):
            at = np.flatnonzero((branch == of) & np.isfinite(y))
            if len(at):
                nearest = at[np.argmin(np.abs(p[at] - parameter))]
                mark = _EVENTS.get(kind, "o")
                drawn.append(Curve(f"#{e} {kind}", np.array([parameter]), np.array([y[nearest]]), mark, look="event"))
        return drawn


def _events(path: Any) -> list[tuple[str, int, float]]:
    """Kind, branch and parameter of every fold and branch point, of a continuation at hand or a stored one."""
    if hasattr(path, "events"):
        return [(e.kind, e.branch, e.parameter) for e in path.events]
    if "event_kind" not in path.dataset:
        return []
    columns = (path.dataset[f"event_{name}"].values.tolist() for name in ("kind", "branch", "parameter"))
    return list(zip(*columns, strict=True))


@figures.register("continuation")
class ContinuationNorm(_Diagram):
    """Norms along every branch."""

    title = "norm of all weights along every branch of critical points over the parameter"
    y_label = r"$\Vert W \Vert$"
    column = "norm"


@figures.register("continuation_loss")
class ContinuationLoss(_Diagram):
    """Losses along every branch."""

    title = "log of the data loss along every branch of critical points over the parameter"
    y_label = r"$\log L$"
    column = "log_loss"


@figures.register("continuation_margin")
class ContinuationMargin(_Diagram):
    """Margins along every branch."""

    title = "margin of unit directions along every branch of critical points over the parameter"
    y_label = r"$\min_n y_n f(V; x_n)$"
    column = "margin"
