"""O9: the last iterate has no uniform rate."""

from math import exp

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.flows import gaps, matrix_game, strategies, walk
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

ETA = 0.1
DS = (0.1, 0.01, 0.001)
SEEN = 1e-3
"""How far the highest of every tenth gap may be below the highest of all."""


def _last(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return p, q


def _averages(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = np.arange(1, len(p) + 1)[:, None]
    return np.cumsum(p, axis=0) / count, np.cumsum(q, axis=0) / count


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
    stated = Variant(of=_last, least=lambda _: 0.4, relation=">=")
    mutants = (
        stated.but(USUAL, relation="<="),
        stated.but("gap of the averages", of=_averages),
        stated.but("a gap that goes with d", least=lambda d: 4 * d, relation="<="),
    )
    counter_example = "gap of the averages: those have a uniform rate, and are below 0.4 by then"
    usual = "The last iterate of optimistic multiplicative weights converges fast, as its averages do."
    decisive = "gaps of .425, .485, .491 at t = 546, 5197, 51902 for d = .1, .01, .001"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities, shares = [], []
        for d, wanted in zip(DS, (".425", ".485", ".491"), strict=True):
            # Blocks of high gaps last for 1/d steps: 1000 rows or more show their tops.
            every = max(1, round(0.01 / d))
            payoff = np.array([[0.5 + d, 0.5], [0.0, 1.0]])
            run = walk(
                case,
                round(100 / d),
                step=ETA,
                payoff=payoff,
                every=every,
                name=f"d = {d:g}",
                # Rows lose what columns gain.
                problem=matrix_game(ascend=("q",)),
            )
            gaining, losing = strategies(run)
            gap = gaps(-payoff, *variant.of(losing, gaining))
            first = round(1 / d) // every
            late = first + int(np.argmax(gap[first:]))
            told = variant.of is _last
            second = case.once(f"O9 by hand {d:g}", lambda d=d: float(self._by_hand(d)[round(1 / d) :].max()))
            quantities += [
                Quantity(
                    f"largest gap after t = 1/d, d = {d:g}",
                    float(gap[late]),
                    variant.least(d),
                    SEEN,
                    relation=variant.relation,
                    second=second if told else None,
                    second_route="log odds by hand",
                    printed=wanted if told else "",
                ),
                Quantity(f"its time, d = {d:g}", float(late * every), 50 / d, 0.0, relation=">="),
            ]
            shares.append(float((gap > 0.1).mean()))
        return Measurement.of(
            quantities, "runs in the dual chart, where no probability is rounded to zero", shares=shares
        )

    @staticmethod
    def _by_hand(d: float) -> np.ndarray:
        """Gaps of the last iterates; both players by the log odds of their first action."""
        a, b = 0.0, 0.0
        p = q = 0.5
        last_x = last_y = None
        found = np.empty(round(100 / d) + 1)
        for t in range(len(found)):
            rows = ((0.5 + d) * q + 0.5 * (1 - q), 1 - q)
            columns = ((0.5 + d) * p, 0.5 * p + 1 - p)
            found[t] = max(columns) - min(rows)
            # Differences of the two actions: x loses, y wins.
            now_x, now_y = rows[0] - rows[1], columns[0] - columns[1]
            a += ETA * (-2 * now_x + (now_x if last_x is None else last_x))
            b += ETA * (2 * now_y - (now_y if last_y is None else last_y))
            last_x, last_y = now_x, now_y
            p, q = 1 / (1 + exp(-a)), 1 / (1 + exp(-b))
        return found
