"""R4: without decay the norm at rest depends on the start."""

from typing import Any

import numpy as np
from scipy.optimize import brentq

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.square_loss.flows import folded, rested, ridge
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

_OUTSIDE = 0.5
"""|V_perp|^2 at the start."""


def _of_gradient_flow(_: float, least: float, rho: float, __: list[float]) -> float:
    return float(np.sqrt(least**2 + _OUTSIDE * rho**2))


@claim("R4")
class StartDecides(Claim):
    """Without decay the norm at rest depends on the norm at the start; one layer obeys a scalar equation."""

    title = "without decay the norm at rest depends on the start"
    statement = (
        "Without decay, one norm on top of a unit direction keeps V_perp e^(rho^2/2), V_perp the part that the "
        "samples do not see. It rests where rho^2 = |X^+ y|^2 + rho^2 |V_perp(0)|^2 e^(rho_0^2 - rho^2). This is "
        "above the least norm that fits, and grows with rho_0."
    )
    latex = (
        r"\rho_\infty^2 = \lVert X^+y\rVert^2 + \rho_\infty^2 \lVert V_\perp(0)\rVert^2 e^{\rho_0^2 - \rho_\infty^2}"
    )
    source = (
        "(1.12) of flowlab's derivations for one layer; the equation derived here. Statement corrected: Poggio, Liao "
        "2020-21"
    )
    hypotheses = (own_instances,)
    stated = Variant(rest=lambda rho, *_: rho)
    mutants = (
        stated.but(USUAL, rest=lambda _, least, *__: least),
        stated.but("plain gradient flow", rest=_of_gradient_flow),
        stated.but("the same norm at every start", rest=lambda rho, _, __, before: before[0] if before else rho),
    )
    counter_example = "plain gradient flow: w keeps w_perp itself, so that rho^2 = |X^+ y|^2 + rho_0^2 |V_perp(0)|^2"
    usual = (
        "Gradient flow on the square loss with normalised directions reaches the absolute minimum of the norm among "
        "all that fit."
    )
    decisive = "rho at rest for rho_0 = 0.05, 1 and 3 against the least norm that fits"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        z = folded(case.seed)
        least = float(np.linalg.norm(ridge(z, 0.0)))
        quantities = []
        for rho in (0.05, 1.0, 3.0):
            end = rested(case, rho, 0.0, 400.0).last
            norm = float(end.rho["W1"])

            def lack(s: float, rho: float = rho) -> float:
                return s - least**2 - s * _OUTSIDE * float(np.exp(rho**2 - s))

            # Above the least norm the right side grows more slowly than the left: the largest root is where the flow
            # rests.
            grid = np.linspace(least**2, 4 * (least**2 + rho**2) + 4, 4000)
            values = np.array([lack(float(s)) for s in grid])
            last = int(np.flatnonzero(values < 0)[-1])
            largest: Any = brentq(lack, float(grid[last]), float(grid[last + 1]), xtol=1e-14)
            expected = float(np.sqrt(largest))
            expected = variant.rest(expected, least, rho, [q.expected for q in quantities])
            quantities.append(
                Quantity(f"rho at rest from rho_0 = {rho:g}", norm, expected, 1e-6 * expected, route="flow")
            )
        return Measurement.of(
            quantities, "local errors of 1e-10 over the flow; it has come to rest by t = 400", least=least
        )
