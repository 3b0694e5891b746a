"""L10: the smoothed margin along steps of descent."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import flow, largest_fall, late_flow, levels
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete import descend


@claim("L10")
class StepsThatAreTooLong(Claim):
    """Descent keeps the smoothed margin monotone only while its steps are short against the smoothness of the loss."""

    title = "descent keeps the smoothed margin rising if steps are short, and not if they are long"
    statement = (
        "From a state with L < 1, log(1/L)/|theta|^K never falls under gradient descent at eta = 1e-3. At the largest "
        "step that still lowers the loss in the first step, or longer, it falls at some step."
    )
    latex = r"\tilde\gamma(\theta_{k+1}) \ge \tilde\gamma(\theta_k) \text{ for small } \eta \text{ only}"
    source = "Lyu and Li 2020, theorems for gradient descent: twice differentiable and small steps"
    hypotheses = (late_flow("smooth", "deep"),)
    stated = Variant(short="<=", long=">=", norm=1.0)
    mutants = (
        stated.but("long steps never fall", long="<="),
        stated.but("short steps fall", short=">="),
        stated.but("norm left out", norm=0.0),
    )
    counter_example = "long steps: the condition on the step is needed"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        short, long, step = case.once("lyu steps", lambda: _walks(case))
        falls = [
            largest_fall(columns["level"], variant.norm * columns["K"] * np.log(columns["theta"]))
            for columns in (short, long)
        ]
        quantities = [
            Quantity(
                "largest fall, eta = 1e-3", falls[0], 0.0, 1e-12, relation=variant.short, route="descent by autodiff"
            ),
            Quantity(
                "largest fall, long steps", falls[1], 1e-6, 0.0, relation=variant.long, route="descent by autodiff"
            ),
        ]
        return Measurement.of(
            quantities, "relative falls from step to step; 1e-6 is far above roundings", long_step=step
        )


def _walks(case: Case) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    data, path = flow(case, "smooth")
    level = -path.dataset["log_loss"].values
    start = path.state(int(np.argmax(level > 1.0)))
    walks = [levels(descend(path.problem, start, data, step=1e-3, count=2000))]
    step = 0.1
    while True:
        columns = levels(descend(path.problem, start, data, step=step, count=60))
        fall = largest_fall(columns["level"], columns["K"] * np.log(columns["theta"]))
        if fall > 1e-5 or step > 1e6:
            return walks[0], columns, step
        step *= 2.0
