"""L3 and L4: how fast the norm grows, and what the smoothed margin gains while the direction moves."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import after, flows, homogeneous_flow, tied
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def seen(case: Case) -> list[tuple[str, list[dict[str, float]], float, int]]:
    """Of every flow: its name, what is known at rows, the degree of all its weights, and N."""
    return [
        (
            name,
            case.once(f"lyu rates {name}", lambda data=data, path=path: tied(path, data, after(path))),
            float(path.problem.network.symmetry.joint_degree),
            data.n,
        )
        for name, data, path in flows(case)
    ]


def roundings(row: dict[str, float]) -> float:
    """What float64 leaves unknown of exponentials of outputs, relative: some roundings of their exponents."""
    return 64.0 * np.finfo(float).eps * max(1.0, abs(row["log_loss"]))


@claim("L3")
class NormGrowth(Claim):
    """½ d‖θ‖²/dt = K Σ e^{-q} q ≥ K L log(1/L)."""

    title = "growth of the norm, exactly and from below"
    statement = "Along gradient flow (1/2) d|theta|^2/dt = K sum_n exp(-q_n) q_n, which is at least K L log(1/L)."
    latex = r"\tfrac12 \tfrac{d}{dt}\lVert\theta\rVert^2 = K \sum_n e^{-q_n} q_n \ge K L \log\tfrac1L"
    source = "Lyu and Li 2020, section 5"
    hypotheses = (homogeneous_flow,)
    stated = Variant(factor=lambda K: K, more=0.0)
    mutants = (
        stated.but("degree + 1", factor=lambda K: K + 1.0),
        stated.but("1 % off", factor=lambda K: 1.01 * K),
        stated.but("log(N/L) for log(1/L)", more=1.0),
    )
    counter_example = "log(N/L): with the loss as a mean inside the logarithm the inequality turns round"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = []
        for which, rows, K, n in seen(case):
            factor = variant.factor(K)
            apart = worst(abs(r["nu"] - factor * r["pull"]) / abs(K * r["pull"]) for r in rows)
            more = variant.more * np.log(n)
            slack = -worst((r["level"] + more) / (r["gain"] * r["pull"]) for r in rows)
            last = worst(roundings(r) for r in rows)
            found += [
                Quantity(
                    f"growth against its formula, {which}",
                    apart,
                    0.0,
                    max(1e-11, last),
                    route="autodiff at rows with L < 1",
                ),
                Quantity(
                    f"slack of the bound, {which}",
                    1.0 + slack,
                    0.0,
                    max(1e-12, last),
                    relation=">=",
                    route="autodiff at rows with L < 1",
                ),
            ]
        return Measurement.of(found, "relative; both are exact, so only roundings remain")


@claim("L4")
class GainOfTheMargin(Claim):
    """d log γ̃/dt ≥ K ‖dθ̂/dt‖²/(d log‖θ‖/dt)."""

    title = "the smoothed margin gains where the direction moves"
    statement = (
        "Along gradient flow of a smooth net, once L < 1, d log gamma~/dt >= K (d log|theta|/dt)^-1 |d theta^/dt|^2."
    )
    latex = r"\frac{d}{dt}\log\tilde\gamma \ge K \Bigl(\frac{d}{dt}\log\lVert\theta\rVert\Bigr)^{-1} \Bigl\lVert\frac{d\hat\theta}{dt}\Bigr\rVert^2"
    source = "Lyu and Li 2020, lemma 5.1, with the factor K that its proof gives"
    hypotheses = (homogeneous_flow,)
    stated = Variant(factor=lambda K: K, wrong=lambda *_: 1.0)
    mutants = (
        stated.but("10 % more", factor=lambda K: 1.1 * K),
        stated.but("degree + 1", factor=lambda K: K + 1.0),
        stated.but("the square of the growth", wrong=lambda log_loss, pace: np.exp(-max(log_loss, -700.0)) / pace),
    )
    counter_example = "10 % more: late, where L log(1/L) comes close to the growth, the inequality is nearly attained"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = []
        for which, rows, K, _ in seen(case):
            lacks = []
            for r in rows:
                # All rates over L, in which they are of order one however late it is.
                pace, across = (
                    r["nu"] / r["theta"] ** 2,
                    max(r["slope"] - (r["nu"] / r["theta"]) ** 2, 0.0) / r["theta"] ** 2,
                )
                gain = r["gain"] * r["slope"] / r["level"] - K * pace
                # Of d log|theta|/dt itself, L and all, where it is squared.
                bound = variant.factor(K) * across / pace * variant.wrong(r["log_loss"], pace)
                lacks.append((bound - gain - roundings(r) * K * pace) / (abs(gain) + K * pace * 1e-9))
            found.append(
                Quantity(
                    f"least of gain less bound over gain, {which}",
                    -float(np.max(lacks)),
                    0.0,
                    1e-9,
                    relation=">=",
                    route="autodiff at rows with L < 1",
                )
            )
        return Measurement.of(found, "relative to the gain; differences of rates cancel to some 1e-10 of them")
