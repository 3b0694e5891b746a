"""N1: time of gradient flow on least squares against the penalty of ridge regression."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.library.complexity2020.spectral_filters import by_flow, by_minimisation, enclosed, ratios_of_risks
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

LARGEST = 1.2147
"""Bound on the ratio of risks at the best time and the best penalty, by Ali, Kolter and Tibshirani 2019."""
EQUAL = 1.6862
"""Their bound at λ = 1/t."""


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
        filtered = case.once("N1 flow", lambda: by_flow(case))
        times = variant.times
        x, passed = filtered
        off = float(np.abs(passed - (1 - np.exp(-variant.share * x))).max())
        ratio, equal = ratios_of_risks(case.seed, times)
        again = by_minimisation(times)
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
                    second=by_minimisation(1.0)[0],
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
