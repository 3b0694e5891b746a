"""Q1 and Q2: the expected loss and its gradient in closed form."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019 import quadrature
from flowlab.claims.library.yin2019.flows import angle, slope_v, slope_w, target
from flowlab.claims.library.yin2019.population import draws, model
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

M, N, COUNT = 4, 6, 40
ROUNDINGS = 1e-14
"""Of numbers of order one: some tens of roundings."""


@claim("Q1")
class ExpectedLoss(Claim):
    """The rewriting of the package, the closed form of the paper and quadrature by the definition are one number."""

    title = "the expected loss of one filter and its teacher"
    statement = (
        "With J = I + 11^T and the angle theta of w and w* the expected loss is (v^T J v - 2 v^T ((1 - 2 theta/pi) I + "
        "11^T) v* + v*^T J v*)/8."
    )
    latex = (
        r"f = \tfrac18\bigl[v^\top J v - 2 v^\top((1-\tfrac{2\theta}{\pi})I + \mathbf 1\mathbf 1^\top)v^* "
        r"+ v^{*\top} J v^*\bigr]"
    )
    source = "Yin et al. 2019, lemma 1 (number not checked)"
    hypotheses = (own_instances,)
    stated = Variant(slope=2.0, ones=1.0, share=8.0)
    mutants = (
        stated.but("1 - theta/pi", slope=1.0),
        stated.but("J = I", ones=0.0),
        stated.but("a fourth instead of an eighth", share=4.0),
    )
    counter_example = "J = I: right only where patches have units of mean zero, as signs"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        vs, ws = target(case.seed, M, N, 0.7)
        v, w = draws(case.seed + 1, COUNT, M, N)
        found = case.once("losses", lambda: model("relu", M, N).value(v, w, vs, ws))
        direct = case.once("quadrature", lambda: [quadrature.loss(a, b, vs, ws) for a, b in zip(v, w, strict=True)])

        def product(a: np.ndarray, b: np.ndarray, near: np.ndarray) -> np.ndarray:
            return near * (a * b).sum(axis=1) + variant.ones * a.sum(axis=1) * b.sum(axis=1)

        star, one = np.broadcast_to(vs, v.shape), np.ones(COUNT)
        near = one - variant.slope * angle(w, ws) / np.pi
        closed = (product(v, v, one) - 2 * product(v, star, near) + product(star, star, one)) / variant.share
        size = 1 + np.abs(closed)
        return Measurement.of(
            [
                Quantity(
                    "worst gap of loss and closed form",
                    np.max(np.abs(found - closed) / size),
                    0.0,
                    ROUNDINGS,
                    relation="<=",
                ),
                Quantity(
                    "worst gap of loss and quadrature",
                    np.max(np.abs(found - direct) / size),
                    0.0,
                    ROUNDINGS,
                    relation="<=",
                ),
            ],
            f"{COUNT} random weights; the loss is derived by pairs of units, and evaluated without samples",
        )


@claim("Q2")
class ExpectedGradient(Claim):
    """The flow of the population loss without coarse slopes is that of the closed gradient."""

    title = "the gradient of the expected loss"
    statement = (
        "f_v = (J v - ((1 - 2 theta/pi) I + 11^T) v*)/4 and f_w = -(v^T v*)/(2 pi |w|) P w*/|P w*| with P the "
        "projection across w."
    )
    latex = r"f_w = -\frac{v^\top v^*}{2\pi\lVert w\rVert}\,\frac{P w^*}{\lVert P w^*\rVert}"
    source = "Yin et al. 2019, lemma 2 (number not checked)"
    hypotheses = (own_instances,)
    stated = Variant(sign=1.0, across=True, power=1)
    mutants = (
        stated.but("the other sign", sign=-1.0),
        stated.but("no projection", across=False),
        stated.but("no length of w", power=0),
    )
    counter_example = "no length of w: right on the unit sphere, which the flow in w keeps only if it starts there"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        vs, ws = target(case.seed, M, N, 0.7)
        v, w = draws(case.seed + 2, COUNT, M, N)
        in_v, in_w = case.once("true gradients", lambda: model("relu", M, N).true(v, w, vs, ws))
        length = np.linalg.norm(w, axis=1, keepdims=True)
        closed = variant.sign * slope_w(v, w, vs, ws) * length ** (1 - variant.power)
        if not variant.across:
            closed = closed + (v @ vs)[:, None] * w / (2 * np.pi * length**2)
        exact = case.once("derivation", lambda: model("relu", M, N).exact)
        return Measurement.of(
            [
                Quantity("worst gap of f_w", np.max(np.abs(in_w - closed)), 0.0, ROUNDINGS, relation="<="),
                Quantity(
                    "worst gap of f_v", np.max(np.abs(in_v - slope_v(v, w, vs, ws))), 0.0, ROUNDINGS, relation="<="
                ),
                Quantity("residual of the certificate", float(exact.residual or np.nan), 0.0, 1e-12, relation="<="),
                Quantity("pairs of blocks with curl", float(len(exact.curl().pairs)), 0.0, 0.0, relation="<="),
            ],
            f"{COUNT} random weights; f_w has the size (v v*)/(2 pi |w|), of which some tens of roundings are left",
        )
