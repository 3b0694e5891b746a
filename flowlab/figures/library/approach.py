"""How far a flow is from every critical point, over time."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Picture, figures

if TYPE_CHECKING:
    from flowlab.language.result import Result

_MOST = 6


@figures.register("approach")
class Approach(Picture):
    """One curve for each of the points that the flow came nearest to, six at most."""

    title = "distance of a flow from critical points, modulo symmetry, over time"
    y_label = "distance modulo symmetry"
    log_y = True
    of = "approach"

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        keep = np.isfinite(ds["log_t"].values)
        nearest = np.argsort(ds["distance"].values.min(axis=0), kind="stable")[:_MOST]
        # Round-off has no logarithm worth a decade.
        return [
            Curve(f"point {k}", ds["log_t"].values[keep], np.maximum(ds["distance"].values[keep, k], 1e-17))
            for k in sorted(nearest.tolist())
        ]
