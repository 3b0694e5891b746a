"""How far the squared norms have drifted from equal growth."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Picture, figures, started
from flowlab.figures.style import formula

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("balance")
class Balance(Picture):
    """|ρ_k²/κ_k - ρ_1²/κ_1 - its start|, relative to the largest ρ²/κ."""

    title = "drift of the conserved differences of squared norms"
    y_label = r"relative drift of $\rho_k^2/\kappa_k - \rho_1^2/\kappa_1$"
    log_y = True

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        names = path.dataset["block"].values.tolist()
        degrees = np.array([float(path.problem.degrees.get(name.partition("[")[0]) or 1) for name in names])
        squares = path.dataset["rho"].values ** 2 / degrees
        apart = squares - squares[:, :1]
        # Exact agreement has no place on a logarithmic axis.
        drift = np.maximum(np.abs(apart - apart[0]), 1e-17 * squares.max()) / squares.max()
        return [
            Curve(f"{name} - {names[0]}", log_t, drift[keep, i], told=f"$k$: {formula(name)}", hue=i)
            for i, name in enumerate(names[1:7], 1)
        ] or [Curve(names[0], log_t, drift[keep, 0], told=formula(names[0]))]
