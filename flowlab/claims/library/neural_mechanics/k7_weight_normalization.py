"""K7: finite steps lengthen V under weight normalisation."""

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import descended, instance, order
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("K7")
class WeightNormalisationGrows(Claim):
    """Under weight normalisation finite steps lengthen V in every step; the flow keeps it."""

    title = "finite steps lengthen V under weight normalisation"
    statement = (
        "Under weight normalisation every step of descent adds eta^2 |g_V|^2 to |V|^2. Up to a fixed time this adds "
        "up to order eta, and only the flow keeps |V|."
    )
    latex = (
        r"\lVert V^+\rVert^2 = \lVert V\rVert^2 + \eta^2\lVert g_V\rVert^2, \quad \lVert V(T)\rVert^2 - \lVert "
        r"V(0)\rVert^2 = \eta\int_0^T\lVert g_V\rVert^2dt + O(\eta^2)"
    )
    source = (
        "exact step (K4) applied to Salimans, Kingma 2016; against (1.4) of flowlab's derivations, after Poggio, "
        "Banburski, Liao 2020"
    )
    hypotheses = (own_instances,)
    stated = Variant(factor=1.0, order=1.0)
    mutants = (
        stated.but(USUAL, factor=0.0),
        stated.but("order two", order=2.0),
        stated.but("half of the gradients", factor=0.25),
    )
    counter_example = "half of the gradients: growth would be a quarter"
    usual = "Weight normalisation keeps |V|, as its flow does."
    decisive = "the growth of |V|^2 by t = 2 over eta int |g_V|^2 dt, which tends to 1 and not to 0"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        counts = 40 * 2 ** np.arange(6)
        squares, slopes = zip(
            *[case.once(f"growth {n}", lambda n=n: descended(case.seed, 2.0 / n, 0.0, int(n))) for n in counts],
            strict=True,
        )
        growth = np.array([s[-1] - s[0] for s in squares])
        exponent, bar = order(growth)
        added = variant.factor * float((2.0 / counts[0]) ** 2 * slopes[0][:-1].sum())
        # The integral by the flow's own end: growth over eta, extrapolated in eta.
        ratio = growth / (2.0 / counts)
        limit = 2 * ratio[1:] - ratio[:-1]
        return Measurement.of(
            [
                Quantity(
                    "growth of |V|^2 by t = 2, eta = 0.05",
                    float(growth[0]),
                    added,
                    1e-9 * abs(float(growth[0])),
                    route="descent",
                    second=self._again(case, int(counts[0])),
                    second_route="descent by autodiff",
                ),
                Quantity(
                    "order of the growth in eta", exponent, variant.order, 5e-3, error=min(bar, 3e-3), route="descent"
                ),
            ],
            "the sum is exact up to roundings; orders from steps halved five times, extrapolated twice",
            integral=float(limit[-1]),
        )

    @staticmethod
    def _again(case: Case, count: int) -> float:
        x, y, theta = instance(case.seed)
        rate = jax.jit(jax.grad(lambda v: 0.5 * jnp.mean((x @ v / jnp.sqrt(v @ v) - y) ** 2)))
        v = theta / np.linalg.norm(theta)
        for _ in range(count):
            v = v - 2.0 / count * np.asarray(rate(v))
        return float(v @ v) - 1.0
