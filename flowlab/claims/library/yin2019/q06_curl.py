"""Q6: the expected coarse gradient is the gradient of no function."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019.curl_and_work import COUNT, closed, curls_and_work
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("Q6")
class NoGradient(Claim):
    """Around a circle the coarse gradient does work, equal to what its curl has inside it; the true one does none.

    The curl is in the block of v and w alone. For m = n = 2, v = (1, -1/2), w = (.6, .8), v* = (.8, .3) and w* = (1, 0)
    it is ((-.16967935, -.22680176), (.15329511, .20418249)).
    """

    title = "a coarse gradient is no gradient"
    statement = (
        "Of the pairs of blocks v and w have the curl df_v/dw - (dg/dv)^T = -v* p^T/(2 pi |w| sin theta) - ((2v + 2(1 "
        "v)1 - (1 v*)1 + v*) u^T - v*(u + w*)^T)/(2 sqrt(2 pi)) with p the part of w* across u = w/|w|; the others "
        "have none."
    )
    latex = (
        r"C = -\frac{v^* p^\top}{2\pi\lVert w\rVert\sin\theta} - \frac{(2v + 2(\mathbf 1^\top v)\mathbf 1 - (\mathbf "
        r"1^\top v^*)\mathbf 1 + v^*)u^\top - v^*(u + w^*)^\top}{2\sqrt{2\pi}}"
    )
    source = "found here; Yin et al. 2019 say that coarse gradients are not gradients, without a curl"
    hypotheses = (own_instances,)
    stated = Variant(share=1.0, swap=False, work=1.0)
    mutants = (
        stated.but(USUAL, share=0.0, work=0.0),
        stated.but("surrogates swapped", swap=True),
        stated.but("the loop the other way round", work=-1.0),
    )
    counter_example = "as usually stated: where v = v* and theta is 0 both gradients vanish"
    usual = "The coarse gradient is treated as a gradient of the loss: its flow is a gradient flow."
    decisive = "the work around a closed curve, and the block of v and w of the Jacobian"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = case.once("curls and loops", lambda: curls_and_work(case.seed))
        other = {"relu": "identity", "identity": "relu"}
        quantities = []
        for slope, one in found.items():
            rows = [
                np.abs(C - closed(other[slope] if variant.swap else slope, *at, share=variant.share)).max()
                for C, at in zip(one["curl"], one["at"], strict=True)
            ]
            quantities += [
                Quantity(f"worst gap of the curl, {slope}", max(rows), 0.0, 1e-8, relation="<="),
                Quantity(f"pairs of blocks with curl, {slope}", one["pairs"], 1.0, 0.0, altered=0.0),
                Quantity(
                    f"work around a circle, {slope}",
                    one["work"],
                    variant.work * one["inside"],
                    1e-9,
                    route="trapezoidal rule along the circle",
                ),
                Quantity(f"work of the true gradient there, {slope}", abs(one["true"]), 0.0, 1e-12, relation="<="),
            ]
        return Measurement.of(
            quantities,
            f"{COUNT} random weights; what the curl has inside the circle is integrated by Gauss and Legendre",
            share_of_the_antisymmetric_part={slope: one["share"] for slope, one in found.items()},
        )
