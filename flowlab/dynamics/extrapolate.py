"""Limits of slowly converging sequences: polynomials in 1/x on late windows, with error bars that are earned.

Late in a gradient flow every quantity approaches its limit like y(x) = y_∞ + c_1/x + c_2/x² + …, with x = log t or x = R, and
logarithms log x/x, (log x)²/x², … where x is not the variable the expansion is natural in. What a run ends with is therefore
wrong by c_1/x, and only extrapolation tells the limit (Richardson 1911; Brezinski and Redivo Zaglia 1991 on error estimates).

Every number here is one coefficient of a least-squares fit on a window [X/w, X], for a ladder of degrees and windows:
the constant term (`richardson`), the factor of 1/x (`correction`) or the factor of log x in log y (`power`). Windows are
measured in v = X/x and log v, so that nothing overflows and nothing is exponentiated, up to x of 1e9 and beyond.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowlab.core.errors import TooEarly as TooEarly

WINDOWS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Ratios of the last x to the first one of a window."""

DEGREES = 4
_SPARE = 2
"""Rows a fit needs beyond its unknowns, so that its residual says something about noise."""


@dataclass(frozen=True)
class Estimate:
    """A limit with its error bar (dimensionless).

    Attributes:
        value: the limit.
        error: half width of the bar: change of the degree, change of the window, scatter of the rows, drift and round-off.
        horizon: the last x that was used.
        degree: of the polynomial in 1/x that was chosen.
        logs: whether terms in log x were fitted too.
        window: ratio of the last x to the first one that was used.
        rows: how many rows were in that window.
    """

    value: float
    error: float
    horizon: float
    degree: int
    logs: bool
    window: float
    rows: int

    def covers(self, value: float) -> bool:
        """Whether a value lies within the bar."""
        return abs(self.value - value) <= self.error

    def __str__(self) -> str:
        return f"{self.value:.10g} ± {self.error:.1e}"


class Choice(NamedTuple):
    """The fits chosen for the columns of y: arrays of shape (m,)."""

    value: np.ndarray
    error: np.ndarray
    degree: np.ndarray
    logs: np.ndarray
    window: np.ndarray
    rows: np.ndarray


def richardson(
    x: np.ndarray,
    y: np.ndarray,
    *,
    horizon: float | None = None,
    powers: Sequence[float] = (1, 2, 3, 4),
    logs: bool | None = None,
    drift: float = 0.0,
) -> Estimate:
    """The limit of y as 1/x → 0.

    Args:
        x: what grows, log t or R (dimensionless); (n,).
        y: the quantity, (n,).
        horizon: rows beyond it are left out; all rows by default.
        powers: p of the corrections x^{-p}, in increasing order; the degree counts how many of them are fitted.
        logs: fit x^{-p} (log x)^i with i ≤ p too (True), never (False), or as the rows ask for (None).
        drift: size at the horizon of errors of y that vary smoothly with x, such as those of an integration; absolute.

    Raises:
        TooEarly: if no window holds enough rows for two degrees.
    """
    return _one(x, np.asarray(y, dtype=np.float64), "constant", horizon, powers, logs, drift)


def correction(
    x: np.ndarray, y: np.ndarray, *, horizon: float | None = None, powers: Sequence[float] = (1, 2, 3, 4), logs: bool | None = False, drift: float = 0.0
) -> Estimate:
    """The coefficient c of the leading correction, y = y_∞ + c x^{-p_1} + …; arguments as in `richardson`."""
    return _one(x, np.asarray(y, dtype=np.float64), "correction", horizon, powers, logs, drift)


