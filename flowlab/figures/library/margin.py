"""The margin over log t, normalised where the network scales with its weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowlab.figures.figure import LOG_T, Curve, Panel, Picture, figures, started

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory

_LABELS = {
    frozenset([True]): r"$\min_n y_n \bar f_n$",
    frozenset([False]): r"$\min_n y_n f_n$",
    frozenset([True, False]): "smallest margin",
}


@figures.register("margin")
class Margin(Picture):
    """min_n y_n f(V; x_n); of a network without degrees, whose outputs nothing is divided by, min_n y_n f(W; x_n)."""

    title = "smallest margin over log t"
    divided: frozenset[bool] = frozenset([True])
    """Whether outputs are divided by the norms of the weights, of all results that are drawn."""

    def compared(self, paths: "Sequence[Trajectory]") -> list[list[Curve]]:
        self.divided = frozenset(bool(path.dataset["log_R"].values.any()) for path in paths)
        return super().compared(paths)

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        return [Curve("margin", log_t, path.dataset["min_margin"].values[keep])]

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        return (Panel(_LABELS[self.divided], LOG_T),)
