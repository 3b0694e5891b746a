"""O3: the last iterate of optimistic multiplicative weights converges."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.flows import GAME, SOURCE, games, gaps, rest_of, strategies, walk
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.studies.equilibrium import Equilibrium
from flowlab.studies.stability import stability

FOLDS = 30.0
"""Wanted e-folds of the slowest mode: a factor of 1e-13."""
MOST = 200_000
"""Steps that a run may take; games that need more are left out."""


def _last(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return p[-1:], q[-1:]


def _average(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return p.mean(axis=0, keepdims=True), q.mean(axis=0, keepdims=True)


@claim("O3")
class LastIterate(Claim):
    """From the uniform start the last iterate converges to the only equilibrium, at half the sharp step."""

    title = "the last iterate converges"
    statement = (
        "In a matrix game with one equilibrium the last iterate of optimistic multiplicative weights converges to it "
        "from the uniform start; here at half the largest stable step, on the 3 x 3 game and three random ones."
    )
    latex = r"(p_t, q_t) \to (p^*, q^*)"
    source = (
        f"{SOURCE}, theorem 1.1 (number not checked; for steps that are exponentially small in the game; those here are"
        " not)"
    )
    hypotheses = (own_instances,)
    stated = Variant(rule="optimistic", share=0.5, of=_last)
    mutants = (
        stated.but("plain multiplicative weights", rule="gradient"),
        stated.but("a step above the threshold", share=1.2),
        stated.but("averages", of=_average),
    )
    counter_example = "a step above the threshold: the last iterate turns round the equilibrium for ever"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for i, (payoff, rest, count, edge) in enumerate(case.once("O3 games", lambda: self._games(case))):
            run = walk(
                case,
                count,
                step=variant.share * edge,
                rule=variant.rule,
                payoff=payoff,
                every=max(1, count // 2000),
                name=f"game {i}",
            )
            p, q = variant.of(*strategies(run))
            name = f"random game {i}" if i else "the 3 x 3 game"
            off = float(np.abs(p - rest.weights["p"]).sum() + np.abs(q - rest.weights["q"]).sum())
            quantities += [
                Quantity(f"distance from the equilibrium after {count} steps, {name}", off, 0.0, 1e-8),
                Quantity(f"duality gap, {name}", float(gaps(payoff, p, q)[0]), 0.0, 1e-8),
            ]
        return Measurement.of(quantities, "runs take thirty e-folds of the slowest mode of the linearised steps")

    @staticmethod
    def _games(case: Case) -> list[tuple[np.ndarray, Equilibrium, int, float]]:
        """Games with the steps that they need, and their largest stable step."""
        found = []
        for payoff, rest in [(GAME, rest_of(case)), *games(case, 10)]:
            edge = stability(rest, "optimistic", step=0.1).threshold
            rate = -math.log(stability(rest, "optimistic", step=0.5 * edge).radius)
            if rate * MOST > FOLDS:
                # Rows of every 1000 steps: equal counts share one compilation.
                found.append((payoff, rest, 1000 * math.ceil(FOLDS / rate / 1000), edge))
        return found[:4]