def power(
    x: np.ndarray,
    y: np.ndarray,
    *,
    horizon: float | None = None,
    powers: Sequence[float] = (1, 2, 3, 4),
    logs: bool | None = None,
    drift: float = 0.0,
) -> Estimate:
    """The limit of the local exponent d log y / d log x, from log y = s log x + c_0 + c_1/x + …; y > 0.

    The law is fitted in integrated form, because differences of neighbouring rows would amplify their noise.
    `drift` is relative to y here; the other arguments are those of `richardson`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        log_y = np.log(np.asarray(y, dtype=np.float64))
    return _one(x, log_y, "exponent", horizon, powers, logs, drift)


def each(
    x: np.ndarray,
    y: np.ndarray,
    *,
    what: str = "constant",
    horizon: float | None = None,
    powers: Sequence[float] = (1, 2, 3, 4),
    logs: bool | None = None,
    drift: float = 0.0,
) -> Choice:
    """The same for every column of y (n, m) at once; `what` is `"constant"`, `"correction"` or `"exponent"`."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    kept = np.isfinite(x) & np.isfinite(y).all(axis=1) & (x > 0)
    if horizon is not None:
        kept &= x <= horizon
    x, index = np.unique(x[kept], return_index=True)
    y = y[kept][index]
    ladders = [_ladder(x, y, what, powers, with_logs, drift) for with_logs in ((False, True) if logs is None else (logs,))]
    found = [choice for choice in ladders if choice is not None]
    if not found:
        far = f" between {x[0]:.4g} and {x[-1]:.4g}" if len(x) else ""
        raise TooEarly(f"{len(x)} rows{far} are too few to extrapolate from; run further, to at least twice the last value, or keep more rows.")
    return found[0] if len(found) == 1 else _settle(*found)


def _one(x: np.ndarray, y: np.ndarray, what: str, horizon: float | None, powers: Sequence[float], logs: bool | None, drift: float) -> Estimate:
    x = np.asarray(x, dtype=np.float64)
    got = each(x, y[:, None], what=what, horizon=horizon, powers=powers, logs=logs, drift=drift)
    last = float(x[np.isfinite(x) & np.isfinite(y) & (x <= (np.inf if horizon is None else horizon))].max())
    return Estimate(float(got.value[0]), float(got.error[0]), last, int(got.degree[0]), bool(got.logs[0]), float(got.window[0]), int(got.rows[0]))


def _ladder(x: np.ndarray, y: np.ndarray, what: str, powers: Sequence[float], logs: bool, drift: float) -> Choice | None:
    """All windows and degrees of one family, and the best of them for every column."""
    if len(x) < 2:
        return None
    top = min(DEGREES, len(powers))
    first = 1 if what == "correction" else 0
    windows = [w for w in WINDOWS if x[-1] / w >= x[0] * (1 - 1e-9)] or [max(x[-1] / x[0], 1 + 1e-9)]
    value = np.full((len(windows), top + 1, y.shape[1]), np.nan)
    noise, count = np.full_like(value, np.nan), np.zeros(len(windows), dtype=int)
    for i, w in enumerate(windows):
        late = x >= x[-1] / w * (1 - 1e-9)
        count[i] = int(late.sum())
        for p in range(first, top + 1):
            v = x[-1] / x[late]
            columns, place = _columns(v, powers[:p], logs, what)
            if count[i] < columns.shape[1] + _SPARE:
                break
            try:
                value[i, p], noise[i, p] = _fit(columns, place, y[late], drift / v)
            except np.linalg.LinAlgError:  # rows too close together to tell the functions apart
                break
    error = _bars(value, noise, first)
    flat = error.reshape(-1, y.shape[1])
    if not np.isfinite(flat).any(axis=0).all():
        return None
    best = np.nanargmin(np.where(np.isfinite(flat), flat, np.inf), axis=0)
    pick = np.arange(y.shape[1])
    i, p = np.divmod(best, top + 1)
    least, at = flat[best, pick], value[i, p, pick]
    # What was almost chosen must not disagree: the smallest of many bars is the luckiest one.
    rivals = np.where(error <= 4.0 * least, np.abs(value - at), 0.0).max(axis=(0, 1))
    least = np.maximum(least, rivals)
    # The factor of v^{p_1} is measured in units of the horizon.
    unit = x[-1] ** powers[0] if what == "correction" else 1.0
    return Choice(at * unit, least * unit, p, np.full(y.shape[1], logs), np.asarray(windows)[i], count[i])


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


