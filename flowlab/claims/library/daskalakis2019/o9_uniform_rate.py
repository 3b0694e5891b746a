"""O9: the last iterate has no uniform rate."""

from math import exp

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("O9")
class NoUniformRate(Claim):
    """Games of size one on which the last iterate is at a gap of a half after any given time."""

    title = "no uniform rate of the last iterate"
    statement = (
        "On A_d = [[1/2 + d, 1/2], [0, 1]] the duality gap of the last iterate from the uniform start exceeds 0.4 "
        "after 50/d, for every d. No rate holds for all games."
    )
    latex = r"\max_{t > 1/d} \mathrm{gap}(x_t, y_t) = .425,\ .485,\ .491 \text{ for } d = 10^{-1}, 10^{-2}, 10^{-3}"
    source = "Cai, Farina, Grand-Clément, Kroer, Lee, Luo, Zheng 2024, restated"
    hypotheses = (own_instances,)
    stated = Variant(of=0, least=lambda _: 0.4, relation=">=")
    mutants = (
        stated.but(USUAL, relation="<="),
        stated.but("gap of the averages", of=1),
        stated.but("a gap that goes with d", least=lambda d: 4 * d, relation="<="),
    )
    counter_example = "gap of the averages: those have a uniform rate, and are below 0.4 by then"
    usual = "The last iterate of optimistic multiplicative weights converges fast, as its averages do."
    decisive = "gaps of .425, .485, .491 at t = 546, 5197, 51902 for d = .1, .01, .001"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        ds = (0.1, 0.01, 0.001)
        runs = case.once("last iterates", lambda: [self._run(d, int(100 / d)) for d in ds])
        quantities = []
        for d, gaps, wanted, at in zip(ds, runs, (".425", ".485", ".491"), ("546", "5197", "51902"), strict=True):
            gap = gaps[variant.of]
            late = int(1 / d) + int(np.argmax(gap[int(1 / d) :]))
            quantities.append(
                Quantity(
                    f"largest gap after t = 1/d, d = {d:g}",
                    float(gap[late]),
                    variant.least(d),
                    0.0,
                    relation=variant.relation,
                    printed=wanted,
                )
            )
            quantities.append(Quantity(f"its time, d = {d:g}", float(late), 50 / d, 0.0, relation=">=", printed=at))
        return Measurement.of(
            quantities, "exact recurrences in the logarithms of odds", shares=[float((g > 0.1).mean()) for g, _ in runs]
        )

    @staticmethod
    def _run(d: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Gaps of the last iterates and of their averages; both players by the log odds of their first action."""
        eta, a, b = 0.1, 0.0, 0.0
        p = q = 0.5
        last_x = last_y = None
        sum_p = sum_q = 0.0
        gaps, means = np.empty(count), np.empty(count)

        def gap(p: float, q: float) -> float:
            rows = ((0.5 + d) * q + 0.5 * (1 - q), 1 - q)
            columns = ((0.5 + d) * p, 0.5 * p + 1 - p)
            return max(columns) - min(rows)

        for t in range(count):
            gaps[t] = gap(p, q)
            sum_p, sum_q = sum_p + p, sum_q + q
            means[t] = gap(sum_p / (t + 1), sum_q / (t + 1))
            # Differences of the two actions: x loses, y wins.
            now_x = (0.5 + d) * q + 0.5 * (1 - q) - (1 - q)
            now_y = (0.5 + d) * p - (0.5 * p + 1 - p)
            a += eta * (-2 * now_x + (now_x if last_x is None else last_x))
            b += eta * (2 * now_y - (now_y if last_y is None else last_y))
            last_x, last_y = now_x, now_y
            p, q = 1 / (1 + exp(-a)), 1 / (1 + exp(-b))
        return gaps, means
