"""B8: the rate of the flow under the smooth Bures-Wasserstein loss."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import LAYERS, constants, fitted_rate, flow, late_rate
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("B8")
class LooseRate(Claim):
    """The bound on the loss holds, and is a thousand times slower than the flow.

    The run behind the printed numbers is known by its spectrum, τ, depth and the two constants of its start; one with
    the same constants is built. So the rate of the bound is reproduced; the late rate is a property of the minimum, has
    a closed form, and is not the number that was printed.
    """

    title = "a convergence bound under the Bures-Wasserstein loss, and how loose it is"
    statement = (
        "Three balanced layers of full rank under L_tau have L <= L_0 exp(-8 N c^(2(2N-1)/N) K t). Here K = sqrt(tau "
        "lambda_min)/(2 C_0^2) and C_0 = 2 (L_0 + tr Sigma_0). L itself falls at last like exp(-4 N (lambda_min - "
        "tau)^(2 - 1/N)/lambda_min t), more than 1000 times faster."
    )
    latex = r"L(t) \le L_0\,e^{-8N c^{2(2N-1)/N} K t}, \quad K = \frac{\sqrt{\tau\lambda_{\min}}}{2C_0^2}"
    source = "Bréchet et al. 2023 (constants as in the authors' code; form of the theorem from memory)"
    hypotheses = (own_instances,)
    stated = Variant(bound=lambda rate: rate, late=lambda _, mode: mode)
    mutants = (
        stated.but(USUAL, late=lambda rate, _: rate),
        stated.but("a bound faster than the flow", bound=lambda _: 5.0),
        stated.but("the rate of the fastest mode", late=lambda _, mode: 2 * mode),
    )
    counter_example = "a bound faster than the flow: five per second"
    usual = "The bound tells how fast the flow converges."
    decisive = "the rate of the bound, 1.87e-3, against that of the flow, above 3"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        run = flow(case)
        t, L = run["t"], run["loss"]
        K, c, _ = constants(float(L[0]))
        bound = float(8 * LAYERS * c ** (2 * (2 * LAYERS - 1) / LAYERS) * K)
        precise = L > 1e-11
        excess = float((np.log(L[precise][1:] / L[0]) + variant.bound(bound) * t[precise][1:]).max())
        late, early = fitted_rate(t, L, 1e-9, 1e-10), fitted_rate(t, L, 1e-8, 1e-9)
        mode = late_rate(LAYERS)
        expected = variant.late(bound, mode)
        return Measurement.of(
            [
                Quantity("log of the loss beyond the bound", excess, 0.0, 0.0, relation="<="),
                Quantity("rate of the bound", bound, 1.874e-3, 5e-6, route="its constants", printed="1.87e-3"),
                Quantity(
                    "late rate of the loss",
                    late,
                    expected,
                    1e-3 * mode,
                    error=min(abs(late - early), 1e-3 * mode),
                    route="flow",
                    second=mode,
                    second_route="closed form",
                    printed="3.31",
                ),
                Quantity("late rate over that of the bound", late / bound, 1000.0, 0.0, relation=">="),
            ],
            "late rates are fitted where the loss falls from 1e-9 to 1e-10, and the bar is what the decade before "
            "gives; the bound's own digits are three",
            differs="3.31 is below the slowest mode of the minimum, which late rates of every start approach: it was "
            "read off earlier, on a start not recorded",
            late=late,
        )
