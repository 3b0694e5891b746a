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
_DECADES = 1e3
"""From the smallest to the largest value: three decades on a linear axis are one jump."""


@figures.register("observed")
class ObservedCurves(Picture):
    """One panel for every observable; of an array the first entries, one curve each. Rows where it failed are left out.

    What is positive and goes over three decades or more stands on a logarithmic axis.
    """

    title = "observables of a run, such as the error on held-out samples, over log t"
    panel_each = True

    def __init__(self) -> None:
        self.names: list[str] = []

    def curves(self, path: "Trajectory") -> list[Curve]:
        if not path.observed:
            raise LanguageError(
                'the trajectory must have observables, got none; run it with `observe={"test_error": f}`.'
            )
        log_t, out = path.dataset["log_t"].values, []
        self.names += [name for name in path.observed if name not in self.names]
        for name, values in path.observed.items():
            columns = values.values.reshape(len(path), -1)
            for k in range(min(columns.shape[1], len(COLOURS))):
                keep = np.isfinite(log_t) & np.isfinite(columns[:, k])
                entry = "" if values.ndim == 1 else f"[{k}]"
                panel = self.names.index(name)
                out.append(Curve(f"{name}{entry}", log_t[keep], columns[keep, k], panel=panel, key=entry))
        return out

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        return tuple(Panel(shown(name), log_y=_wide(curves, k)) for k, name in enumerate(self.names))

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        return COLUMN, _MARGIN + _HEIGHT * len(self.names)


def _wide(curves: Sequence[Curve], panel: int) -> bool:
    values = np.concatenate([c.y for c in curves if c.panel == panel])
    return len(values) > 0 and bool((values > 0).all()) and float(values.max()) >= _DECADES * float(values.min())
