"""Z4: between the least l1 and the least l2 norm there is a λ whose limit has less risk than both."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.zhou_ge2023.dual_minimiser import least_l1, minimiser
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, limit, sparse, usual_lambda
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

SAMPLES, FEATURES, ALPHA, DRAWS = 200, 4000, 1e-6, 8


@claim("Z4")
class RiskOrder(Claim):
    """Excess risk |b - b*|² of isotropic inputs: three ones, noise 0.5, n = 200, d = 4000, means over eight draws.

    On single draws the best λ is at 0.52 to 0.76 of the least l1 norm.
    """

    title = "the best lambda has less risk than the least l1 and the least l2 norm"
    statement = (
        "At n = 200, d = 4000, three ones, noise 0.5 and alpha = 1e-6, the excess risk of the limit at the best of "
        "0.5, 0.7, 1 and 1.3 lambda_0 is at most 0.75 of that of the least l1 norm and 0.05 of that of the least l2 "
        "norm that fit."
    )
    latex = (
        r"\min_\lambda \lVert b_\lambda - b^*\rVert^2 \le \tfrac34 \lVert b_{\ell_1} - b^*\rVert^2, \quad "
        r"\le \tfrac1{20} \lVert b_{\ell_2} - b^*\rVert^2"
    )
    source = f"{SOURCE}; figures measured here"
    hypotheses = (own_instances,)
    stated = Variant(shares=(0.5, 0.7, 1.0, 1.3), of_l1=0.75)
    mutants = (
        stated.but("six lambda_0 and more", shares=(6.0, 8.0)),
        stated.but("a tenth of lambda_0 and less", shares=(0.01, 0.1)),
        stated.but("half of the least l1 norm's", of_l1=0.5),
    )
    counter_example = "six lambda_0 and more: the least l2 norm, nearly"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rows = {share: case.once(f"risk at {share}", lambda s=share: self._risks(case, s)) for share in variant.shares}
        l1, l2 = case.once("risks of norms", lambda: self._norms(case))
        best = min(variant.shares, key=lambda share: rows[share].mean())
        risk = float(rows[best].mean())
        x, y, truth = sparse(case.seed + 20, SAMPLES, FEATURES)
        lam = best * usual_lambda(SAMPLES, FEATURES, ALPHA)
        witness = float(((minimiser(x, y, ALPHA, lam) - truth) ** 2).sum())
        return Measurement.of(
            [
                Quantity(
                    "risk of the best lambda over that of l1", risk / l1.mean(), variant.of_l1, 0.0, relation="<="
                ),
                Quantity("risk of the best lambda over that of l2", risk / l2.mean(), 0.05, 0.0, relation="<="),
                Quantity(
                    "risk of the first draw",
                    float(rows[best][0]),
                    witness,
                    1e-6 * witness,
                    route="derived potential",
                    second=witness,
                    second_route="a dual written by hand",
                ),
            ],
            "limits by Newton on the dual, the least l1 norm by linear programming",
            best_share_of_lambda_0=best,
            risks={str(share): rows[share].tolist() for share in rows},
            risks_l1=l1.tolist(),
            risks_l2=l2.tolist(),
        )

    @staticmethod
    def _risks(case: Case, share: float) -> np.ndarray:
        found = []
        for seed in range(case.seed + 20, case.seed + 20 + DRAWS):
            x, y, truth = sparse(seed, SAMPLES, FEATURES)
            b = limit(case, x, y, ALPHA, share * usual_lambda(SAMPLES, FEATURES, ALPHA))
            found.append(float(((b - truth) ** 2).sum()))
        return np.array(found)

    @staticmethod
    def _norms(case: Case) -> tuple[np.ndarray, np.ndarray]:
        l1, l2 = [], []
        for seed in range(case.seed + 20, case.seed + 20 + DRAWS):
            x, y, truth = sparse(seed, SAMPLES, FEATURES)
            l1.append(float(((least_l1(x, y) - truth) ** 2).sum()))
            l2.append(float(((np.linalg.pinv(x) @ y - truth) ** 2).sum()))
        return np.array(l1), np.array(l2)
