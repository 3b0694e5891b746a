"""L4: what the smoothed margin gains while the direction moves."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import homogeneous_flow, roundings, seen
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("L4")
class GainOfTheMargin(Claim):
    """d log γ̃/dt ≥ K ‖dθ̂/dt‖²/(d log‖θ‖/dt)."""

    title = "the smoothed margin gains where the direction moves"
    statement = (
        "Along gradient flow of a smooth net, once L < 1, d log gamma~/dt >= K (d log|theta|/dt)^-1 |d theta^/dt|^2."
    )
    latex = (
        r"\frac{d}{dt}\log\tilde\gamma \ge K \Bigl(\frac{d}{dt}\log\lVert\theta\rVert\Bigr)^{-1} "
        r"\Bigl\lVert\frac{d\hat\theta}{dt}\Bigr\rVert^2"
    )
    source = "Lyu and Li 2020, lemma 5.1, with the factor K that its proof gives"
    hypotheses = (homogeneous_flow,)
    stated = Variant(factor=lambda K: K, wrong=lambda *_: 1.0)
    mutants = (
        stated.but("10 % more", factor=lambda K: 1.1 * K),
        stated.but("degree + 1", factor=lambda K: K + 1.0),
        stated.but("the square of the growth", wrong=lambda log_loss, pace: np.exp(-max(log_loss, -700.0)) / pace),
    )
    counter_example = "10 % more: late, where L log(1/L) comes close to the growth, the inequality is nearly attained"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which, rows, K, _ in seen(case):
            lacks = []
            for r in rows:
                # All rates over L, in which they are of order one however late it is.
                pace, across = (
                    r["nu"] / r["theta"] ** 2,
                    max(r["slope"] - (r["nu"] / r["theta"]) ** 2, 0.0) / r["theta"] ** 2,
                )
                gain = r["gain"] * r["slope"] / r["level"] - K * pace
                # Of d log|theta|/dt itself, L and all, where it is squared.
                bound = variant.factor(K) * across / pace * variant.wrong(r["log_loss"], pace)
                lacks.append((bound - gain - roundings(r) * K * pace) / (abs(gain) + K * pace * 1e-9))
            quantities.append(
                Quantity(
                    f"least of gain less bound over gain, {which}",
                    -float(np.max(lacks)),
                    0.0,
                    1e-9,
                    relation=">=",
                    route="autodiff at rows with L < 1",
                )
            )
        return Measurement.of(quantities, "relative to the gain; differences of rates cancel to some 1e-10 of them")
