"""How far a path tells its limit: the rate of its approach, a rival limit, and what is left to doubt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowlab.core.display import displayed
from flowlab.discrete.margin.kkt import Point, curvature
from flowlab.discrete.margin.kkt_search import SADDLE
from flowlab.discrete.margin.margin_constraints import System
from flowlab.language.trajectory import Trajectory

_APART = 10.0
"""Constraints whose margins differ by this many times 1/R have weights in the ratio e^-10: the path tells
them apart.
"""
_SHRINKING = 0.12
"""A distance that falls no faster than this power of R takes 2.5 decades of R to halve: no approach that one more
decade would confirm.
"""
_RESTS = 1e-6
"""A smallest margin that moved by less than this part of its largest size while log t doubled is at rest."""
_FAR, _CONCENTRATED, _SHARP = 0.3, 0.9, 1e-10


@dataclass(frozen=True)
@displayed
class Rate:
    """A fit of log ‖V - V_limit‖ = intercept + slope · log R over the last tenfold growth of R.

    The slope is -1 where the support vectors set the pace. Units that the limit does not use keep their size while the
    others grow: in a network of joint degree K > 2 they make it -1/K.
    """

    slope: float
    error: float
    rows: int

    def __str__(self) -> str:
        return f"{self.slope:.4f} +- {self.error:.4f} ({self.rows} rows)"


@dataclass(frozen=True)
@displayed
class Rival:
    """What the path cannot tell from the limit: one sentence, and both margins.

    `is_limit` says whether it is a KKT point too, so that the limit is open; else it is a constraint that is close to
    binding and that only the equations, not the path, keep out of the support.
    """

    what: str
    margins: tuple[float, float]
    is_limit: bool

    def __str__(self) -> str:
        return f"{self.what} (margins {self.margins[0]:.12g} and {self.margins[1]:.12g})"


def resting(path: Trajectory) -> str | None:
    """Since when the smallest margin has stopped moving, in words; None where it moves, or nothing tells."""
    log_t, lowest = (path.dataset[name].values for name in ("log_t", "min_margin"))
    if len(path) == 1:
        return "" if path.outcome.kind == "stalled" else None
    if not log_t[-1] > 0:
        return None
    half = int(np.searchsorted(log_t, 0.5 * log_t[-1]))
    moved = float(np.ptp(lowest[half:]))
    return f" since log t = {log_t[half]:.4g}" if moved <= _RESTS * float(np.abs(lowest).max()) else None


def rate(log_R: np.ndarray, distance: np.ndarray) -> Rate:
    """The power of R with which distances, (rows,), shrink at the end."""
    rows = np.nonzero((log_R >= log_R[-1] - np.log(10.0)) & (distance > 1e-11))[0]
    if len(rows) < 5 or np.ptp(log_R[rows]) < 0.1:
        return Rate(np.nan, np.nan, len(rows))
    # Rows are dense where steps are small; a grid gives every part of the range the same say.
    grid = np.linspace(log_R[rows].min(), log_R[rows].max(), min(len(rows), 40))
    order = rows[np.argsort(log_R[rows])]
    values = np.interp(grid, log_R[order], np.log(distance[order]))
    centred = grid - grid.mean()
    slope = float(centred @ values / (centred @ centred))
    left = values - values.mean() - slope * centred
    return Rate(slope, float(np.sqrt(left @ left / (len(grid) - 2) / (centred @ centred))), len(rows))


def rival(
    system: System,
    names: Sequence[Any],
    point: Point,
    others: list[Point],
    thetas: np.ndarray,
    log_R: np.ndarray,
    reach: float,
) -> Rival | None:
    """Another limit that the path may have, or a constraint that may bind there too; None where the path
    excludes both.
    """
    margin = system.true(point.margin)
    for other in others:
        if curvature(system, other) > SADDLE:
            continue
        away = np.linalg.norm(thetas - other.theta, axis=1)
        if away[-1] <= 2.0 * reach and rate(log_R, away).slope < 0:
            told = f"another KKT point with a support of {len(other.support)} lies {away[-1]:.3g} from the last row"
            return Rival(told, (margin, system.true(other.margin)), True)
    q = system.margins(point.theta)
    rest = np.setdiff1d(np.arange(len(q)), point.support)
    if len(rest):
        n = rest[np.argmin(q[rest])]
        if system.beyond(log_R[-1], np.maximum(q[n] - point.margin, 0.0)) < _APART:
            told = f"the constraint {names[n]} is less than {_APART:g}/R from binding"
            return Rival(told, (margin, system.true(float(q[n]))), False)
    return None


def doubt(residual: float, reach: float, slope: Rate, bend: float, outside: float, rival: Rival | None) -> str | None:
    """Why the path does not settle its limit, or None."""
    if bend > SADDLE:
        return f"the nearest KKT point is a saddle, with the curvature {bend:.2g}, which the flow leaves"
    if residual > _SHARP:
        return f"the nearest KKT point is known to a residual of {residual:.1e} only"
    if outside > 1.0 - _CONCENTRATED:
        return f"{outside:.0%} of the loss lies outside the support of the nearest KKT point"
    if reach > _FAR:
        return f"the nearest KKT point is {reach:.3g} from the last state"
    if reach > 1e-6 and not slope.slope + 2.0 * slope.error < -_SHRINKING:
        return f"the distance to the nearest KKT point does not shrink like a power of R (slope {slope})"
    return f"{rival.what}" if rival and rival.is_limit else None
