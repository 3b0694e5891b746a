"""How far a flow is from linear: its tangent kernel over time, and the flow of its linearised model beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Panel, Picture, around_zero, dress, figures
from flowlab.figures.style import COLOURS, COLUMN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.result import Result


def _line(path: "Result", label: str, values: np.ndarray, panel: int = 0) -> Curve:
    """A curve over log t, without the row at t = 0 and without zeros, which have no logarithm."""
    log_t = path.dataset["log_t"].values
    keep = np.isfinite(log_t) & np.isfinite(values)
    return Curve(label, log_t[keep], values[keep], panel=panel)


@figures.register("kernel")
class KernelAlong(Picture):
    """Above how far the kernel is from the first, with and without its size; below its alignment with the labels."""

    title = "change, turn and alignment of the tangent kernel"
    of = "kernel"
    size = (COLUMN, 3.6)
    panels = (Panel("relative to the first kernel", log_y=True), Panel("alignment with labels"))

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        # The first kernel is at no distance from itself.
        far = [(name, ds[name].where(ds[name] > 1e-16).values) for name in ("change", "turn")]
        return [
            *(_line(path, name, values) for name, values in far),
            _line(path, "alignment", ds["alignment"].values, 1),
        ]


@figures.register("linearised")
class LinearisedBeside(Picture):
    """Above the log loss of network and linearised model; below how far their outputs are apart, and how far those of
    the network have moved.
    """

    title = "flow of a network beside the flow of its linearised model"
    of = "linearised"
    size = (COLUMN, 3.6)
    panels = (Panel(r"$\log L$"), Panel("root mean square", log_y=True))

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        losses = [_line(path, name, ds["log_loss"].sel(model=name).values) for name in ds["model"].values.tolist()]
        told = (("outputs apart", "distance"), ("outputs moved", "moved"))
        return [*losses, *(_line(path, label, ds[name].where(ds[name] > 1e-16).values, 1) for label, name in told)]


@figures.register("hessian")
class HessianSpectrum(Picture):
    """Every eigenvalue over log t, on an axis that is linear around zero and logarithmic beyond."""

    title = "eigenvalues of the Hessian in the weights along a path"
    y_label = "eigenvalue"
    of = "hessian"
    alone = True

    def curves(self, path: "Result") -> list[Curve]:
        values = path.dataset["eigenvalue"].values
        return [_line(path, f"{k + 1}", values[:, k]) for k in range(values.shape[1])]

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        below = sum(float(c.y[-1]) < 0 for c in curves if len(c.y))
        return [f"{len(curves)} eigenvalues; orange those {below} that are below zero at the end"]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        (ax,) = axes
        for curve in curves:
            last = curve.y[-1] if len(curve.y) else 0.0
            ax.plot(curve.x, curve.y, color=COLOURS[1] if last < 0 else COLOURS[0], linewidth=0.7)
        sizes = np.abs(np.concatenate([c.y for c in curves]))
        top = float(sizes.max(initial=0.0)) or 1.0
        dress(ax, self.frames(curves)[0])
        # Three decades below the largest, as a power of ten.
        around_zero(ax, 10.0 ** np.floor(np.log10(1e-3 * top)))
