"""L3 and L4: how fast the norm grows, and what the smoothed margin gains while the direction moves."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import claim
from flowlab.claims.library.lyu2020.flows import OnLateFlows, early, flow, rates
from flowlab.claims.quantity import Quantity
from flowlab.claims.verdict import Measurement


def seen(case: Case, which: str) -> tuple[list[dict[str, float]], float, int]:
    """Rates at rows of a flow, the degree of all its weights, and N."""
    data, path = flow(case, which)
    found = case.once(f"lyu rates {which}", lambda: [rates(path, data, i) for i in early(path)])
    return found, float(path.problem.network.symmetry.joint_degree), data.n


@claim("L3")
class NormGrowth(OnLateFlows):
    """½ d‖θ‖²/dt = K Σ e^{-q} q ≥ K L log(1/L)."""

    title = "growth of the norm, exactly and from below"
    statement = "Along gradient flow (1/2) d|theta|^2/dt = K sum_n exp(-q_n) q_n, which is at least K L log(1/L)."
    latex = r"\tfrac12 \tfrac{d}{dt}\lVert\theta\rVert^2 = K \sum_n e^{-q_n} q_n \ge K L \log\tfrac1L"
    source = "Lyu and Li 2020, section 5"
    mutants = ("degree + 1", "1 % off", "log(N/L) for log(1/L)")
    counter_example = "log(N/L): with the loss as a mean inside the logarithm the inequality turns round"

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        found = []
        for which in ("smooth", "deep"):
            rows, K, n = seen(case, which)
            factor = K + 1.0 if mutant == "degree + 1" else 1.01 * K if mutant == "1 % off" else K
            apart = max(abs(r["nu"] - factor * r["pull"]) / abs(K * r["pull"]) for r in rows)
            more = np.log(n) if mutant == "log(N/L) for log(1/L)" else 0.0
            slack = min((r["pull"] - r["L"] * (more - np.log(r["L"]))) / r["pull"] for r in rows)
            found += [Quantity(f"growth against its formula, {which}", apart, 0.0, 1e-11, route="autodiff at rows with L < 1"),
                      Quantity(f"slack of the bound, {which}", slack, 0.0, 1e-12, relation=">=", route="autodiff at rows with L < 1")]  # fmt: skip
        return Measurement.of(found, "relative; both are exact, so only roundings remain")


@claim("L4")
class GainOfTheMargin(OnLateFlows):
    """d log γ̃/dt ≥ K ‖dθ̂/dt‖²/(d log‖θ‖/dt)."""

    title = "the smoothed margin gains where the direction moves"
    statement = "Along gradient flow of a smooth net, once L < 1, d log gamma~/dt >= K (d log|theta|/dt)^-1 |d theta^/dt|^2."
    latex = r"\frac{d}{dt}\log\tilde\gamma \ge K \Bigl(\frac{d}{dt}\log\lVert\theta\rVert\Bigr)^{-1} \Bigl\lVert\frac{d\hat\theta}{dt}\Bigr\rVert^2"
    source = "Lyu and Li 2020, lemma 5.1, with the factor K that its proof gives"
    mutants = ("10 % more", "degree + 1", "the square of the growth")
    counter_example = "10 % more: late, where L log(1/L) comes close to the growth, the inequality is nearly attained"

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        found = []
        for which in ("smooth", "deep"):
            rows, K, _ = seen(case, which)
            worst, shares = np.inf, []
            for r in rows:
                pace, across = r["nu"] / r["theta"] ** 2, max(r["slope"] - (r["nu"] / r["theta"]) ** 2, 0.0) / r["theta"] ** 2
                gain = r["slope"] / (r["L"] * -np.log(r["L"])) - K * pace
                factor = {"10 % more": 1.1 * K, "degree + 1": K + 1.0}.get(mutant or "", K)
                bound = factor * across / pace ** (2 if mutant == "the square of the growth" else 1)
                worst = min(worst, (gain - bound) / (abs(gain) + K * pace * 1e-9))
                shares.append(bound / gain)
            found.append(Quantity(f"least of gain less bound over gain, {which}", worst, 0.0, 1e-9, relation=">=", route="autodiff at rows with L < 1"))
        return Measurement.of(found, "relative to the gain; differences of rates cancel to some 1e-10 of them")
