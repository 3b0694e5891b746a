"""N2: least squares from zero comes to the minimum norm for one layer, and not for two unless they are balanced."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.complexity2020.norms_at_rest import TWO, closed, ended, proof
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.problem import Problem

TARGET = 1.5
STARTS = ((1.2, 0.3), (0.8, 0.8), (0.2, 1.7))


@claim("N2")
class MinimumNorm(Claim):
    """One layer: X⁺y plus what the start has off the samples. Two layers: |θ|² = √(λ² + 4u²), above the least 2u unless
    a² = b².
    """

    title = "minimum norm of least squares holds for one layer"
    statement = (
        "Gradient flow on least squares comes to X^+ y + P w(0), the minimum norm for w(0) = 0. For f = a b x it "
        "comes to a^2 + b^2 = sqrt(lambda^2 + 4 u^2), lambda = a(0)^2 - b(0)^2, u the limit of a b. This is the "
        "minimum 2u only if the start is balanced."
    )
    latex = r"w(\infty) = X^+y + P_\perp w(0), \qquad (a^2 + b^2)(\infty) = \sqrt{\lambda^2 + 4u^2} \ge 2u"
    source = (
        "against `minimum norm' for deep networks in Poggio, Liao, Banburski 2020; the law a^2 - b^2 after Du, Hu and "
        "Lee 2018"
    )
    hypotheses = (own_instances,)
    stated = Variant(start=1.0, squares=lambda lam, u: float(np.sqrt(lam**2 + 4 * u * u)))
    mutants = (
        stated.but(USUAL, squares=lambda _, u: 2 * u),
        stated.but("start forgotten", start=0.0),
        stated.but("lambda instead of lambda squared", squares=lambda lam, u: float(np.sqrt(abs(lam) + 4 * u * u))),
    )
    counter_example = "as usually stated: the minimum norm of two unbalanced layers"
    usual = "Gradient flow on the square loss gives minimum norm solutions, in deep networks too."
    decisive = "a^2 + b^2 in the limit: sqrt(lambda^2 + 4 u^2), above the minimum 2u for every unbalanced start"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rng = np.random.default_rng(case.seed)
        x, y = rng.normal(size=(4, 9)), rng.normal(size=4)
        w0, data = rng.normal(size=9), Data(x, y, kind="targets")
        best, problem = np.linalg.pinv(x) @ y, Problem("W1 @ x", "square", coordinates="weights")
        off = w0 - np.linalg.pinv(x) @ x @ w0
        # A start of exactly zero has no direction; this one is inside the span of the samples, which is the same here.
        inside = ended(case, "one layer from the span", problem, {"W1": (x.T @ rng.normal(size=4) * 1e-3)[None]}, data)[
            "W1"
        ].ravel()
        other = ended(case, "one layer from elsewhere", problem, {"W1": w0[None]}, data)["W1"].ravel()
        wanted = best + variant.start * off
        quantities = [
            Quantity(
                "|w - X^+ y| from the span of the samples",
                float(np.linalg.norm(inside - best)),
                0.0,
                1e-9,
                route="flow",
            ),
            Quantity(
                "|w - X^+ y - P w(0)| from elsewhere", float(np.linalg.norm(other - wanted)), 0.0, 1e-9, route="flow"
            ),
            Quantity(
                "identities of a b x that sympy proves",
                float(case.once("N2 proof", proof)),
                1.0,
                0.5,
                altered=0.0,
                route="expanded",
            ),
        ]
        u = TARGET + 0.1 * rng.uniform()
        one = Data([[1.0]], [u], kind="targets")
        for k, (a, b) in enumerate(STARTS):
            end = ended(
                case, f"two layers {k}", Problem(TWO, "square", coordinates="weights"), {"W1": [[a]], "W2": [[b]]}, one
            )
            expected = variant.squares(a * a - b * b, u)
            squares = float(end["W1"][0, 0] ** 2 + end["W2"][0, 0] ** 2)
            quantities.append(
                Quantity(
                    f"a^2 + b^2 from {a:g}, {b:g}",
                    squares,
                    expected,
                    1e-9,
                    route="flow",
                    second=closed(a, b, u),
                    second_route="root of the law and ab = u",
                )
            )
        return Measurement.of(quantities, "flows are run until residuals are below 1e-10, at rtol 1e-11", target=u)
