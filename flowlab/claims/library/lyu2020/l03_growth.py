"""L3: how fast the norm grows."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import homogeneous_flow, roundings, seen
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("L3")
class NormGrowth(Claim):
    """½ d‖θ‖²/dt = K Σ e^{-q} q ≥ K L log(1/L)."""

    title = "growth of the norm, exactly and from below"
    statement = "Along gradient flow (1/2) d|theta|^2/dt = K sum_n exp(-q_n) q_n, which is at least K L log(1/L)."
    latex = r"\tfrac12 \tfrac{d}{dt}\lVert\theta\rVert^2 = K \sum_n e^{-q_n} q_n \ge K L \log\tfrac1L"
    source = "Lyu and Li 2020, section 5"
    hypotheses = (homogeneous_flow,)
    stated = Variant(factor=lambda K: K, more=0.0)
    mutants = (
        stated.but("degree + 1", factor=lambda K: K + 1.0),
        stated.but("1 % off", factor=lambda K: 1.01 * K),
        stated.but("log(N/L) for log(1/L)", more=1.0),
    )
    counter_example = "log(N/L): with the loss as a mean inside the logarithm the inequality turns round"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which, rows, K, n in seen(case):
            factor = variant.factor(K)
            apart = worst(abs(r["nu"] - factor * r["pull"]) / abs(K * r["pull"]) for r in rows)
            more = variant.more * np.log(n)
            slack = -worst((r["level"] + more) / (r["gain"] * r["pull"]) for r in rows)
            last = worst(roundings(r) for r in rows)
            quantities += [
                Quantity(
                    f"growth against its formula, {which}",
                    apart,
                    0.0,
                    max(1e-11, last),
                    route="autodiff at rows with L < 1",
                ),
                Quantity(
                    f"slack of the bound, {which}",
                    1.0 + slack,
                    0.0,
                    max(1e-12, last),
                    relation=">=",
                    route="autodiff at rows with L < 1",
                ),
            ]
        return Measurement.of(quantities, "relative; both are exact, so only roundings remain")
