"""P4 and (1.8): the squares of the norms grow equally."""

from typing import Any

import numpy as np

from flowlab.claims.claim import USUAL, Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.sample_problems import (
    integrated,
    problem_like,
    rates,
    samples_for,
    small_data,
    states,
    visited,
    worst,
)
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@hypothesis("two or more blocks whose norms move, without weight decay")
def _moving_norms(case: Case) -> str | None:
    if case.problem is None:
        return None
    problem = case.problem if case.flow is None else case.flow.problem
    if any(problem.decay.values()):
        return "weight decay makes norms shrink at rates of their own"
    if len(problem.network.weights) < 2:
        return "the network has one block only"
    if problem.scheme.name == "fixed_norm":
        return "the norms are fixed"
    return None if case.flow is None or len(case.flow) > 2 else f"the path has {len(case.flow)} rows only"


@claim("P4")
class EqualGrowthOnPath(Claim):
    """ρ_k²/κ_k - ρ_j²/κ_j is constant along an integrated flow."""

    title = "equal growth of squared norms along a path"
    statement = "Along the flow the differences of rho_k^2/kappa_k between blocks are constant (of log rho_k/kappa_k for exponential weight normalisation)."
    latex = r"\rho_k^2/\kappa_k - \rho_j^2/\kappa_j = \text{const}"
    source = "(1.8) of flowlab's derivations, after Poggio, Banburski, Liao 2020, along a trajectory"
    hypotheses = (layered, _moving_norms)
    stated = Variant(power=2, last=1.0, first_degree=1.0)
    mutants = (
        stated.but(USUAL, power=1),
        stated.but("cubes instead of squares", power=3),
        stated.but("one norm 0.1% off at the end", last=1.001),
        stated.but("degree doubled", first_degree=2.0),
    )
    counter_example = "as usually stated: rho_k - rho_j is not conserved"
    usual = "The norms of all layers grow at the same rate."
    decisive = "drift of rho_k/kappa_k - rho_j/kappa_j along the path, against that of the squares"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path = case.flow if case.flow is not None else _own_path(case)
        problem = path.problem
        rtol = float(path.provenance["settings"]["rtol"])
        degrees = np.array([float(problem.degrees[b] or 1) for b in path.dataset["block"].values.tolist()])
        rho = np.array(path.dataset["rho"].values)
        rho[-1, 0] *= variant.last
        degrees[0] *= variant.first_degree
        log = problem.scheme.conserved_norm == "log"
        quantity = (np.log(rho) if log and variant.power == 2 else rho**variant.power) / degrees
        spread = quantity - quantity[:, :1]
        # Row by row: what is off early would be nothing beside late norms.
        scale = np.abs(quantity).max(axis=1) if not log else 1.0
        drift = float((np.abs(spread - spread[0]).max(axis=1) / scale).max())
        bound = 100.0 * rtol
        return Measurement(
            drift,
            bound,
            f"100 times the integrator's rtol {rtol:g}, relative to the largest rho^2/kappa of the row",
            {"network": problem.network.text, "rtol": rtol, "rows": len(path), "path_outcome": str(path.outcome)},
        )


def _own_path(case: Case) -> Any:
    """A flow of the given problem on the given data, or to R = 50 at rtol 1e-10 of a net of our own; one per seed."""
    from flowlab.dynamics import norm_above, time
    from flowlab.language.problem import Problem

    data = samples_for(case, small_data(case.seed))
    own = Problem("W3 @ W2 @ W1 @ x") if case.seed % 2 else Problem("a @ relu(W @ x)**2")
    problem = case.problem if case.problem is not None else own
    start = next(iter(states(problem, data, case.seed, 1)))
    if case.problem is None and case.data is None:
        return integrated(case, "P4", problem, start, data, [norm_above(50.0), time(1e8)], rtol=1e-10, atol=1e-12)
    # Of problems that are given it is not known that norms grow. The law holds whatever slope is taken on a kink, so that stepping over kinks is enough.
    return integrated(
        case,
        "P4",
        problem,
        start,
        data,
        [norm_above(50.0), time(1.0)],
        rtol=1e-7,
        atol=1e-9,
        kinks="ignore",
        max_steps=5_000,
    )


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
    statement = "At every state the growth of rho_k^2/kappa_k (of log rho_k/kappa_k for exponential weight normalisation) is the same for all blocks."
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
                for state in visited(case, problem, data, 4):
                    rho_rate, _ = rates(problem, state, data)
                    growth = []
                    for k, kappa in problem.degrees.items():
                        weight = (
                            float(state.rho[k])
                            if problem.scheme.conserved_norm == "square"
                            else 1.0 / float(state.rho[k])
                        )
                        weight = weight if variant.weights else 1.0
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
