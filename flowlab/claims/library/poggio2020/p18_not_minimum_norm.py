"""P18: on two samples a ReLU network comes to a KKT point that is not of minimum norm."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flows import FAR, OPTIMUM, STARTS, from_start, joint_margin
from flowlab.claims.library.poggio2020.joint_margins import enclosed, largest_margin, margin_of_kkt_point
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

NEAR, DRAWN = 0.03, 3


@claim("P18")
class NotMinimumNorm(Claim):
    """Where gradient flow ends in direction depends on the start, and from an open set of starts it is not a minimum of
    the norm.
    """

    title = "KKT points that are not of minimum norm"
    statement = (
        "On x = (1, 1/4), (-1, 1/4) of one class a two-layer ReLU network of width 2 has two limits. From an open set "
        "of starts the flow comes to a KKT point with min_n q_n/|theta|^2 = 1/8. From others it comes to the largest "
        "value, sqrt(17)/16."
    )
    latex = (
        r"\min_n q_n/\lVert\theta\rVert^2 \to \tfrac18 < \tfrac{\sqrt{17}}{16} = \max_\theta \min_n "
        r"q_n/\lVert\theta\rVert^2"
    )
    source = (
        "against `minimum norm infima of the loss' in Poggio, Banburski, Liao 2020; KKT points after Lyu and Li 2020"
    )
    hypotheses = (own_instances,)
    stated = Variant(start="one unit dead", still=2.01, limit=0.125)
    mutants = (
        stated.but(USUAL, limit=OPTIMUM),
        stated.but("second unit alive", start="one unit for each sample"),
        stated.but("dead weights left out", still=0.0),
    )
    counter_example = (
        "second unit alive: from W(0) = ((.3, 1), (-.3, 1)) the same flow comes to the minimum of the norm"
    )
    usual = "Gradient flow under exponential losses converges in direction to minimum norm solutions."
    decisive = "min_n q_n/|theta|^2 in the limit: 1/8 from an open set of starts, where minimum norm asks for 0.25769"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        dead, equal, control = STARTS.values()
        value, _ = joint_margin(from_start(case, variant.start, STARTS[variant.start], FAR))
        soon, squares = joint_margin(from_start(case, "one unit dead", dead, 1600.0))
        # The dead unit keeps its weights, (.1, -1) and 1; the other one has θ_1 = θ_2 up to differences that die.
        same, _ = joint_margin(from_start(case, "both units equal", equal, FAR))
        good, _ = joint_margin(from_start(case, "one unit for each sample", control, FAR))
        later, _ = joint_margin(from_start(case, "one unit for each sample", control, 1e4))
        rng = np.random.default_rng(case.seed)
        near = [np.asarray(dead) + NEAR * rng.uniform(-1.0, 1.0, size=(2, 2)) for _ in range(DRAWN)]
        drawn = [joint_margin(from_start(case, f"beside it, {k}", w, FAR))[0] for k, w in enumerate(near)]
        low, high = case.once("P18 enclosure", enclosed)
        best = case.once("P18 max margin", largest_margin)
        kkt = case.once("P18 KKT", margin_of_kkt_point)
        return Measurement.of(
            [
                Quantity(
                    "q_min/|theta|^2 with one unit dead",
                    value,
                    variant.limit,
                    1e-7,
                    route="flow at log t = 1e6, kinks followed",
                    second=kkt,
                    second_route="the KKT point beside the direction ((0, 1), dead), by Newton's method",
                ),
                Quantity(
                    "the same at log t = 1600",
                    soon,
                    0.125 * (1 - variant.still / squares),
                    1e-6,
                    route="flow",
                    printed="0.12498",
                ),
                Quantity(
                    "q_min/|theta|^2 from equal units", same, 0.125, 1e-12, route="flow at log t = 1e6", printed="0.125"
                ),
                Quantity(
                    "q_min/|theta|^2 with one unit for each sample",
                    good,
                    OPTIMUM,
                    3e-7,
                    route="flow at log t = 1e6",
                    printed="0.25769",
                ),
                Quantity("the same at log t = 1e4", later, OPTIMUM, 2e-5, route="flow", printed="0.25768"),
                Quantity(
                    "largest q_min/|theta|^2",
                    best,
                    OPTIMUM,
                    1e-10,
                    route="max_margin from random starts",
                    printed="0.25769",
                ),
                Quantity(
                    "its upper enclosure",
                    high,
                    OPTIMUM,
                    1e-6,
                    route="bisection with interval arithmetic",
                    second=low,
                    rung="interval",
                    second_route="lower enclosure of sqrt(17)/16, which two units along the samples reach",
                ),
                *(
                    Quantity(f"q_min/|theta|^2 beside it, {k}", v, 0.125, 1e-7, route="flow at log t = 1e6")
                    for k, v in enumerate(drawn)
                ),
            ],
            "what is left of the start falls like |theta(0)|^2/|theta|^2, below 1e-6 of the limits at log t = 1e6; "
            "exact values otherwise",
            enclosure=[low, high],
            starts=[w.tolist() for w in near],
            horizons="the printed .12498 and .25768 are values before the limit, and are met at log t = 1600 and 1e4",
        )
