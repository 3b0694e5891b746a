"""X3: how depth stretches the plateau."""

import numpy as np
from scipy.integrate import quad

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.saxe2014.flows import THREE, half_time, learned, solved
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("X3")
class DepthAndPlateau(Claim):
    """N layers: a plateau that is logarithmic in u_0 for two and a power for more."""

    title = "plateaus of deep linear nets"
    statement = (
        "A mode of N balanced aligned layers obeys du/dt = N u^(2-2/N) (s - u). For N = 3 its half-time times s "
        "u_0^(1/3) tends to 1 as u_0 -> 0. Two layers take log(s/u_0 - 1)/(2s)."
    )
    latex = r"\dot u = N u^{2-2/N}(s-u), \quad t_{1/2} \sim \frac{u_0^{-(1-2/N)}}{(N-2)\,s}"
    source = "Saxe, McClelland, Ganguli 2014 (deeper nets); constants from the integral of the equation"
    hypotheses = (about(THREE),)
    stated = Variant(depth=3, scaled=lambda halves, u, s: halves * s * u ** (1 / 3))
    mutants = (
        stated.but("plateau of two layers", scaled=lambda halves, u, s: halves / (np.log(s / u - 1) / (2 * s))),
        stated.but("exponent of four layers", scaled=lambda halves, u, s: halves * s * u**0.5),
        stated.but("two layers in the equation", depth=2),
    )
    counter_example = "plateau of two layers: 8 at u_0 = 1e-7, where three layers take 200"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        start, s = np.array([1e-5, 1.25e-6, 1.5625e-7]), 1.0
        size = start ** (1 / 3)
        times, u, _ = learned(case, "three layers", THREE, np.stack([size] * 3), np.full(3, s), 200.0)
        expected = solved(start, np.full(3, s), times[1:], variant.depth)
        halves = np.array([half_time(times, u[:, i], s) for i in range(3)])
        # The integral of the equation gives t s z = 1 + c z + O(z^3) in z = u_0^(1/3), which is halved twice.
        scaled = variant.scaled(halves, start, s)
        limits = 2 * scaled[1:] - scaled[:-1]
        return Measurement.of(
            [
                Quantity(
                    "largest distance from the equation of the modes",
                    float(abs(u[1:] - expected).max()),
                    0.0,
                    1e-6,
                    relation="<=",
                ),
                Quantity(
                    "half-time times s u_0^(1/3) as u_0 -> 0",
                    float(limits[1]),
                    1.0,
                    1e-4,
                    error=abs(float(limits[1] - limits[0])),
                    route="flow of three layers, three starts",
                    second=self._again(s),
                    second_route="the integral of the equation at u_0 = 1e-18",
                ),
            ],
            "the extrapolation in u_0^(1/3) leaves its cube, the bar is what the last halving changed; plateaus turn "
            "errors of 1e-11 into delays of 1e-8",
            half_times=halves.tolist(),
        )

    @staticmethod
    def _again(s: float) -> float:
        # In z = u^(1/3), dt = dz/(z^2 (s - z^3)).
        z0, z1 = 1e-6, (s / 2) ** (1 / 3)
        smooth = quad(lambda z: z / (s * (s - z**3)), z0, z1, epsabs=1e-13)[0]
        return (1 / z0 - 1 / z1) / s * s * z0 + smooth * s * z0
