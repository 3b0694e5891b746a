"""Z5: what fits the noise costs half as much where there are twice as many features."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, sparse, split, usual_lambda
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

SAMPLES, FEATURES, ALPHA, DRAWS = 50, (4000, 8000), 1e-6, 6


@claim("Z5")
class NoiseTerm(Claim):
    """The part λ v fits the noise with a square norm of the order σ² n/d; the penalty falls like 1/√d beside it."""

    title = "the part that fits the noise costs half as much at twice the features"
    statement = (
        "At fixed n and lambda = 0.7 lambda_0, the square norm of the part lambda v of the limit halves within 20 % "
        "where d doubles, and is at most sigma^2 n/d."
    )
    latex = r"\lVert\lambda v\rVert^2 \sim \sigma^2 n/d"
    source = f"{SOURCE}; figures measured here"
    hypotheses = (own_instances,)
    stated = Variant(power=1.0)
    mutants = (stated.but("as n/d^2", power=2.0), stated.but("whatever d is", power=0.0))
    counter_example = "whatever d is: what least squares without the sparse part would pay for the truth"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        parts = case.once("parts for the noise", lambda: self._parts(case))
        ratios = parts[:, 1] / parts[:, 0]
        expected = 0.5**variant.power
        error = float(ratios.std(ddof=1) / np.sqrt(len(ratios)))
        share = float((parts / (0.25 * SAMPLES / np.array(FEATURES))).max())
        return Measurement.of(
            [
                Quantity(
                    "square norm at d = 8000 over that at 4000",
                    float(ratios.mean()),
                    expected,
                    0.2 * expected,
                    error,
                    altered=0.0,
                ),
                Quantity("largest square norm over sigma^2 n/d", share, 1.0, 0.0, relation="<="),
            ],
            f"means over {DRAWS} draws of n = {SAMPLES}",
        )

    @staticmethod
    def _parts(case: Case) -> np.ndarray:
        found = []
        for seed in range(case.seed, case.seed + DRAWS):
            row = []
            for d in FEATURES:
                x, y, _ = sparse(seed, SAMPLES, d)
                _, dense = split(case, x, y, ALPHA, 0.7 * usual_lambda(SAMPLES, d, ALPHA))
                row.append(float((dense**2).sum()))
            found.append(row)
        return np.array(found)
