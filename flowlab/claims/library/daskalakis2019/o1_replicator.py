"""O1: the replicator flow keeps the divergence from the equilibrium, and multiplicative weights raise it."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.daskalakis2019.by_hand import replicator
from flowlab.claims.library.daskalakis2019.flows import (
    SOURCE,
    called,
    divergences,
    matrix_game,
    mixed_game,
    pace,
    payoff_of,
    plain_steps,
    players,
    printed,
    replicator_flow,
    rest_of,
    reversed_divergences,
    strategies,
    walk,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

TIME = 200.0
COUNT = 6000
_ROUNDS = 100.0
"""How many of its relative tolerances a given flow may be off by, as monitors have it."""


@claim("O1")
class ReplicatorKeepsDivergence(Claim):
    """The replicator flow keeps KL(p*|p) + KL(q*|q); multiplicative weights raise it at every step."""

    title = "the replicator flow keeps the divergence from the equilibrium"
    statement = (
        "Let (p*, q*) be an equilibrium of a matrix game that mixes all strategies. The replicator flow keeps "
        "KL(p*|p) + KL(q*|q). Multiplicative weights, its Euler steps in the dual chart, raise it at every step."
    )
    latex = r"\tfrac{d}{dt}\bigl[\mathrm{KL}(p^*\|p) + \mathrm{KL}(q^*\|q)\bigr] = 0"
    source = (
        f"{SOURCE}, section 1 (for the flow; number not checked); Bailey, Piliouras 2018 (for multiplicative weights)"
    )
    hypotheses = (mixed_game, plain_steps)
    quick = False
    stated = Variant(problem=matrix_game, reversed=False, rule="gradient")
    mutants = (
        stated.but("both players ascend", problem=lambda: matrix_game(ascend=("p", "q"))),
        stated.but("nobody ascends", problem=lambda: matrix_game(ascend=())),
        stated.but("the metric of positive arrays for q", problem=lambda: matrix_game(q="orthant")),
        stated.but("the divergence the other way round", reversed=True),
        stated.but("optimistic multiplicative weights", rule="optimistic"),
    )
    counter_example = "both players ascend: they settle on their best joint payoff, away from the equilibrium"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rest, given = rest_of(case), case.flow
        # A flow of the wrong players is none that was given.
        path = (
            given
            if given is not None and variant.problem is matrix_game
            else replicator_flow(case, variant.problem(), TIME)
        )
        names = players(path.problem) if path is given else "pq"
        both = strategies(path, names)
        seen = (
            reversed_divergences(rest.weights, both[0], both[1]) if variant.reversed else divergences(rest, path, names)
        )
        first, end = (tuple(v[i] for v in both) for i in (0, -1))
        passed = float(np.exp(path.dataset["log_t"].values[-1]) - np.exp(path.dataset["log_t"].values[0]))
        other = replicator(payoff_of(case), first[0], first[1], passed)
        slack = 1.0 if given is None else _ROUNDS * max(1.0, seen[0]) * path.provenance["settings"]["rtol"] / 1e-10
        quantities = [
            Quantity(f"drift of the divergence over t = {passed:g}", float(np.ptp(seen)), 0.0, 1e-10 * slack),
            Quantity(
                f"distance from DOP853 at t = {passed:g}",
                float(max(np.abs(a - b).max() for a, b in zip(end, other, strict=True))),
                0.0,
                1e-9 * slack,
            ),
        ]
        for size, told in ((0.05, "4.9"), (0.1, "15.9")):
            step = size * pace(case)
            rise = self._rise(case, variant, step)
            plain = variant.rule == "gradient"
            quantities += [
                Quantity(
                    f"least rise of the divergence, step {step:.4g}",
                    float(np.diff(rise).min()),
                    0.0,
                    0.0,
                    relation=">=",
                ),
                Quantity(
                    f"last divergence against the first, step {step:.4g}",
                    float(rise[-1]),
                    float(rise[0]),
                    0.0,
                    relation=">=",
                    printed=printed(case, told) if plain else "",
                ),
            ]
        because = f"{called(case)}; the flow is integrated in the dual chart, where no sum drifts"
        return Measurement.of(quantities, because)

    @staticmethod
    def _rise(case: Case, variant: Variant, step: float) -> np.ndarray:
        """Divergences along multiplicative weights: those given, or from the uniform strategies."""
        given = case.descent
        if given is not None and variant.rule == "gradient":
            return divergences(rest_of(case), given, players(given.problem))
        return divergences(rest_of(case), walk(case, COUNT, step=step, rule=variant.rule))
