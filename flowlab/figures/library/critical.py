"""Critical points of the constrained problem: how many directions go down, against the loss."""

from typing import Any

import numpy as np

from flowlab.figures.figure import Curve, Picture, figures

_MARKERS = {"minimum": "o", "saddle": "x", "maximum": "^", "Morse-Bott": "s", "non-smooth": "D"}


@figures.register("critical")
class Critical(Picture):
    """One mark for every distinct critical point, by kind."""

    title = "log loss of critical points over their index, by kind"
    x_label = "index"
    y_label = r"$\log L$"
    of = "critical points"

    def curves(self, path: Any) -> list[Curve]:
        kinds = {kind: [p for p in path if p.kind == kind] for kind in _MARKERS}
        return [
            Curve(kind, np.array([float(p.index) for p in some]), np.array([p.log_loss for p in some]), _MARKERS[kind])
            for kind, some in kinds.items()
            if some
        ]
