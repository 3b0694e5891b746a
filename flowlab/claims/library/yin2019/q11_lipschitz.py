"""Q11: the true gradient is not Lipschitz at the minimiser."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019.flows import Rule, coarse_relu, slope_w, target
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("Q11")
class GradientIsNotLipschitz(Claim):
    """Across w* the true gradient flips its sign at full size; the coarse one is Lipschitz.

    Along w* ± ε e the quotient is C/(ε (1 + ε²)) with C = v v*/(2π): the printed .716, 7.23, 72.3 and 723 are these
    with C = .0723.
    """

    title = "the true gradient is not Lipschitz at the minimiser"
    statement = (
        "Across w* the difference quotient of the true gradient in w is (v v*)/(2 pi eps (1 + eps^2)). That of the "
        "coarse gradient of the ReLU stays bounded."
    )
    latex = (
        r"\frac{\lVert f_w(w^*+\epsilon e) - f_w(w^*-\epsilon e)\rVert}{2\epsilon} = \frac{v^\top "
        r"v^*}{2\pi\,\epsilon\,(1+\epsilon^2)}"
    )
    source = "Yin et al. 2019, lemma 3 of the submission (Lipschitz for |w| >= c_w, |v| <= C_v); corrected here"
    hypotheses = (own_instances,)
    stated = Variant(exponent=-1.0, sides=lambda target, across: (target, across))
    mutants = (
        stated.but(USUAL, exponent=0.0),
        stated.but("the square of eps", exponent=-2.0),
        stated.but("another direction than across", sides=lambda target, across: (across, target)),
    )
    counter_example = "another direction than across: at a right angle to w* the gradient is smooth"
    usual = "The true gradient is Lipschitz where |w| is bounded from below and |v| from above."
    decisive = (
        "the exponent of the difference quotient in eps: -1, where a Lipschitz gradient has 0; .716, 7.23, 72.3, 723 "
        "for eps = 1e-1 .. 1e-4"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        vs, ws = target(case.seed, 4, 6, 0.5)
        constant = 0.0723
        rng = np.random.default_rng(case.seed + 9)
        v = rng.normal(size=4)
        v += (2 * np.pi * constant - v @ vs) * vs
        e = rng.normal(size=6)
        e -= (e @ ws) * ws
        e /= np.linalg.norm(e)
        base, along = variant.sides(ws, e)

        def quotients(rule: Rule) -> np.ndarray:
            values = []
            for eps in 10.0 ** -np.arange(1, 5):
                ends = np.stack([base + eps * along, base - eps * along])
                a, b = rule(np.stack([v, v]), ends, vs, ws)
                values.append(float(np.linalg.norm(a - b)) / (2 * eps))
            return np.array(values)

        true, coarse = quotients(slope_w), quotients(coarse_relu)
        eps = 10.0 ** -np.arange(1, 5)
        exponent = float(np.log10(true[-1] / true[-2]) / -1.0)
        exact = constant / (eps * (1 + eps**2))
        quantities = [
            Quantity(
                f"difference quotient at eps = {a:g}",
                float(q),
                float(x),
                1e-6 * float(x),
                route="closed form of the gradient",
                printed=p,
            )
            for a, q, x, p in zip(eps, true, exact, (".716", "7.23", "72.3", "723"), strict=True)
        ]
        quantities.append(Quantity("exponent of the quotient in eps", exponent, variant.exponent, 1e-3))
        quantities.append(
            Quantity("exponent of the coarse gradient's", float(np.log10(coarse[-1] / coarse[-2]) / -1.0), 0.0, 1e-3)
        )
        return Measurement.of(
            quantities,
            "the constant .0723 is fixed by one of the four printed numbers; cancellation at eps = 1e-4 costs eight "
            "digits at most",
            coarse=coarse.tolist(),
        )
