"""N1: time of gradient flow on least squares against the penalty of ridge regression."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

FAR = 60.0
LARGEST = 1.2147
"""Bound on the ratio of risks at the best time and the best penalty, by Ali, Kolter and Tibshirani 2019."""
EQUAL = 1.6862
"""Their bound at λ = 1/t."""


def enclosed() -> tuple[float, float, float, float]:
    """Enclosures of x* and of the largest 1 - e^-x - x/(1 + x) over x ≥ 0, by interval bisection.

    Beyond x = 60 the difference 1/(1 + x) - e^-x is below 1/61; on [0, 60] boxes are halved that might hold the
    maximum, and the derivative e^-x - 1/(1 + x)² keeps those in which it vanishes.
    """
    import mpmath

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


@hypothesis("`W1 @ x` under the square loss, real targets")
def _least_squares(case: Case) -> str | None:
    if case.problem is not None and (case.problem.loss.name != "square" or case.problem.network.text != "W1 @ x"):
        problem = f"{case.problem.network.text} with the {case.problem.loss.name} loss"
        return f"it is about least squares, and the problem is {problem}"
    return (
        "labels are classes, and it is about targets" if case.data is not None and case.data.kind == "classes" else None
    )


@claim("N1")
class Filters(Claim):
    """1 - e^{-ts} and s/(s + 1/t) are equal to first order only; the risks at the best time and the best penalty are
    within 22 %.
    """

    title = "early stopping is ridge regression to first order only"
    statement = (
        "Gradient flow on least squares filters singular directions by 1 - exp(-t s^2), ridge regression by s^2/(s^2 "
        "+ 1/t). The filters differ by up to 0.20363, at t s^2 = 2.513. The expected risks at the best time and the "
        "best penalty differ by a factor from 1 to 1.2147."
    )
    latex = (
        r"\sup_{x \ge 0}\left|1 - e^{-x} - \tfrac{x}{1+x}\right| = 0.20363, \quad x^* = 2.513, \qquad "
        r"1 \le \min_t R_{GF}(t)/\min_\lambda R_{ridge}(\lambda) \le 1.2147"
    )
    source = "Poggio, Liao, Banburski 2020; Ali, Kolter and Tibshirani 2019"
    hypotheses = (_least_squares,)
    stated = Variant(largest=0.20363, share=1.0, times=1.0)
    mutants = (
        stated.but(USUAL, largest=0.0),
        stated.but("filter of half the time", share=0.5),
        stated.but("penalty 2/t", times=2.0),
    )
    counter_example = "as usually stated: were 1/t the penalty, the filters would be equal"
    usual = "Gradient descent on least squares is Tikhonov regularisation with penalty 1/t."
    decisive = "the largest difference of the filters: 0.20363, where equality asks for 0"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        a, b, low, high = case.once("N1 enclosure", enclosed)
        filtered = case.once("N1 flow", lambda: _by_flow(case))
        times = variant.times
        x, passed = filtered
        off = float(np.abs(passed - (1 - np.exp(-variant.share * x))).max())
        ratio, equal = _risks(case.seed, times)
        again = _grid(times)
        return Measurement.of(
            [
                Quantity(
                    "largest difference of the filters",
                    high if times == 1.0 else again[1],
                    variant.largest,
                    5e-6,
                    error=high - low,
                    route="interval bisection of x >= 0",
                    rung="interval",
                    second=again[1],
                    second_route="bounded minimisation",
                    printed="0.20363",
                ),
                Quantity(
                    "where it is",
                    0.5 * (a + b),
                    2.513,
                    1e-3,
                    error=0.5 * (b - a),
                    route="interval bisection",
                    rung="interval",
                    second=_grid(1.0)[0],
                    second_route="bounded minimisation",
                    printed="2.513",
                ),
                Quantity(
                    "distance of the flow's filter from 1 - exp(-t s^2)",
                    off,
                    0.0,
                    1e-7,
                    route="flow of one layer from zero, by singular direction",
                ),
                Quantity(
                    "risk at the best time over risk at the best penalty, least",
                    ratio[0],
                    1.0,
                    1e-12,
                    relation=">=",
                    route="expected over a Gaussian prior, in closed form",
                ),
                Quantity(
                    "the same, largest", ratio[1], LARGEST, 0.0, relation="<=", route="12 designs and noise levels"
                ),
                Quantity(
                    "risk at t over risk at penalty 1/t, largest",
                    equal,
                    EQUAL,
                    0.0,
                    relation="<=",
                    route="12 designs, t from 1e-3 to 1e3",
                ),
            ],
            "enclosed to 1e-6 and printed to five digits; the flow's tolerance; inequalities without slack",
        )


def _grid(times: float) -> tuple[float, float]:
    from scipy.optimize import minimize_scalar

    optimum = minimize_scalar(
        lambda x: -abs(1 - np.exp(-x) - x / (times + x)), bounds=(1.0, 6.0), method="bounded", options={"xatol": 1e-12}
    )
    return float(optimum.x), float(-optimum.fun)


def _by_flow(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """X = t s² and 1 - (residual in singular direction)/(its start) of a flow that starts at all but zero."""
    from flowlab.dynamics import time
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.state import State

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


def _risks(seed: int, times: float) -> tuple[tuple[float, float], float]:
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
