"""What late gains of a margin leave to gain."""

import numpy as np

from flowlab.claims.library.lyu2020.flows import levels
from flowlab.language.trajectory import Trajectory


def normalised_margins(path: Trajectory) -> np.ndarray:
    """The least q over ‖θ‖^K at every row; negative before the samples are separated."""
    columns = levels(path)
    return columns["q"] / columns["theta"] ** columns["K"]


def unsettled(path: Trajectory) -> tuple[float, float]:
    """Of the logarithm of the margin γ: its rate by log log t at the end, and how much its limit may be above the last
    row.

    The rate goes into the exponent of the norm, since ‖θ‖^K is log(1/L) over γ.
    """
    log_t, margins = path.dataset["log_t"].values, normalised_margins(path)
    last, half, quarter = (np.log(margins[np.argmax(log_t >= part * log_t[-1])]) for part in (1.0, 0.5, 0.25))
    return abs(last - half) / np.log(2.0), remainder(abs(half - quarter), abs(last - half))


def remainder(before: float, gain: float) -> float:
    """What two gains leave to gain if they go on as a geometric series; NaN where the second is not the smaller one: no
    limit is in sight.

    >>> remainder(0.5, 0.25)
    0.25
    """
    if gain <= STILL:
        return gain
    return gain / (before / gain - 1.0) if gain < before else np.nan


STILL = 1e-8
"""Gains of the logarithm of the margin that may be errors of the steps, by the tolerance of `integrate`."""
