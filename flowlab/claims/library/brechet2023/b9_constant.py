"""B9: what the constant c of the rate bounds."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import MARGIN, SMALLEST, SPECTRUM, TAU, flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("B9")
class SmallestSingularValue(Claim):
    """c bounds sqrt(σ_min² + τ), not σ_min."""

    title = "what the constant c bounds"
    statement = (
        "For tau > 0, c = sqrt(lambda_min) - sqrt(L_tau) bounds sqrt(sigma_min^2 + tau) from below along the flow; "
        "sigma_min itself can be below it."
    )
    latex = r"\sqrt{\sigma_{\min}(W(t))^2 + \tau} \ge \sqrt{\lambda_{\min}} - \sqrt{L_\tau(t)}"
    source = "Bréchet et al. 2023, as in the authors' code; corrected here by Weyl's inequality for Bures distances"
    hypotheses = (own_instances,)
    stated = Variant(sizes=lambda values: np.sqrt(values**2 + TAU), constant=lambda c: c)
    mutants = (
        stated.but(USUAL, sizes=lambda values: values, constant=lambda c: np.full_like(c, c[0])),
        stated.but("twice the constant", constant=lambda c: 2 * c),
        stated.but("without tau in the loss", sizes=lambda values: values),
    )
    counter_example = "twice the constant: above the smallest root of the target"
    usual = "sigma_min(W(t)) >= c = sqrt(lambda_min) - sqrt(L_tau(0)) for all t."
    decisive = "sigma_min(W(0)) = .463 < c = .559, while sqrt(.463^2 + tau) = .717"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        run = flow(case)
        values = np.linalg.svd(run["W"], compute_uv=False)[:, -1]
        # Far down the loss is the difference of sums of order ten: its root carries 1e-7.
        c = np.sqrt(SPECTRUM[-1]) - np.sqrt(np.maximum(run["loss"], 0.0))
        slack = variant.sizes(values) - variant.constant(c)
        return Measurement.of(
            [
                Quantity("least slack of the bound along the flow", float(slack.min()), 0.0, 1e-6, relation=">="),
                Quantity(
                    "sigma_min at the start",
                    float(values[0]),
                    SMALLEST,
                    1e-9,
                    route="singular values of the product",
                    printed=".463",
                ),
                Quantity(
                    "c at the start",
                    float(np.sqrt(SPECTRUM[-1]) - np.sqrt(run["loss"][0])),
                    MARGIN,
                    1e-9,
                    route="loss at the start",
                    printed=".559",
                ),
                Quantity(
                    "sqrt(sigma_min^2 + tau) at the start",
                    float(np.sqrt(values[0] ** 2 + TAU)),
                    float(np.hypot(SMALLEST, np.sqrt(TAU))),
                    1e-9,
                    printed=".717",
                ),
            ],
            "the start is built to have these constants; the loss carries roundings of 1e-15, its root of 1e-7",
        )
