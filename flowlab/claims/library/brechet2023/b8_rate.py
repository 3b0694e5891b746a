"""B8: the rate of the flow under the smooth Bures-Wasserstein loss."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.library.brechet2023.flows import (
    built_path,
    constants,
    fitted_rate,
    late_rate,
)
from flowlab.claims.library.brechet2023.generators import generator, given_generator
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

RESOLVED = 1e4
"""Distances from the minimum are looked at down to so many local errors of the flow, where rates carry 1e-5."""


@claim("B8")
class LooseRate(Claim):
    """The bound on the loss holds, and is a thousand times slower than the flow.

    The run behind the printed numbers is known by its spectrum, τ, depth and the two constants of its start; one with
    the same constants is built. So the rate of the bound is reproduced; the late rate is a property of the minimum, has
    a closed form, and is not the number that was printed.
    """

    title = "a convergence bound under the Bures-Wasserstein loss, and how loose it is"
    statement = (
        "N balanced square layers of full rank under L_tau, 0 < tau < lambda_min, have L <= L_0 exp(-8 N "
        "c^(2(2N-1)/N) K t). Here K = sqrt(tau lambda_min)/(2 C_0^2) and C_0 = 2 (L_0 + tr Sigma_0). L itself falls at "
        "last like exp(-4 N (lambda_min - tau)^(2 - 1/N)/lambda_min t), on the printed instance more than 1000 times "
        "faster."
    )
    latex = r"L(t) \le L_0\,e^{-8N c^{2(2N-1)/N} K t}, \quad K = \frac{\sqrt{\tau\lambda_{\min}}}{2C_0^2}"
    source = "Bréchet et al. 2023 (constants as in the authors' code; form of the theorem from memory)"
    hypotheses = (given_generator("flow", square=True, noise=True),)
    stated = Variant(bound=lambda rate, _: rate, late=lambda _, mode: mode)
    mutants = (
        stated.but(USUAL, late=lambda rate, _: rate),
        stated.but("a bound faster than the flow", bound=lambda _, fastest: 2 * fastest),
        stated.but("the rate of the fastest mode", late=lambda _, mode: 2 * mode),
    )
    counter_example = "a bound faster than the flow: twice the rate of its fastest mode"
    usual = "The bound tells how fast the flow converges."
    decisive = "the rate of the bound, 1.87e-3, against that of the flow, above 3"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        told = generator(case)
        path = built_path(case) if case.flow is None else case.flow
        t = np.exp(path.dataset["log_t"].values)
        products = told.products(path)
        L = np.array([told.loss(W) for W in products])
        K, c, _ = constants(float(L[0]), told.spectrum, told.tau)
        N, own, least = told.depth, case.flow is None, float(told.spectrum[-1])
        bound = float(8 * N * c ** (2 * (2 * N - 1) / N) * K)
        # Half of where the saddle without the last eigenvector lies, at which a flow may rest for long.
        floor, ceiling = RESOLVED * path.rtol * float(told.spectrum[0]), 0.5 * (least - told.tau)
        away = ((told.basis[:, -1] @ products) ** 2).sum(axis=1) - (least - told.tau)
        late, error = case.once("late rate", lambda: fitted_rate(t, away, floor, ceiling))
        mode = late_rate(N, told.tau, least)
        seen, fastest = floor**2 < L, late_rate(N, told.tau, float(told.spectrum[0]))
        excess = float((np.log(L[seen][1:] / L[0]) + variant.bound(bound, fastest) * t[seen][1:]).max())
        quantities = [
            Quantity("log of the loss beyond the bound", excess, 0.0, 0.0, relation="<="),
            Quantity(
                "late rate of the loss along its slowest mode",
                late,
                variant.late(bound, mode),
                1e-3 * mode,
                error=error,
                route="flow",
                second=mode,
                second_route="closed form",
                printed="3.31" if own else "",
            ),
            Quantity(
                "late rate of the loss, against the bound's",
                late,
                1000 * bound if own else bound,
                0.0,
                relation=">=",
            ),
        ]
        if own:
            quantities.append(
                Quantity("rate of the bound", bound, 1.874e-3, 5e-6, route="its constants", printed="1.87e-3")
            )
        return Measurement.of(
            quantities,
            "the slope of its logarithm is extrapolated to rest in powers of the distance, and the bar is what other "
            "degrees and windows give; the bound's own digits are three",
            differs="3.31 is below the slowest mode of the minimum, which late rates of every start approach: it was "
            "read off earlier, on a start not recorded",
            late=late,
        )
