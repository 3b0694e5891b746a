"""X4: when modes are learned."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.saxe2014.flows import SMALL, STRENGTHS, TWO, half_time, learned
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("X4")
class HalfTimes(Claim):
    """A mode is half learned at log(s/u_0 - 1)/(2s): 1/s is only the leading part."""

    title = "when modes are learned"
    statement = (
        "Two balanced layers have learned half of a mode at t = log(s/u_0 - 1)/(2s). The order of modes is that of "
        "1/s, and s t is the same for all only up to log s."
    )
    latex = r"t_{1/2} = \frac{1}{2s}\log\left(\frac{s}{u_0} - 1\right)"
    source = "Saxe, McClelland, Ganguli 2014 (learning times)"
    hypotheses = (about(TWO),)
    stated = Variant(
        times=lambda _: np.log(STRENGTHS / SMALL - 1) / (2 * STRENGTHS),
        ratio=lambda t: float(t[0] * STRENGTHS[0] / (t[2] * STRENGTHS[2])),
    )
    mutants = (
        stated.but(
            USUAL, times=lambda halves: np.full(3, float(np.mean(halves * STRENGTHS))) / STRENGTHS, ratio=lambda _: 1.0
        ),
        stated.but("one layer", times=lambda _: np.full(3, np.log(2.0))),
        stated.but("the cutoff of a tenth", times=lambda _: np.log((STRENGTHS / SMALL - 1) / 9) / (2 * STRENGTHS)),
    )
    counter_example = "one layer: half of a mode is learned at log 2, whatever s"
    usual = "Learning times are inversely proportional to the strengths of modes: s_1 t_1 = s_3 t_3."
    decisive = (
        "s t of the strongest mode over that of the weakest: 1.159 with s = 3, 1 and u_0 = 1e-3, where "
        "proportionality says 1"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        start = np.full(3, SMALL)
        times, u, _ = learned(case, "equal starts", TWO, np.sqrt(np.stack([start, start])), STRENGTHS, 6.0)
        halves = np.array([half_time(times, u[:, i], s) for i, s in enumerate(STRENGTHS)])
        expected = variant.times(halves)
        quantities = [
            Quantity(f"half-time of the mode s = {s:g}", h, e, 1e-6, route="flow of the layers")
            for s, h, e in zip(STRENGTHS, halves, expected, strict=True)
        ]
        wanted = variant.ratio(expected)
        quantities.append(
            Quantity(
                "s t of the strongest mode over that of the weakest",
                float(halves[0] * STRENGTHS[0] / (halves[2] * STRENGTHS[2])),
                wanted,
                1e-6,
            )
        )
        return Measurement.of(quantities, "half-times are read off a cubic spline through the accepted steps")
