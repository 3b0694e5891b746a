"""G1: circular linear networks of two layers find predictors with few frequencies."""

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.gunasekar2018.flows import limit_of, settings
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("G1")
class FewFrequencies(Claim):
    """The limit direction of two circular layers has the least ℓ_1 norm of the DFT under the margin constraints."""

    title = "two circular layers minimise the l1 norm of the transformed predictor"
    statement = (
        "The predictor of a linear network of a full-width circular convolution and a linear layer converges in "
        "direction under the exponential loss. Its limit has the least l1 norm of the discrete Fourier transform among "
        "all predictors with margins of at least 1."
    )
    latex = (
        r"\bar\beta_\infty \propto \arg\min_\beta \lVert \hat\beta\rVert_1 \;\text{s.t.}\;"
        r" y_n\langle x_n,\beta\rangle \ge 1"
    )
    source = "Gunasekar, Lee, Soudry, Srebro 2018, theorem 2 (number not checked) with L = 2"
    hypotheses = (own_instances,)
    stated = Variant(norm=1.0, dual=float("inf"))
    mutants = (
        stated.but("the l2 norm, as one linear layer has it", norm=2.0, dual=2.0),
        stated.but("the l4 norm", norm=4.0, dual=4.0 / 3.0),
    )
    counter_example = "the l2 norm: without the convolution the limit is the support vector machine"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = case.once("G1 limit", lambda: limit_of(case, 2))
        return Measurement.of(
            [
                Quantity(
                    "relative gap between the norm over the margin and its lower bound by duality",
                    found.gap(variant.norm, variant.dual),
                    0.0,
                    1e-9,
                    route="multipliers of the KKT point",
                ),
                Quantity("KKT residual of the limit", found.residual, 0.0, 1e-10, relation="<="),
                Quantity("slope of the flow's distance from it in log R", found.slope, 0.0, 0.0, relation="<="),
            ],
            "the gap is zero exactly at minimisers: for every p on the simplex the norm over the margin is at least "
            "one over the dual norm of sum p_n y_n x_n; roundings of the Newton solve remain",
            **settings(),
        )
