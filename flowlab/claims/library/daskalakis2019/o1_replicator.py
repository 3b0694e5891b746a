"""O1: the replicator flow keeps the divergence from the equilibrium, and multiplicative weights raise it."""

from collections.abc import Mapping

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.daskalakis2019.by_hand import replicator
from flowlab.claims.library.daskalakis2019.flows import (
    SOURCE,
    began,
    divergences,
    finite,
    matrix_game,
    mixed_game,
    pace,
    payoff_of,
    printed,
    replicator_flow,
    rest_of,
    strategies,
    walk,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.trajectory import Trajectory

TIME = 200.0
COUNT = 6000


def _to_start(rest: np.ndarray, run: np.ndarray) -> np.ndarray:
    """KL(p|p*): the divergence the other way round."""
    return (run * np.log(run / rest)).sum(axis=1)


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
    hypotheses = (mixed_game,)
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
        rest, payoff, slower = rest_of(case), payoff_of(case), pace(case)
        problem, first = variant.problem(), began(case)
        given = case.flow if problem == matrix_game() else None
        path = given or replicator_flow(case, problem, first, TIME * slower)
        seen = self._divergence(rest.weights, path) if variant.reversed else divergences(rest, path)
        p, q = strategies(path)
        last = float(np.exp(path.dataset["log_t"].values[-1]))
        other = case.once(f"replicator by hand {last}", lambda: replicator(payoff, p[0], q[0], last))
        loose = 0.0 if given is None else 100.0 * given.rtol
        quantities = [
            Quantity(f"drift of the divergence over t = {last:.4g}", float(np.ptp(seen)), 0.0, max(1e-10, loose)),
            Quantity(
                f"distance from DOP853 at t = {last:.4g}",
                float(max(np.abs(a - b).max() for a, b in zip((p[-1], q[-1]), other, strict=True))),
                0.0,
                max(1e-9, 10 * loose),
            ),
        ]
        for step, told in ((0.05, "4.9"), (0.1, "15.9")):
            run = walk(case, COUNT, step=step * slower, rule=variant.rule, start=first)
            rise = finite(divergences(rest, run))
            quantities += [
                Quantity(
                    f"least rise of the divergence in {COUNT} steps of {step * slower:.4g}",
                    float(np.diff(rise).min()),
                    0.0,
                    0.0,
                    relation=">=",
                ),
                Quantity(
                    f"divergence after {COUNT} steps of {step * slower:.4g}",
                    float(rise[-1]),
                    float(rise[0]),
                    0.0,
                    relation=">=",
                    printed=printed(case, told) if variant.rule == "gradient" else "",
                ),
            ]
        return Measurement.of(quantities, "flows in the dual chart, where no sum drifts, are held to their tolerance")

    @staticmethod
    def _divergence(rest: Mapping[str, np.ndarray], path: Trajectory) -> np.ndarray:
        p, q = strategies(path)
        return _to_start(rest["p"], p) + _to_start(rest["q"], q)
