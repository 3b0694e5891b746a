"""Z3: the sparse part of the limit is a Lasso whose residuals are weighted, as α falls."""

from collections.abc import Callable

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.zhou_ge2023.dual_minimiser import lasso
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, apart, sparse, split, usual_lambda
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

SAMPLES, FEATURES, SHARE = 50, 1000, 0.7
ALPHAS = (1e-40, 1e-80)
"""So small that corrections of relative size 1/log(1/α) are seen to fall."""
Weighing = Callable[[np.ndarray], np.ndarray]


def whitened(x: np.ndarray) -> np.ndarray:
    """√d (X Xᵀ)^{-1/2}, (n, n): the rows of its product with X are orthogonal."""
    sizes, basis = np.linalg.eigh(x @ x.T)
    return np.sqrt(x.shape[1]) * (basis / np.sqrt(sizes)) @ basis.T


@claim("Z3")
class WeightedLasso(Claim):
    """The part λ v is λ² Xᵀν, hence y - X a = λ² X Xᵀ ν, and z = Xᵀν is held at ±τ, τ = log(1/α)/2, where a is not 0.

    These are the optimality conditions of the Lasso with residuals weighted by d (X Xᵀ)^{-1} and the penalty τ λ² d.
    The weights are 1 for d much larger than n alone: at d = 20 n they matter.
    """

    title = "the sparse part is a Lasso with weighted residuals"
    statement = (
        "As alpha falls, the part a = w^2 - u^2 of the limit tends to the minimiser of (d/2) |y - X a|^2 in the metric "
        "(X X^T)^{-1}, plus tau lambda^2 d |a|_1, with tau = log(1/alpha)/2; its distance falls like 1/tau."
    )
    latex = (
        r"a \to \arg\min_a \tfrac d2 (y - Xa)^\top (XX^\top)^{-1} (y - Xa) + \tau\lambda^2 d\,\lVert a\rVert_1, \quad "
        r"\tau = \tfrac12\log\tfrac1\alpha"
    )
    source = f"{SOURCE}; limit derived here"
    hypotheses = (own_instances,)
    stated = Variant(weigh=whitened, penalty=1.0)
    mutants = (
        stated.but(USUAL, weigh=lambda x: np.eye(len(x))),
        stated.but("half the penalty", penalty=0.5),
        stated.but("tau = log(1/alpha)", penalty=2.0),
    )
    counter_example = "as usually stated: residuals that are not weighted, on d = 20 n"
    usual = "The sparse part solves the Lasso |y - X a|^2/2 + tau lambda^2 d |a|_1 itself (exact where X X^T = d I)."
    decisive = "the distance from the Lasso: it falls like 1/tau with weights, and stays at 4 to 8 % without"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        far, shared = [], 0.0
        x, y, _ = case.once("samples of the Lasso", lambda: sparse(case.seed + 20, SAMPLES, FEATURES))
        for alpha in ALPHAS:
            lam = SHARE * usual_lambda(SAMPLES, FEATURES, alpha)
            a, _ = case.once(f"parts at {alpha:g}", lambda alpha=alpha, lam=lam: split(case, x, y, alpha, lam))
            weight = variant.weigh(x)
            penalty = variant.penalty * 0.5 * np.log(1 / alpha) * lam**2 * FEATURES
            found = lasso(weight @ x, weight @ y, penalty)
            far.append(apart(a, found))
            # Entries below are those that α, and not the data, keep from 0.
            both = (np.abs(a) > 0.01) & (np.abs(found) > 0.01)
            shared = both.sum() / ((np.abs(a) > 0.01) | (np.abs(found) > 0.01)).sum()
        order = float(np.log(far[0] / far[1]) / np.log(2.0))
        return Measurement.of(
            [
                Quantity("relative distance from the Lasso at alpha = 1e-80", far[-1], 0.015, 0.0, relation="<="),
                Quantity("power of 1/tau that the distance falls with", order, 1.0, 0.15, altered=0.0),
                Quantity("shared part of the supports (Jaccard)", float(shared), 0.9, 0.0, relation=">="),
            ],
            "the Lasso is solved by coordinate descent, the limit by Newton on the dual of the derived potential",
            distances=far,
        )
