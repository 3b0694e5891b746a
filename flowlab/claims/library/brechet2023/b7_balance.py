"""B7: the flow keeps the balance of layers, descent leaves it."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import LAYERS, built_path, built_start, data, problem
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete import descend
from flowlab.language.state import State
from flowlab.symbolic.balanced_start import balanced_state

STEPS, TIME = (2e-3, 1e-3, 5e-4), 1.0


def gap(state: State, share: float = 1.0) -> float:
    """The largest entry of W_{j+1}^T W_{j+1} - W_j W_j^T, the second term times a share."""
    W = {w: np.asarray(v) for w, v in state.weights().items()}
    pairs = [(f"W{j}", f"W{j + 1}") for j in range(1, LAYERS)]
    return max(float(np.abs(W[b].T @ W[b] - share * W[a] @ W[a].T).max()) for a, b in pairs)


@claim("B7")
class Balance(Claim):
    """Balanced layers stay balanced, exactly under the flow and to the order of the step under descent."""

    title = "balance of layers under the Bures-Wasserstein loss"
    statement = (
        "The flow keeps W_(j+1)^T W_(j+1) - W_j W_j^T for all pairs of neighbours, the first layer's among them. "
        "Gradient descent leaves it by an amount proportional to the step."
    )
    latex = r"\tfrac{d}{dt} \bigl(W_{j+1}^\top W_{j+1} - W_j W_j^\top\bigr) = 0"
    source = "Bréchet et al. 2023"
    hypotheses = (own_instances,)
    stated = Variant(share=1.0, order=1.0)
    mutants = (
        stated.but("one layer counts one per cent more", share=1.01),
        stated.but("descent keeps it to second order", order=2.0),
        stated.but("descent keeps it", order=0.0),
    )
    counter_example = "descent keeps it to second order: as a rule of second order would"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path = built_path(case)
        drift = max(gap(path.state(i), variant.share) for i in np.linspace(0, len(path) - 1, 8).astype(int))
        prob, told = problem(LAYERS), data(case)

        def left() -> list[float]:
            start = balanced_state(prob, product=0.7 * built_start(case), seed=case.seed)
            return [gap(descend(prob, start, told, step=h, count=round(TIME / h)).last) for h in STEPS]

        gaps = case.once("imbalance of descent", left)
        first, second = (float(np.log2(gaps[i] / gaps[i + 1])) for i in (0, 1))
        # The next order of the step is taken off.
        order = 2 * second - first
        return Measurement.of(
            [
                Quantity("imbalance along the flow", drift, 0.0, 1e-11, relation="<="),
                Quantity("order of the step in the imbalance of descent", order, variant.order, 5e-3, route="descent"),
            ],
            "the flow is integrated to 1e-12; three steps that halve give the order without the next one",
        )
