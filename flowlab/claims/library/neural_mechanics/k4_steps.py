"""K4 to K7: the exact step, the modified loss, growth and decay of norms, and weight normalisation with finite steps."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import descended, instance, order
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def normalised(seed: int) -> tuple[Any, Any, Any]:
    """A linear layer under weight normalisation, its samples, and a start of unit direction."""
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.state import State

    x, y, theta = instance(seed)
    problem = Problem("W1 @ x", "square", "weight_normalization", reduction="mean")
    return (
        problem,
        Data(x, y, name=f"regression seed={seed}", kind="targets"),
        State.from_weights({"W1": theta[None, :]}),
    )


@claim("K4")
class ExactStep(Claim):
    """‖θ⁺‖² = (1 - ηλ)²‖θ‖² + η²‖g‖² for a scale-invariant part, exactly."""

    title = "the exact step of a scale-invariant layer"
    statement = "One step of descent with decay takes the squared norm of a scale-invariant layer to (1 - eta lambda)^2 |theta|^2 + eta^2 |g|^2, exactly."
    latex = r"\lVert\theta^+\rVert^2 = (1-\eta\lambda)^2\lVert\theta\rVert^2 + \eta^2\lVert g\rVert^2"
    source = "follows from <theta, g> = 0; compare Kunin et al. 2021, eq. 19"
    hypotheses = (own_instances,)
    stated = Variant(part="V_W1", decay=1.0, shrunk=lambda x: (1 - x) ** 2, gradient=1.0)
    mutants = (
        stated.but("without the gradient", gradient=0.0),
        stated.but("without the square of eta lambda", shrunk=lambda x: 1 - 2 * x),
        stated.but("a layer that is not invariant", part="rho_W1", decay=0.0),
    )
    counter_example = "a layer that is not invariant: for the norm rho the product with the gradient stays"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        step, decay = 0.2, 0.3
        rows = case.once("one step", lambda: self._step(case.seed, step, decay))
        part = rows[variant.part]
        shrunk = variant.shrunk(step * variant.decay * decay)
        expected = shrunk * part["square"] + variant.gradient * step**2 * part["gradient_square"]
        return Measurement.of(
            [
                Quantity(
                    "squared norm after the step",
                    part["left"],
                    expected,
                    1e-12 * expected,
                    route="the step as taken",
                    second=part["right"],
                    second_route="with the inner product",
                ),
                Quantity("|cosine| of layer and gradient", abs(rows["V_W1"]["cosine"]), 0.0, 1e-12, relation="<="),
            ],
            "roundings of a few terms",
        )

    @staticmethod
    def _step(seed: int, step: float, decay: float) -> dict[str, dict[str, float]]:
        from flowlab.discrete.descent.one_step import one_step

        problem, data, start = normalised(seed)
        found = one_step(problem, start, data, step, decay={"V_W1": decay}).dataset
        told = ("square", "gradient_square", "left", "right", "cosine")
        return {str(p): {name: float(found[name].sel(part=p)) for name in told} for p in found["part"].values}


@claim("K5")
class ModifiedLoss(Claim):
    """Descent follows the flow of L + (η/4)‖∇L‖² to the second order of the step, that of L to the first."""

    title = "the modified loss of descent"
    statement = "Descent of step eta is at distance O(eta) from the gradient flow of L and at distance O(eta^2) from that of L + (eta/4) |grad L|^2."
    latex = r"\theta_k - \theta(k\eta) = O(\eta^2) \text{ for } \dot\theta = -\nabla\bigl(L + \tfrac{\eta}{4}\lVert\nabla L\rVert^2\bigr)"
    source = "Kunin et al. 2021, section 5 (number not checked); Barrett, Dherin 2021"
    hypotheses = (own_instances,)
    stated = Variant(correction=0.25, against="modified", orders=(1.0, 2.0))
    mutants = (
        stated.but("no correction", against="flow"),
        stated.but("twice the correction", correction=0.5),
        stated.but("orders exchanged", orders=(2.0, 1.0)),
    )
    counter_example = "twice the correction: no better than the flow itself"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        def distances(correction: float) -> dict[str, tuple[float, float]]:
            return case.once(f"orders {correction:g}", lambda: self._orders(case.seed, correction))

        found = distances(variant.correction)
        modified, wanted = found[variant.against], variant.orders
        return Measurement.of(
            [
                Quantity(
                    "order of the distance from the flow",
                    found["flow"][0],
                    wanted[0],
                    5e-3,
                    error=min(found["flow"][1], 3e-3),
                    route="descent by autodiff",
                ),
                Quantity(
                    "order of the distance from the modified flow",
                    modified[0],
                    wanted[1],
                    1e-2,
                    error=min(modified[1], 5e-3),
                    route="descent by autodiff",
                ),
            ],
            "orders from steps halved four times, extrapolated twice; the bar is what the last extrapolation changed",
        )

    @staticmethod
    def _orders(seed: int, correction: float) -> dict[str, tuple[float, float]]:
        """Orders of the distances of descent from both flows at t = 1, by autodiff of the loss and an explicit method of order 8."""
        import jax
        import jax.numpy as jnp
        from scipy.integrate import solve_ivp

        rng = np.random.default_rng(seed)
        x, y, start = rng.normal(size=(6, 2)), rng.normal(size=6), rng.normal(size=6) / np.sqrt(2.0)

        def loss(w: Any) -> Any:
            return 0.5 * jnp.mean((x @ w[:4].reshape(2, 2).T @ w[4:] - y) ** 2)

        slope = jax.jit(jax.grad(loss))
        modified = jax.jit(jax.grad(lambda w, weight: loss(w) + weight * (jax.grad(loss)(w) ** 2).sum()))

        def flow(weight: float) -> np.ndarray:
            return solve_ivp(
                lambda _, w: -np.asarray(modified(w, weight)),
                (0.0, 1.0),
                start,
                method="DOP853",
                rtol=1e-12,
                atol=1e-13,
            ).y[:, -1]

        told: dict[str, list[float]] = {"flow": [], "modified": []}
        plain = flow(0.0)
        for count in 10 * 2 ** np.arange(5):
            w = start
            for _ in range(count):
                w = w - np.asarray(slope(w)) / count
            told["flow"].append(float(np.linalg.norm(w - plain)))
            told["modified"].append(float(np.linalg.norm(w - flow(correction / count))))
        return {name: order(np.array(sizes)) for name, sizes in told.items()}


@claim("K6")
class RiseAndFall(Claim):
    """No decay: norms grow. Some: they rise, then fall, from where the exact balance of decay and steps is met. Much: they fall."""

    title = "norms rise and fall"
    statement = (
        "The norm of a scale-invariant layer under descent grows in every step without decay, falls in every step under strong decay, and with weak decay "
        "from a small start "
        "rises up to the step where (2 lambda - eta lambda^2) |theta|^2 = eta |g|^2 and falls from there on."
    )
    latex = r"(2\lambda - \eta\lambda^2)\lVert\theta\rVert^2 = \eta\lVert g\rVert^2 \text{ at the peak}"
    source = "Kunin et al. 2021, figure 4 (shapes; number not checked); balance from the exact step"
    hypotheses = (own_instances,)
    stated = Variant(decay=0.02, step=0.02)
    mutants = (
        stated.but("half of the decay in the balance", decay=0.01),
        stated.but("gradients without the step", step=1.0),
        stated.but("no decay at all", decay=0.0),
    )
    counter_example = "no decay at all: no peak"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        eta = 0.02
        free, weak, strong = case.once(
            "norms",
            lambda: [
                descended(case.seed, eta, lam, count, scale)
                for lam, count, scale in ((0.0, 60, 1.0), (0.02, 600, 0.3), (4.0, 12, 3.0))
            ],
        )
        lam, pull = variant.decay, variant.step * weak[1]
        balance = (2 * lam - eta * lam**2) * weak[0] - pull
        # What the balance says of the sign of the next change, against the change.
        told = int((np.sign(-balance[:-1]) != np.sign(np.diff(weak[0]))).sum())
        peak = int(weak[0].argmax())
        return Measurement.of(
            [
                Quantity(
                    "steps without decay in which the norm does not grow",
                    float((np.diff(free[0]) <= 0).sum()),
                    0.0,
                    0.5,
                ),
                Quantity(
                    "steps under strong decay in which it does not fall",
                    float((np.diff(strong[0]) >= 0).sum()),
                    0.0,
                    0.5,
                ),
                Quantity("steps in which the balance has another sign than the change", float(told), 0.0, 0.5),
                Quantity("step of the peak", float(peak), 1.0, 0.0, relation=">="),
                Quantity("steps after the peak", float(len(weak[0]) - 1 - peak), 1.0, 0.0, relation=">="),
            ],
            "signs are exact where changes are above roundings",
            peak=peak,
        )


@claim("K7")
class WeightNormalisationGrows(Claim):
    """Under weight normalisation finite steps lengthen V in every step; the flow keeps it."""

    title = "finite steps lengthen V under weight normalisation"
    statement = (
        "Under weight normalisation every step of descent adds eta^2 |g_V|^2 to |V|^2; up to a fixed time that adds up to order eta, and only the flow "
        "keeps |V|."
    )
    latex = (
        r"\lVert V^+\rVert^2 = \lVert V\rVert^2 + \eta^2\lVert g_V\rVert^2, \quad \lVert V(T)\rVert^2 - \lVert V(0)\rVert^2 = \eta\int_0^T\lVert "
        r"g_V\rVert^2dt + O(\eta^2)"
    )
    source = "exact step (K4) applied to Salimans, Kingma 2016; against (1.4) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
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
        found, bar = order(growth)
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
                    "order of the growth in eta", found, variant.order, 5e-3, error=min(bar, 3e-3), route="descent"
                ),
            ],
            "the sum is exact up to roundings; orders from steps halved five times, extrapolated twice",
            integral=float(limit[-1]),
        )

    @staticmethod
    def _again(case: Case, count: int) -> float:
        import jax
        import jax.numpy as jnp

        x, y, theta = instance(case.seed)
        rate = jax.jit(jax.grad(lambda v: 0.5 * jnp.mean((x @ v / jnp.sqrt(v @ v) - y) ** 2)))
        v = theta / np.linalg.norm(theta)
        for _ in range(count):
            v = v - 2.0 / count * np.asarray(rate(v))
        return float(v @ v) - 1.0
