"""B11: how the rate depends on the number of layers."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import (
    SPECTRUM,
    TAU,
    basis,
    data,
    fitted_rate,
    late_rate,
    problem,
    product,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import integrate, time
from flowlab.language.state import State
from flowlab.lowering.lower import lower
from flowlab.symbolic.end_to_end import end_to_end

DEPTHS = (1, 2, 4, 10)
FLOOR = 1e-6
"""Distance from rest down to which rates are looked at: 1e5 local errors of the flow."""


@claim("B11")
class Depth(Claim):
    """At one start deeper nets end faster, as 4 N (λ_min - τ)^{2 - 1/N}/λ_min says."""

    title = "the late rate of the Bures-Wasserstein loss by depth"
    statement = (
        "From one covariance the loss of N balanced layers falls at last like exp(-r t) with r = 4 N (lambda_min - "
        "tau)^(2 - 1/N)/lambda_min. Where lambda_min - tau >= exp(-N) a layer more makes it larger."
    )
    latex = r"r_N = \frac{4 N (\lambda_{\min} - \tau)^{2 - 1/N}}{\lambda_{\min}}"
    source = "derived here: the slowest mode of the end-to-end flow; Bréchet et al. 2023 bound it from below"
    hypotheses = (own_instances,)
    stated = Variant(rate=late_rate)
    mutants = (
        stated.but("no layers in the exponent", rate=lambda N: 4 * N * (SPECTRUM[-1] - TAU) ** 2 / SPECTRUM[-1]),
        stated.but("the rate of the weights", rate=lambda N: 0.5 * late_rate(N)),
        stated.but("one layer's rate times their number", rate=lambda N: N * late_rate(1)),
    )
    counter_example = "one layer's rate times their number: right where lambda_min - tau = 1"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = case.once("rates by depth", lambda: [self._rate(case, N) for N in DEPTHS])
        quantities = []
        for N, (rate, error) in zip(DEPTHS, found, strict=True):
            expected = float(variant.rate(N))
            quantities.append(
                Quantity(
                    f"late rate of {N} layer{'s' if N > 1 else ''}",
                    rate,
                    expected,
                    1e-3 * expected,
                    error,
                    route="end-to-end flow",
                )
            )
        return Measurement.of(
            quantities,
            "slopes of logarithms are extrapolated to rest; other modes start a hundredth as far away",
        )

    def _rate(self, case: Case, N: int) -> tuple[float, float]:
        P, omega = product(N), basis(case)
        flow = end_to_end(problem(N), P @ P.T)
        sizes = (SPECTRUM - TAU) * np.array([1.01, 0.99, 1.01, 0.8])
        sigma = (omega * sizes) @ omega.T
        start = State.from_weights({"Sigma": 0.5 * (sigma + sigma.T)})
        until = time(float(25.0 / late_rate(N)))
        path = integrate(lower(flow), start, data(case), until=until, rtol=1e-11, atol=1e-13)
        last, rest = omega[:, -1], SPECTRUM[-1] - TAU
        away = [float(last @ np.asarray(path.weights(i)["Sigma"]) @ last) - rest for i in range(len(path))]
        return fitted_rate(np.exp(path.dataset["log_t"].values), np.array(away), FLOOR, 0.5 * rest)
