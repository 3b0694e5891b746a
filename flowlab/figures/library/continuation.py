"""Curves of critical points: what they are like over the parameter, where they attract, and where they turn
or branch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flowlab.figures.figure import Curve, Panel, Picture, figures

if TYPE_CHECKING:
    from flowlab.language.result import Result

_PARAMETERS = {"log_norm": r"$\log R$", "decay": r"penalty $\omega$", "log_decay": r"$\log\omega$"}


class _Diagram(Picture):
    """Stretches without negative eigenvalues are lines, others are marks; rings are events."""

    of = "continuation"
    column: ClassVar[str]

    def __init__(self) -> None:
        self.parameters: dict[str, None] = {}

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        return (Panel(self.y_label, " or ".join(_PARAMETERS.get(name, name) for name in self.parameters)),)

    def curves(self, path: "Result") -> list[Curve]:
        ds, drawn = path.dataset, []
        self.parameters[ds["parameter"].attrs.get("long_name", "parameter")] = None
        branch, p, y = (ds[name].values for name in ("branch", "parameter", self.column))
        attracts = ds["index"].values == 0
        for b in np.unique(branch):
            at = branch == b
            near = at & np.isfinite(y)
            for stable, marker, told in ((True, "", "minima"), (False, ".", "saddles")):
                keep = near & (attracts == stable)
                if keep.any():
                    drawn.append(
                        Curve(
                            f"branch {b}, {told}", np.where(keep, p, np.nan)[at], np.where(keep, y, np.nan)[at], marker
                        )
                    )
        for e, (kind, of, parameter) in enumerate(_events(path)):
            at = np.flatnonzero((branch == of) & np.isfinite(y))
            if len(at):
                nearest = at[np.argmin(np.abs(p[at] - parameter))]
                drawn.append(Curve(f"#{e} {kind}", np.array([parameter]), np.array([y[nearest]]), "o"))
        return drawn


def _events(path: Any) -> list[tuple[str, int, float]]:
    """Kind, branch and parameter of every fold and branch point, of a continuation at hand or a stored one."""
    if hasattr(path, "events"):
        return [(e.kind, e.branch, e.parameter) for e in path.events]
    if "event_kind" not in path.dataset:
        return []
    columns = (path.dataset[f"event_{name}"].values.tolist() for name in ("kind", "branch", "parameter"))
    return list(zip(*columns, strict=True))


@figures.register("continuation")
class ContinuationNorm(_Diagram):
    """Norms along every branch."""

    title = "norm of all weights along every branch of critical points over the parameter"
    y_label = r"$\Vert W \Vert$"
    column = "norm"


@figures.register("continuation_loss")
class ContinuationLoss(_Diagram):
    """Losses along every branch."""

    title = "log of the data loss along every branch of critical points over the parameter"
    y_label = r"$\log L$"
    column = "log_loss"


@figures.register("continuation_margin")
class ContinuationMargin(_Diagram):
    """Margins along every branch."""

    title = "margin of unit directions along every branch of critical points over the parameter"
    y_label = r"$\min_n y_n f(V; x_n)$"
    column = "margin"
