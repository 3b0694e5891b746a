"""X1: modes of two balanced layers follow logistic curves."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.saxe2014.flows import SMALL, STRENGTHS, TWO, learned, logistic, solved
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("X1")
class AlignedModes(Claim):
    """Each mode of two aligned and balanced layers follows a logistic curve."""

    title = "logistic curves of the modes of two layers"
    statement = (
        "Modes of two balanced layers that start in the bases of the data grow as u(t) = s e^(2st)/(e^(2st) - 1 + "
        "s/u_0)."
    )
    latex = r"u(t) = \frac{s\,e^{2st}}{e^{2st} - 1 + s/u_0}"
    source = "Saxe, McClelland, Ganguli 2014 (two-layer modes)"
    hypotheses = (about(TWO),)
    stated = Variant(curve=lambda t, u: logistic(t, STRENGTHS, u))
    mutants = (
        stated.but("speed s instead of 2s", curve=lambda t, u: logistic(t, STRENGTHS, u, speed=1.0)),
        stated.but("the start of another mode", curve=lambda t, u: logistic(t, STRENGTHS, np.roll(u, 1))),
        stated.but("one layer", curve=lambda t, u: STRENGTHS + (u - STRENGTHS) * np.exp(-t[:, None])),
    )
    counter_example = "one layer: modes relax exponentially, without a plateau"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        start = SMALL * np.array([1.0, 2.0, 3.0])
        times, u, _ = learned(case, "aligned", TWO, np.sqrt(np.stack([start, start])), STRENGTHS, 6.0)
        expected = variant.curve(times, start)
        second = solved(start, STRENGTHS, times[1:], 2)
        i = int(np.argmin(abs(u[:, 1] - 1.0)))
        return Measurement.of(
            [
                Quantity(
                    "largest distance from the closed form", float(abs(u - expected).max()), 0.0, 3e-9, relation="<="
                ),
                Quantity(
                    "strength of the second mode half-way",
                    float(u[i, 1]),
                    float(expected[i, 1]),
                    3e-9,
                    route="flow of the layers",
                    second=float(second[i - 1, 1]),
                    second_route="DOP853 of the modes",
                ),
            ],
            "local errors of 1e-11 in some hundreds of steps, grown by the factor s/u_0 = 1e3 of the exponential "
            "phase at most where u is that small",
        )
