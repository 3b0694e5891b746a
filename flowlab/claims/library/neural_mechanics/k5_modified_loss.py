"""K5: the modified loss of descent."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import order
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Array


@claim("K5")
class ModifiedLoss(Claim):
    """Descent follows the flow of L + (η/4)‖∇L‖² to the second order of the step, that of L to the first."""

    title = "the modified loss of descent"
    statement = (
        "The distance of descent with step eta is O(eta) from the gradient flow of L. It is O(eta^2) from that of L + "
        "(eta/4) |grad L|^2."
    )
    latex = (
        r"\theta_k - \theta(k\eta) = O(\eta^2) \text{ for } \dot\theta = -\nabla\bigl(L + \tfrac{\eta}{4}\lVert\nabla "
        r"L\rVert^2\bigr)"
    )
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

        orders = distances(variant.correction)
        modified, wanted = orders[variant.against], variant.orders
        return Measurement.of(
            [
                Quantity(
                    "order of the distance from the flow",
                    orders["flow"][0],
                    wanted[0],
                    5e-3,
                    error=min(orders["flow"][1], 3e-3),
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
        """Orders of the distances of descent from both flows at t = 1, by autodiff of the loss and an explicit method
        of order 8.
        """
        rng = np.random.default_rng(seed)
        x, y, start = rng.normal(size=(6, 2)), rng.normal(size=6), rng.normal(size=6) / np.sqrt(2.0)

        def loss(w: Array) -> Array:
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

        sizes_of: dict[str, list[float]] = {"flow": [], "modified": []}
        plain = flow(0.0)
        for count in 10 * 2 ** np.arange(5):
            w = start
            for _ in range(count):
                w = w - np.asarray(slope(w)) / count
            sizes_of["flow"].append(float(np.linalg.norm(w - plain)))
            sizes_of["modified"].append(float(np.linalg.norm(w - flow(correction / count))))
        return {name: order(np.array(sizes)) for name, sizes in sizes_of.items()}
