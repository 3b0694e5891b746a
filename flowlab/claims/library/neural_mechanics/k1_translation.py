"""K1: translation symmetry under decay."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Blocks
from flowlab.discrete.descent.descend import descend
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory


@claim("K1")
class TranslationUnderDecay(Claim):
    """Softmax does not see a shift of all logits: the sum of rows decays on its own."""

    title = "translation symmetry under decay"
    statement = (
        "Under the flow of a softmax classifier with decay lambda the sum of the rows of the last layer decays like "
        "e^(-lambda t)."
    )
    latex = r"\langle\theta(t), \mathbb{1}_A\rangle = e^{-\lambda t} \langle\theta(0), \mathbb{1}_A\rangle"
    source = "Kunin et al. 2021, eq. 18"
    hypotheses = (own_instances,)
    stated = Variant(rate=1, row=lambda W: W.sum(axis=0))
    mutants = (
        stated.but("no decay", rate=0),
        stated.but("twice the decay", rate=2),
        stated.but("one row alone", row=lambda W: W[0]),
    )
    counter_example = "one row alone: no symmetry, no law"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        decay, until = 0.4, 2.0
        start, path, walk = case.once("softmax", lambda: self._runs(case, decay, until))

        def summed(weights: Blocks) -> np.ndarray:
            return variant.row(np.asarray(weights["W1"]))

        rate = variant.rate * decay
        before, after, stepped = summed(start.weights()), summed(path.last.weights()), summed(walk.last.weights())
        size = float(np.linalg.norm(before))
        discrete = (1 - 0.01 * rate) ** 200
        return Measurement.of(
            [
                Quantity(
                    "norm of the sum of rows over that at the start",
                    float(np.linalg.norm(after)) / size,
                    float(np.exp(-rate * until)),
                    1e-8,
                    route="flow",
                ),
                Quantity(
                    "largest distance from the decayed sum",
                    float(np.abs(after - np.exp(-rate * until) * before).max()) / size,
                    0.0,
                    1e-8,
                    relation="<=",
                ),
                Quantity(
                    "the same of descent, with (1 - eta lambda)^k",
                    float(np.abs(stepped - discrete * before).max()) / size,
                    0.0,
                    1e-10,
                    relation="<=",
                ),
            ],
            "local errors of 1e-10 over the flow; descent obeys its law up to roundings",
        )

    @staticmethod
    def _runs(case: Case, decay: float, until: float) -> tuple[State, Trajectory, Trajectory]:
        rng = np.random.default_rng(case.seed)
        data = Data(rng.normal(size=(12, 4)), np.arange(12) % 3, name=f"three classes seed={case.seed}")
        problem = Problem("W1 @ x", "cross_entropy", decay=decay / 2, coordinates="weights")
        start = initial_state(problem.network, data, seed=case.seed)
        path = integrated(
            case, "softmax flow", problem, start, data, time(until), rtol=1e-10, atol=1e-12, solver="tsit5"
        )
        return start, path, descend(problem, start, data, step=0.01, count=200)
