"""K6: norms rise and fall."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import descended
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("K6")
class RiseAndFall(Claim):
    """No decay: norms grow. Some: they rise, then fall, from where the exact balance of decay and steps is met. Much:
    they fall.
    """

    title = "norms rise and fall"
    statement = (
        "Under descent the norm of a scale-invariant layer grows in every step without decay, and falls in every step "
        "under strong decay. With weak decay from a small start it rises up to the step where (2 lambda - eta "
        "lambda^2) |theta|^2 = eta |g|^2. From there on it falls."
    )
    latex = r"(2\lambda - \eta\lambda^2)\lVert\theta\rVert^2 = \eta\lVert g\rVert^2 \text{ at the peak}"
    source = "Kunin et al. 2021, figure 4 (shapes; number not checked); balance from the exact step"
    hypotheses = (own_instances,)
    stated = Variant(decay=0.02, step=0.02)
    mutants = (
        stated.but("half of the decay in the balance", decay=0.01),
        stated.but("gradients without the step", step=1.0),
        stated.but("no decay at all", decay=0.0),
    )
    counter_example = "no decay at all: no peak"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        eta = 0.02
        free, weak, strong = case.once(
            "norms",
            lambda: [
                descended(case.seed, eta, lam, count, scale)
                for lam, count, scale in ((0.0, 60, 1.0), (0.02, 600, 0.3), (4.0, 12, 3.0))
            ],
        )
        lam, pull = variant.decay, variant.step * weak[1]
        balance = (2 * lam - eta * lam**2) * weak[0] - pull
        # What the balance says of the sign of the next change, against the change.
        wrong_signs = int((np.sign(-balance[:-1]) != np.sign(np.diff(weak[0]))).sum())
        peak = int(weak[0].argmax())
        return Measurement.of(
            [
                Quantity(
                    "steps without decay in which the norm does not grow",
                    float((np.diff(free[0]) <= 0).sum()),
                    0.0,
                    0.5,
                ),
                Quantity(
                    "steps under strong decay in which it does not fall",
                    float((np.diff(strong[0]) >= 0).sum()),
                    0.0,
                    0.5,
                ),
                Quantity("steps in which the balance has another sign than the change", float(wrong_signs), 0.0, 0.5),
                Quantity("step of the peak", float(peak), 1.0, 0.0, relation=">="),
                Quantity("steps after the peak", float(len(weak[0]) - 1 - peak), 1.0, 0.0, relation=">="),
            ],
            "signs are exact where changes are above roundings",
            peak=peak,
        )
