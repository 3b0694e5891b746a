"""The constants that direction and loss approach, next to the limits that theory gives them."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Panel, Picture, figures
from flowlab.figures.style import COLUMN

if TYPE_CHECKING:
    import xarray as xr

    from flowlab.language.result import Result


def _line(ds: "xr.Dataset", name: str, value: str, label: str, panel: int = 0) -> list[Curve]:
    """One measured curve where it is a number, and its limit where that is known; before separation there is nothing to
    see.
    """
    log_t, y = ds["log_t"].values, ds[name].values
    keep = np.isfinite(log_t) & np.isfinite(y) & (log_t > 0)
    if not keep.any():
        return []
    out = [Curve(label, log_t[keep], y[keep], panel=panel)]
    limit = float(ds[value]) if value else np.nan
    if np.isfinite(limit):
        out.append(Curve("limit", log_t[keep][[0, -1]], np.full(2, limit), panel=panel, look="limit"))
    return out


@figures.register("direction_constant")
class DirectionConstant(Picture):
    """ρ ‖v - v*‖ of a linear predictor against C* (P8); R ‖V - V*‖ of the directions for networks that are not linear
    in x.
    """

    title = "norm times distance from the max-margin direction, against its limit C*"
    y_label = r"$\rho\,\Vert v - v^{*}\Vert$"
    of = "convergence"

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        if not np.isfinite(float(ds["constant"])):
            return _line(ds, "scaled", "", r"$R\,\Vert V - V^{*}\Vert$")
        if bool(ds["spans"]):
            return _line(ds, "scaled", "constant", "measured")
        # What is across all support vectors keeps the start's part, and has no limit that the data tell.
        return [
            *_line(ds, "scaled", "", "in all directions"),
            *_line(ds, "scaled_span", "constant", "in the span of the support"),
        ]


@figures.register("loss_constant")
class LossConstant(Picture):
    """r(t) and L t (log t)^{2-2/K} against their limits (P10, P11)."""

    title = "squared gradient over L^2 (log 1/L)^(2-2/K), and L t (log t)^(2-2/K), against their limits"
    of = "convergence"
    size = (COLUMN, 3.6)
    panels = (
        Panel(r"$\Vert\nabla L\Vert^2 L^{-2}\,|\log L|^{2/K-2}$"),
        Panel(r"$L\,t\,(\log t)^{2-2/K}$"),
    )

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        return [*_line(ds, "rate", "rate_limit", "measured"), *_line(ds, "loss_constant", "loss_limit", "measured", 1)]
