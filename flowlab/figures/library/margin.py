"""The normalised margin over log t."""

from typing import TYPE_CHECKING

from flowlab.figures.figure import Curve, Picture, figures, started

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("margin")
class Margin(Picture):
    """min_n y_n f(V; x_n)."""

    title = "smallest normalised margin over log t"
    y_label = r"$\min_n \bar f_n$"

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        return [Curve("margin", log_t, path.dataset["min_margin"].values[keep])]
