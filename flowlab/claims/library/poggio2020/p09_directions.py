"""P9: how fast directions converge under gradient flow and its normalised relatives, one layer."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.library.poggio2020.direction_constant import (
    by_descent,
    constant_by_reduced_equation,
    constants_of_flows,
    gaps,
    normalised,
)
from flowlab.claims.library.poggio2020.faster_than_powers import EXPONENT, as_if_faster, exceptions
from flowlab.claims.library.poggio2020.flows import across, machine, unequal, unequal_duals
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.late.richardson import power, richardson


@claim("P9")
class DirectionRates(Claim):
    """ρ‖v - v*‖ has the same limit C* under gradient flow, weight normalisation and their relatives; one support vector
    is the exception.

    Normalised flows are started where they separate: from elsewhere dρ/dt = Σ ψ_n f_n is negative, and ρ may reach 0
    before directions have turned.
    """

    title = "rates of direction convergence with and without weight normalisation"
    statement = (
        "With two or more support vectors of unequal multipliers rho |v - v*| tends to the constant C* = |P_perp w~| "
        "on their span. Gradient flow, weight normalisation, exponential weight normalisation and normalised descent "
        "share it. With one effective support vector, |sin| ~ exp(-rho^2/2), or equal multipliers, weight "
        "normalisation is faster than every power of rho."
    )
    latex = (
        r"\lim \rho\,\lVert v_{GF} - v^*\rVert = \lim \rho\,\lVert v_{WN} - v^*\rVert = \lVert P_\perp \tilde "
        r"w\rVert, \qquad N_{sv} = 1:\ \sin\angle(v_{WN}, v^*)\, e^{\rho^2/2} = \mathrm{const}"
    )
    source = "Poggio, Banburski, Liao 2020, section on rates; bounded part after Soudry et al. 2018"
    usual = "Weight normalisation converges in direction faster than gradient flow, faster than every power of 1/log t."
    decisive = "C* of weight normalisation over C* of gradient flow: 1, not 0; local exponent of |v - v*| in rho: -1"
    hypotheses = (unequal_duals,)
    stated = Variant(multipliers=lambda alpha: alpha, faster=False, law="weight normalisation", factor=1.0)
    mutants = (
        stated.but(USUAL, faster=True),
        stated.but("law of one support vector with gradient flow", law="gradient flow"),
        stated.but("all multipliers equal", multipliers=lambda alpha: np.full(len(alpha), alpha.mean())),
        stated.but("normalised descent changes the path", factor=1.05),
    )
    counter_example = (
        "all multipliers equal: then C* vanishes and weight normalisation is faster than every power, which other "
        "data do not show"
    )
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, flow = unequal(case)
        w, support, alpha, _ = machine(data)
        v = w / np.linalg.norm(w)
        z = np.asarray(data.x)[support] * np.asarray(data.y)[support, None]
        onto = np.linalg.pinv(z) @ z
        star = across(np.linalg.lstsq(z, -np.log(variant.multipliers(alpha)), rcond=None)[0], v)
        wn, ewn = (case.once(f"P9 {s}", lambda s=s: normalised(case, s, data)) for s in _SCHEMES)
        rho, gap = gaps(wn, v, onto)
        late = (rho > 10.0 * np.linalg.norm(w)) & (rho > 20.0)
        C = case.once("P9 constant", lambda: richardson(rho[late], (rho * gap)[late], drift=1e-7 * star))
        order = case.once("P9 order", lambda: power(rho[late], gap[late], drift=1e-7))
        ends = [float(np.prod(gaps(path, v, onto), axis=0)[-1]) for path in (flow, ewn)]
        if variant.faster:
            return as_if_faster(order, C, ends[0], star)
        far = case.once("P9 reduced", lambda: constant_by_reduced_equation(data, v, onto, case.seed))
        descent = case.once("P9 descent", lambda: by_descent(case, data, onto, v))
        first = case.once("P9 flow order", lambda: power(*gaps(flow, v, onto), drift=1e-7))
        return Measurement.of(
            [
                *constants_of_flows(ends, descent, C, far, star, variant.factor),
                Quantity(
                    f"{EXPONENT}, gradient flow",
                    first.value,
                    -1.0,
                    5e-3,
                    first.error,
                    route="flow to log t = 1e6, extrapolated",
                ),
                Quantity(
                    f"{EXPONENT}, weight normalisation",
                    order.value,
                    -1.0,
                    5e-3,
                    order.error,
                    route="flow to log t = 1e4, extrapolated",
                ),
                *exceptions(case, variant.law),
            ],
            "constants are known to a part in 1000 where rho is some 1e4; laws of one and of equal support vectors are "
            "read where gaps are above the tolerance of the flow",
            C=star,
            support=support.tolist(),
            multipliers=alpha.tolist(),
            name=data.name,
            **({} if case.data is not None else {"differs": _DIFFERS}),
        )


_SCHEMES = ("lagrange", "exponential_weight_normalization")
_DIFFERS = "C* = .1607 is of eight samples that are not recorded; C* here is that of a draw of its own"
