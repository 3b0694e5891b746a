"""Limits of slowly converging sequences: polynomials in 1/x on late windows, with error bars that are earned.

Late in a gradient flow every quantity approaches its limit like y(x) = y_∞ + c_1/x + c_2/x² + …, with x = log t or
x = R, and logarithms log x/x, (log x)²/x², … where x is not the variable the expansion is natural in. What a run ends
with is therefore wrong by c_1/x, and only extrapolation tells the limit (Richardson 1911; Brezinski and Redivo Zaglia
1991 on error estimates).

Every number here is one coefficient of a least-squares fit on a window [X/w, X], for a ladder of degrees and windows:
the constant term (`richardson`), the factor of 1/x (`correction`) or the factor of log x in log y (`power`). Windows
are measured in v = X/x and log v, so that nothing overflows and nothing is exponentiated, up to x of 1e9 and beyond.

Networks with kinks have soft modes besides: directions in which the margin is nearly flat, whose amplitude falls like
x^{-σ} with σ between 0 and 1 that no theory gives. A third family, 1, x^{-p_1}, x^{-σ}, x^{-2σ}, x^{-3σ}, has σ as an
unknown (variable projection, Golub and Pereyra 1973). It is taken where it leaves a tenth of the scatter of the other
two with as many unknowns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from flowlab.core.display import displayed
from flowlab.core.errors import TooEarly as TooEarly
from flowlab.late.power_fits import SOFT, Fits, ladder, soft_ladder

_DECISIVE = 0.1
"""Part of the scatter of the other families at which a soft mode is believed: a chance improvement by an unknown more
is far smaller.
"""

_GLANCE = 0.5
"""The same part for a first glance, whose exponents are coarse."""

_CAUTION = 2.0
"""Factor of the bars of soft modes, whose exponent is known to a step of the grid: by trial on flows with a known
limit.
"""


@dataclass(frozen=True)
@displayed
class Estimate:
    """A limit with its error bar (dimensionless).

    Attributes:
        value: the limit.
        error: half width of the bar: change of the degree, change of the window, scatter of the rows, drift and
            round-off.
        horizon: the last x that was used.
        degree: of the polynomial in 1/x that was chosen.
        logs: whether terms in log x were fitted too.
        window: ratio of the last x to the first one that was used.
        rows: how many rows were in that window.
        soft: exponent σ of the soft mode x^{-σ} that the rows show, 0 where none was fitted.
    """

    value: float
    error: float
    horizon: float
    degree: int
    logs: bool
    window: float
    rows: int
    soft: float = 0.0

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
    soft: np.ndarray


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
    x: np.ndarray,
    y: np.ndarray,
    *,
    horizon: float | None = None,
    powers: Sequence[float] = (1, 2, 3, 4),
    logs: bool | None = False,
    drift: float = 0.0,
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
    families = [
        ladder(x, y, what, powers, with_logs, drift) for with_logs in ((False, True) if logs is None else (logs,))
    ]
    found = [
        choice
        for fits in families
        if (choice := _chosen(x, fits, what, powers, logs=fits is not families[0] or bool(logs))) is not None
    ]
    if not found:
        far = f" between {x[0]:.4g} and {x[-1]:.4g}" if len(x) else ""
        raise TooEarly(
            f"{len(x)} rows{far} are too few to extrapolate from; run further, to at least twice the last value, or"
            " keep more rows."
        )
    settled = found[0] if len(found) == 1 else _settle(*found)
    if what != "constant" or logs is not None:
        return settled
    return _softened(settled, families, x, y, powers, drift)


def _one(
    x: np.ndarray,
    y: np.ndarray,
    what: str,
    horizon: float | None,
    powers: Sequence[float],
    logs: bool | None,
    drift: float,
) -> Estimate:
    x = np.asarray(x, dtype=np.float64)
    got = each(x, y[:, None], what=what, horizon=horizon, powers=powers, logs=logs, drift=drift)
    last = float(x[np.isfinite(x) & np.isfinite(y) & (x <= (np.inf if horizon is None else horizon))].max())
    shape = int(got.degree[0]), bool(got.logs[0]), float(got.window[0]), int(got.rows[0]), float(got.soft[0])
    return Estimate(float(got.value[0]), float(got.error[0]), last, *shape)


def _chosen(x: np.ndarray, fits: Fits, what: str, powers: Sequence[float], *, logs: bool) -> Choice | None:
    """The best of all windows and degrees for every column."""
    error = _bars(fits.value, fits.noise, 1 if what == "correction" else 0)
    m = error.shape[2]
    flat = error.reshape(-1, m)
    if not np.isfinite(flat).any(axis=0).all():
        return None
    best = np.nanargmin(np.where(np.isfinite(flat), flat, np.inf), axis=0)
    pick = np.arange(m)
    i, p = np.divmod(best, error.shape[1])
    least, at = flat[best, pick], fits.value[i, p, pick]
    # What was almost chosen must not disagree: the smallest of many bars is the luckiest one.
    rivals = np.where(error <= 4.0 * least, np.abs(fits.value - at), 0.0).max(axis=(0, 1))
    least = np.maximum(least, rivals)
    # The factor of v^{p_1} is measured in units of the horizon.
    unit = x[-1] ** powers[0] if what == "correction" else 1.0
    return Choice(at * unit, least * unit, p, np.full(m, logs), fits.windows[i], fits.rows[i], fits.soft[i, p, pick])


def _softened(
    settled: Choice, known: Sequence[Fits], x: np.ndarray, y: np.ndarray, powers: Sequence[float], drift: float
) -> Choice:
    """The choice with a soft mode in the columns where the rows decide for one."""
    # A few exponents on the narrowest windows show whether there is anything to find.
    glance = soft_ladder(x, y, powers, drift, SOFT[::4], 2)
    if not any(_decided(glance, known, np.full(y.shape[1], i), _GLANCE).any() for i in range(len(glance.windows))):
        return settled
    fits = soft_ladder(x, y, powers, drift)
    soft = _chosen(x, fits, "constant", powers, logs=False)
    if soft is None:
        return settled
    soft = soft._replace(error=_CAUTION * soft.error)
    take = _decided(fits, known, np.searchsorted(fits.windows, soft.window), _DECISIVE) & (soft.degree > 0)
    return Choice(*(np.where(take, a, b) for a, b in zip(soft, settled, strict=True)))


def _decided(fits: Fits, known: Sequence[Fits], window: np.ndarray, part: float) -> np.ndarray:
    """Columns (m,) where a soft mode leaves this part of the scatter of any other fit of the same rows with no more
    unknowns.
    """
    pick, take = np.arange(len(window)), np.zeros(len(window), dtype=bool)
    for j in range(1, len(fits.unknowns)):
        rivals = [
            family.scatter[window, p, pick]
            for family in known
            for p, n in enumerate(family.unknowns)
            if n <= fits.unknowns[j]
        ]
        take |= fits.scatter[window, j, pick] < part * np.fmin.reduce(rivals)
    return take


def _bars(value: np.ndarray, noise: np.ndarray, first: int) -> np.ndarray:
    """Error bars of all fits of shape (windows, degrees, columns); inf where nothing is known."""
    error = np.full_like(value, np.inf)
    step = np.abs(np.diff(value, axis=1))
    for p in range(first + 1, value.shape[1]):
        now = step[:, p - 1]
        rate = np.ones_like(now)
        if p >= first + 2:
            # Steps that shrink by q leave q/(1-q) of the last one; three times that, since logarithms shrink ever more
            # slowly.
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
    # Polynomials alone can agree with one another on a wrong limit where there are logarithms, so a contradiction is
    # settled against them, and a bar of theirs always covers what the logarithms say.
    clash = gap > plain.error + logs.error
    take = (plain.error <= logs.error) & ~clash
    mixed = Choice(*(np.where(take, a, b) for a, b in zip(plain, logs, strict=True)))
    return mixed._replace(error=np.where(take, np.maximum(plain.error, gap), logs.error + np.where(clash, gap, 0.0)))


def gap_exponent(
    x: np.ndarray,
    y: np.ndarray,
    *,
    horizon: float | None = None,
    powers: Sequence[float] = (1, 2, 3, 4),
    drift: float = 0.0,
) -> Estimate:
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
        raise TooEarly(
            "The gap to the limit is below the bar of the limit in all rows; run with smaller tolerances to resolve it."
        )
    law = {"horizon": horizon, "powers": powers, "drift": drift / float(gap[clear].min())}
    got = power(x[clear], gap[clear], **law)
    # The worst the bar can do is to lengthen or shorten every gap; across the gap it counts in second order.
    moved = [power(x[clear], gap[clear] + sign * np.linalg.norm(end.error), **law).value for sign in (-1.0, 1.0)]
    return replace(got, error=got.error + max(abs(m - got.value) for m in moved))
