"""Risk of the limits of an induced flow over one of its constants, beside solutions of least norm."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Panel, Picture, figures

if TYPE_CHECKING:
    from flowlab.language.result import Result

_NORMS = {"risk_min_l1": "least l1 norm", "risk_min_l2": "least l2 norm"}


@figures.register("risk")
class RiskOverConstant(Picture):
    """Both axes are logarithmic; solutions of least norm do not depend on the constant."""

    title = "risk of the limit over a constant of the parametrisation, beside the least l1 and l2 norms"
    of = "risk"
    panels = (Panel("risk", "constant", log_y=True, log_x=True),)

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        value = ds["value"].values
        found = [Curve(f"limit over {ds.attrs['vary']}", value, ds["risk"].values)]
        ends = value[[0, -1]]
        return found + [Curve(label, ends, np.full(2, float(ds[name]))) for name, label in _NORMS.items() if name in ds]
