"""O12: the modified equations of multiplicative weights and of their optimistic form."""

import math
from itertools import pairwise

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.daskalakis2019.by_hand import slowest
from flowlab.claims.library.daskalakis2019.flows import (
    at,
    began,
    divergences,
    mixed_game,
    modified_flow,
    pace,
    payoff_of,
    rest_of,
    strategies,
    walk,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.rules import rules
from flowlab.symbolic.modified import coefficients

TIME = 8.0
STEPS = (0.01, 0.005, 0.0025)
"""Small enough for orders to show in the last two halvings."""
ETA = 0.1
LONG = 200.0
SHORT = 80.0
"""Times in which modes of the game of the paper, and of another one, change by e^7 and e^3."""
MOST = 200_000
"""Steps at most."""


@claim("O12")
class ModifiedEquation(Claim):
    """z' = F ± (η/2) DF F: optimism damps by ητ²/2 what plain steps make grow by as much."""

    title = "modified equations of both rules"
    statement = (
        "In the dual chart optimistic multiplicative weights follow z' = F + (eta/2) DF F to the second order in eta, "
        "and plain ones z' = F - (eta/2) DF F; both follow z' = F to the first. A mode of frequency tau is damped by "
        "eta tau^2/2, or grows by it."
    )
    latex = r"\dot z = F \pm \tfrac{\eta}{2}\, DF\, F + O(\eta^2), \qquad \operatorname{Re} q = \mp\tfrac12\,\eta\tau^2"
    source = "derived here; c = -1/2 - b for steps z + eta ((1 - b) F + b F_past)"
    hypotheses = (mixed_game,)
    quick = False
    stated = Variant(flows={"optimistic": "optimistic", "gradient": "gradient"}, order=2.0, damping=0.5)
    mutants = (
        stated.but("the sign of the second term turned", flows={"optimistic": "gradient", "gradient": "optimistic"}),
        stated.but("no second term", flows={"optimistic": None, "gradient": None}),
        stated.but("third order", order=3.0),
        stated.but("damping without the half", damping=1.0),
    )
    counter_example = "no second term: the flow itself neither damps nor grows, and is met to the first order alone"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rest, quantities = rest_of(case), []
        top, tau = float(rest.frequencies[0]), float(rest.frequencies[-1])
        p, q = (rest.weights[w] for w in "pq")
        own, eta = case.problem is None, ETA * pace(case)
        # Where steps make a mode grow it must stay small against the shares of the equilibrium.
        slow = at(*slowest(payoff_of(case), p, q, 1e-3 if own else 1e-3 * float(min(p.min(), q.min()))))
        long = (LONG if own else SHORT) * pace(case)
        # A slower mode is damped by as much in a longer time, of whole steps.
        long = long if own else eta * min(round(long / eta * (top / tau) ** 2), MOST)
        for rule, sign in (("optimistic", 1.0), ("gradient", -1.0)):
            for name, followed, wanted in (
                ("modified flow", variant.flows[rule], variant.order),
                ("flow", None, 1.0),
            ):
                errors = [self._apart(case, rule, followed, h * pace(case)) for h in STEPS]
                quantities += [
                    Quantity(
                        f"order in eta, {rule} and {name}, halving {k}", math.log2(a / b), wanted, 0.05, altered=0.1
                    )
                    for k, (a, b) in enumerate(pairwise(errors), 1)
                ]
            path = modified_flow(case, variant.flows[rule], eta, slow, long, "slow")
            steps = walk(case, round(long / eta), step=eta, rule=rule, start=slow, name="O12 slow")
            for name, run in (("modified flow", path), ("steps", steps)):
                kept = divergences(rest, run)
                rate = -0.5 * math.log(kept[-1] / kept[0]) / long
                quantities.append(
                    Quantity(
                        f"damping over eta tau^2, {rule}, {name}",
                        rate / (eta * tau**2),
                        sign * variant.damping,
                        0.01,
                        altered=0.05,
                    )
                )
            a, c = coefficients(rules[rule]())
            quantities += [
                Quantity(f"factor of F, {rule}", float(a), 1.0, 0.0, rung="symbolic"),
                Quantity(f"factor of eta DF F, {rule}", float(c), sign * variant.damping, 0.0, rung="symbolic"),
            ]
        return Measurement.of(quantities, "flows are integrated to 1e-13; errors are of p and q at t = 8")

    def _apart(self, case: Case, rule: str, followed: str | None, eta: float) -> float:
        """The largest difference between steps and a flow at t = 8."""
        end, first, count = TIME * pace(case), began(case), round(TIME * pace(case) / eta)
        steps = walk(case, count, step=eta, rule=rule, every=count, name="O12", start=first)
        path = modified_flow(case, followed, eta, first, end, "start")
        return max(float(np.abs(a[-1] - b[-1]).max()) for a, b in zip(strategies(steps), strategies(path), strict=True))
