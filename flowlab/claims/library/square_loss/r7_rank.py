"""R7: descent on batches with decay keeps a layer near matrices whose rank the batch size bounds."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

STEP, SHRINK, COUNT, BATCH = 0.2, 0.5, 300, 2
WIDTH, FEATURES, SAMPLES = 20, 16, 64


@claim("R7")
class BatchesBoundRank(Claim):
    """σ_{kB+1}(W(t)) ≤ (1 - μ)^k ‖W(t-k)‖ for all k, with μ the decay per step and B the batch.

    Exact, whatever the loss and the samples: k steps shrink W(t - k) by (1 - μ)^k and add a matrix of rank k B at most
    (Eckart and Young). An experiment
    in that one ReLU layer below fixed outer weights is descended; decay of a half per step makes the bound bite.
    """

    title = "batches and decay bound the rank of a layer"
    statement = (
        "Take descent on batches of B samples with decay mu per step, and a layer that sees each sample once. It has "
        "sigma_{kB+1}(W(t)) <= (1 - mu)^k |W(t-k)| for every k."
    )
    latex = r"\sigma_{kB+1}(W_t) \le (1-\mu)^k \lVert W_{t-k}\rVert_2"
    source = "Galanti, Siegel, Gupte, Poggio 2022 (after their argument)"
    hypotheses = (own_instances,)
    stated = Variant(batch=BATCH, shrink=SHRINK, rank=BATCH)
    mutants = (
        stated.but("half of the batch", rank=1),
        stated.but("more decay", shrink=SHRINK - 0.2),
        stated.but("full descent", batch=SAMPLES),
    )
    counter_example = "full descent: its steps have the rank of all samples, and the bound for batches of two fails"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        batch, shrink, rank = variant.batch, variant.shrink, variant.rank
        W = case.once(f"batches of {batch}", lambda: self._descent(case.seed, batch))
        values = np.linalg.svd(W, compute_uv=False)
        worst = 0.0
        for k in range(1, (min(WIDTH, FEATURES) - 1) // rank + 1):
            worst = max(worst, float((values[k:, rank * k] / (shrink**k * values[:-k, 0])).max()))
        return Measurement.of(
            [Quantity("largest singular value over its bound", worst, 1.0, 1e-9, relation="<=")],
            "the bound is exact, and met up to roundings",
            last=(values[-1] / values[-1, 0]).tolist(),
        )

    @staticmethod
    def _descent(seed: int, batch: int) -> np.ndarray:
        """W of every step, (T, width, features)."""
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(SAMPLES, FEATURES)), np.sign(rng.normal(size=SAMPLES))
        W, a = rng.normal(size=(WIDTH, FEATURES)) / 4, np.sign(rng.normal(size=WIDTH)) / 4
        rows = [W]
        for _ in range(COUNT):
            pick = rng.choice(SAMPLES, batch, replace=False)
            on = np.maximum(x[pick] @ W.T, 0.0)
            gap = (on @ a - y[pick]) / batch
            back = (gap[:, None] * (on > 0) * a).T @ x[pick]
            W = SHRINK * W - STEP * back
            rows.append(W)
        return np.stack(rows)
