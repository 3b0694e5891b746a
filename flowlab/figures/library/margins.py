"""The normalised margin and the smoothed margin, which only grows, up to the latest times."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Picture, figures, started

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("margins")
class Margins(Picture):
    """min_n y_n f(V; x_n), and log(1/L)/R from L < 1 on (K. Lyu, J. Li 2020, eq. 5)."""

    title = "margin and smoothed margin over log t, to the latest times"
    y_label = "margin"

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        ds = path.dataset
        margin, log_loss, log_R = (ds[name].values[keep] for name in ("min_margin", "log_loss", "log_R"))
        out = [Curve("margin", log_t, margin)]
        # Before, it is negative, and as large as R is small.
        small = log_loss < 0
        if small.any():
            out.append(Curve("smoothed margin", log_t[small], np.exp(np.log(-log_loss[small]) - log_R[small])))
        return out
