"""P19: what the limit direction remembers of the start."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flows import FAR, OPTIMUM, STARTS, from_start, joint_margin, machine
from flowlab.claims.library.poggio2020.predictors import (
    DEEP,
    DIAGONAL,
    LATE,
    cross,
    diagonal,
    ends_of_flows,
    margins_of_predictors,
    signed_inputs,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import separable
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("P19")
class Starts(Claim):
    """Linear networks forget the start in the direction of their predictor; ReLU and diagonal networks do not."""

    title = "which limits depend on the start"
    statement = (
        "The predictor of one linear layer and of a fully connected deep linear network tends to the maximum margin "
        "from every start. The limit of a ReLU network depends on the start. So does that of a diagonal linear "
        "network with a coordinate that starts at zero."
    )
    latex = (
        r"b/\lVert b\rVert \to v^* \;\text{from every start (linear)}, \qquad "
        r"\min_n q_n/\lVert\theta\rVert^2 \to \tfrac18 \text{ or } \tfrac{\sqrt{17}}{16} \;\text{(ReLU)}"
    )
    source = (
        "Poggio, Banburski, Liao 2020; Soudry et al. 2018; Ji and Telgarsky 2019; Vardi, Shamir and Srebro 2022 for "
        "diagonal networks"
    )
    hypotheses = (own_instances,)
    stated = Variant(ratio=8.0 * OPTIMUM, without=lambda most, k: most[k], last_over=1)
    mutants = (
        stated.but("ReLU networks forget the start", ratio=1.0),
        stated.but("diagonal networks forget the start", without=lambda most, _: most[-1]),
        stated.but("least sum of squares of a diagonal predictor", last_over=2),
    )
    counter_example = "ReLU networks forget the start: two starts on two samples lead to margins of 1/8 and 0.2577"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = separable(8, 3, case.seed)
        z = np.asarray(data.x) * np.asarray(data.y)[:, None]
        w = machine(data)[0]
        best = w / np.linalg.norm(w)
        quantities = []
        for net, late in (("W1 @ x", 1e-6), (DEEP, 1e-4)):
            apart = max(float(np.linalg.norm(b - best)) for b in ends_of_flows(case, net, data))
            route = f"{len(STARTS)} starts to log t = {LATE[net]:g}, extrapolated"
            quantities.append(Quantity(f"distance of {net} from the maximum margin", apart, 0.0, late, route=route))
        dead, _, control = STARTS.values()
        low, high = (
            joint_margin(from_start(case, name, first, FAR))[0]
            for name, first in (("one unit dead", dead), ("one unit for each sample", control))
        )
        quantities.append(
            Quantity("ratio of margins of a ReLU network", high / low, variant.ratio, 1e-5, route="two starts of P18")
        )
        margins, most = diagonal(case)
        for k, m in enumerate(margins):
            quantities.append(
                Quantity(
                    f"margin of a diagonal network without coordinate {k}, over |b|_1",
                    m,
                    variant.without(most, k),
                    1e-3,
                    route=f"flow to log t = {LATE[DIAGONAL]:g}",
                )
            )
        if variant.last_over == 2:
            quantities[-1] = Quantity(
                "its margin over |b|_2",
                float(margins_of_predictors(ends_of_flows(case, DIAGONAL, cross())[-1:], signed_inputs(cross()), 2)[0]),
                most[2],
                1e-3,
            )
        return Measurement.of(
            quantities,
            "what is left of the start falls like (log t)^-0.5 or faster, which is extrapolated, and like (log "
            "t)^-0.6 between diagonal coordinates",
            samples=len(z),
        )
