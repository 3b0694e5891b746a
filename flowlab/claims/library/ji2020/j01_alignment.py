"""J1: layers of deep linear nets become aligned and of rank one."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.ji2020.flows import weights
from flowlab.claims.library.lyu2020.flows import flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("J1")
class RankOneAndAligned(Claim):
    """‖W_k‖_F/‖W_k‖_2 → 1 and |⟨v_{k+1}, u_k⟩| → 1."""

    title = "layers become of rank one and aligned"
    statement = (
        "Late, every layer of a deep linear net is of rank one: |W_k|_F^2/|W_k|_2^2 -> 1. The first right singular "
        "vector of a layer is the first left one of the layer before it. The gaps fall like |W_k|^-2."
    )
    latex = r"\lVert W_k\rVert_F^2/\lVert W_k\rVert_2^2 \to 1, \qquad |\langle v_{k+1}, u_k\rangle| \to 1"
    source = "Ji and Telgarsky 2019, theorem 2.2 (number not checked)"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(row=-1, which=0, right=lambda _, vt, k: vt[k + 1][0])
    mutants = (
        stated.but("singular vectors of the start", row=0),
        stated.but("second singular vectors", which=1),
        stated.but("left for right", right=lambda u, _, k: u[k][:, -1]),
    )
    counter_example = "singular vectors of the start: nothing aligns before the flow has gone far"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path = flow(case, "three layers")[1]
        W = weights(path, variant.row)
        u, s, vt = zip(*(np.linalg.svd(w) for w in W), strict=True)
        quantities = []
        for k in range(2):
            # The last layer has a single direction, and its first right singular vector is that one.
            right = variant.right(u, vt, k)
            quantities.append(
                Quantity(
                    f"|<v_{k + 2}, u_{k + 1}>|",
                    abs(float(right @ u[k][:, variant.which])),
                    1.0,
                    4e-3,
                    route="singular vectors at log t = 1e6",
                )
            )
        for k in range(3):
            share = float((s[k] ** 2).sum() / s[k][0] ** 2)
            quantities.append(
                Quantity(f"|W_{k + 1}|_F^2/|W_{k + 1}|_2^2", share, 1.0, 4e-3, route="singular values at log t = 1e6")
            )
        return Measurement.of(
            quantities, "what is missing is of order (log t)^(-2/3), 1e-4 at log t = 1e6, times constants of the start"
        )
