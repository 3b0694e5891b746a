"""J3: the predictor of a deep linear net tends to the hard-margin direction."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.ji2020.flows import weights
from flowlab.claims.library.lyu2020.flows import flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import angle
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete.margin.svm import hard_margin


@claim("J3")
class PredictorIsTheMachine(Claim):
    """The product of the layers tends to the hard-margin direction."""

    title = "the predictor of a deep linear net tends to the hard-margin direction"
    statement = "The direction of W_3 W_2 W_1 tends to that of the hard-margin machine, whatever the start."
    latex = r"\frac{W_K \cdots W_1}{\lVert W_K \cdots W_1\rVert} \to v^*"
    source = "Ji and Telgarsky 2019, theorem 2.8 (number not checked); Gunasekar et al. 2018"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(machine=lambda w, _: w)
    mutants = (
        stated.but(
            "least squares instead of the machine",
            machine=lambda _, z: np.linalg.lstsq(z, np.ones(len(z)), rcond=None)[0],
        ),
        stated.but("mean of the samples instead of the machine", machine=lambda _, z: z.mean(axis=0)),
        stated.but("machine of flipped labels", machine=lambda w, _: -w),
    )
    counter_example = "least squares: the direction of another rule, which the square loss would take"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = flow(case, "three layers")
        z = np.asarray(data.x) * np.asarray(data.y)[:, None]
        svm = case.once("ji machine", lambda: hard_margin(z, np.ones(len(z)))).w
        w = variant.machine(svm, z)
        first, second, third = weights(path, -1)
        product = (third @ second @ first).ravel()
        # Off the span of the support the first layer keeps what it had, which is of order (log t)^(-1/3) of the whole.
        support = z[z @ svm < 1.0 + 1e-9]
        inside = np.linalg.pinv(support) @ support @ product
        start = float(np.linalg.norm((weights(path, 0)[2] @ weights(path, 0)[1] @ weights(path, 0)[0]).ravel()))
        end = path.dataset.isel(step=-1)
        predicted = float(end["log_t"]) * float(np.linalg.norm(w))
        return Measurement.of(
            [
                Quantity(
                    "angle to the machine, on the span of the support",
                    angle(inside, w),
                    0.0,
                    1e-4,
                    route="flow at log t = 1e6",
                ),
                Quantity(
                    "cosine",
                    float(product @ w / (np.linalg.norm(product) * np.linalg.norm(w))),
                    1.0,
                    1e-3,
                    route="flow at log t = 1e6",
                ),
                Quantity(
                    "norm of the product over log t |w_svm|",
                    float(np.linalg.norm(product)) / predicted,
                    1.0,
                    1e-3,
                    route="flow at log t = 1e6",
                ),
            ],
            "angles on the span fall like 1/log t, and off it like (log t)^(-1/3), times constants of the start",
            norm_at_start=start,
        )
