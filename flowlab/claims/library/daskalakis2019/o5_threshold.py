"""O5: the sharp step of optimistic multiplicative weights, and of mirror-prox."""

import sympy as sp

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.library.daskalakis2019.by_hand import radius
from flowlab.claims.library.daskalakis2019.flows import (
    beside,
    called,
    divergences,
    games,
    mixed_game,
    payoff_of,
    printed,
    rest_of,
    settling_steps,
    walk,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.rules import rules
from flowlab.studies.stability import stability
from flowlab.symbolic.modified import step_matrix


def _root() -> str:
    """The root of modulus one at σ = 1/√3, by exact algebra on the rule's own matrix."""
    matrix, h = step_matrix(rules["optimistic"]())
    lam = sp.exp(sp.I * sp.pi / 3)
    grown = (matrix.subs(h, sp.I / sp.sqrt(3)) - lam * sp.eye(2)).det()
    return f"lambda = exp(i pi/3): remainder {sp.simplify(sp.expand(grown.rewrite(sp.cos)))}"


@claim("O5")
class SharpStep(Claim):
    """Stable iff η τ_max < 1/√3; mirror-prox iff η τ_max < 1."""

    title = "the sharp step of optimistic multiplicative weights"
    statement = (
        "Let tau be the frequencies of the replicator flow at the only equilibrium of a matrix game. Optimistic "
        "multiplicative weights are locally stable iff eta tau_max < 1/sqrt(3), and mirror-prox iff eta tau_max < 1."
    )
    latex = (
        r"\lambda^2 - (1 + 2i\sigma)\lambda + i\sigma = 0, \quad |\lambda| < 1 \iff \sigma = \eta\tau_{\max} < "
        r"\tfrac{1}{\sqrt 3}"
    )
    source = (
        "Daskalakis, Panageas 2019 (spectrum); threshold derived here: |lambda| = 1 at sigma = 1/sqrt(3), lambda = "
        "e^(i pi/3)"
    )
    hypotheses = (mixed_game,)
    stated = Variant(rule="optimistic", threshold=3.0**-0.5, ahead=1.0, below=(1e-12, "<="))
    mutants = (
        stated.but(USUAL, threshold=1e-3, below=(1e-6, ">=")),
        stated.but("threshold one half", threshold=0.5),
        stated.but("plain multiplicative weights", rule="gradient"),
        stated.but("mirror-prox for the optimistic rule", rule="extragradient"),
        stated.but("one threshold for both", ahead=3.0**-0.5),
    )
    counter_example = "plain multiplicative weights: |1 + i sigma| > 1 at every step"
    usual = "Convergence needs a step that is exponentially small in the smallest weight of the equilibrium."
    decisive = "convergence at eta tau_max = .57, none at .585: 1/sqrt(3) = .57735"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        chosen = [rest_of(case), *(rest for _, rest in games(case, 10))]
        for i, rest in enumerate(chosen):
            name = f"random game {i}" if i else called(case)
            for rule, wanted in ((variant.rule, variant.threshold), ("extragradient", variant.ahead)):
                found = case.once(
                    f"O5 {rule} {i}", lambda rest=rest, rule=rule: stability(rest, rule, step=0.1).threshold
                )
                quantities.append(
                    Quantity(
                        f"eta tau_max up to which steps are stable, {rule}, {name}",
                        found * float(rest.frequencies[0]),
                        wanted,
                        1e-6,
                        route="matrix of the rule on the modes of the flow",
                        printed=printed(case, ".57735") if i == 0 and rule == "optimistic" else "",
                    )
                )
        p, q, top = chosen[0].weights["p"], chosen[0].weights["q"], float(chosen[0].frequencies[0])
        count = case.once("O5 steps", lambda: settling_steps(chosen[0]))
        at_edge = radius(payoff_of(case), p, q, variant.threshold / top)
        quantities.append(
            Quantity("spectral radius of the steps at the threshold", at_edge, 1.0, 1e-9, route="derivative by hand")
        )
        near = beside(chosen[0])
        below, above = (
            float(
                divergences(chosen[0], walk(case, count, step=s / top, start=near, rule=variant.rule, name="near"))[-1]
            )
            for s in (0.57, 0.585)
        )
        # As usually stated nothing converges at .57.
        quantities += [
            Quantity(f"divergence after {count} steps at .57", below, variant.below[0], 0.0, relation=variant.below[1]),
            Quantity(f"divergence after {count} steps at .585", above, 1e-3, 0.0, relation=">="),
        ]
        return Measurement.of(
            quantities,
            "eigenvalues of exact derivatives; runs begin 1e-3 from the equilibrium",
            lambda_at_threshold=case.once("O5 root", _root),
        )
