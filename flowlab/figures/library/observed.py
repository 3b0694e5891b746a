"""Observables of a user's own over time, such as the error on samples that are held out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import Curve, Panel, Picture, figures
from flowlab.figures.style import COLOURS, COLUMN, shown

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory

_HEIGHT, _MARGIN = 1.3, 0.6
"""Inches of a panel, and of what stands around them."""


@figures.register("observed")
class ObservedCurves(Picture):
    """One panel for every observable; of an array the first entries, one curve each. Rows where it failed are left out.

    The label of a curve begins with the name of its observable, by which panels are found again.
    """

    title = "observables of a run, such as the error on held-out samples, over log t"

    def curves(self, path: "Trajectory") -> list[Curve]:
        if not path.observed:
            raise LanguageError(
                'the trajectory must have observables, got none; run it with `observe={"test_error": f}`.'
            )
        log_t, out = path.dataset["log_t"].values, []
        for panel, (name, values) in enumerate(path.observed.items()):
            columns = values.values.reshape(len(path), -1)
            for k in range(min(columns.shape[1], len(COLOURS))):
                keep = np.isfinite(log_t) & np.isfinite(columns[:, k])
                label = name if values.ndim == 1 else f"{name}[{k}]"
                out.append(Curve(label, log_t[keep], columns[keep, k], panel=panel))
        return out

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        names = {c.panel: c.label.partition(",")[0].partition("[")[0] for c in curves}
        return tuple(Panel(shown(names[k])) for k in sorted(names))

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        return COLUMN, _MARGIN + _HEIGHT * len({c.panel for c in curves})
