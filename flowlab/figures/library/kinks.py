"""Which pairs of a unit and a sample are off, on, or slide along their kink, over time."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import Curve, Picture, figures

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("kinks")
class Kinks(Picture):
    """How many pairs are right of their kink, slide along it, and have changed side so far."""

    title = "pairs of a unit and a sample that are on, that slide, and kinks met so far"
    y_label = "pairs"
    flows_only = True

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, sides = timeline(path)
        rows = path.dataset["log_t"].values
        # t = 0 has no place on the axis; what happened there is shown where the axis begins.
        log_t = np.maximum(log_t, rows[np.isfinite(rows)].min(initial=log_t[-1]))
        met = np.minimum(np.arange(len(log_t)), len(log_t) - 2)
        counts = (("on", (sides == 1).sum(axis=1)), ("sliding", (sides == 0).sum(axis=1)), ("kinks met", met))
        # Counts jump: a line from one to the next would show what never was.
        return [Curve(name, np.repeat(log_t, 2)[1:], np.repeat(each, 2)[:-1].astype(float)) for name, each in counts]


def timeline(path: "Trajectory") -> tuple[np.ndarray, np.ndarray]:
    """Log t of the start, of every change of side and of the end, (E + 2,); and the sides of all pairs from then on,
    (E + 2, P): -1 left, 0 sliding, 1 right.

    Raises:
        LanguageError: for a run that did not follow its kinks.
    """
    ds = path.dataset
    if "pair_start" not in ds:
        raise LanguageError(
            'the trajectory must have followed kinks, got none; integrate a network with kinks and `kinks="events"`.'
        )
    number = {
        key: i
        for i, key in enumerate(
            zip(*(ds[f"pair_{name}"].values.tolist() for name in ("slot", "unit", "sample")), strict=True)
        )
    }
    events = zip(*(ds[f"kink_{name}"].values.tolist() for name in ("slot", "unit", "sample", "after")), strict=True)
    sides = [ds["pair_start"].values.astype(int)]
    for slot, unit, sample, after in events:
        now = sides[-1].copy()
        now[number[slot, unit, sample]] = after
        sides.append(now)
    log_t = np.concatenate([[-np.inf], ds["kink_log_t"].values, ds["log_t"].values[-1:]])
    return log_t, np.array([*sides, sides[-1]])
