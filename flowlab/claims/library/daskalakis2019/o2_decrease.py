"""O2: optimistic multiplicative weights lower the divergence from the equilibrium, by half the variance of payoffs."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.library.daskalakis2019.flows import (
    SOURCE,
    began,
    divergences,
    matrix_game,
    mixed_game,
    pace,
    payoff_of,
    rest_of,
    spread,
    strategies,
    walk,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.problem import Problem

COUNT = 24_000
"""Steps of every run: eight e-folds of the smallest step."""
ROUNDINGS = 1e-12
"""Divergence below which its changes in a step are roundings."""


@claim("O2")
class DivergenceFalls(Claim):
    """The divergence falls at every step but the first, by η²/2 times the variance of the payoffs on average."""

    title = "optimistic multiplicative weights lower the divergence"
    statement = (
        "In a matrix game whose only equilibrium mixes all strategies optimistic multiplicative weights lower "
        "KL(p*|p) + KL(q*|q) at every step but the first, whose force has no past. The sum of its falls over eta^2 "
        "times the variances of payoffs goes to 1/2 as eta goes to 0."
    )
    latex = (
        r"\frac{\mathrm{KL}_0 - \mathrm{KL}_T}{\eta^2 \sum_t [\operatorname{Var}_{p_t}(A q_t) + "
        r"\operatorname{Var}_{q_t}(A^\top p_t)]} \to \tfrac12"
    )
    source = (
        f"{SOURCE}, theorem 3.1 (number not checked; falls by a multiple of eta^3 away from the equilibrium); constant"
        " derived here"
    )
    hypotheses = (mixed_game,)
    quick = False
    stated = Variant(problem=matrix_game, rule="optimistic", ratio=0.5, order=2, first=1)
    mutants = (
        stated.but(USUAL, first=0),
        stated.but("plain multiplicative weights", rule="gradient"),
        stated.but("both players ascend", problem=lambda: matrix_game(ascend=("p", "q"))),
        stated.but("falls by the whole variance", ratio=1.0),
        stated.but("falls of the third order in eta", order=3),
    )
    counter_example = "plain multiplicative weights: the divergence rises at every step"
    usual = "The divergence falls at every step, the first one among them."
    decisive = "a rise of .00074 in the first step of eta = .1, which is one of plain multiplicative weights"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        problem = variant.problem()
        quantities, ratios = [], []
        for share, told in ((0.1, ".4967"), (0.05, ".4992"), (0.025, ".4997")):
            eta = share * pace(case)
            ratio, rise, falls = self._seen(case, variant, problem, eta)
            ratios.append(ratio)
            quantities += [
                Quantity(
                    f"largest change of the divergence in a step, eta = {eta:.4g}", rise, 0.0, 1e-15, relation="<="
                ),
                Quantity(f"steps before the divergence is roundings, eta = {eta:.4g}", falls, 1000, 0.0, relation=">="),
            ]
            if variant.order == 2 and case.problem is None:
                quantities.append(
                    Quantity(
                        f"fall over the variances, eta = {eta:g}",
                        ratio,
                        variant.ratio,
                        0.4 * eta**2,
                        printed=told if problem == matrix_game() and variant.rule == "optimistic" else "",
                        altered=0.03,
                    )
                )
        # Errors are of the order η²: two steps give the limit, and what the longer ones give besides is its bar.
        before, limit = ((4 * ratios[i + 1] - ratios[i]) / 3 for i in (0, 1))
        own = case.problem is None
        quantities.append(
            Quantity(
                "fall over the variances, eta to 0",
                limit,
                variant.ratio,
                1e-5 if own else 1e-3,
                error=0.0 if own else abs(limit - before),
            )
        )
        given = case.descent
        if given is not None and given.provenance["settings"]["rule"] == variant.rule == "optimistic":
            seen = divergences(rest_of(case), given)
            last = int(np.argmax(seen < ROUNDINGS)) or len(seen)
            told = float(np.diff(seen[variant.first : last]).max())
            quantities.append(
                Quantity("largest change between rows of the given descent", told, 0.0, 1e-15, relation="<=")
            )
        return Measurement.of(quantities, "divergences are looked at down to 1e-12, where roundings begin")

    @staticmethod
    def _seen(case: Case, variant: Variant, problem: Problem, eta: float) -> tuple[float, float, float]:
        """The fall over the variances, the largest change in a step, and the number of steps looked at."""
        run = walk(case, COUNT, step=eta, rule=variant.rule, problem=problem, name=problem.signature, start=began(case))
        seen = divergences(rest_of(case), run)
        p, q = strategies(run)
        # The sum over steps of η^order: one power of η more turns the limit into zero or infinity.
        variances = float(spread(payoff_of(case), p, q)[:-1].sum()) * eta**variant.order
        last = int(np.argmax(seen < ROUNDINGS)) or len(seen)
        changes = np.diff(seen[variant.first : last])
        return float((seen[0] - seen[-1]) / variances), float(changes.max()), float(len(changes))
