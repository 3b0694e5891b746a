"""P10: how norms of a balanced chain grow, whose flow is a scalar equation with a closed form."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.chain_times import (
    excess,
    log_time_by_quadrature,
    log_time_of_chain,
    power_of_log,
)
from flowlab.claims.library.poggio2020.flows import COPIES, HORIZON, chain
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

_PRINTED = {2: "0.70505", 3: "1.1212", 4: "1.4157"}
_AT = 500.0


@claim("P10")
class ChainGrowth(Claim):
    """R - log t - (2 - 2/K) log log t → log K, ρ_k ~ (log t)^{1/K}, L t (log t)^{2-2/K} → 1/K for f = 1 and balanced
    layers.
    """

    title = "growth of the norms of K balanced layers"
    statement = (
        "For f = 1 at unit norms and K balanced layers R - log t - (2 - 2/K) log log t tends to log K. Then "
        "rho_k/(log t)^(1/K) tends to 1, and L t (log t)^(2 - 2/K) to 1/K."
    )
    latex = (
        r"R - \log t - (2 - \tfrac{2}{K}) \log\log t \to \log K, \qquad \rho_k \sim (\log t)^{1/K}, \qquad L\, t\, "
        r"(\log t)^{2-2/K} \to 1/K"
    )
    source = (
        "Poggio, Banburski, Liao 2020; Lyu and Li 2020, theorem 4.3 and corollary (numbers not checked); the constant "
        "from u' = u^(K-1) exp(-u^K)"
    )
    hypotheses = (own_instances,)
    stated = Variant(power=power_of_log, constant=lambda K: K, root=lambda K: K)
    mutants = (
        stated.but("exponent of one layer more", power=lambda K: power_of_log(K + 1)),
        stated.but("without log log t", power=lambda _: 0.0),
        stated.but("limit of one layer more", constant=lambda K: K + 1),
        stated.but("norms like (log t)^(1/(K+1))", root=lambda K: K + 1),
    )
    counter_example = "without log log t: the law of one layer, R - log t bounded, which deeper nets leave behind"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for K in (2, 3, 4):
            closed = case.once(
                f"P10 time K={K}", lambda K=K: (log_time_of_chain(_AT, K), log_time_of_chain(HORIZON, K))
            )
            near, far = chain(case, K, closed[0]).dataset.isel(step=-1), chain(case, K, closed[1])
            end = far.dataset.isel(step=-1)
            copies = math.log(COPIES)
            R, log_t = (
                (np.exp(float(d["log_R"])) for d in (near, end)),
                [float(d["log_t"]) + copies for d in (near, end)],
            )
            early, late = R
            power, limit, root = variant.power(K), math.log(variant.constant(K)), 1 / variant.root(K)
            quadrature = log_time_by_quadrature(_AT, K)
            # What is missing at log t is (2 - 2/K)² log log t/log t and more of that kind.
            missing = 10.0 * math.log(HORIZON) / HORIZON
            quantities += [
                Quantity(
                    f"R - log t - (2-2/K) log log t at R = 500, K = {K}",
                    excess(early, log_t[0], power),
                    excess(_AT, quadrature, 2 - 2 / K),
                    1e-6,
                    route="flow of the net",
                    second=excess(_AT, closed[0], power),
                    second_route="closed form",
                    printed=_PRINTED[K],
                ),
                Quantity(
                    f"limit of R - log t - (2-2/K) log log t, K = {K}",
                    excess(late, log_t[1], power),
                    limit,
                    missing,
                    route="flow to R = 1e6",
                    second=excess(HORIZON, closed[1], power),
                    second_route="closed form",
                ),
                Quantity(
                    f"L t (log t)^(2-2/K), K = {K}",
                    math.exp(float(end["log_loss"]) - copies + log_t[1] + power * math.log(log_t[1])),
                    1 / math.exp(limit),
                    missing,
                    route="flow to R = 1e6",
                ),
                Quantity(
                    f"rho_1/(log t)^(1/K), K = {K}",
                    float(far.last.rho["W1"]) / log_t[1] ** root,
                    1.0,
                    missing,
                    route="flow to R = 1e6",
                ),
            ]
        return Measurement.of(
            quantities,
            "limits are missed by a few log log t/log t at log t = 1e6; at R = 500 flow, closed form and quadrature "
            "are compared",
        )
