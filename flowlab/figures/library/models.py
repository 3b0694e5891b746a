"""Models of gradient descent over time: their losses, their sharpness next to the edge of stability, and their
distances from descent.
"""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Picture, figures

if TYPE_CHECKING:
    import xarray as xr

    from flowlab.language.result import Result


def _of(path: "Result", values: "xr.DataArray", label: str) -> list[Curve]:
    """One curve, where there is anything to draw."""
    keep = np.isfinite(values.values)
    told = "descent" if label == "discrete" else ""
    return [Curve(label, path.dataset["time"].values[keep], values.values[keep], told=told)] if keep.any() else []


@figures.register("models")
class ModelLosses(Picture):
    """The log loss of every model."""

    title = "log loss of flow, modified flow, central flow and descent over time"
    x_label = r"$t = \eta k$"
    y_label = r"$\log L$"
    of = "models"

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        return [
            curve for name in ds["model"].values.tolist() for curve in _of(path, ds["log_loss"].sel(model=name), name)
        ]


@figures.register("models_sharpness")
class ModelSharpness(Picture):
    """The largest eigenvalue of the Hessian along every model, and 2/η."""

    title = "sharpness along flow, modified flow, central flow and descent, and the edge of stability"
    x_label = r"$t = \eta k$"
    y_label = r"$\lambda_{\max}$"
    of = "models"

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        drawn = [
            curve for name in ds["model"].values.tolist() for curve in _of(path, ds["sharpness"].sel(model=name), name)
        ]
        ends = ds["time"].values[[0, -1]]
        return [*drawn, Curve("edge", ends, np.full(2, float(ds["edge"])), look="limit", told=r"$2/\eta$")]


@figures.register("models_distance")
class ModelDistance(Picture):
    """Relative distances of the flows from the descent averaged over time."""

    title = "relative distance of flow, modified flow and central flow from averaged descent"
    x_label = r"$t = \eta k$"
    y_label = "relative distance"
    log_y = True
    of = "models"

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        # At the start all are the same, which has no logarithm.
        far = ds["distance_averaged"].where(ds["distance_averaged"] > 1e-16)
        return [curve for name in ("flow", "modified", "central") for curve in _of(path, far.sel(model=name), name)]
