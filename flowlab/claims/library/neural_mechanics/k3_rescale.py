"""K3: rescale symmetry under descent with decay."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import convolved, order
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("K3")
class RescaleUnderDescent(Claim):
    """The difference of the squared norms of two layers under descent with decay."""

    title = "rescale symmetry under descent with decay"
    statement = (
        "Let D be the difference of the squared norms of two consecutive layers under descent with decay lambda. Up "
        "to order eta^2 it is e^(-2 mu t) D(0) + eta int e^(-2 mu (t - s)) (|g_1|^2 - |g_2|^2) ds, mu = -log(1 - eta "
        "lambda)/eta. The flow's law e^(-2 lambda t) D(0) holds up to order eta only."
    )
    latex = (
        r"D(t) = e^{-2\mu t} D(0) + \eta\int_0^t e^{-2\mu(t-s)} (\lVert g_1\rVert^2 - \lVert g_2\rVert^2)\,ds + "
        r"O(\eta^2)"
    )
    source = "Kunin et al. 2021, eq. 20"
    hypotheses = (own_instances,)
    stated = Variant(factor=1.0, sign=1.0, decay=1.0)
    mutants = (
        stated.but("without the gradients", factor=0.0),
        stated.but("sum instead of difference of gradients", sign=-1.0),
        stated.but("without decay", decay=0.0),
    )
    counter_example = "without the gradients: the law of the flow, off at order eta"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        decay, until = 0.3, 1.5
        counts = 100 * 2 ** np.arange(6)
        runs = [
            case.once(f"rescale {n}", lambda n=n: self._descent(case.seed, until / n, decay, int(n))) for n in counts
        ]

        def errors(factor: float, sign: float, held: float) -> np.ndarray:
            gaps_from_law = []
            for n, (squares, slopes) in zip(counts, runs, strict=True):
                eta = until / n
                mu = -np.log1p(-eta * held) / eta
                gaps = squares[:, 0] - squares[:, 1]
                gaps_from_law.append(
                    gaps[-1]
                    - np.exp(-2 * mu * until) * gaps[0]
                    - factor * eta * convolved(eta * np.arange(n + 1), slopes[:, 0] - sign * slopes[:, 1], 2 * mu)
                )
            return np.array(gaps_from_law)

        exponent, bar = order(errors(variant.factor, variant.sign, variant.decay * decay))
        flow, bar_flow = order(errors(0.0, 1.0, decay))
        return Measurement.of(
            [
                Quantity("order of the law", exponent, 2.0, 1e-2, error=min(bar, 5e-3), route="descent"),
                Quantity("order of the flow's law", flow, 1.0, 5e-3, error=min(bar_flow, 3e-3), route="descent"),
            ],
            "orders from steps halved five times, extrapolated twice; the bar is what the last extrapolation changed",
            errors=errors(1.0, 1.0, decay).tolist(),
        )

    @staticmethod
    def _descent(seed: int, step: float, decay: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared norms and gradients of two linear layers, (count + 1, 2)."""
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(8, 3)), rng.normal(size=8)
        W, a = 0.8 * rng.normal(size=(4, 3)), 0.5 * rng.normal(size=4)
        squares, slopes = [], []
        for _ in range(count + 1):
            gap = (x @ W.T @ a - y) / len(x)
            gW, ga = np.outer(a, gap @ x), W @ (gap @ x)
            squares.append((float((W * W).sum()), float(a @ a)))
            slopes.append((float((gW * gW).sum()), float(ga @ ga)))
            W, a = (1 - step * decay) * W - step * gW, (1 - step * decay) * a - step * ga
        return np.array(squares), np.array(slopes)
