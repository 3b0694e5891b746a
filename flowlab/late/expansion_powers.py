"""In which powers quantities of a late run are expanded, along which rows, and the factor of the first of them."""

import numpy as np

from flowlab.late.richardson import Estimate, each


def powers(K: float | None, step: float) -> tuple[float, ...]:
    """The first powers of 1/R among the sums of integers and multiples of step/K.

    Balance keeps ρ_k²/κ_k - ρ_j²/κ_j, a relative change of norms by ρ^{-2} = R^{-2/K} (step 2). It also keeps parts of
    a block that the output does not see, a relative change of its direction by ρ^{-1} = R^{-1/K} (step 1).
    """
    found = {round(i + (step * j / K if K is not None and K > 1 else 0.0), 9) for i in range(5) for j in range(5)} - {
        0.0
    }
    return tuple(sorted(found)[:4])


def rising(x: np.ndarray) -> np.ndarray:
    """Rows that set a new record; the others are not ahead of anything."""
    best = np.maximum.accumulate(np.where(np.isfinite(x), x, -np.inf))
    return np.isfinite(x) & (x > 0) & (x >= best) & np.concatenate([[True], best[1:] > best[:-1]])


def factor_of(x: np.ndarray, V: np.ndarray, horizon: float | None, law: dict) -> Estimate:
    """C* = lim R ‖V - V_∞‖, from the factors of 1/R of all components."""
    kept = np.isfinite(x) & (x <= (np.inf if horizon is None else horizon))
    got = each(x, V, what="correction", horizon=horizon, logs=False, **law)
    size = float(np.linalg.norm(got.value))
    at = int(np.argmax(got.error))
    return Estimate(
        size,
        float(np.linalg.norm(got.error)),
        float(x[kept].max()),
        int(got.degree[at]),
        False,
        float(got.window[at]),
        int(got.rows[at]),
    )
