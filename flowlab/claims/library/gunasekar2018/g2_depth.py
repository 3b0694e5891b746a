"""G2: deeper circular linear networks find stationary points of a concave penalty."""

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.gunasekar2018.flows import limit_of, settings
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

LAYERS = 3


@claim("G2")
class StationaryInFrequencies(Claim):
    """The limit direction of L circular layers is a first-order stationary point of the ℓ_{2/L} penalty of the DFT."""

    title = "L circular layers stop at stationary points of the l(2/L) penalty of the transform"
    statement = (
        "The predictor of L linear layers, L - 1 full-width circular convolutions and a linear one, converges in "
        "direction under the exponential loss. Its limit is a first-order stationary point of sum_k |DFT_k|^(2/L) "
        "under the margin constraints: on its frequencies the force of the support vectors is along the slope of the "
        "penalty."
    )
    latex = (
        r"\sum_n \alpha_n y_n \hat x_{n,k} \propto |\hat\beta_k|^{2/L-2}\,\hat\beta_k \quad (\hat\beta_k \ne 0), \qquad"
        r" \alpha_n \ge 0 \text{ on the margin}"
    )
    source = "Gunasekar, Lee, Soudry, Srebro 2018, theorem 2 (number not checked) with L = 3"
    hypotheses = (own_instances,)
    stated = Variant(power=2.0 / LAYERS)
    mutants = (
        stated.but("the l1 penalty of two layers", power=1.0),
        stated.but("the l2 penalty of one layer", power=2.0),
        stated.but("l(1/L) in place of l(2/L)", power=1.0 / LAYERS),
    )
    counter_example = "the l1 penalty of two layers: depth changes the penalty"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = case.once("G2 limit", lambda: limit_of(case, LAYERS))
        return Measurement.of(
            [
                Quantity(
                    "1 - cos of the angle between the force and the slope of the penalty",
                    found.turned(variant.power),
                    0.0,
                    1e-9,
                    route="multipliers of the KKT point",
                ),
                Quantity("KKT residual of the limit", found.residual, 0.0, 1e-10, relation="<="),
                Quantity("slope of the flow's distance from it in log R", found.slope, 0.0, 0.0, relation="<="),
            ],
            "an identity at KKT points, so that roundings of the Newton solve remain",
            layers=LAYERS,
            **settings(),
        )
