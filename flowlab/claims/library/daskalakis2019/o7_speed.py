"""O7: the speed of optimistic multiplicative weights falls like the square of the step."""

import math
from itertools import pairwise

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.by_hand import slowest
from flowlab.claims.library.daskalakis2019.flows import GAME, at, divergences, rest_of, walk
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.studies.stability import stability

STEPS = (0.1, 0.05, 0.025)


@claim("O7")
class Speed(Claim):
    """2/(η τ_min)² steps per e-fold."""

    title = "steps per e-fold go with 1/eta^2"
    statement = (
        "Near the equilibrium optimistic multiplicative weights take 2/(eta tau_min)^2 steps for each e-fold of the "
        "distance, with a relative error of the order eta^2. Half the step takes four times as many."
    )
    latex = r"N_e = \frac{2}{(\eta\,\tau_{\min})^2}\,\bigl(1 + O(\eta^2)\bigr)"
    source = "derived here from O4: -log |lambda| = (eta tau)^2/2 + O(eta^4)"
    hypotheses = (own_instances,)
    stated = Variant(rule="optimistic", folds=2.0, ratio=4.0, mode=-1)
    mutants = (
        stated.but("half the step takes twice as many", ratio=2.0),
        stated.but("1/(eta tau_min)^2", folds=1.0),
        stated.but("tau_max in the place of tau_min", mode=0),
        stated.but("plain multiplicative weights", rule="gradient"),
    )
    counter_example = "plain multiplicative weights: the distance grows, by an e-fold in 2/(eta tau)^2 steps"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rest = rest_of(case)
        tau = float(rest.frequencies[variant.mode])
        start = at(*slowest(GAME, rest.weights["p"], rest.weights["q"]))
        seen = []
        for eta in STEPS:
            # Two e-folds of the slowest mode after the rows in which other roots die out.
            count = 100 * math.ceil(4 / (0.75 * eta) ** 2 / 100)
            kept = divergences(rest, walk(case, 100 + count, step=eta, rule=variant.rule, start=start, name="O7"))
            seen.append(-2 * count / math.log(kept[-1] / kept[100]))
        exact = [-1 / math.log(stability(rest, variant.rule, step=eta).radius) for eta in STEPS]
        scaled = [n * (eta * tau) ** 2 for n, eta in zip(seen, STEPS, strict=True)]
        ratios = [b / a for a, b in pairwise(seen)]
        return Measurement.of(
            [
                *(
                    Quantity(
                        f"steps per e-fold, {eta:g}",
                        n,
                        wanted,
                        3e-4 * abs(wanted),
                        route="the run",
                    )
                    for eta, n, wanted in zip(STEPS, seen, exact, strict=True)
                ),
                Quantity(
                    "steps per e-fold times (eta tau_min)^2, eta to 0",
                    (4 * scaled[2] - scaled[1]) / 3,
                    variant.folds,
                    1e-3,
                    route="extrapolated",
                ),
                *(
                    Quantity(
                        f"ratio of the steps per e-fold, eta = {eta:g} and half of it",
                        r,
                        variant.ratio,
                        0.08,
                        altered=0.05,
                    )
                    for eta, r in zip(STEPS, ratios, strict=False)
                ),
            ],
            "runs begin 1e-3 from the equilibrium in the plane of the slowest mode",
        )
