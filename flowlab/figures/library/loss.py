"""The logarithm of the loss over log t."""

from typing import TYPE_CHECKING

from flowlab.figures.figure import Curve, Picture, figures, started

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("loss")
class LossCurve(Picture):
    """log L."""

    title = "log of the loss over log t"
    y_label = r"$\log L$"

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        return [Curve("loss", log_t, path.dataset["log_loss"].values[keep])]
