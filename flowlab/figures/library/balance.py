"""How far the conservation laws of a flow have drifted."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import Curve, Picture, figures
from flowlab.figures.style import law_formula

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory

_MOST = 6
"""Laws that one figure can tell apart: the first of the flow's list."""
_FLOOR = 1e-17
"""Exact agreement has no place on a logarithmic axis."""


@figures.register("balance")
class Balance(Picture):
    """|law - its start|, relative to the size of what the law is a difference of."""

    title = "drift of the conservation laws"
    y_label = "relative drift of conserved quantities"
    log_y = True

    def curves(self, path: "Trajectory") -> list[Curve]:
        from flowlab.studies.monitors import law_drifts

        log_t, found = law_drifts(path)
        if not found:
            raise LanguageError(
                f'the figure "balance" must be of a flow with conservation laws, got `{path.problem.network.text}`,'
                ' which has none; draw "norms".'
            )
        keep = np.isfinite(log_t)
        return [
            Curve(law.text, log_t[keep], np.maximum(drift[keep], _FLOOR), told=law_formula(law.latex, law.text), hue=i)
            for i, (law, drift) in enumerate(found[:_MOST])
        ]
