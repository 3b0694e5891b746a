"""N4: a norm that grows while the errors stay."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.complexity2020.flows import instance, late
from flowlab.claims.library.poggio2020.flows import machine
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("N4")
class NormAndErrors(Claim):
    """The norm grows without bound while the classification of the samples does not change any more."""

    title = "norms grow while the 0-1 error stays"
    statement = (
        "Once the samples are separated their 0-1 error stays 0, while rho grows like log t/gamma without bound."
    )
    latex = r"\rho(t)/\log t \to 1/\gamma \to \;\text{with}\; \sum_n 1[y_n f(x_n) \le 0] = 0"
    source = "Poggio, Liao, Banburski 2020"
    hypotheses = (own_instances,)
    stated = Variant(
        first=lambda margins: int(np.argmax(margins > 0)),
        wrong=lambda margins: (margins <= 0).sum(),
        growth=lambda by: by,
        power=1.0,
    )
    mutants = (
        stated.but("norm bounded", growth=lambda _: 1.0),
        stated.but(
            "errors before separation", first=lambda _: 0, wrong=lambda margins: (margins <= 0).sum() + (margins[0] > 0)
        ),
        stated.but("growth of the square root of log t", power=0.5),
    )
    counter_example = "errors before separation: the 0-1 error is not constant there"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path, (data, _) = late(case), instance(case)
        gamma = 1.0 / float(np.linalg.norm(machine(data)[0]))
        margins, log_t = path.dataset["min_margin"].values, path.dataset["log_t"].values
        rho = path.dataset["rho"].values[:, 0]
        first = variant.first(margins)
        wrong, grown = float(variant.wrong(margins[first:])), variant.growth(rho[-1] / rho[first])
        return Measurement.of(
            [
                Quantity(
                    "rows with errors after separation", wrong, 0.0, 0.5, altered=0.0, route="flow to log t = 1e6"
                ),
                Quantity("growth of the norm since then", float(grown), 1e3, 0.0, relation=">=", route="flow"),
                Quantity(
                    "rho gamma/log t",
                    float(rho[-1] * gamma / log_t[-1] ** variant.power),
                    1.0,
                    1e-3,
                    route="flow at log t = 1e6",
                ),
            ],
            "a count, an unbounded growth seen over three decades, and a limit that lacks a few units of 1/log t",
            separated_at=float(log_t[int(np.argmax(margins > 0))]),
            gamma=gamma,
        )
