"""J5: data of which a part can be separated and a part cannot."""

import numpy as np
from scipy.optimize import minimize

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.ji2020.mixed_samples import LOG_T, flow, mixed
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import NotSeparable as CannotBeSeparated
from flowlab.discrete.margin.svm import hard_margin


@claim("J5")
class NotSeparable(Claim):
    """The flow diverges along the separable part and comes to a finite optimum on the rest."""

    title = "data that can be separated in part"
    statement = (
        "If a part of the data cannot be separated, the weights on its span tend to the unique optimum of its risk. "
        "Off it they diverge in the hard-margin direction of the separable part, with growth log t/gamma_perp."
    )
    latex = (
        r"P_S w(t) \to \arg\min_{w \in S} L_S(w), \qquad \frac{\lVert P_\perp w(t)\rVert}{\log t} \to "
        r"\frac{1}{\gamma_\perp}"
    )
    source = (
        "Ji and Telgarsky 2018, theorem 1.1 (risk and parameter convergence of logistic regression; number not checked)"
    )
    hypotheses = (own_instances,)
    stated = Variant(risk=lambda stuck, _: stuck, growth=1.0, machine=lambda _, free: free[:, 2:])
    mutants = (
        stated.but("optimum of the whole risk", risk=lambda stuck, free: np.vstack([stuck, free])),
        stated.but("no growth off the span", growth=0.0),
        stated.but("machine of all samples", machine=lambda stuck, free: np.vstack([stuck, free])[:, 1:3]),
    )
    counter_example = "no growth off the span: a finite optimum of the whole risk does not exist"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        stuck, free = mixed(case.seed)
        path = case.once("ji mixed", lambda: flow(stuck, free, case.seed))
        w = np.asarray(path.last.weights()["W1"]).ravel()
        flat = variant.risk(stuck, free)[:, :2]

        def slope(v: np.ndarray) -> np.ndarray:
            return -flat.T @ np.exp(-flat @ v)

        optimum = minimize(
            lambda v: float(np.exp(-flat @ v).sum()), np.zeros(2), jac=slope, method="BFGS", options={"gtol": 1e-10}
        ).x
        part = variant.machine(stuck, free)
        try:
            svm = hard_margin(part, np.ones(len(part))).w
        except CannotBeSeparated:
            svm = np.array([0.0, 1.0])
        log_t = path.dataset["log_t"].values
        rows = [len(log_t) - 1, int(np.argmin(np.abs(log_t - LOG_T / 2.0)))]
        off, times = np.array([np.asarray(path.state(i).weights()["W1"]).ravel()[2:] for i in rows]), log_t[rows]
        # The bounded part of the weights drops out of the difference between two late times.
        growth = (off[0] - off[1]) / (times[0] - times[1])
        wanted = variant.growth * svm
        size = float(np.linalg.norm(svm))
        across = float(np.linalg.norm(growth - svm * (growth @ svm) / size**2))
        return Measurement.of(
            [
                Quantity(
                    "distance to the optimum on the span",
                    float(np.linalg.norm(w[:2] - optimum)),
                    0.0,
                    1e-5,
                    route="flow at log t = 200, against BFGS",
                ),
                Quantity(
                    "growth along the machine",
                    float(growth @ svm) / size,
                    float(np.linalg.norm(wanted)),
                    5e-3 * size,
                    route="difference of two times",
                ),
                Quantity("growth across the machine", across, 0.0, 5e-3 * size, route="difference of two times"),
            ],
            "what is missing falls like 1/t on the span, and off it like a power of t that samples beside the support "
            "set",
        )
