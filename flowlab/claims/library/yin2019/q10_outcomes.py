"""Q10: where coarse descents end."""

from typing import Any

import numpy as np
from scipy.optimize import brentq

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019.flows import (
    Rule,
    angle,
    coarse_identity,
    coarse_relu,
    resting_angles,
    slope_v,
    target,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

M, N, STARTS, STEP, COUNT = 4, 6, 96, 0.05, 6000
HIGH, LOW = 1.6, 0.8
"""(1 v*)^2 of two targets on either side of the threshold below which the identity's descent can slide along w = 0:
1.1496 for m = 4.
"""


@claim("Q10")
class IdentityIsNotWorse(Claim):
    """The identity reaches the global minimum from every start where the ReLU does not, if (1 v*)^2 is large enough; if
    not, it has a rest of its own.

    Expected gradients, m = 4, n = 6, |v*| = 1, step 0.05, 6000 steps,
    96 Gaussian starts. Spurious minima exist below (1 v*)^2 = 5/2. The identity's gradient does not vanish
    there, and drives w through zero. Below 1.1496, however,
    it meets a rest on the way: descent chatters about w = 0 at a mean angle that balances both sides, so that
    "0 of 12" is not true of every target. The printed 3 and 0 of 12 are of a target and starts that are not recorded.
    """

    title = "the identity as straight-through estimator against the ReLU"
    statement = (
        "Let m = 4. For 1.1496 < (1 v*)^2 < 5/2 descent with the identity's coarse gradient ends at the global "
        "minimum from every start. With the ReLU's it ends at the spurious minimum from some. Below 1.1496 the "
        "identity's descent rests about w = 0 from some starts, at a known mean v v*."
    )
    latex = r"c\,\lVert v\rVert^2 = v^\top v^*, \quad v = J^{-1}(cI + \mathbf 1\mathbf 1^\top)v^*"
    source = "Yin et al. 2019 (coarse gradients, spurious minimum); outcomes and the rest at w = 0 found here"
    hypotheses = (own_instances,)
    stated = Variant(pair=lambda relu, identity: (relu, identity), sign=1, gradient=1)
    mutants = (
        stated.but(USUAL, pair=lambda relu, identity: (identity, relu)),
        stated.but("the identity always succeeds", sign=-1),
        stated.but("gradient of the identity vanishes", gradient=0),
    )
    counter_example = "the identity always succeeds: not at (1 v*)^2 = 0.8"
    usual = "The identity is the inferior straight-through estimator."
    decisive = (
        "ends at angle pi for (1 v*)^2 = 1.6: none with the identity, some with the ReLU; the order turns round below "
        "1.1496"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        runs = case.once(
            "coarse descents",
            lambda: [
                self._ends(case.seed, rule, s)
                for rule, s in ((coarse_relu, HIGH), (coarse_identity, HIGH), (coarse_identity, LOW))
            ],
        )
        (relu, _, _), (identity, done, _), (stuck, _, product) = runs
        relu, identity = variant.pair(relu, identity)
        stuck = variant.sign * stuck
        vs, ws = target(case.seed, M, N, LOW)
        at = np.linalg.solve(np.eye(M) + 1.0, (np.ones((M, M)) - np.eye(M)) @ vs)[None, :]
        slope = float(np.linalg.norm(coarse_identity(at, -ws[None, :], vs, ws)))
        expected = variant.gradient * 2 * (M - 1) * LOW / (np.sqrt(2 * np.pi) * (M + 1) ** 2)
        c = float(resting_angles(M, LOW)[0])
        a = LOW / (M + 1)
        # Both roots meet where the discriminant of the quadratic is zero.
        threshold: Any = brentq(lambda s: (1 - 0.16 * s) ** 2 - 0.8 * s * (1 - 0.24 * s), 0.5, 2.0, xtol=1e-14)
        last = next(s for s in np.arange(1.1, 1.2, 1e-4) if len(resting_angles(M, float(s))) == 0)
        return Measurement.of(
            [
                Quantity("ends at angle pi with the identity, (1 v*)^2 = 1.6", float(identity), 0.0, 0.5),
                Quantity("global ends with the identity there", float(done), float(STARTS), 0.5, altered=0.0),
                Quantity("spurious ends with the ReLU there", float(relu), 1.0, 0.0, relation=">="),
                Quantity("rests about w = 0 with the identity, (1 v*)^2 = 0.8", float(stuck), 1.0, 0.0, relation=">="),
                Quantity("mean v v* at those", product, c * (1 - a) + a, 0.01, route="descent", altered=0.05),
                Quantity("threshold of (1 v*)^2", float(last), threshold, 2e-4, route="roots of the cubic"),
                Quantity(
                    "gradient of the identity at the spurious minimum",
                    slope,
                    float(expected),
                    1e-12,
                    route="closed form of the gradient",
                ),
                Quantity(
                    "gradient of the ReLU there",
                    float(np.linalg.norm(coarse_relu(at, -ws[None, :], vs, ws))),
                    0.0,
                    1e-12,
                    relation="<=",
                ),
            ],
            "the ends show in the mean of v v* over the last thousand steps, the angle and |w|; chatter moves v v* by "
            "the order of a step",
            spurious_with_relu=relu,
            stuck=stuck,
            starts=STARTS,
            differs="3 of 12 and 0 of 12 were counted for a target and starts that are not recorded",
        )

    @staticmethod
    def _ends(seed: int, rule: Rule, square: float) -> tuple[int, int, float]:
        """How many descents end at angle π or about w = 0, how many at the global minimum, and the mean v v* about w =
        0.
        """
        vs, ws = target(seed, M, N, square)
        rng = np.random.default_rng(seed + 50)
        v, w = rng.normal(size=(STARTS, M)), rng.normal(size=(STARTS, N))
        mean = np.zeros(STARTS)
        for k in range(COUNT):
            v, w = v - STEP * slope_v(v, w, vs, ws), w - STEP * rule(v, w, vs, ws)
            if k >= COUNT - 1000:
                mean += v @ vs / 1000
        theta, length = angle(w, ws), np.linalg.norm(w, axis=1)
        # At the global minimum v v* is one; about w = 0 angles jump, and v v* stays negative.
        lost, about = mean < 0.0, (mean < 0.0) & (length < 0.1)
        return (
            int((lost & (about | (theta > np.pi - 0.05))).sum()),
            int((mean > 0.9).sum()),
            float(mean[about].mean()) if about.any() else float("nan"),
        )