def _fit(columns: np.ndarray, place: int, y: np.ndarray, drift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One coefficient of a least-squares fit, and how far scatter, drift and round-off move it."""
    scale = np.linalg.norm(columns, axis=0)
    q, r = np.linalg.qr(columns / scale)
    wanted = np.zeros(len(scale))
    wanted[place] = 1.0 / scale[place]
    weights = q @ np.linalg.solve(r.T, wanted)
    middle = y.mean(axis=0)
    rest = y - middle
    value = weights @ rest + (middle if place == 0 else 0.0)
    spare = len(y) - columns.shape[1]
    scatter = np.sqrt(((rest - q @ (q.T @ rest)) ** 2).sum(axis=0) / spare)
    scatter = np.maximum(scatter, 2.0 * np.finfo(np.float64).eps * np.abs(y).max(axis=0))
    # Close to the 99.9 % quantile of Student's t, which is wide when few rows are to spare.
    student = 3.3 * (1.0 + 8.0 / spare**1.5)
    # A smooth error does not average out as scatter does: it shifts everything, or grows with x as that of an integration.
    smooth = max(float(np.abs(drift.max() * weights.sum())), float(np.abs(drift @ weights)))
    return value, student * scatter * np.linalg.norm(weights) + smooth


def _bars(value: np.ndarray, noise: np.ndarray, first: int) -> np.ndarray:
    """Error bars of all fits of shape (windows, degrees, columns); inf where nothing is known."""
    error = np.full_like(value, np.inf)
    step = np.abs(np.diff(value, axis=1))
    for p in range(first + 1, value.shape[1]):
        now = step[:, p - 1]
        rate = np.ones_like(now)
        if p >= first + 2:
            # Steps that shrink by q leave q/(1-q) of the last one; three times that, since logarithms shrink ever more slowly.
            with np.errstate(invalid="ignore", divide="ignore"):
                q = np.clip(now / np.maximum(step[:, p - 2], 1e-300), 0.0, 0.9)
            rate = np.maximum(1.0, 3.0 * q / (1.0 - q))
        wider = np.full_like(now, np.nan)
        if len(value) > 1:
            change = np.abs(np.diff(value[:, p], axis=0))
            # The widest window has only a narrower one to be held against.
            wider = np.concatenate([change, change[-1:]])
            wider = np.where(np.isfinite(wider), wider, np.concatenate([change[:1], change]))
        changes = np.where(np.isfinite(wider), np.maximum(now * rate, wider), 2.0 * now * rate)
        error[:, p] = np.where(np.isfinite(value[:, p]), changes + noise[:, p], np.inf)
    return np.where(np.isfinite(error), error, np.inf)


def _settle(plain: Choice, logs: Choice) -> Choice:
    """One of two families for every column: the smaller bar, widened where the other one disagrees."""
    gap = np.abs(plain.value - logs.value)
    # Polynomials alone can agree with one another on a wrong limit where there are logarithms, so a contradiction is settled
    # against them, and a bar of theirs always covers what the logarithms say.
    clash = gap > plain.error + logs.error
    take = (plain.error <= logs.error) & ~clash
    mixed = Choice(*(np.where(take, a, b) for a, b in zip(plain, logs, strict=True)))
    return mixed._replace(error=np.where(take, np.maximum(plain.error, gap), logs.error + np.where(clash, gap, 0.0)))


def gap_exponent(x: np.ndarray, y: np.ndarray, *, horizon: float | None = None, powers: Sequence[float] = (1, 2, 3, 4), drift: float = 0.0) -> Estimate:
    """The exponent s of ‖y - y_∞‖ ~ x^s, with y_∞ extrapolated from the same rows, column by column.

    The bar contains what the bars of y_∞ (n, m) do to the gap; rows whose gap they dominate are left out.

    Raises:
        TooEarly: if too few rows are farther from the limit than its bar.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    end = each(x, y, horizon=horizon, powers=powers, drift=drift)
    gap = np.linalg.norm(y - end.value, axis=1)
    clear = (gap > 20.0 * np.linalg.norm(end.error)) & (gap > 100.0 * np.finfo(np.float64).eps)
    if horizon is not None:
        clear &= x <= horizon
    if not clear.any():
        raise TooEarly("The gap to the limit is below the bar of the limit in all rows; run with smaller tolerances to resolve it.")
    law = {"horizon": horizon, "powers": powers, "drift": drift / float(gap[clear].min())}
    got = power(x[clear], gap[clear], **law)
    # The worst the bar can do is to lengthen or shorten every gap; across the gap it counts in second order.
    moved = [power(x[clear], gap[clear] + sign * np.linalg.norm(end.error), **law).value for sign in (-1.0, 1.0)]
    return Estimate(got.value, got.error + max(abs(m - got.value) for m in moved), got.horizon, got.degree, got.logs, got.window, got.rows)
