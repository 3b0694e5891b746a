"""A coarse gradient beside the true one along a run: their angle, and the curl."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Panel, Picture, figures
from flowlab.figures.style import COLUMN, formula

if TYPE_CHECKING:
    from flowlab.language.result import Result


@figures.register("field_angle")
class FieldAngle(Picture):
    """Angles of all weights and of every block above, the share of the antisymmetric part of the Jacobian below."""

    title = "angle between coarse and true gradient, and the curl of the coarse one"
    of = "field angle"
    size = (COLUMN, 3.6)
    panels = (Panel("angle in degrees"), Panel(r"$\Vert J - J^\top\Vert / \Vert J + J^\top\Vert$"))

    def curves(self, path: "Result") -> list[Curve]:
        ds = {str(name): values.values for name, values in path.dataset.variables.items()}
        blocks = [name.removeprefix("angle_") for name in sorted(ds) if name.startswith("angle_")]
        started = np.isfinite(ds["log_t"])
        at = ds["log_t"][started]
        angles = {"all weights": ds["angle"]} | {f"block {name}": ds[f"angle_{name}"] for name in blocks}
        above = [
            Curve(name, at, np.degrees(values[started]), told=formula(name.removeprefix("block ")) if i else "")
            for i, (name, values) in enumerate(angles.items())
        ]
        return [*above, Curve("curl", at, ds["share"][started], panel=1)]
