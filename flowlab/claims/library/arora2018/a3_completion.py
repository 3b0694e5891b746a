"""A3: depth lowers the effective rank of what gradient descent completes a matrix to."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

SIZE, RANK, SEEN = 20, 3, 0.3
STEPS = {1: 0.5, 2: 0.03, 3: 0.01}
"""Step sizes below 2 over the largest curvature, N sigma^(2-2/N) with sigma about 8."""


def effective_rank(s: np.ndarray) -> float:
    """The exponential of the entropy of singular values over their sum (Roy and Vetterli 2007)."""
    p = s / s.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def completed(seed: int, depth: int, scale: float = 1e-3) -> dict[str, Any]:
    """Singular values of the product of layers that fits 30 % of the entries of a matrix of rank 3, from a balanced
    start `scale` times orthogonal.
    """
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(SIZE, RANK)) @ rng.normal(size=(RANK, SIZE))
    target *= SIZE / np.linalg.norm(target)
    observed = rng.random((SIZE, SIZE)) < SEEN
    W = [np.linalg.qr(rng.normal(size=(SIZE, SIZE)))[0] * scale ** (1.0 / depth) for _ in range(depth)]
    goal = 1e-5 * float(((observed * target) ** 2).sum())
    for k in range(20_000):
        below = [np.eye(SIZE)]
        for w in W:
            below.append(w @ below[-1])
        G = observed * (below[-1] - target)
        if float((G * G).sum()) < goal:
            return {"s": np.linalg.svd(below[-1], compute_uv=False), "steps": k, "fitted": True}
        back, moved = G, []
        for j in reversed(range(depth)):
            moved.append(W[j] - STEPS[depth] * back @ below[j].T)
            back = W[j].T @ back
        W = moved[::-1]
    return {"s": np.linalg.svd(below[-1], compute_uv=False), "steps": 20_000, "fitted": False}


@claim("A3")
class DepthLowersRank(Claim):
    """One, two, three layers: the deeper, the lower the effective rank of the completion.

    An experiment: 20 x 20 of rank 3, 30 % of the entries, starts of scale 1e-3, fits to a relative squared error of
    1e-5. A fourth layer
    does not lower it further on every draw (seed 3: 2.8 with three layers, 3.3 with four), so that no more is stated.
    """

    title = "deeper factorisations complete a matrix at lower effective rank"
    statement = (
        "From small balanced starts three layers complete a matrix from 30 % of its entries at a lower effective rank "
        "than two layers. Two layers complete it at a lower one than a single layer."
    )
    latex = r"\mathrm{erank}(W^{(3)}) < \mathrm{erank}(W^{(2)}) < \mathrm{erank}(W^{(1)})"
    source = "Arora, Cohen, Hu, Luo 2019, section 2 and figure 1 (numbers not checked)"
    hypotheses = (own_instances,)
    stated = Variant(scale=1e-3, second=2)
    mutants = (stated.but("a start of order one", scale=2.0), stated.but("the same depth twice", second=1))
    counter_example = (
        "a start of order one: three layers that begin large complete at a higher rank than two that begin small"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        def run(depth: int, scale: float = 1e-3) -> dict[str, Any]:
            return case.once(f"completion {depth} {scale:g}", lambda: completed(case.seed, depth, scale))

        one, two, three = run(1), run(variant.second), run(3, variant.scale)
        if not (one["fitted"] and two["fitted"] and three["fitted"]):
            return Measurement(float("nan"), 0.0, "a descent did not fit the entries it sees")
        ranks = [effective_rank(each["s"]) for each in (one, two, three)]
        # A tenth of a rank: far below the differences between depths, far above what the unfinished fit leaves open.
        return Measurement.of(
            [
                Quantity(
                    "effective rank of two layers less that of one", ranks[1] - ranks[0], -0.1, 0.0, relation="<="
                ),
                Quantity(
                    "effective rank of three layers less that of two", ranks[2] - ranks[1], -0.1, 0.0, relation="<="
                ),
            ],
            "a tenth of a rank is far above what the unfinished fit leaves open",
            ranks=ranks,
            singular_values=[each["s"][:5].tolist() for each in (one, two, three)],
            steps=[each["steps"] for each in (one, two, three)],
        )
