"""D2: descent with shrinking steps keeps two factors balanced."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.du2018.flows import factorised, low_rank
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("D2")
class ShrinkingSteps(Claim):
    """Steps η_t = c/(t + 1)^(1/2 + δ): factors stay balanced, stay bounded, and reach the global minimum."""

    title = "descent with shrinking steps keeps two factors balanced"
    statement = (
        "Descent on |U V^T - M|^2/2 from small factors with steps O(t^-(1/2 + delta)) stays within |U^T U - V^T V| <= "
        "epsilon. A multiple of |M| bounds |U|^2 and |V|^2, and the loss goes to zero. The change of U^T U - V^T V is "
        "of second order in the steps."
    )
    latex = r"\lVert U_t^\top U_t - V_t^\top V_t\rVert_F \le \epsilon, \quad U_tV_t^\top \to M"
    source = "Du, Hu, Lee 2018, theorem 3.1 (number not checked)"
    hypotheses = (own_instances,)
    stated = Variant(tilt=1.0, order=1.0, bound=5.0)
    mutants = (
        stated.but("large unbalanced factors", tilt=8.0),
        stated.but("change of first order", order=0.0),
        stated.but("no bound from balance", bound=0.2),
    )
    counter_example = "large unbalanced factors: the gap that is there stays"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        target, U, V = low_rank(case.seed, 3)
        steps = 0.3 * (np.arange(1, 4001) + 10.0) ** -0.55 * 10.0**0.55
        tilt = variant.tilt
        run = case.once(f"shrinking {tilt:g}", lambda: factorised(target, tilt * U, V, steps))
        changes = []
        for n in (100, 200, 400, 800, 1600):
            each = case.once(f"equal steps {n}", lambda n=n: factorised(target, 10 * U, 10 * V, np.full(n, 4.0 / n)))
            changes.append(abs(each["gaps"][-1] - each["gaps"][0]))
        slopes = np.diff(-np.log2(np.array(changes)))
        once = 2 * slopes[1:] - slopes[:-1]
        # At a fixed time the changes of second order of 1/eta steps add up to first order.
        wanted = variant.order
        size = float(max(np.linalg.norm(run["U"]) ** 2, np.linalg.norm(run["V"]) ** 2))
        bound = variant.bound
        return Measurement.of(
            [
                Quantity("loss at the end", float(run["losses"][-1]), 0.0, 1e-8, relation="<="),
                Quantity("largest |U^T U - V^T V|", float(run["gaps"].max()), 0.0, 0.2, relation="<="),
                Quantity(
                    "larger squared norm over that of M",
                    size / float(np.linalg.norm(target)),
                    bound,
                    0.0,
                    relation="<=",
                ),
                Quantity(
                    "order in the step of the change by a fixed time",
                    float(once[-1]),
                    wanted,
                    6e-3,
                    error=min(float(abs(once[-1] - once[-2])), 3e-3),
                    route="descent",
                ),
            ],
            "a fifth, of factors whose Gram matrices have norm 1.4; the order is extrapolated from steps halved four "
            "times",
            gaps=[float(run["gaps"][0]), float(run["gaps"][-1])],
        )
