"""D3: factors of rank one converge linearly with a constant step."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.du2018.flows import factorised, low_rank
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("D3")
class RankOneRate(Claim):
    """Rank one and a constant step: a linear rate, 2 (1 - η s)^2 in the end."""

    title = "rank one with a constant step converges linearly"
    statement = (
        "Descent on |u v^T - s u* v*^T|^2/2 from small factors with a constant step goes to a global minimum at a "
        "linear rate. Late, the loss falls by (1 - eta r)^2 per step, r the smaller of |u|^2 and |v|^2."
    )
    latex = r"L_{k+1}/L_k \to (1 - \eta\,\min(\lVert u_\infty\rVert^2, \lVert v_\infty\rVert^2))^2"
    source = (
        "Du, Hu, Lee 2018, theorem 3.2 (linear rate; number not checked); its value is the slowest mode of the "
        "linearised descent"
    )
    hypotheses = (own_instances,)
    stated = Variant(slowest=min, step=0.05)
    mutants = (
        stated.but("balanced factors", slowest=lambda *_: 1.0),
        stated.but("the sum of both", slowest=lambda a, b: a + b),
        stated.but("a step too large", step=0.9),
    )
    counter_example = "a step too large: eta (|u|^2 + |v|^2) above 2 has no rest at the minimum"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        target, U, V = low_rank(case.seed, 1)
        U, V = 8.0 * U, 2.0 * V
        step = variant.step
        run = case.once(f"rank one {step:g}", lambda: factorised(target, U, V, np.full(800, step)))
        precise = np.flatnonzero(run["losses"] > 1e-24)
        late = int(precise[-1])
        rate = float(np.log(run["losses"][late] / run["losses"][late - 20]) / 20)
        a, b = float((run["U"] ** 2).sum()), float((run["V"] ** 2).sum())
        slow = variant.slowest(a, b)
        expected = 2 * float(np.log(abs(1 - 0.05 * slow)))
        return Measurement.of(
            [
                Quantity("loss at the end", float(run["losses"][-1]), 0.0, 1e-12, relation="<="),
                Quantity("late log L(k+1)/L(k)", rate, expected, 2e-3 * abs(expected), route="descent"),
            ],
            "the next mode has died out when the loss is 1e-24",
            squares=[a, b],
        )
