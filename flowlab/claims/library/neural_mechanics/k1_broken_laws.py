"""K1, K2, K3: what conserved quantities of translation, scale and rescale symmetries become under decay and finite steps."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import convolved, descended, order
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("K1")
class TranslationUnderDecay(Claim):
    """Softmax does not see a shift of all logits: the sum of rows decays on its own."""

    title = "translation symmetry under decay"
    statement = "Under the flow of a softmax classifier with decay lambda the sum of the rows of its last layer is e^(-lambda t) times that at the start."
    latex = r"\langle\theta(t), \mathbb{1}_A\rangle = e^{-\lambda t} \langle\theta(0), \mathbb{1}_A\rangle"
    source = "Kunin et al. 2021, eq. 18"
    hypotheses = (own_instances,)
    stated = Variant(rate=1, row=lambda W: W.sum(axis=0))
    mutants = (
        stated.but("no decay", rate=0),
        stated.but("twice the decay", rate=2),
        stated.but("one row alone", row=lambda W: W[0]),
    )
    counter_example = "one row alone: no symmetry, no law"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        decay, until = 0.4, 2.0
        start, path, walk = case.once("softmax", lambda: self._runs(case, decay, until))

        def summed(weights: Any) -> np.ndarray:
            return variant.row(np.asarray(weights["W1"]))

        rate = variant.rate * decay
        before, after, stepped = summed(start.weights()), summed(path.last.weights()), summed(walk.last.weights())
        size = float(np.linalg.norm(before))
        discrete = (1 - 0.01 * rate) ** 200
        return Measurement.of(
            [
                Quantity(
                    "norm of the sum of rows over that at the start",
                    float(np.linalg.norm(after)) / size,
                    float(np.exp(-rate * until)),
                    1e-8,
                    route="flow",
                ),
                Quantity(
                    "largest distance from the decayed sum",
                    float(np.abs(after - np.exp(-rate * until) * before).max()) / size,
                    0.0,
                    1e-8,
                    relation="<=",
                ),
                Quantity(
                    "the same of descent, with (1 - eta lambda)^k",
                    float(np.abs(stepped - discrete * before).max()) / size,
                    0.0,
                    1e-10,
                    relation="<=",
                ),
            ],
            "local errors of 1e-10 over the flow; descent obeys its law up to roundings",
        )

    @staticmethod
    def _runs(case: Case, decay: float, until: float) -> tuple[Any, Any, Any]:
        from flowlab.discrete.descent.descend import descend
        from flowlab.dynamics import time
        from flowlab.language.data import Data
        from flowlab.language.problem import Problem
        from flowlab.language.state import initial_state

        rng = np.random.default_rng(case.seed)
        data = Data(rng.normal(size=(12, 4)), np.arange(12) % 3, name=f"three classes seed={case.seed}")
        problem = Problem("W1 @ x", "cross_entropy", decay=decay / 2, coordinates="weights")
        start = initial_state(problem.network, data, seed=case.seed)
        path = integrated(
            case, "softmax flow", problem, start, data, time(until), rtol=1e-10, atol=1e-12, solver="tsit5"
        )
        return start, path, descend(problem, start, data, step=0.01, count=200)


@claim("K2")
class ScaleUnderDescent(Claim):
    """The squared norm of a scale-invariant layer: Kunin's law has the order of the step; with the discrete rate of decay it has its square."""

    title = "scale symmetry under descent with decay"
    statement = (
        "Under descent the squared norm of a scale-invariant layer is e^(-2 mu t) |theta(0)|^2 + eta int e^(-2 mu (t - s)) |g|^2 ds with mu = -log(1 - "
        "eta lambda)/eta "
        "up to order eta^2, and with mu = lambda up to order eta only, where lambda > 0."
    )
    latex = (
        r"\lVert\theta(t)\rVert^2 = e^{-2\mu t}\lVert\theta(0)\rVert^2 + \eta\int_0^t e^{-2\mu(t-s)}\lVert g\rVert^2 ds + O(\eta^2), \quad \mu = "
        r"-\log(1-\eta\lambda)/\eta"
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
            told = []
            for n, (squares, slopes) in zip(counts, runs, strict=True):
                eta = until / n
                mu = -np.log1p(-eta * decay) / eta if exact else decay
                law = np.exp(-2 * mu * until) * squares[0] + correction * eta * convolved(
                    eta * np.arange(n + 1), slopes, 2 * mu
                )
                told.append(squares[-1] - law)
            return np.array(told)

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


@claim("K3")
class RescaleUnderDescent(Claim):
    """The difference of the squared norms of two layers under descent with decay."""

    title = "rescale symmetry under descent with decay"
    statement = (
        "Under descent with decay lambda the difference D of the squared norms of two consecutive layers is "
        "e^(-2 mu t) D(0) + eta int e^(-2 mu (t - s)) (|g_1|^2 - |g_2|^2) ds up to order eta^2, mu = -log(1 - eta lambda)/eta; the flow's law, e^(-2 "
        "lambda t) D(0), only up to order eta."
    )
    latex = r"D(t) = e^{-2\mu t} D(0) + \eta\int_0^t e^{-2\mu(t-s)} (\lVert g_1\rVert^2 - \lVert g_2\rVert^2)\,ds + O(\eta^2)"
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
            told = []
            for n, (squares, slopes) in zip(counts, runs, strict=True):
                eta = until / n
                mu = -np.log1p(-eta * held) / eta
                gaps = squares[:, 0] - squares[:, 1]
                told.append(
                    gaps[-1]
                    - np.exp(-2 * mu * until) * gaps[0]
                    - factor * eta * convolved(eta * np.arange(n + 1), slopes[:, 0] - sign * slopes[:, 1], 2 * mu)
                )
            return np.array(told)

        found, bar = order(errors(variant.factor, variant.sign, variant.decay * decay))
        flow, bar_flow = order(errors(0.0, 1.0, decay))
        return Measurement.of(
            [
                Quantity("order of the law", found, 2.0, 1e-2, error=min(bar, 5e-3), route="descent"),
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
