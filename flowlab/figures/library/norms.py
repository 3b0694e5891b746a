"""The norms of all blocks over log t."""

from typing import TYPE_CHECKING

from flowlab.figures.figure import Curve, Picture, figures, started
from flowlab.figures.style import formula

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("norms")
class Norms(Picture):
    """ρ_k, at most seven of them."""

    title = "norms rho_k over log t"
    y_label = r"$\rho_k$"

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        names = path.dataset["block"].values.tolist()[:7]
        return [
            Curve(name, log_t, path.dataset["rho"].values[keep, i], told=formula(name), hue=i)
            for i, name in enumerate(names)
        ]
