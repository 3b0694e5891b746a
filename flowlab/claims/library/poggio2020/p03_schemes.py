"""P3: how the schemes relate at one state."""

from flowlab.claims.claim import USUAL, Case, Claim, claim
from flowlab.claims.hypotheses import layered
from flowlab.claims.sample_problems import NETS, gap, problem_like, rates, samples_for, small_data, visited, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.state import State


@claim("P3")
class SchemesAtOneState(Claim):
    """LM = weight normalisation at ‖v‖ = 1; V̇(LM) = ρ² V̇(GF); at ‖v‖ = c the direction in u = v/c moves c² slower."""

    title = "Lagrange flow = weight normalisation at unit length; directions differ by clocks"
    statement = (
        "At one state the Lagrange flow and weight normalisation have equal rates. Their directions move rho_k^2 "
        "times as fast as under gradient flow, and c^2 times slower with |v| = c."
    )
    latex = (
        r"\dot V_k^{LM} = \rho_k^2 \dot V_k^{GF}, \qquad \dot u_k^{WN}\big|_{\lVert v_k\rVert = c} = c^{-2}\,\dot "
        r"V_k^{LM}"
    )
    source = "(1.3), (1.4), (1.7) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
    hypotheses = (layered,)
    stated = Variant(power=2, factor=1.0, slower=2, scheme="weight_normalization")
    mutants = (
        stated.but(USUAL, power=0),
        stated.but("rho instead of rho^2", power=1),
        stated.but("c instead of c^2", slower=1),
        stated.but("1% off", factor=1.01),
        stated.but("exponential weight normalisation", scheme="exponential_weight_normalization"),
    )
    counter_example = "exponential weight normalisation moves the norms at another rate"
    usual = "The dynamics of normalised weights is equivalent to that of the constrained problem."
    decisive = "the directions' rates at one state: apart by the factor rho_k^2, where equivalence asks for 1"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = samples_for(case, small_data(case.seed))
        nets = NETS[:3] if case.problem is None else (case.problem.network.text,)
        c, apart = 1.7, []
        for net in nets:
            gf, lm, wn = (problem_like(case, net, scheme=s) for s in ("gradient_flow", "lagrange", variant.scheme))
            for state in visited(case, gf, data, 5):
                rho_gf, V_gf = rates(gf, state, data)
                rho_lm, V_lm = rates(lm, state, data)
                rho_wn, V_wn = rates(wn, state, data)
                scaled = {w: variant.factor * state.rho[w] ** variant.power * v for w, v in V_gf.items()}
                long = State(rho=state.rho, V={w: c * v for w, v in state.V.items()})
                _, v_rate = rates(wn, long, data)
                slow = {w: v / c for w, v in v_rate.items()}
                by = c**variant.slower
                apart += [
                    gap(rho_wn, rho_lm),
                    gap(V_wn, V_lm),
                    gap(scaled, V_lm),
                    gap(rho_gf, rho_lm),
                    gap(slow, {w: v / by for w, v in V_lm.items()}),
                ]
        return Measurement(
            worst(apart),
            1e-11,
            "relative; the relations are exact, so only roundings remain",
            {"networks": list(nets), "c": c},
        )
