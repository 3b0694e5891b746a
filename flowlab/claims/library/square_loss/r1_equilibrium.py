"""R1: the norm at rest under the square loss."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.square_loss.flows import DECAY, folded, rested, ridge
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("R1")
class EquilibriumNorm(Claim):
    """The norm at rest is mean f/(λ + mean f²) of the margins at rest, and norm and direction are those of ridge
    regression.
    """

    title = "the norm at rest under the square loss"
    statement = (
        "With one norm on top of a unit direction and L = mean (1 - rho f)^2 + lambda rho^2 the flow rests at rho = "
        "mean f/(lambda + mean f^2)."
    )
    latex = r"\rho_{eq} = \frac{\overline{f}}{\lambda + \overline{f^2}}"
    source = "Poggio, Liao 2020-21; with averages for sums"
    hypotheses = (own_instances,)
    stated = Variant(decay=lambda _: DECAY)
    mutants = (
        stated.but("sums for averages", decay=lambda n: DECAY / n),
        stated.but("no decay", decay=lambda _: 0.0),
        stated.but("half of the decay", decay=lambda _: DECAY / 2),
    )
    counter_example = "sums for averages: right only if the loss is a sum as well"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        z = folded(case.seed)
        end = rested(case, 0.5, DECAY, 400.0).last
        rho, v = float(end.rho["W1"]), np.asarray(end.V["W1"]).ravel()
        f, w = z @ v, ridge(z, DECAY)
        decay = variant.decay(len(z))
        expected = float(f.mean() / (decay + (f * f).mean()))
        return Measurement.of(
            [
                Quantity(
                    "rho at rest",
                    rho,
                    expected,
                    1e-7 * expected,
                    route="flow",
                    second=float(np.linalg.norm(w)),
                    second_route="ridge regression in closed form",
                ),
                Quantity(
                    "1 - cosine of the direction with that of ridge regression",
                    1.0 - float(v @ w) / float(np.linalg.norm(w)),
                    0.0,
                    1e-9,
                    relation="<=",
                ),
            ],
            "the slowest rate is lambda rho^2, along what no sample sees; e^(-400 times that) is below 1e-9",
        )
