"""B7: the flow keeps the balance of layers, descent leaves it."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import Hypothesis
from flowlab.claims.library.brechet2023.flows import built_path, built_start
from flowlab.claims.library.brechet2023.generators import Generator, generator, given_generator
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Blocks
from flowlab.discrete import descend
from flowlab.language.autodiff import velocity
from flowlab.symbolic.balanced_start import balanced_state

STEP, COUNT = 2e-3, 500
"""The longest of three steps that halve, and how many of them; of a user's flow in units of |W|/|dW/dt|, at most."""


def left(told: Generator, start: Blocks, now: Blocks, share: float = 1.0) -> float:
    """The largest change of an entry of W_{j+1}^T W_{j+1} - W_j W_j^T, the second term times a share."""
    pairs = zip(told.imbalance(start, share), told.imbalance(now, share), strict=True)
    return worst(np.abs(b - a).max() for a, b in pairs)


def plain(case: Case) -> str | None:
    """Why a given descent has no steps of one size along the gradient, or None."""
    told = case.unread("descent")
    settings = {} if told is None else told.provenance["settings"]
    if settings.get("rule", "gradient") != "gradient" or settings.get("loss_scaled") or settings.get("batch"):
        return "it is about steps of one size along the whole gradient, and those of the given descent are others"
    return None


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
    hypotheses = (
        given_generator("flow", "descent", deep=True),
        Hypothesis("plain gradient descent, where one is given", plain),
    )
    stated = Variant(share=1.0, order=1.0)
    mutants = (
        stated.but("one layer counts one per cent more", share=1.01),
        stated.but("descent keeps it to second order", order=2.0),
        stated.but("descent keeps it", order=0.0),
    )
    counter_example = "descent keeps it to second order: as a rule of second order would"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        told, given = generator(case), case.flow if case.problem is not None else built_path(case)
        quantities = []
        if given is not None:
            size = max(float(np.abs(v).max()) for v in given.weights(0).values()) ** 2
            rows = given.places(8)
            drift = worst(left(told, given.weights(0), given.weights(int(i)), variant.share) for i in rows)
            # Local errors of a flow at 1e-13 or less are below roundings of a hundred products.
            bound = max(100.0 * given.rtol, 1e-11) * size if case.problem is not None else 1e-11
            quantities.append(Quantity("change of the balance along the flow", drift, 0.0, bound, relation="<="))
        gaps = case.once(f"balance of descent {variant.share}", lambda: self._descents(case, told, variant.share))
        first, second = (float(np.log2(gaps[i] / gaps[i + 1])) for i in (0, 1))
        # The next order of the step is taken off.
        order = 2 * second - first
        quantities.append(
            Quantity(
                "order of the step in the balance of descent",
                order,
                variant.order,
                5e-3,
                error=0.1 * abs(second - first) if case.problem is not None else 0.0,
                route="descent",
            )
        )
        return Measurement.of(
            quantities, "three steps that halve give the order without the next one; flows are held to their tolerance"
        )

    @staticmethod
    def _descents(case: Case, told: Generator, share: float) -> list[float]:
        """What three descents to one time, with steps that halve, leave of the balance; the first may be given."""
        walk, step, count = case.descent, STEP, COUNT
        if walk is not None:
            settings = walk.provenance["settings"]
            start, step, count = walk.state(0), float(settings["step"]), int(settings["count"])
        elif case.flow is not None:
            start = case.flow.state(0)
            pull = velocity(told.problem, start.weights(), told.data)
            step *= min(float(np.linalg.norm(start.weights()[w]) / np.linalg.norm(pull[w])) for w in told.layers)
        else:
            start = balanced_state(told.problem, product=0.7 * built_start(case), seed=case.seed)
        given = [] if walk is None else [walk]
        walks = given + [
            descend(told.problem, start, told.data, step=step / k, count=count * k, record_every=count * k)
            for k in ((2, 4) if walk is not None else (1, 2, 4))
        ]
        return [left(told, start.weights(), each.last.weights(), share) for each in walks]
