"""A flow next to the curve of constrained critical points that it follows."""

from typing import TYPE_CHECKING

from flowlab.figures.figure import Curve, Panel, Picture, figures
from flowlab.figures.style import COLUMN

if TYPE_CHECKING:
    from flowlab.language.result import Result

_LOG_R = r"$\log R$"


@figures.register("path_and_flow")
class PathAndFlow(Picture):
    """Margins at equal R above, R times the distance of directions below."""

    title = "continuation path against flow: margins at equal R, and R times their distance"
    of = "path and flow"
    size = (COLUMN, 3.6)
    panels = (Panel("margin", _LOG_R), Panel(r"$R\,\Vert V - V_R\Vert$", _LOG_R, log_y=True))

    def curves(self, path: "Result") -> list[Curve]:
        ds = {str(name): values.values for name, values in path.dataset.variables.items()}
        apart = ds["scaled"] > 0
        return [
            Curve("continuation path", ds["path_log_norm"], ds["path_margin"]),
            Curve("flow", ds["flow_log_norm"], ds["flow_margin"]),
            Curve("distance", ds["log_norm"][apart], ds["scaled"][apart], panel=1),
        ]
