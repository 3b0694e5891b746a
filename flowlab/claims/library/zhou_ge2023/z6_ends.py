"""Z6: at the two ends of λ stand least squares and the hyperbolic entropy, with the powers they are approached with."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.woodworth2020.flows import entropy_limit
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, apart, draw, limit
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

ALPHA = 0.01
SMALL, LARGE = (1e-3, 1e-2), (3.0, 10.0)


def least_squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The least l2 norm that fits."""
    return np.linalg.pinv(x) @ y


def entropy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The least hyperbolic entropy that fits, from a dual written by hand."""
    return entropy_limit(x, y, ALPHA)


@claim("Z6")
class BothEnds(Claim):
    """With z of the order 1/λ², 2 α² sinh 4z is 8 α² z, a change of scale, and a cubic term of the order λ^-6.

    At the other end λ² z is a perturbation of the order λ².
    """

    title = "least squares for large lambda, hyperbolic entropy for small lambda"
    statement = (
        "The limit tends to the least l2 norm as lambda grows, with a distance like lambda^-6, and to the least "
        "hyperbolic entropy as lambda falls, with a distance like lambda^2."
    )
    latex = (
        r"b_\lambda - b_{\ell_2} = O(\lambda^{-6})\ (\lambda\to\infty), \qquad "
        r"b_\lambda - \arg\min_{Xb=y} Q_\alpha = O(\lambda^2)\ (\lambda\to0)"
    )
    source = f"{SOURCE}; powers derived here"
    hypotheses = (own_instances,)
    stated = Variant(large=least_squares, small=entropy, powers=(-6.0, 2.0))
    mutants = (
        stated.but("the ends exchanged", large=entropy, small=least_squares),
        stated.but("a distance like lambda^-4", powers=(-4.0, 2.0)),
        stated.but("a distance like lambda", powers=(-6.0, 1.0)),
    )
    counter_example = "the ends exchanged"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        x, y = draw(case.seed + 100)
        ends = {
            lam: case.once(f"limit {lam:g}", lambda lam=lam: limit(case, x, y, ALPHA, lam)) for lam in SMALL + LARGE
        }
        told = []
        for name, values, best, power in (
            ("large", LARGE, variant.large(x, y), variant.powers[0]),
            ("small", SMALL, variant.small(x, y), variant.powers[1]),
        ):
            far = [apart(ends[lam], best) for lam in values]
            found = float(np.log(far[1] / far[0]) / np.log(values[1] / values[0]))
            told += [
                Quantity(f"power of lambda, {name}", found, power, 0.008 * abs(power)),
                Quantity(
                    f"distance at lambda = {values[-1 if name == 'large' else 0]:g}", min(far), 1e-4, 0.0, relation="<="
                ),
            ]
        return Measurement.of(told, "limits by Newton on the dual of the derived potential; ends by hand")
