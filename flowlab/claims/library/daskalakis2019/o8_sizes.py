"""O8: how many steps optimistic multiplicative weights take on random games, over their size."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.by_hand import steps
from flowlab.claims.library.daskalakis2019.flows import SOURCE, matrix_game, strategies
from flowlab.claims.library.daskalakis2019.random_games import (
    DRAWS,
    ETA,
    LEVELS,
    NEAR,
    first_times,
    game,
    quantile,
    walked,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.studies.equilibrium import equilibrium


@claim("O8")
class Sizes(Claim):
    """Times spread over a decade at one size, and their median grows faster than the size."""

    title = "steps on random games over their size"
    statement = (
        "Games have n x n payoffs drawn from [-1, 1], and optimistic multiplicative weights start uniform with eta = "
        "0.01. The number of steps until they are within 0.5 of the equilibrium differs fivefold or more between the "
        "fastest and the slowest tenth of 20 games, and its median grows faster than n; runs that end before count "
        "with their length."
    )
    latex = r"q_{.9}/q_{.1} \ge 5, \qquad \log\frac{q_{.5}(n_2)}{q_{.5}(n_1)} \Big/ \log\frac{n_2}{n_1} \ge 1"
    source = (
        f"{SOURCE}, experiments: 25 to 250 strategies, eta = 0.01, steps until an error of 0.1, which their authors"
        " guess to grow between n and n^2; 20 games do not tell whether the order is above two"
    )
    hypotheses = (own_instances,)
    stated = Variant(
        sizes=(4, 8, 16), cap=50_000, errors=(NEAR,), order=(1.0, ">="), spread=(5.0, ">="), force=(2.0, -1.0)
    )
    mutants = (
        stated.but("slower than the size", order=(1.0, "<=")),
        stated.but("games of one size alike", spread=(2.0, "<=")),
        stated.but("plain multiplicative weights by hand", force=(1.0, 0.0)),
        stated.but("present and past in each other's place by hand", force=(-1.0, 2.0)),
    )
    quick = False
    counter_example = "games of one size alike: a power of the size tells the steps of no single game"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        cap, sizes, errors = variant.cap, variant.sizes, variant.errors
        seen = {
            n: case.once(
                f"O8 {n} {cap} {errors}",
                lambda n=n: [first_times(case.seed, n, draw, cap, errors) for draw in range(DRAWS)],
            )
            for n in sizes
        }
        told = {n: [quantile([t[NEAR] for t in seen[n]], level, cap) for level in LEVELS] for n in sizes}
        small, large = sizes[0], sizes[-1]
        order = math.log(told[large][1] / told[small][1]) / math.log(large / small)
        apart = told[small][2] / told[small][0]
        return Measurement.of(
            [
                Quantity(
                    f"order in n of the median of steps, n = {small} and {large}",
                    order,
                    variant.order[0],
                    0.0,
                    relation=variant.order[1],
                ),
                Quantity(
                    f"steps of the slowest tenth over those of the fastest, n = {small}",
                    apart,
                    variant.spread[0],
                    0.0,
                    relation=variant.spread[1],
                ),
                self._by_hand(case, variant),
            ],
            f"{DRAWS} games of every size, at most {cap} steps; a quantile that is that long is a lower bound",
            quantiles={
                f"n = {n}, within {e:g}": [quantile([t[e] for t in seen[n]], level, cap) for level in LEVELS]
                for n in sizes
                for e in errors
            },
            not_near={f"n = {n}, within {e:g}": sum(t[e] > cap for t in seen[n]) for n in sizes for e in errors},
        )

    @staticmethod
    def _by_hand(case: Case, variant: Variant) -> Quantity:
        """How far the first game of the first size is from its equilibrium after 1000 steps, by both routes."""
        size, count = variant.sizes[0], 1000
        payoff, uniform = game(case.seed, size, 0), np.full(size, 1 / size)
        rest = case.once("O8 equilibrium", lambda: equilibrium(matrix_game(), Data(A=payoff)))
        run = case.once("O8 first game", lambda: walked(payoff, count, count))
        now, past = variant.force
        hand = steps(payoff, uniform, uniform, ETA, count, now, past)
        off, wanted = (
            float(sum(np.abs(v[-1] - rest.weights[w]).sum() for w, v in zip("pq", both, strict=True)))
            for both in (strategies(run), hand)
        )
        return Quantity(f"distance after {count} steps, first game, n = {size}", off, wanted, 1e-9)
