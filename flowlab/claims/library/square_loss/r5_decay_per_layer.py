"""R5: decay on every layer."""

import numpy as np
from scipy.optimize import minimize

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state
from flowlab.language.trajectory import Trajectory


def _least_loss(z: np.ndarray, weight: float, near: np.ndarray) -> np.ndarray:
    """The minimiser of sum (1 - z w)^2/2 + weight |w|, (d,)."""

    def loss(w: np.ndarray) -> float:
        return 0.5 * ((1 - z @ w) ** 2).sum() + weight * np.linalg.norm(w)

    def slope(w: np.ndarray) -> np.ndarray:
        return -z.T @ (1 - z @ w) + weight * w / np.linalg.norm(w)

    return minimize(loss, near, jac=slope, method="BFGS", options={"gtol": 1e-11}).x


def _ridge(z: np.ndarray, weight: float, _: np.ndarray) -> np.ndarray:
    return np.linalg.solve(z.T @ z + weight * np.eye(z.shape[1]), z.sum(axis=0))


@claim("R5")
class DecayPerLayer(Claim):
    """Decay on every layer instead of one norm: layers balance by their decays, and the norm at rest is another one."""

    title = "decay on every layer"
    statement = (
        "With penalties omega_k |W_k|^2 every layer rests at 2 omega_k rho_k^2 = R sum (1 - R f) f, so that "
        "rho_1^2/rho_2^2 = omega_2/omega_1. R minimises the loss plus 2 sqrt(omega_1 omega_2) R: a penalty on R, not "
        "on its square."
    )
    latex = r"2\omega_k\rho_k^2 = R\sum_n (1 - R f_n) f_n, \quad \frac{\rho_1^2}{\rho_2^2} = \frac{\omega_2}{\omega_1}"
    source = "stationarity of each norm; compare Poggio, Liao 2020-21"
    hypotheses = (own_instances,)
    stated = Variant(ratio=lambda first, second: second / first, best=_least_loss)
    mutants = (
        stated.but("equal norms", ratio=lambda *_: 1.0),
        stated.but("one norm on top", best=_ridge),
        stated.but("the inverse ratio", ratio=lambda first, second: first / second),
    )
    counter_example = "one norm on top: ridge regression with lambda = 2 sqrt(omega_1 omega_2)"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        omega = {"W1": 0.1, "W2": 0.25}
        z, path = case.once("decay per layer", lambda: self._flow(case, omega))
        rho = {k: float(r) for k, r in path.last.rho.items()}
        W = np.asarray(path.last.weights()["W2"]) @ np.asarray(path.last.weights()["W1"])
        f = z @ W.ravel()
        R, both = float(np.linalg.norm(W)), 2 * np.sqrt(omega["W1"] * omega["W2"])
        best = variant.best(z, both, W.ravel() * 1.1 + 0.01)
        ratio = variant.ratio(omega["W1"], omega["W2"])
        pull = float(((1 - f) * f).sum())
        size = float(np.linalg.norm(best))
        return Measurement.of(
            [
                Quantity("rho_1^2/rho_2^2 at rest", (rho["W1"] / rho["W2"]) ** 2, ratio, 1e-6 * ratio, route="flow"),
                Quantity("2 omega_1 rho_1^2", 2 * omega["W1"] * rho["W1"] ** 2, pull, 1e-6 * pull, route="flow"),
                Quantity("norm of the product", R, size, 1e-6 * size, route="flow"),
            ],
            "imbalance dies out like e^(-4 omega t) and worse modes no slower than that; t = 120 leaves 1e-15 or so",
        )

    @staticmethod
    def _flow(case: Case, omega: dict[str, float]) -> tuple[np.ndarray, Trajectory]:
        rng = np.random.default_rng(case.seed + 5)
        center = rng.normal(size=3)
        z = center / np.linalg.norm(center) + 0.5 * rng.normal(size=(8, 3))
        data = Data(z, np.ones(len(z)), name=f"around a centre seed={case.seed}", kind="binary")
        problem = Problem("W2 @ W1 @ x", "square", decay=omega, coordinates="weights")
        start = initial_state(problem.network, data, widths={"W1": 3}, seed=case.seed)
        return z, integrated(
            case, "decay per layer", problem, start, data, time(120.0), rtol=1e-10, atol=1e-12, solver="tsit5"
        )
