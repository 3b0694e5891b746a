"""K2: scale symmetry under descent with decay."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import convolved, descended, order
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("K2")
class ScaleUnderDescent(Claim):
    """The squared norm of a scale-invariant layer: Kunin's law has the order of the step; with the discrete rate of
    decay it has its square.
    """

    title = "scale symmetry under descent with decay"
    statement = (
        "Under descent the squared norm of a scale-invariant layer is e^(-2 mu t) |theta(0)|^2 + eta int e^(-2 mu (t "
        "- s)) |g|^2 ds. With mu = -log(1 - eta lambda)/eta this holds up to order eta^2. With mu = lambda > 0 it "
        "holds up to order eta only."
    )
    latex = (
        r"\lVert\theta(t)\rVert^2 = e^{-2\mu t}\lVert\theta(0)\rVert^2 + \eta\int_0^t e^{-2\mu(t-s)}\lVert g\rVert^2 "
        r"ds + O(\eta^2), \quad \mu = -\log(1-\eta\lambda)/\eta"
    )
    source = "Kunin et al. 2021, eq. 19; orders and the rate mu derived here from the exact step (K4)"
    hypotheses = (own_instances,)
    stated = Variant(exact=True, factor=1.0)
    mutants = (
        stated.but(USUAL, exact=False),
        stated.but("without the gradients", factor=0.0),
        stated.but("twice the correction", factor=2.0),
    )
    counter_example = "without the gradients: the law of the flow, off at order eta"
    usual = "The law with decay lambda and the correction eta |g|^2 holds up to the square of the step."
    decisive = "its order in the step: 1 with lambda, 2 with -log(1 - eta lambda)/eta"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        decay, until = 0.5, 2.0
        counts = 50 * 2 ** np.arange(6)
        runs = [case.once(f"scale {n}", lambda n=n: descended(case.seed, until / n, decay, int(n))) for n in counts]

        def errors(exact: bool, correction: float) -> np.ndarray:
            gaps = []
            for n, (squares, slopes) in zip(counts, runs, strict=True):
                eta = until / n
                mu = -np.log1p(-eta * decay) / eta if exact else decay
                law = np.exp(-2 * mu * until) * squares[0] + correction * eta * convolved(
                    eta * np.arange(n + 1), slopes, 2 * mu
                )
                gaps.append(squares[-1] - law)
            return np.array(gaps)

        first, bar_1 = order(errors(False, 1.0))
        second, bar_2 = order(errors(variant.exact, variant.factor))
        return Measurement.of(
            [
                Quantity("order of the law with lambda", first, 1.0, 5e-3, error=min(bar_1, 3e-3), route="descent"),
                Quantity(
                    "order of the law with -log(1 - eta lambda)/eta",
                    second,
                    2.0,
                    1e-2,
                    error=min(bar_2, 5e-3),
                    route="descent",
                ),
            ],
            "orders from steps halved five times, extrapolated twice; the bar is what the last extrapolation changed",
            errors_with_lambda=errors(False, 1.0).tolist(),
            errors_with_mu=errors(True, 1.0).tolist(),
        )
