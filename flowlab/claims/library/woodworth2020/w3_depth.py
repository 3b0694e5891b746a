"""W3: diagonal nets of depth three."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.woodworth2020.flows import CUBIC, cubic_limit, extrapolated_order, limit, off_rows, samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def inverse_h(b: np.ndarray) -> np.ndarray:
    """The z with (1 - z)^-3 - (1 + z)^-3 = b, by bisection to the last bit."""
    low, high = np.full_like(b, -1.0), np.full_like(b, 1.0)
    for _ in range(80):
        z = 0.5 * (low + high)
        with np.errstate(divide="ignore"):
            above = (1 - z) ** -3 - (1 + z) ** -3 > b
        low, high = np.where(above, low, z), np.where(above, z, high)
    return 0.5 * (low + high)


@claim("W3")
class DeepDiagonal(Claim):
    """b = w^3 - u^3: a potential that tends to l1, not to l_{2/3}, and with a power of α whatever the duals."""

    title = "diagonal nets of depth three"
    statement = (
        "The flow of b = w^3 - u^3 from w = u = alpha ends where h^-1(b/alpha^3) is in the row space of X, h(z) = (1 "
        "- z)^-3 - (1 + z)^-3. As alpha -> 0 that is the minimiser of the l1 norm, up to order alpha^3."
    )
    latex = (
        r"h_D^{-1}(b/\alpha^D) \in \mathrm{row}(X), \quad h_D(z) = (1-z)^{-\frac{D}{D-2}} - (1+z)^{-\frac{D}{D-2}}, "
        r"\quad \lVert b_\alpha - b_{\ell_1}\rVert = O(\alpha^D)"
    )
    source = "Woodworth et al. 2020, theorem 3 and section 5 (numbers not checked); order derived here"
    hypotheses = (about(CUBIC),)
    stated = Variant(dual=lambda b, alpha: inverse_h(b / alpha**3), order=3.0, apart=(0.2, 0.0, ">="))
    mutants = (
        stated.but(USUAL, apart=(0.0, 1e-2, "<=")),
        stated.but("hyperbolic entropy", dual=lambda b, alpha: np.arcsinh(b / (2 * alpha**2))),
        stated.but("order two", order=2.0),
    )
    counter_example = "hyperbolic entropy: the potential of depth two"
    usual = "A diagonal net of depth D minimises the l_{2/D} quasi-norm in the limit of small starts."
    decisive = (
        "the distance of the limit from the l_{2/3} minimiser, above 0.25, while that from the l1 minimiser falls "
        "like alpha^3"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, own = samples(case)
        assert own is not None
        alpha = 0.3
        b = limit(case, data, alpha, CUBIC)
        dual = variant.dual(b, alpha)
        alphas = 0.04 * 0.5 ** np.arange(6)
        small = case.once("cubic limits", lambda: np.stack([cubic_limit(own.x, own.y, float(a)) for a in alphas]))
        order, bar = extrapolated_order(np.linalg.norm(small - own.sparse, axis=1), 0.5, 1.0)
        best = cubic_limit(own.x, own.y, alpha)
        quantities = [
            Quantity("part of h^-1(b/alpha^3) outside the row space", off_rows(own.x, dual), 0.0, 1e-8, relation="<="),
            Quantity(
                "relative distance from the dual's minimiser",
                float(np.linalg.norm(b - best) / np.linalg.norm(best)),
                0.0,
                1e-7,
                relation="<=",
            ),
            Quantity(
                "exponent of alpha in the distance from l1",
                order,
                variant.order,
                1e-2,
                error=bar,
                route="Newton on the dual",
            ),
        ]
        apart = float(np.linalg.norm(small[-1] - own.other))
        bound, tolerance, relation = variant.apart
        name = "distance from the l_{2/3} minimiser at alpha = 0.00125"
        quantities.append(Quantity(name, apart, bound, tolerance, relation=relation))
        return Measurement.of(
            quantities,
            "the order is extrapolated in alpha; the bar is what the last halving changed",
            distances=np.linalg.norm(small - own.sparse, axis=1).tolist(),
        )
