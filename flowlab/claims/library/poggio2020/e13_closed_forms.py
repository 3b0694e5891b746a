"""(1.13): closed forms of the flow of norms, and of the angle to a single sample, by exact algebra."""

import numpy as np
import sympy as sp

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def residuals(variant: Variant) -> dict[str, sp.Expr]:
    """What vanishes identically in t, or along the flow, where the closed forms hold; SymPy expressions in positive
    symbols.
    """
    t, f, start, R, K, x, psi, rho, angle = sp.symbols("t f rho_0 R K x psi rho theta", positive=True)
    # One layer, one margin f: rho' = f e^{-f rho}.
    inside = sp.exp(f * start) + f**variant.power * t
    single = sp.log(inside) / f
    vanishing = {"one layer: rate of rho less f exp(-f rho)": sp.diff(single, t) - f * sp.exp(-f * single)}
    # Equal layers: R = u^K with u' = f u^(K-1) e^{-f u^K}, hence R' = K f R^(2-2/K) e^{-fR}.
    pace = K * f * R ** (2 - 2 / K) * sp.exp(-f * R)
    u = sp.Symbol("u", positive=True)
    chain = K * u ** (K - 1) * f * u ** (K - 1) * sp.exp(-f * u**K) - pace.subs(R, u**K)
    vanishing["K equal layers: rate of R by the chain rule"] = sp.powsimp(chain, force=True)
    share = sp.Rational(1, variant.slower)
    vanishing["two layers: rate of Ei(f R) less 2 f"] = sp.diff(sp.Ei(f * R), R) * share * pace.subs(K, 2) - 2 * f
    # One sample: rho' and theta' under three schemes that share s = psi |x| cos(theta).
    cos, sin = sp.cos(angle), sp.sin(angle)
    laws = {
        "gradient flow: rate of log(rho sin theta)": (psi * x * cos, -psi * x * sin / rho, sp.log(rho)),
        "weight normalisation: rate of log(sin theta) + rho^2/2": (psi * x * cos, -rho * psi * x * sin, rho**2 / 2),
        "exponential weight normalisation: rate of log(rho sin theta)": (
            rho**2 * psi * x * cos,
            -rho * psi * x * sin,
            sp.log(rho),
        ),
    }
    for name, (grows, turns, potential) in laws.items():
        used = sp.log(rho) if variant.one_law else potential
        vanishing[name] = sp.diff(sp.log(sin), angle) * turns + sp.diff(used, rho) * grows
    return vanishing


@hypothesis("nothing but formulas")
def _formulas(case: Case) -> str | None:
    given = any(
        one is not None for one in (case.problem, case.data, case.flow, case.descent, case.equations, case.max_margin)
    )
    return "it is about formulas, and reads no evidence" if given else None


@claim("E1.13")
class ClosedForms(Claim):
    """The norm of one layer in closed form, Ei for two layers, and what the angle to one sample obeys."""

    title = "closed forms of norms and of the angle to one sample"
    statement = (
        "With one margin f, exp(f rho) grows by f^2 t in a single layer, and Ei(f R) by 2 f t in two equal ones. With "
        "one sample gradient flow and exponential weight normalisation conserve rho sin(theta). Weight normalisation "
        "conserves exp(rho^2/2) sin(theta)."
    )
    latex = (
        r"\rho(t) = \tfrac1f \log\bigl(e^{f\rho_0} + f^2 t\bigr), \qquad \mathrm{Ei}(fR) - \mathrm{Ei}(fR_0) = 2ft, "
        r"\qquad \sin\theta\, e^{\rho^2/2} = \text{const (WN)}"
    )
    source = "(1.13) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
    hypotheses = (_formulas,)
    stated = Variant(power=2, slower=1, one_law=False)
    mutants = (
        stated.but("f for f^2", power=1),
        stated.but("Ei at half its speed", slower=2),
        stated.but("the law of gradient flow everywhere", one_law=True),
    )
    counter_example = (
        "the law of gradient flow everywhere: under weight normalisation the angle falls faster than every power of rho"
    )
    rung = "symbolic"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rng = np.random.default_rng(case.seed)
        quantities = []
        for name, residual in residuals(variant).items():
            vanishes = sp.simplify(residual) == 0
            # The same expression at a point: algebra that simplifies wrongly would show.
            point: dict[sp.Basic | complex, sp.Basic | complex] = {
                s: sp.Float(float(rng.uniform(0.4, 1.2)), 30) for s in sorted(residual.free_symbols, key=str)
            }
            size = float(abs(sp.N(residual.subs(point), 30)))
            quantities.append(
                Quantity(
                    name,
                    0.0 if vanishes else 1.0,
                    0.0,
                    0.0,
                    route="exact algebra",
                    rung="symbolic",
                    second=0.0 if size < 1e-20 else 1.0,
                    second_route="thirty digits at a random point",
                )
            )
        return Measurement.of(quantities, "0 where the expression vanishes identically, else 1")
