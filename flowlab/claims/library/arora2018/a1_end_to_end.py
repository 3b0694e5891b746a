"""A1: the product of balanced linear layers moves by itself."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.arora2018.flows import (
    ANY_TARGETS,
    LAYERS,
    balanced_flow,
    began,
    end_to_end,
    product,
    rows,
    solved,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("A1")
class EndToEndFlow(Claim):
    """The product of balanced layers obeys an equation of its own."""

    title = "the product of balanced linear layers has a flow of its own"
    statement = (
        "From a balanced start the product W of N linear layers has a gradient flow of its own. It is dW/dt = -sum_j "
        "[W W^T]^((N-j)/N) G [W^T W]^((j-1)/N), with G the gradient of the loss in W."
    )
    latex = r"\dot W = -\sum_{j=1}^N [W W^\top]^{\frac{N-j}{N}} \, G \, [W^\top W]^{\frac{j-1}{N}}"
    source = "Arora, Cohen, Hazan 2018, theorem 1 (number not checked)"
    hypotheses = ANY_TARGETS
    stated = Variant(rate=end_to_end)
    mutants = (
        stated.but("one layer more in the exponents", rate=lambda w, g: end_to_end(w, g, root=LAYERS + 1.0)),
        stated.but("no preconditioner", rate=lambda _, g: -LAYERS * g),
        stated.but("half of the layers", rate=lambda w, g: 0.5 * end_to_end(w, g)),
    )
    counter_example = "no preconditioner: N gradients of one linear layer"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        _, path, data = balanced_flow(case)
        chosen = rows(path, 6)
        times = np.exp(path.dataset["log_t"].values[chosen])
        products = np.stack([product(path.state(i).weights()) for i in chosen])
        expected = solved(began(case, data), data, times, variant.rate)
        apart = float(max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(products, expected, strict=True)))
        size = float(np.linalg.norm(expected[-1]))
        return Measurement.of(
            [
                Quantity(
                    "largest relative distance of the product of the layers from the end-to-end flow",
                    apart,
                    0.0,
                    1e-8,
                    relation="<=",
                ),
                Quantity(
                    "norm of the product at the end",
                    float(np.linalg.norm(products[-1])),
                    size,
                    1e-8 * size,
                    route="flow of the layers",
                ),
            ],
            "both are integrated to local errors of 1e-11 over a time in which products change by factors of order one",
            times=times.tolist(),
        )
