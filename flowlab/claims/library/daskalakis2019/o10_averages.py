"""O10: averages of multiplicative weights, and of their optimistic form."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.flows import GAME, gaps, strategies, walk
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

ETA = 0.1
COUNT = 20_000
RANGE = 4.0
"""Largest payoff of the game minus the least."""


def averaged(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The gap of the averages over all rows so far, (rows,)."""
    count = np.arange(1, len(p) + 1)[:, None]
    return gaps(GAME, np.cumsum(p, axis=0) / count, np.cumsum(q, axis=0) / count)


@claim("O10")
class Averages(Claim):
    """The averages' gap: O(1/(ηT) + η) for multiplicative weights, O(1/T) for the optimistic ones."""

    title = "the gap of the averages"
    statement = (
        "The gap of the averages of multiplicative weights is at most 2 log 3/(eta T) + eta r^2/4, r the range of "
        "payoffs. That of the optimistic ones falls like 1/T, and their last iterate is ahead of it."
    )
    latex = (
        r"\mathrm{gap}(\bar p_T, \bar q_T) \le \frac{2\log 3}{\eta T} + \frac{\eta r^2}{4}, \qquad "
        r"\mathrm{gap}(\bar p_T, \bar q_T) = \Theta(1/T) \text{ (optimistic)}"
    )
    source = (
        "Freund, Schapire 1999 (plain, with Hoeffding's constant); Rakhlin, Sridharan 2013 and Syrgkanis, Agarwal, "
        "Luo, Schapire 2015 (optimistic)"
    )
    hypotheses = (own_instances,)
    stated = Variant(optimistic="optimistic", order=-1.0, drift=RANGE**2 / 4, ahead="<=")
    mutants = (
        stated.but("plain multiplicative weights for the optimistic ones", optimistic="gradient"),
        stated.but("averages like 1/sqrt(T)", order=-0.5),
        stated.but("no term in eta", drift=0.0),
        stated.but("averages ahead of the last iterate", ahead=">="),
    )
    counter_example = "no term in eta: averages of plain multiplicative weights with a fixed step do not fall like 1/T"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        plain = averaged(*strategies(walk(case, COUNT, step=ETA, rule="gradient")))
        p, q = strategies(walk(case, COUNT, step=ETA, rule=variant.optimistic))
        mean, last = averaged(p, q), gaps(GAME, p[-1:], q[-1:])[0]
        rows = np.arange(1, len(plain) + 1)
        over = plain - 2 * math.log(3) / (ETA * rows) - ETA * variant.drift
        order = math.log(mean[-1] / mean[999]) / math.log(rows[-1] / rows[999])
        return Measurement.of(
            [
                Quantity(
                    "gap of the averages over its bound, plain, largest over T",
                    float(over.max()),
                    0.0,
                    0.0,
                    relation="<=",
                ),
                Quantity(
                    "order in T of the gap of the averages, T = 1e3 to 2e4", order, variant.order, 0.02, altered=0.05
                ),
                Quantity(
                    "gap of the last iterate over that of the averages, T = 2e4",
                    float(last / mean[-1]),
                    1e-3,
                    0.0,
                    relation=variant.ahead,
                ),
            ],
            "the 3 x 3 game from the uniform start, eta = 0.1",
            plain=[float(plain[k]) for k in (999, 9999, 19_999)],
            optimistic=[float(mean[k]) for k in (999, 9999, 19_999)],
        )
