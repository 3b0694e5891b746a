"""L2: the smoothed margin and the margin, at most log N/‖θ‖^K apart."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import flows, homogeneous_flow, levels, own
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.losses import Loss


def _enlarged(level: np.ndarray, far: bool, data: Data) -> np.ndarray:
    """One per cent on flows that go far; on others all that samples and classes can make of it."""
    return 1.01 * level if far else level + np.log(data.n * max(1, data.outputs - 1))


@claim("L2")
class Sandwich(Claim):
    """The smoothed margin lies below the margin by at most log N/‖θ‖^K."""

    title = "the smoothed margin between the margin and the margin less log N"
    statement = (
        "At every state margin - log(N)/|theta|^K <= log(1/L)/|theta|^K <= margin, the margin being min_n "
        "q_n/|theta|^K."
    )
    latex = r"\bar\gamma - \frac{\log N}{\lVert\theta\rVert^K} \le \tilde\gamma \le \bar\gamma"
    source = "Lyu and Li 2020, section 4"
    hypotheses = (homogeneous_flow,)
    stated = Variant(share=1.0, level=lambda level, *_: level)
    mutants = (
        stated.but("without log N", share=0.0),
        stated.but("half of log N", share=0.5),
        stated.but("smoothed margin too large", level=_enlarged),
    )
    counter_example = "half of log N: at small weights all samples weigh the same, and the whole logarithm is needed"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which, data, path in flows(case):
            columns, problem = levels(path), path.problem
            level = variant.level(columns["level"], own(case), data)
            # A state whose outputs are all small is added: there all samples weigh the same.
            tiny = {k: 1e-3 * np.asarray(v) for k, v in path.state(0).weights().items()}
            outputs = problem.network.outputs(tiny, np.asarray(data.x), np)
            q = np.append(columns["q"], problem.loss.margins(np, outputs, np.asarray(data.y)).min())
            level = np.append(
                level, np.asarray(problem.loss.level(np, problem.loss.log_loss(np, outputs, np.asarray(data.y))))
            )
            # In units of a margin difference of the network itself: both sides times |theta|^K.
            above, below = level - q, lowest(problem.loss, q, variant.share * np.log(data.n), data.outputs) - level
            scale = np.maximum(1.0, np.abs(q))
            bound = 1e-12 if problem.loss.has_one_output else 1e-9
            quantities += [
                Quantity(
                    f"log(1/L) - min q, {which}",
                    float((above / scale)[:-1].max()),
                    0.0,
                    bound,
                    relation="<=",
                    route="rows of the flow",
                ),
                Quantity(
                    f"min q - log N - log(1/L), {which}",
                    float((below / scale).max()),
                    0.0,
                    bound,
                    relation="<=",
                    route="rows of the flow, and one with outputs near 0",
                ),
            ]
        return Measurement.of(quantities, "roundings of the logarithm of a sum, relative to the margin")


def lowest(loss: Loss, q: np.ndarray, log_count: float, outputs: int) -> np.ndarray:
    """ℓ^{-1}(N ℓ(q)) with ℓ the loss of one sample: the least that ℓ^{-1}(L) can be where the smallest margin is q.
    Classes count C - 1 times.
    """
    if loss.has_one_output:
        log_single = loss.log_terms(np, q[:, None], np.ones(len(q)))
    else:
        others = q[:, None] * np.r_[1.0, np.zeros(outputs - 1)]
        log_single = loss.log_terms(np, others, np.zeros(len(q), dtype=int))
    return np.asarray(loss.level(np, log_single + log_count))
