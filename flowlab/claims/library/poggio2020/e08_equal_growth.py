"""(1.8): the squares of the norms grow equally at every state."""

import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.sample_problems import problem_like, rates, samples_for, small_data, visited, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@hypothesis("two or more blocks without weight decay")
def _several_blocks(case: Case) -> str | None:
    if case.problem is not None and any(case.problem.decay.values()):
        return "weight decay makes norms shrink at rates of their own"
    if case.problem is not None and len(case.problem.network.weights) < 2:
        return "the network has one block only"
    return None


@claim("E1.8")
class EqualGrowthIdentity(Claim):
    """d/dt(ρ_k²/κ_k) = 2 R s for every block under GF and LM, d/dt(log ρ_k)/κ_k = R s under EWN, for any loss."""

    title = "equal growth as an identity of the field"
    statement = (
        "At every state the growth of rho_k^2/kappa_k (of log rho_k/kappa_k for exponential weight normalisation) is "
        "the same for all blocks."
    )
    latex = r"\tfrac{d}{dt}\rho_k^2/\kappa_k = 2Rs"
    source = "(1.8) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
    hypotheses = (_several_blocks, layered)
    stated = Variant(weights=True, degrees=True, first=1.0, decay=0.0)
    mutants = (
        stated.but("norms instead of squares", weights=False),
        stated.but("degrees ignored", degrees=False),
        stated.but("1% off", first=1.01),
        stated.but("weight decay", decay=0.05),
    )
    counter_example = "weight decay: with it every block shrinks at its own rate"

    def measure(self, case: Case, variant: Variant) -> Measurement:

        data = samples_for(case, small_data(case.seed))
        # A net with unequal degrees comes last, so that ignoring them shows even on a user's net of degree 1.
        nets = (
            ("W3 @ relu(W2 @ relu(W1 @ x))", "a @ relu(W @ x)**2")
            if case.problem is None
            else (case.problem.network.text,)
        )
        if not variant.degrees and case.problem is not None:
            case, nets, data = Case(seed=case.seed), ("a @ relu(W @ x)**2",), small_data(case.seed)
        apart = []
        for net in nets:
            for scheme in ("gradient_flow", "lagrange", "exponential_weight_normalization"):
                problem = problem_like(case, net, scheme=scheme, decay=variant.decay)
                law = problem.scheme.conserved_norm
                assert law is not None
                for state in visited(case, problem, data, 4):
                    rho_rate, _ = rates(problem, state, data)
                    growth = []
                    for k, kappa in problem.degrees.items():
                        weight = float(law.slope(np.asarray(state.rho[k]))) if variant.weights else 1.0
                        growth.append(float(rho_rate[k]) * weight / (float(kappa or 1) if variant.degrees else 1.0))
                    growth[0] *= variant.first
                    largest = max(abs(g) for g in growth)
                    # Where nothing grows (features that are all zero) nothing is measured, and no mutant is caught.
                    apart.append(0.0 if largest == 0 else float(np.ptp(growth)) / largest)
        return Measurement(
            worst(apart),
            1e-11,
            "relative, at random states; the identity is exact, so only roundings remain",
            {"networks": list(nets)},
        )
