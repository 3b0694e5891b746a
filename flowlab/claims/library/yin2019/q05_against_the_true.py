"""Q5 and Q8: coarse gradients against the true one, and at the spurious minimum."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019.flows import angle, target
from flowlab.claims.library.yin2019.population import SLOPES, draws, model
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

M, N, COUNT = 4, 6, 40


@claim("Q5")
class Correlation(Claim):
    """Both coarse gradients have an angle of at most 90 degrees with the true one, in known proportion."""

    title = "coarse and true gradients correlate"
    statement = "<E g, f_w> = sin(theta)(v v*)^2/(2 (2 pi)^(3/2) |w|) for the ReLU, and twice that for the identity."
    latex = r"\langle \mathrm E\,g, f_w\rangle = \frac{\sin\theta\,(v^\top v^*)^2}{2(2\pi)^{3/2}\lVert w\rVert}"
    source = "Yin et al. 2019, lemmas 5 and 9 (numbers not checked)"
    hypotheses = (own_instances,)
    stated = Variant(ratio=2.0, sine=1.0)
    mutants = (
        stated.but("both alike", ratio=1.0),
        stated.but("the half angle", sine=0.5),
        stated.but("negative", ratio=-2.0),
    )
    counter_example = "both alike: right where theta is 0 or pi and both vanish"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        vs, ws = target(case.seed, M, N, 0.7)
        v, w = draws(case.seed + 4, COUNT, M, N)

        def products(slope: str) -> np.ndarray:
            own = model(slope, M, N)
            return (own.gradient(v, w, vs, ws)[1] * own.true(v, w, vs, ws)[1]).sum(axis=1)

        relu, identity = (
            case.once(f"products of the {slope}", lambda s=slope: products(s)) for slope in ("relu", "identity")
        )
        length = np.linalg.norm(w, axis=1)
        closed = np.sin(variant.sine * angle(w, ws)) * (v @ vs) ** 2 / (2 * (2 * np.pi) ** 1.5 * length)
        size = float(np.max(np.abs(relu)))
        return Measurement.of(
            [
                Quantity("worst gap for the ReLU", np.max(np.abs(relu - closed)) / size, 0.0, 1e-13, relation="<="),
                Quantity(
                    "worst gap for the identity",
                    np.max(np.abs(identity - variant.ratio * relu)) / size,
                    0.0,
                    1e-13,
                    relation="<=",
                ),
                Quantity("smallest product", float(relu.min()), 0.0, 0.0, relation=">="),
            ],
            f"{COUNT} random weights, relative to the largest product",
        )


@claim("Q8")
class NotAtRest(Claim):
    """The spurious minimum is no rest point of the identity's coarse flow."""

    title = "the identity's coarse gradient at the spurious minimum"
    statement = (
        "At theta = pi and v = J^-1 (11^T - I) v* the coarse gradient of the ReLU vanishes, and that of the identity "
        "has the length 2 (m - 1)(1 v*)^2/(sqrt(2 pi)(m + 1)^2)."
    )
    latex = r"\lVert\mathrm E\,g_{\mathrm{id}}\rVert = \frac{2(m-1)(\mathbf 1^\top v^*)^2}{\sqrt{2\pi}(m+1)^2}"
    source = "Yin et al. 2019, lemma 10 (number not checked)"
    hypotheses = (own_instances,)
    stated = Variant(slope="identity", less=1)
    mutants = (stated.but("the ReLU", slope="relu"), stated.but("m instead of m - 1", less=0))
    counter_example = "the ReLU: its h vanishes there, and u + w* does"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        vs, ws = target(case.seed, M, N, 0.7)
        v = np.linalg.solve(np.eye(M) + 1.0, (np.ones((M, M)) - np.eye(M)) @ vs)[None, :]
        lengths = case.once(
            "at the spurious minimum",
            lambda: {s: float(np.linalg.norm(model(s, M, N).gradient(v, -ws[None, :], vs, ws)[1])) for s in SLOPES},
        )
        expected = 2 * (M - variant.less) * 0.7 / (np.sqrt(2 * np.pi) * (M + 1) ** 2)
        return Measurement.of(
            [
                Quantity("length with the surrogate", lengths[variant.slope], expected, 1e-13, route="derived field"),
                Quantity("length with the ReLU", lengths["relu"], 0.0, 1e-13, relation="<="),
            ],
            "a sum of a few numbers of order one",
        )
