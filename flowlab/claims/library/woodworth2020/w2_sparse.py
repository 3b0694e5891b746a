"""W2: the entropy goes from least squares to sparse solutions as the start shrinks."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.woodworth2020.flows import NET, entropy_limit, extrapolated_order, limit, samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("W2")
class FromKernelToSparse(Claim):
    """Large starts: l2, with an error of order α^-4; small ones: l1, where entry j off the support is of order α^(2(1 -
    κ_j)).
    """

    title = "from least squares to sparse solutions"
    statement = (
        "As alpha -> infinity the limit is the least-squares solution up to order alpha^-4. As alpha -> 0 it is the "
        "minimiser of the l1 norm, where that is unique with n entries. Entry j off its support is of order alpha^(2 "
        "(1 - kappa_j)), kappa_j = |x_j nu| < 1, nu the solution of the dual."
    )
    latex = r"\lVert b_\alpha - X^+y\rVert = O(\alpha^{-4}), \quad b_{\alpha,j} \asymp \alpha^{2(1-\kappa_j)}"
    source = (
        "Woodworth et al. 2020, theorem 2 (bounds; number not checked); orders derived here from b = 2 alpha^2 "
        "sinh(X^T nu)"
    )
    hypotheses = (about(NET),)
    stated = Variant(wide=-4.0, off=lambda kappa: 2 * (1 - kappa))
    mutants = (
        stated.but(USUAL, off=lambda kappa: 0.0 * kappa),
        stated.but("kernel order two", wide=-2.0),
        stated.but("duals as large again by half", off=lambda kappa: 2 - 3 * kappa),
    )
    counter_example = "kernel order two: what a start with w alone would give"
    usual = "The l1 solution is only reached logarithmically: the distance from it falls like 1/log(1/alpha)."
    decisive = (
        "the exponents of alpha of the entries off the support: 2 (1 - kappa_j), where a logarithm has exponent 0"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, own = samples(case)
        assert own is not None
        least = np.linalg.pinv(own.x) @ own.y
        large, small = 4.0 * 2.0 ** np.arange(4), np.array([1e-10, 1e-14])
        wide, narrow, fitted = case.once(
            "entropy limits",
            lambda: (
                np.array([np.linalg.norm(entropy_limit(own.x, own.y, float(a)) - least) for a in large]),
                np.stack([entropy_limit(own.x, own.y, float(a), own) for a in small]),
                entropy_limit(own.x, own.y, 1.0),
            ),
        )
        order, bar = extrapolated_order(wide, 2.0, -4.0)
        # Where the dual is near zero both exponentials of the sinh count.
        off = np.flatnonzero((own.sparse == 0) & (np.abs(own.dual @ own.x) > 0.2))
        kappa = np.abs(own.dual @ own.x)[off]
        exponents = np.log(np.abs(narrow[0, off] / narrow[1, off])) / np.log(small[0] / small[1])
        wanted = variant.off(kappa)
        quantities = [
            Quantity(
                "exponent of alpha at large starts", order, variant.wide, 5e-3, error=bar, route="Newton on the dual"
            ),
            Quantity(
                "distance from least squares at alpha = 1",
                float(np.linalg.norm(limit(case, data, 1.0) - least)),
                float(np.linalg.norm(fitted - least)),
                1e-7,
                route="flow",
            ),
        ]
        quantities += [
            Quantity(
                f"exponent of alpha of entry {j} off the support", float(e), float(w), 1e-3, route="Newton on the dual"
            )
            for j, e, w in zip(off, exponents, wanted, strict=True)
        ]
        return Measurement.of(
            quantities,
            "the correction of an exponent is of the order of the entries themselves over the log of the ratio of "
            "starts",
            kappa=kappa.tolist(),
            distances=np.linalg.norm(narrow - own.sparse, axis=1).tolist(),
        )
