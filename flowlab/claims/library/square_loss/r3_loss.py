"""R3: the loss at rest under the square loss."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.square_loss.flows import DECAY, folded, rested, ridge
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("R3")
class EquilibriumLoss(Claim):
    """The loss at rest by the first two moments of the margins."""

    title = "the loss at rest under the square loss"
    statement = "At rest L = 1 - (mean f)^2/(mean f^2 + lambda)."
    latex = r"L_{eq} = 1 - \frac{\overline{f}^2}{\overline{f^2} + \lambda}"
    source = "follows from the norm at rest (R1)"
    hypotheses = (own_instances,)
    stated = Variant(decay=DECAY, penalty=DECAY, power=2)
    mutants = (
        stated.but("no decay", decay=0.0),
        stated.but("without the penalty", penalty=0.0),
        stated.but("first power of the mean", power=1),
    )
    counter_example = "without the penalty: the data term alone is smaller by lambda rho^2"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        z = folded(case.seed)
        path = rested(case, 0.5, DECAY, 400.0)
        rho, v = float(path.last.rho["W1"]), np.asarray(path.last.V["W1"]).ravel()
        f, w = z @ v, ridge(z, DECAY)
        mean = float(f.mean())
        expected = 1.0 - mean**variant.power / (float((f * f).mean()) + variant.decay)
        loss = 2.0 * float(np.exp(path.dataset["log_loss"].values[-1])) + variant.penalty * rho**2
        again = float(((1 - z @ w) ** 2).mean() + DECAY * w @ w)
        return Measurement.of(
            [
                Quantity(
                    "loss at rest",
                    loss,
                    expected,
                    1e-7,
                    route="flow",
                    second=again,
                    second_route="ridge regression in closed form",
                )
            ],
            "norm and direction rest to 1e-8 after t = 400",
        )
