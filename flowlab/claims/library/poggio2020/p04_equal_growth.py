"""P4: the squares of the norms grow equally along a path."""

import numpy as np

from flowlab.claims.claim import USUAL, Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.sample_problems import integrated, samples_for, small_data, states
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import norm_above, time
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory


@hypothesis("two or more blocks whose norms move, without weight decay")
def _moving_norms(case: Case) -> str | None:
    if case.problem is None:
        return None
    problem = case.problem if case.flow is None else case.flow.problem
    if any(problem.decay.values()):
        return "weight decay makes norms shrink at rates of their own"
    if len(problem.network.weights) < 2:
        return "the network has one block only"
    if not problem.scheme.moves_norms:
        return "the norms are fixed"
    if problem.scheme.conserved_norm is None:
        return "the scheme does not say how norms of two blocks are tied"
    return None if case.flow is None or len(case.flow) > 2 else f"the path has {len(case.flow)} rows only"


@claim("P4")
class EqualGrowthOnPath(Claim):
    """ρ_k²/κ_k - ρ_j²/κ_j is constant along an integrated flow."""

    title = "equal growth of squared norms along a path"
    statement = (
        "Along the flow the differences of rho_k^2/kappa_k between blocks are constant (of log rho_k/kappa_k for "
        "exponential weight normalisation)."
    )
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
        rtol = path.rtol
        degrees = np.array([float(problem.degrees[b] or 1) for b in path.dataset["block"].values.tolist()])
        rho = np.array(path.dataset["rho"].values)
        rho[-1, 0] *= variant.last
        degrees[0] *= variant.first_degree
        law = problem.scheme.conserved_norm
        assert law is not None
        quantity = (law.of(np, rho) if variant.power == 2 else rho**variant.power) / degrees
        spread = quantity - quantity[:, :1]
        # Row by row: what is off early would be nothing beside late norms.
        scale = np.abs(quantity).max(axis=1) if law.has_size else 1.0
        drift = float((np.abs(spread - spread[0]).max(axis=1) / scale).max())
        bound = 100.0 * rtol
        return Measurement(
            drift,
            bound,
            f"100 times the integrator's rtol {rtol:g}, relative to the largest rho^2/kappa of the row",
            {"network": problem.network.text, "rtol": rtol, "rows": len(path), "path_outcome": str(path.outcome)},
        )


def _own_path(case: Case) -> Trajectory:
    """A flow of the given problem on the given data, or to R = 50 at rtol 1e-10 of a net of our own; one per seed."""
    data = samples_for(case, small_data(case.seed))
    own = Problem("W3 @ W2 @ W1 @ x") if case.seed % 2 else Problem("a @ relu(W @ x)**2")
    problem = case.problem if case.problem is not None else own
    start = next(iter(states(problem, data, case.seed, 1)))
    if case.problem is None and case.data is None:
        return integrated(case, "P4", problem, start, data, [norm_above(50.0), time(1e8)], rtol=1e-10, atol=1e-12)
    # Of problems that are given it is not known that norms grow. The law holds whatever slope is taken on a kink, so
    # that stepping over kinks is enough.
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
