"""Least-squares fits of powers of 1/x, with logarithms or a soft mode, on late windows: what each says of one
coefficient.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WINDOWS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Ratios of the last x to the first one of a window."""
DEGREES = 4
SOFT = np.geomspace(0.02, 0.9, 48)
"""Exponents σ tried for a soft mode: below them a mode is as good as constant over any run, above them it is a power
like 1/x.
"""
_SOFT_WINDOWS = 4
"""Windows that soft modes are fitted on: the narrow ones, where one mode is left."""
_OVERTONES = 3
"""Powers x^{-jσ} of a soft mode: margins are not linear in its amplitude."""
_PLAUSIBLE = 2.0
"""Exponents whose scatter is within this factor of the least are not excluded; the bar covers what they say."""
_SPARE = 2
"""Rows a fit needs beyond its unknowns, so that its residual says something about noise."""


class Fits(NamedTuple):
    """All fits of one family: arrays of shape (windows, degrees, m), and how many unknowns each degree has."""

    value: np.ndarray
    noise: np.ndarray
    scatter: np.ndarray
    soft: np.ndarray
    unknowns: np.ndarray
    windows: np.ndarray
    rows: np.ndarray


def _windows(x: np.ndarray) -> np.ndarray:
    """Windows that the rows fill."""
    return np.array([w for w in WINDOWS if x[-1] / w >= x[0] * (1 - 1e-9)] or [max(x[-1] / x[0], 1 + 1e-9)])


def ladder(x: np.ndarray, y: np.ndarray, what: str, powers: Sequence[float], logs: bool, drift: float) -> Fits:
    """All windows and degrees of one family with known powers."""
    top, first = min(DEGREES, len(powers)), 1 if what == "correction" else 0
    fits = _unfitted(x, y, top + 1)
    for i, w in enumerate(fits.windows):
        late = x >= x[-1] / w * (1 - 1e-9)
        fits.rows[i] = int(late.sum())
        for p in range(first, top + 1):
            v = x[-1] / x[late]
            columns, place = _columns(v, powers[:p], logs, what)
            fits.unknowns[p] = columns.shape[1]
            if fits.rows[i] < columns.shape[1] + _SPARE:
                break
            try:
                fits.value[i, p], fits.noise[i, p], fits.scatter[i, p] = _fit(columns, place, y[late], drift / v)
            except np.linalg.LinAlgError:  # rows too close together to tell the functions apart
                break
    return fits


def _unfitted(x: np.ndarray, y: np.ndarray, degrees: int, most: int = len(WINDOWS)) -> Fits:
    windows = _windows(x)[:most] if len(x) > 1 else np.empty(0)
    value, noise, scatter = (np.full((len(windows), degrees, y.shape[1]), np.nan) for _ in range(3))
    return Fits(
        value,
        noise,
        scatter,
        np.zeros_like(value),
        np.zeros(degrees, dtype=int),
        windows,
        np.zeros(len(windows), dtype=int),
    )


def soft_ladder(
    x: np.ndarray,
    y: np.ndarray,
    powers: Sequence[float],
    drift: float,
    tried: np.ndarray = SOFT,
    most: int = _SOFT_WINDOWS,
) -> Fits:
    """The same for the family with a soft mode; degree 0 has none, degree j has j powers of it."""
    fits = _unfitted(x, y, _OVERTONES + 1, most)
    fits.unknowns[:] = [2, *(3 + j for j in range(1, _OVERTONES + 1))]
    for i, w in enumerate(fits.windows):
        late = x >= x[-1] / w * (1 - 1e-9)
        fits.rows[i], v = int(late.sum()), x[-1] / x[late]
        for j in range(_OVERTONES + 1):
            if fits.rows[i] < fits.unknowns[j] + _SPARE:
                break
            sigma = tried * powers[0] if j else np.zeros(1)
            plain = np.broadcast_to(np.stack([np.ones_like(v), v ** powers[0]]), (len(sigma), 2, len(v)))
            overtones = v ** (np.arange(1, j + 1)[:, None] * sigma[:, None, None])
            value, noise, scatter = _fit(
                np.swapaxes(np.concatenate([plain, overtones], axis=1), 1, 2), 0, y[late], drift / v
            )
            best = np.argmin(scatter, axis=0)
            pick = best, np.arange(y.shape[1])
            # Whatever exponent the rows do not exclude, the bar covers what it says.
            spread = np.where(scatter <= _PLAUSIBLE * scatter[pick], np.abs(value - value[pick]), 0.0).max(axis=0)
            fits.value[i, j], fits.noise[i, j], fits.scatter[i, j] = value[pick], noise[pick] + spread, scatter[pick]
            # With overtones a fraction of σ fits as well; alone it is what the approach looks like.
            fits.soft[i, j] = fits.soft[i, 1] if j > 1 else sigma[best]
    return fits


def _columns(v: np.ndarray, powers: Sequence[float], logs: bool, what: str) -> tuple[np.ndarray, int]:
    """The functions to fit, in v = X/x, and the place of the wanted one."""
    log_v = np.log(v)
    columns = [np.ones_like(v)]
    for p in powers:
        # log x = log X - log v: powers of log v span the same functions and stay of order one.
        columns += [v**p * log_v**i for i in range(int(np.floor(p)) + 1 if logs else 1)]
    if what == "exponent":
        columns.append(-log_v)
    return np.stack(columns, axis=1), {"constant": 0, "correction": 1, "exponent": len(columns) - 1}[what]


def _fit(
    columns: np.ndarray, place: int, y: np.ndarray, drift: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One coefficient of least-squares fits, how far scatter, drift and round-off move it, and the scatter.

    Args:
        columns: functions to fit, (..., n, k), for a stack of fits to the same rows.
        place: of the wanted coefficient.
        y: rows, (n, m).
        drift: size of the smooth errors of the rows, (n,).

    Returns:
        Three arrays of shape (..., m).
    """
    scale = np.linalg.norm(columns, axis=-2)
    q, r = np.linalg.qr(columns / scale[..., None, :])
    wanted = np.zeros(scale.shape)
    wanted[..., place] = 1.0 / scale[..., place]
    weights = (q @ np.linalg.solve(np.swapaxes(r, -1, -2), wanted[..., None]))[..., 0]
    middle = y.mean(axis=0)
    rest = y - middle
    value = weights @ rest + (middle if place == 0 else 0.0)
    spare = len(y) - columns.shape[-1]
    scatter = np.sqrt(((rest - q @ (np.swapaxes(q, -1, -2) @ rest)) ** 2).sum(axis=-2) / spare)
    scatter = np.maximum(scatter, 2.0 * np.finfo(np.float64).eps * np.abs(y).max(axis=0))
    # Close to the 99.9 % quantile of Student's t, which is wide when few rows are to spare.
    student = 3.3 * (1.0 + 8.0 / spare**1.5)
    # A smooth error does not average out as scatter does: it shifts everything, or grows with x as that of an
    # integration.
    smooth = np.maximum(np.abs(drift.max() * weights.sum(axis=-1)), np.abs(weights @ drift))
    return value, student * scatter * np.linalg.norm(weights, axis=-1)[..., None] + smooth[..., None], scatter
