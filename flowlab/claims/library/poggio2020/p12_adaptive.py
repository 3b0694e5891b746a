"""P12: the loss under exponential weight normalisation, whose law has no depth in its exponents."""

import math

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.adaptive_chain import law, log_time_by_quadrature, log_time_of_chain
from flowlab.claims.library.poggio2020.flows import COPIES, DEEP, HORIZON, WIDTH, chain, one_layer, unequal
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import log_time
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state
from flowlab.language.trajectory import Trajectory

SCHEME = "exponential_weight_normalization"
_PRINTED = {20: ".557", 100: ".842", 400: ".946"}
_FEW = 2000.0
"""R of the chain at which the flow is compared with the closed form, where the law is still off."""


@claim("P12")
class AdaptiveLoss(Claim):
    """K L t log² t → 1 under exponential weight normalisation, at every depth and every margin."""

    title = "loss under exponential weight normalisation"
    statement = (
        "Under exponential weight normalisation with exponential loss K L t log^2 t tends to 1 for every number K of "
        "layers, whatever the margin. So L = Theta(1/(t log^2 t)) at every depth."
    )
    latex = r"K\, L\, t\, \log^2 t \to 1 \quad \text{for every depth } K"
    source = "Morwani and Ramaswamy 2022; the constant from (log R)' = K R s, s ~ gamma L"
    hypotheses = (one_layer(*DEEP.values()),)
    stated = Variant(power=lambda _: 2.0, over=lambda _: 1)
    mutants = (
        stated.but("law of gradient flow", power=lambda K: 2 - 2 / K),
        stated.but("without the depth", over=lambda K: K),
        stated.but("log t to the third power", power=lambda _: 3.0),
    )
    counter_example = "law of gradient flow: L t (log t)^(2-2/K), which for one layer tends to a constant"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities: list[Quantity] = []

        def form(log_loss: float, log_t: float, K: int) -> float:
            return law(log_loss, log_t, K, variant.power(K)) / variant.over(K)

        for R, printed in _PRINTED.items():
            T = case.once(f"P12 time R={R}", lambda R=R: log_time_of_chain(R, 1))
            T2 = case.once(f"P12 sum R={R}", lambda R=R: log_time_by_quadrature(R))
            name = f"K L t log^2 t of the chain at R = {R}, K = 1"
            quantities.append(
                Quantity(
                    name,
                    form(-R, T, 1),
                    law(-R, T2, 1),
                    1e-9,
                    route="closed form in Ei",
                    printed=printed,
                    second=law(-R, T2, 1),
                    second_route="quadrature",
                )
            )
        copies = math.log(COPIES)
        for K in (1, 2):
            T = case.once(f"P12 time K={K}", lambda K=K: log_time_of_chain(_FEW, K))
            end = chain(case, K, T, SCHEME).dataset.isel(step=-1)
            value = form(float(end["log_loss"]) - copies, float(end["log_t"]) + copies, K)
            quantities.append(
                Quantity(
                    f"K L t log^2 t of the chain at R = 2000, K = {K}", value, law(-_FEW, T, K), 1e-5, route="flow"
                )
            )
        # What is missing: 4 log log t/log t and less.
        missing = 100.0 / HORIZON * math.log(HORIZON)
        for K in (1, 2):
            row = adaptive(case, K).dataset.isel(step=-1)
            value = form(float(row["log_loss"]), float(row["log_t"]), K)
            quantities.append(
                Quantity(
                    f"limit of K L t log^2 t on separable data, K = {K}",
                    value,
                    1.0,
                    missing,
                    route="flow to log t = 1e6",
                )
            )
        return Measurement.of(
            quantities,
            "the law is slow: at log t it is short of its limit by 4 log log t/log t",
            name=unequal(case)[0].name,
        )


def adaptive(case: Case, K: int) -> Trajectory:
    """The late flow of a linear net of K layers under exponential weight normalisation; shared by claims about it."""
    data, _ = unequal(case)
    problem = Problem(DEEP[K], scheme=SCHEME)
    start = initial_state(problem.network, data, widths={f"W{k}": WIDTH for k in range(1, K)} or None, seed=case.seed)
    return integrated(case, f"deep {SCHEME} K={K}", problem, start, data, log_time(HORIZON))
