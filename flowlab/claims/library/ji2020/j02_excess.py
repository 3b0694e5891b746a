"""J2: what layers have beside their first singular value stays bounded."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.ji2020.flows import weights
from flowlab.claims.library.lyu2020.flows import flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def excess(W: np.ndarray) -> float:
    """‖W‖_F² - ‖W‖_2², as the sum of the squares of all other singular values, which roundings of large norms do not
    touch.
    """
    s = np.linalg.svd(W, compute_uv=False)
    return float((s[1:] ** 2).sum())


@claim("J2")
class ExcessIsBounded(Claim):
    """‖W_k‖_F² - ‖W_k‖_2² never exceeds a constant of the start."""

    title = "what layers have beside their first singular value stays bounded"
    statement = (
        "At all times |W_k|_F^2 - |W_k|_2^2 is at most D = max_j |W_j(0)|_F^2 - |W_K(0)|_F^2 + sum_k |W_k(0) W_k(0)^T "
        "- W_{k+1}(0)^T W_{k+1}(0)|_2. The norms themselves grow without bound."
    )
    latex = r"\lVert W_k\rVert_F^2 - \lVert W_k\rVert_2^2 \le D(W(0)) \quad \text{for all } t"
    source = "Ji and Telgarsky 2019, lemma 2.6 (number not checked)"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(size=excess, bound=lambda squares, balance: max(squares) - squares[-1] + balance)
    mutants = (
        stated.but("a bound on the norms", size=lambda w: float((w**2).sum())),
        stated.but(
            "the last layer's share left out and the sum dropped",
            bound=lambda squares, balance: max(squares) - squares[-1] - balance,
        ),
        stated.but(
            "a hundredth of the bound", bound=lambda squares, balance: 0.01 * (max(squares) - squares[-1] + balance)
        ),
    )
    counter_example = "a bound on the norms: they grow like (log t)^(1/3)"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path = flow(case, "three layers")[1]
        W = weights(path, 0)
        squares = [float((w**2).sum()) for w in W]
        balance = sum(float(np.linalg.norm(W[k] @ W[k].T - W[k + 1].T @ W[k + 1], 2)) for k in range(2))
        D = variant.bound(squares, balance)
        rows = range(0, len(path), max(1, len(path) // 60))
        worst = max(variant.size(w) for i in [*rows, len(path) - 1] for w in weights(path, i))
        grown = float(np.linalg.norm(weights(path, -1)[0]) / np.sqrt(squares[0]))
        return Measurement.of(
            [
                Quantity(
                    "largest excess",
                    worst,
                    D,
                    1e-9 * max(D, 1.0),
                    relation="<=",
                    route="singular values along the flow",
                ),
                Quantity("growth of |W_1|", grown, 10.0, 0.0, relation=">=", route="flow to log t = 1e6"),
            ],
            "exact up to the tolerance of the integration",
        )
