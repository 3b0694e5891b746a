"""How far the directions are from where the run ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Picture, figures, started
from flowlab.figures.style import formula

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("direction")
class Direction(Picture):
    """‖V_k(t) - V_k(end)‖, without the last row."""

    title = "distance of the directions from their last value"
    y_label = r"$\Vert V_k(t) - V_k(\mathrm{end})\Vert$"
    log_y = True

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        return [*super().seen(curves), "The drop at the right edge is the end of the run itself"]

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        out = []
        for i, name in enumerate(path.problem.network.weights[:7]):
            V = path.dataset[f"V_{name}"].values
            gap = np.sqrt(((V - V[-1]) ** 2).reshape(len(V), -1).sum(axis=1))[keep]
            out.append(Curve(name, log_t[:-1], np.maximum(gap[:-1], 1e-17), told=formula(name), hue=i))
        return out
