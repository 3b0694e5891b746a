"""Critical points of the constrained problem: how many directions go down, against the loss."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.figures.figure import Curve, Picture, dress, figures, legend, looks, stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = {"minimum": "o", "saddle": "x", "maximum": "^", "Morse-Bott": "s", "non-smooth": "D"}


@figures.register("critical")
class Critical(Picture):
    """One mark for every distinct critical point, by kind."""

    title = "log loss of critical points over their index, by kind"
    x_label = "index"
    y_label = r"$\log L$"
    of = "critical points"

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        (ax,) = axes
        for curve, look in zip(curves, looks(curves), strict=True):
            # Points of equal index and nearly equal loss lie on each other: rings are still counted.
            stroke(ax, curve, look | {"markerfacecolor": "none", "markeredgewidth": 1.0})
        dress(ax, self.frames(curves)[0])
        index = np.unique(np.concatenate([c.x for c in curves]))
        ax.set_xticks(index[:: 1 + int(index.max()) // 12])
        legend(canvas, axes)

    def curves(self, path: Any) -> list[Curve]:
        kinds = {kind: [p for p in path if p.kind == kind] for kind in _MARKERS}
        return [
            Curve(kind, np.array([float(p.index) for p in some]), np.array([p.log_loss for p in some]), _MARKERS[kind])
            for kind, some in kinds.items()
            if some
        ]
