"""Filters of least squares by singular direction: of time, and of the penalty of ridge regression."""

from typing import Any

import mpmath
import numpy as np
from scipy.optimize import minimize_scalar

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

FAR = 60.0


def enclosed() -> tuple[float, float, float, float]:
    """Enclosures of x* and of the largest 1 - e^-x - x/(1 + x) over x ≥ 0, by interval bisection.

    Beyond x = 60 the difference 1/(1 + x) - e^-x is below 1/61; on [0, 60] boxes are halved that might hold the
    maximum, and the derivative e^-x - 1/(1 + x)² keeps those in which it vanishes.
    """
    # Its intervals have no type hints.
    iv: Any = mpmath.iv
    mpf = mpmath.mpf
    iv.dps = 25

    def gap(box: Any) -> Any:
        return 1 / (1 + box) - iv.exp(-box)

    at = iv.mpf("2.513")
    best, todo, boxes = gap(at).a, [(mpf(0), mpf(FAR))], []
    while todo:
        a, b = todo.pop()
        box = iv.mpf([a, b])
        slope = iv.exp(-box) - 1 / (1 + box) ** 2
        if gap(box).b < best or slope.a > 0 or slope.b < 0:
            continue
        if b - a < mpf(10) ** -7:
            boxes.append((a, b))
            best = max(best, gap(iv.mpf(a)).a)
        else:
            todo += [(a, (a + b) / 2), ((a + b) / 2, b)]
    a, b = min(k[0] for k in boxes), max(k[1] for k in boxes)
    top = gap(iv.mpf([a, b]))
    # Outward by more than the roundings of the last conversion.
    return float(a), float(b), float(best) * (1 - 1e-12), float(top.b) * (1 + 1e-12)


def by_minimisation(times: float) -> tuple[float, float]:
    """Where 1 - e^-x - x/(times + x) is largest on [1, 6], and its value, by bounded minimisation."""
    optimum = minimize_scalar(
        lambda x: -abs(1 - np.exp(-x) - x / (times + x)), bounds=(1.0, 6.0), method="bounded", options={"xatol": 1e-12}
    )
    return float(optimum.x), float(-optimum.fun)


def by_flow(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """X = t s² and 1 - (residual in singular direction)/(its start) of a flow that starts at all but zero."""
    rng = np.random.default_rng(case.seed)
    data = case.data if case.data is not None else Data(rng.normal(size=(8, 5)), rng.normal(size=8), kind="targets")
    x, y = np.asarray(data.x), np.asarray(data.y, dtype=float)
    data = Data(x, y, kind="targets")
    U, s, Vt = np.linalg.svd(x, full_matrices=False)
    w0 = 1e-3 * rng.normal(size=x.shape[1])
    t = 1.5 / float(np.median(s**2))
    path = integrated(
        case,
        "N1 least squares",
        Problem("W1 @ x", "square", coordinates="weights"),
        State.from_weights({"W1": w0[None]}),
        data,
        time(t),
        rtol=1e-10,
        atol=1e-12,
    )
    end, best = Vt @ np.asarray(path.last.weights()["W1"]).ravel(), (U.T @ y) / s
    return t * s**2, 1.0 - (end - best) / (Vt @ w0 - best)


def ratios_of_risks(seed: int, times: float) -> tuple[tuple[float, float], float]:
    """Ratios of expected risks, flow over ridge: least and largest at the best time and penalty; largest at penalty
    times/t.

    Prior β ~ N(0, r²/p), noise 1: with eigenvalues s of XᵀX/n the risk of a filter h is Σ r²/p (1 - h)² + h²/(n s) over
    s > 0.
    """
    t = np.geomspace(1e-3, 1e3, 1201)
    rng, ratios, equal = np.random.default_rng(seed), [], 0.0
    for n, p in ((40, 20), (40, 60), (100, 90)):
        X = rng.normal(size=(n, p))
        s = np.linalg.svd(X, compute_uv=False) ** 2 / n
        for r2 in (0.25, 1.0, 4.0, 20.0):
            lost = r2 / p * (p - len(s))
            ts = t[:, None] * s
            risks = [
                lost + (r2 / p * (1 - h) ** 2 + h**2 / (n * s)).sum(axis=1)
                for h in (1 - np.exp(-ts), ts / (times + ts))
            ]
            # The ridge's best penalty is known, 1 at p/(n r²); the grid's best time is above the true one.
            best = p / (n * r2)
            h = s / (s + best)
            ridge = lost + (r2 / p * (1 - h) ** 2 + h**2 / (n * s)).sum()
            ratios.append(risks[0].min() / ridge)
            equal = max(equal, float((risks[0] / risks[1]).max()))
    return (float(min(ratios)), float(max(ratios))), equal
