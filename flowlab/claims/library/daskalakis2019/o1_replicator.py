"""O1: the replicator flow keeps the divergence from the equilibrium, and multiplicative weights raise it."""

from collections.abc import Mapping

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.library.daskalakis2019.by_hand import replicator
from flowlab.claims.library.daskalakis2019.flows import (
    SOURCE,
    at,
    called,
    divergences,
    matrix_game,
    mixed_game,
    pace,
    payoff_of,
    players,
    printed,
    rest_of,
    strategies,
    walk,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.trajectory import Trajectory

TIME = 200.0
COUNT = 6000
_ROUNDS = 100.0
"""How many of its relative tolerances a given flow may be off by, as monitors have it."""


@hypothesis("descents in plain steps")
def plain_steps(case: Case) -> str | None:
    """Multiplicative weights are steps of the gradient rule in the chart of the simplex."""
    told = {} if case.descent is None else case.descent.provenance.get("settings", {})
    rule = told.get("rule", "gradient")
    if rule != "gradient" or told.get("momentum"):
        return f"it is about multiplicative weights, and the descent follows {rule}" + (
            " with momentum" if told.get("momentum") else ""
        )
    return None


def _reversed(rest: Mapping[str, np.ndarray], p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p|p*) + KL(q|q*): the divergence the other way round."""
    return sum(((run * np.log(run / rest[w])).sum(axis=1) for w, run in (("p", p), ("q", q))), np.zeros(len(p)))


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
        path = given if given is not None and variant.problem is matrix_game else self._flow(case, variant)
        names = players(path.problem) if path is given else "pq"
        both = strategies(path, names)
        seen = _reversed(rest.weights, both[0], both[1]) if variant.reversed else divergences(rest, path, names)
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
    def _flow(case: Case, variant: Variant) -> Trajectory:
        """The replicator flow from the uniform strategies, or a flow of the wrong players."""
        problem, payoff = variant.problem(), payoff_of(case)
        start = at(*(np.full(n, 1 / n) for n in payoff.shape))
        return integrated(
            case,
            f"replicator {problem.signature}",
            problem,
            start,
            Data(A=payoff),
            time(TIME * pace(case)),
            rtol=1e-13,
            atol=1e-14,
            solver="dopri8",
        )

    @staticmethod
    def _rise(case: Case, variant: Variant, step: float) -> np.ndarray:
        """Divergences along multiplicative weights: those given, or from the uniform strategies."""
        given = case.descent
        if given is not None and variant.rule == "gradient":
            return divergences(rest_of(case), given, players(given.problem))
        return divergences(rest_of(case), walk(case, COUNT, step=step, rule=variant.rule))
