"""A6: what imbalance does to the flow of the product."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.arora2018.flows import (
    ANY_TARGETS,
    began,
    end_to_end,
    gradient,
    horizon,
    layers,
    product,
    regression,
    solved,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import time
from flowlab.language.autodiff import velocity
from flowlab.language.state import State


@claim("A6")
class Imbalance(Claim):
    """Off balance the end-to-end equation fails, and in proportion to the imbalance."""

    title = "the end-to-end flow fails at first order in the imbalance"
    statement = (
        "From a start that is off balance by eps the product leaves the end-to-end flow by order eps, at once and at "
        "later times."
    )
    latex = r"\lVert W(t) - W_{\mathrm{e2e}}(t)\rVert \propto \epsilon"
    source = "Arora, Cohen, Hazan 2018, section 4 (balancedness assumed; number not checked); order measured here"
    hypotheses = ANY_TARGETS
    stated = Variant(order=1.0)
    mutants = (
        stated.but("second order", order=2.0),
        stated.but("of no order: independent of the imbalance", order=0.0),
    )
    counter_example = "second order: what a first-order cancellation would give"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        at_once, later, bars = case.once("imbalance", lambda: self._orders(case))
        return Measurement.of(
            [
                Quantity(
                    "order of the residual at the start",
                    at_once,
                    variant.order,
                    2e-3,
                    error=bars[0],
                    route="autodiff of the layers",
                ),
                Quantity(
                    "order of the distance at the end",
                    later,
                    variant.order,
                    5e-3,
                    error=bars[1],
                    route="flow of the layers against DOP853",
                ),
            ],
            "orders from halved imbalances, extrapolated in eps; the bar is what the last halving changed",
        )

    def _orders(self, case: Case) -> tuple[float, float, tuple[float, float]]:
        problem, data = regression(case)
        even = layers(began(case, data), seed=case.seed)
        turn = np.random.default_rng(2000 + case.seed).normal(size=even["W1"].shape)
        turn *= np.linalg.norm(even["W1"]) / np.linalg.norm(turn)
        steps = 0.02 * 0.5 ** np.arange(4)
        at_once, later = [], []
        for eps in steps:
            weights = even | {"W1": even["W1"] + eps * turn}
            W = product(weights)
            moved = {k: np.asarray(v) for k, v in velocity(problem, weights, data).items()}
            rate = sum((product(weights | {k: moved[k]}) for k in weights), np.zeros_like(W))
            at_once.append(float(np.linalg.norm(rate - end_to_end(W, gradient(W, data)))))
            until = 2.0 * horizon(data)
            path = integrated(
                case,
                f"off balance by {eps:g}",
                problem,
                State.from_weights(weights),
                data,
                time(until),
                rtol=1e-11,
                atol=1e-13,
                solver="tsit5",
            )
            later.append(float(np.linalg.norm(product(path.last.weights()) - solved(W, data, np.array([until]))[-1])))
        (a, bar_a), (b, bar_b) = _order(at_once), _order(later)
        return a, b, (bar_a, bar_b)


def _order(sizes: list[float]) -> tuple[float, float]:
    """The order of what is halved, extrapolated twice, and how much the last extrapolation changed it."""
    slopes = np.diff(-np.log2(np.array(sizes)))
    once = 2 * slopes[1:] - slopes[:-1]
    return float((4 * once[1] - once[0]) / 3), float(abs(once[1] - once[0]))
