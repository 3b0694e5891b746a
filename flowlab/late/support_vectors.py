"""Which samples are yet to join the support of the margin: limits read off before they do are those of
another problem.
"""

import numpy as np

from flowlab.language.data import Data
from flowlab.language.trajectory import Trajectory

_SHARE = 5.0
"""Excess of a sample's output over the smallest from which its share of the loss is below e^-5 and it does
not act yet.
"""
_CONSTANT = 0.05
"""Relative change of an excess over a factor of two in R below which it is constant: the sample supports, with a small
multiplier.
"""


def joining(path: Trajectory, R: np.ndarray, rows: np.ndarray) -> str:
    """Why limits may change when a sample joins the support; empty where none is on its way, or the path has no
    samples.

    A sample whose excess R (q_n - min q), with q_n its margin over unit directions, falls will meet the smallest one.
    Where it grows more slowly than R the gap itself is extrapolated in R^(-1/2): below zero it closes at a finite R.

    Args:
        path: a flow or a descent.
        R: product of norms of the late rows, (S,).
        rows: their places in the path, (S,).

    Example:
        `joining(path, np.exp(path.dataset["log_R"].values), np.arange(len(path)))`
    """
    data = path.data
    if data is None:
        return ""
    half = int(np.argmin(np.abs(np.log(R) - np.log(0.5 * R[-1]))))
    if not R[half] < 0.75 * R[-1]:
        return ""
    now, before = _gaps(path, data, int(rows[-1])), _gaps(path, data, int(rows[half]))
    excess, earlier = R[-1] * now, R[half] * before
    roots = np.sqrt(R[[half, -1]])
    end = (roots[1] * now - roots[0] * before) / (roots[1] - roots[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        change = (excess - earlier) / excess
    closes = (excess > _SHARE) & ((change < -_CONSTANT) | ((change > _CONSTANT) & (end < 0)))
    if not closes.any():
        return ""
    n = int(np.argmin(np.where(closes, now, np.inf)))
    return (
        f"sample {n + 1} is on its way to the support of the margin (its output exceeds the smallest by"
        f" {excess[n]:.3g})"
    )


def _gaps(path: Trajectory, data: Data, row: int) -> np.ndarray:
    """Margins over unit directions less the smallest one, (N,)."""
    problem, state = path.problem, path.state(row)
    rho, V = ({k: np.asarray(v) for k, v in part.items()} for part in (state.rho, state.V))
    weights = problem.scheme.weights(np, rho, V, problem.per)
    outputs = problem.network.outputs(weights, data.in_numpy[0], np)
    margins = problem.loss.margins(np, outputs, np.asarray(data.y)) * np.exp(-float(problem.log_product(weights, np)))
    return margins - margins.min()
