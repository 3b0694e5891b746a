"""Z8: a step of gradient descent lowers the product w u by an exact factor, and moves the limit by O(η)."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import Hypothesis
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, draw, equations, limit, samples, start
from flowlab.claims.library.zhou_ge2023.given_descent import given_ends, given_steps, unmet
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError
from flowlab.discrete.descent.descend import descend
from flowlab.language.state import State

ALPHA, LAM, TIME = 0.03, 0.4, 400.0
STEPS = (4e-3, 2e-3, 1e-3)


@claim("Z8")
class FiniteSteps(Claim):
    """W⁺ u⁺ = (w - 2 η w g)(u + 2 η u g), with g the gradient in β."""

    title = "descent lowers the product of w and u at every step, and ends O(eta) from the flow"
    statement = (
        "A step eta of descent takes w u to w u (1 - 4 eta^2 g^2), so that the product falls at every step; the end of "
        "descent differs from that of the flow in proportion to eta."
    )
    latex = r"w^+u^+ = wu\,(1 - 4\eta^2 g^2), \qquad b_\eta(\infty) - b(\infty) = O(\eta)"
    source = f"{SOURCE}; identity derived here"
    hypotheses = (Hypothesis("a descent in entries w^2 - u^2 + ... to where the samples are fitted; or none", unmet),)
    stated = Variant(factor=4.0, power=1.0)
    mutants = (
        stated.but("2 instead of 4", factor=2.0),
        stated.but("the product is kept", factor=0.0),
        stated.but("a distance like eta^2", power=2.0),
    )
    counter_example = "the product is kept: true of the flow, not of descent"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        gaps, falls = [], True
        steps = case.once("steps", lambda: self._steps(case) if case.descent is None else given_steps(case))
        # Of the change and not of the product, which hardly moves; late steps have the roundings of the first.
        size = max(float(np.abs(4.0 * step_g**2).max()) for *_, step_g in steps[:6])
        for wu, after, step_g in steps:
            expected = -variant.factor * step_g**2
            gaps.append(np.abs(after / wu - 1.0 - expected).max() / size)
            falls &= bool((np.abs(after) <= np.abs(wu) * (1 + 1e-15)).all())
        far = case.once("ends", lambda: self._ends(case) if case.descent is None else given_ends(case))
        order = float(np.log2(far[1] / far[2]))
        return Measurement.of(
            [
                Quantity(
                    "largest error of the change of w u, over its largest value", worst(gaps), 1e-9, 0.0, relation="<="
                ),
                Quantity("steps in which the product rises somewhere", float(not falls), 0.0, 0.0, relation="<="),
                Quantity("power of eta of the distance from the limit", order, variant.power, 0.008),
            ],
            "descent to where samples are fitted, against Newton on the dual of the derived potential",
            distances=far,
        )

    @staticmethod
    def _steps(case: Case) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Products before and after steps, and η g."""
        x, y = draw(case.seed + 100)
        state, found = State.from_weights(start(x.shape[1], ALPHA)), []
        for eta in (0.05, 0.02, 0.01):
            walk = descend(equations(case).problem, state, samples(x, y, LAM), step=eta, count=6, record_every=1)
            for i in range(6):
                before, after = ({k: np.asarray(v) for k, v in walk.weights(j).items()} for j in (i, i + 1))
                b = before["w"] ** 2 - before["u"] ** 2 + LAM * before["v"]
                step_g = eta * x.T @ (x @ b - y) / len(y)
                found.append((before["w"] * before["u"], after["w"] * after["u"], step_g))
        return found

    @staticmethod
    def _ends(case: Case) -> list[float]:
        x, y = draw(case.seed + 100)
        state, best, far = State.from_weights(start(x.shape[1], ALPHA)), limit(case, x, y, ALPHA, LAM), []
        for eta in STEPS:
            count = round(TIME / eta)
            walk = descend(
                equations(case).problem, state, samples(x, y, LAM), step=eta, count=count, record_every=count // 10
            )
            if not walk.outcome.ok:
                raise ClaimError(f"descent of step {eta:g} ended early ({walk.outcome}); try another seed.")
            w, u, v = (np.asarray(walk.last.weights()[name]) for name in "wuv")
            far.append(float(np.linalg.norm(w * w - u * u + LAM * v - best)))
        return far
