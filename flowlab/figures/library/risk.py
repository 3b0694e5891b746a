"""Risk of the limits of an induced flow over one of its constants, beside solutions of least norm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Panel, Picture, figures
from flowlab.figures.style import formula

if TYPE_CHECKING:
    from flowlab.language.result import Result

_NORMS = {
    "risk_min_l1": ("least l1 norm", r"least $\ell_1$ norm"),
    "risk_min_l2": ("least l2 norm", r"least $\ell_2$ norm"),
}


@figures.register("risk")
class RiskOverConstant(Picture):
    """Risks within a decade stand on a linear axis; solutions of least norm do not depend on the constant."""

    title = "risk of the limit over a constant of the parametrisation, beside the least l1 and l2 norms"
    of = "risk"

    def __init__(self) -> None:
        self.varied: dict[str, None] = {}

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        risks = np.concatenate([c.y for c in curves])
        wide = bool((risks > 0).all()) and float(risks.max()) >= 10.0 * float(risks.min())
        return (Panel("risk", " or ".join(map(formula, self.varied)), log_y=wide, log_x=True),)

    def curves(self, path: "Result") -> list[Curve]:
        ds = path.dataset
        value = ds["value"].values
        self.varied[str(ds.attrs["vary"])] = None
        found = [Curve(f"limit over {ds.attrs['vary']}", value, ds["risk"].values, told="limit of the flow")]
        ends = value[[0, -1]]
        return found + [
            Curve(label, ends, np.full(2, float(ds[name])), look="limit", told=told)
            for name, (label, told) in _NORMS.items()
            if name in ds
        ]
