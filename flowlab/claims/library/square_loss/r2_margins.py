"""R2, R5, R6: margins that become equal as decay vanishes, decay per layer, and neural collapse of unconstrained features."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.square_loss.r1_equilibrium import folded, ridge
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def spread(margins: np.ndarray) -> float:
    """Standard deviation over mean."""
    return float(margins.std() / margins.mean())


def order(sizes: list[float]) -> tuple[float, float]:
    """The order of what shrinks by tenfold parameters, extrapolated once, and what that changed."""
    slopes = np.diff(-np.log10(np.array(sizes)))
    once = (10 * slopes[1:] - slopes[:-1]) / 9
    return float(once[-1]), float(abs(once[-1] - slopes[-1]))


@claim("R2")
class MarginsBecomeEqual(Claim):
    """Nets that can fit: as decay vanishes all margins become 1/ρ, at first order in it."""

    title = "margins become equal as decay vanishes"
    statement = (
        "Where the net can fit all labels, the margins at the minimum of mean (1 - rho f)^2 + lambda rho^2 have a relative spread of order lambda, and "
        "mean 1/rho."
    )
    latex = r"\mathrm{cv}(f) = O(\lambda), \quad \rho\,\overline f \to 1"
    source = "Xu, Rangamani, Liao, Galanti, Poggio 2022-23"
    hypotheses = (own_instances,)
    stated = Variant(order=1.0, last=lambda _, two: two[-1])
    mutants = (
        stated.but("order one half", order=0.5),
        stated.but("order two", order=2.0),
        stated.but("a decay that stays", last=lambda z, _: (spread(z @ ridge(z, 0.1)), 0.9)),
    )
    counter_example = "a decay that stays: at lambda = 0.1 margins differ"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        z = folded(case.seed)
        decays = 10.0 ** -np.arange(2, 6)
        one = [spread(z @ ridge(z, lam)) for lam in decays]
        two = case.once("two layers", lambda: [self._two_layers(case.seed, decays)])[0]
        wanted = variant.order
        told = []
        for name, sizes in (
            ("one layer, in closed form", one),
            ("two layers of squared ReLU, by least squares", [s for s, _ in two]),
        ):
            found, bar = order(sizes)
            told.append(
                Quantity(
                    f"order of the spread in lambda: {name}", found, wanted, 5e-3, error=min(bar, 3e-3), route=name
                )
            )
        at = variant.last(z, two)
        told.append(Quantity("spread of the margins of two layers at lambda = 1e-5", at[0], 0.0, 1e-2, relation="<="))
        told.append(Quantity("rho times the mean margin there", at[1], 1.0, 1e-3))
        return Measurement.of(
            told, "orders come from tenfold decays, extrapolated once", one=one, two=[s for s, _ in two]
        )

    @staticmethod
    def _two_layers(seed: int, decays: np.ndarray) -> list[tuple[float, float]]:
        """Spread and mean of the outputs at a minimum, followed from large to small decay."""
        from scipy.optimize import least_squares

        z, width = folded(seed), 8
        n, d = z.shape
        rng = np.random.default_rng(seed + 7)

        def outputs(theta: np.ndarray) -> np.ndarray:
            V1, V2 = theta[1 : 1 + width * d].reshape(width, d), theta[1 + width * d :]
            return theta[0] * (np.maximum(z @ V1.T, 0.0) ** 2 @ V2) / ((V1 * V1).sum() * np.linalg.norm(V2))

        def best(theta: np.ndarray, lam: float) -> np.ndarray:
            def rest(t: np.ndarray) -> np.ndarray:
                return np.concatenate([(1 - outputs(t)) / np.sqrt(n), [np.sqrt(lam) * t[0]]])

            return least_squares(rest, theta, jac="3-point", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=400).x

        # The statement is about nets that can fit: starts from which least squares does not are no instances of it.
        for _ in range(50):
            theta = best(np.concatenate([[1.0], rng.normal(size=width * d + width)]), 0.0)
            if np.abs(outputs(theta) - 1).max() < 1e-8:
                break
        told = []
        for lam in decays:
            theta = best(theta, float(lam))
            theta[1 : 1 + width * d] /= np.linalg.norm(theta[1 : 1 + width * d])
            theta[1 + width * d :] /= np.linalg.norm(theta[1 + width * d :])
            f = outputs(theta)
            told.append((spread(f), float(f.mean())))
        return told


def _least_loss(z: np.ndarray, weight: float, near: np.ndarray) -> np.ndarray:
    """The minimiser of sum (1 - z w)^2/2 + weight |w|, (d,)."""
    from scipy.optimize import minimize

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
        "With penalties omega_k |W_k|^2 every layer rests at 2 omega_k rho_k^2 = R sum (1 - R f) f, so that rho_1^2/rho_2^2 = omega_2/omega_1, "
        "and R minimises the loss plus 2 sqrt(omega_1 omega_2) R: a penalty on R, not on its square."
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
    def _flow(case: Case, omega: dict[str, float]) -> tuple[np.ndarray, Any]:
        from flowlab.dynamics import time
        from flowlab.language.data import Data
        from flowlab.language.problem import Problem
        from flowlab.language.state import initial_state

        rng = np.random.default_rng(case.seed + 5)
        center = rng.normal(size=3)
        z = center / np.linalg.norm(center) + 0.5 * rng.normal(size=(8, 3))
        data = Data(z, np.ones(len(z)), name=f"around a centre seed={case.seed}", kind="binary")
        problem = Problem("W2 @ W1 @ x", "square", decay=omega, coordinates="weights")
        start = initial_state(problem.network, data, widths={"W1": 3}, seed=case.seed)
        return z, integrated(
            case, "decay per layer", problem, start, data, time(120.0), rtol=1e-10, atol=1e-12, solver="tsit5"
        )


@claim("R6")
class NeuralCollapse(Claim):
    """Unconstrained features under the square loss: an orthogonal frame with singular values in closed form."""

    title = "neural collapse of unconstrained features"
    statement = (
        "The flow of |W H - Y|^2/(2N) + lambda_w |W|^2/2 + lambda_h |H|^2/2 with balanced classes ends with all features of a class equal, class means "
        "orthogonal (a simplex once "
        "centred), singular values of W H equal to sqrt(n) - N sqrt(lambda_w lambda_h), and those of W equal to the root of that times "
        "(lambda_h/lambda_w)^(1/4)."
    )
    latex = (
        r"\sigma(WH) = \sqrt n - N\sqrt{\lambda_w\lambda_h}, \quad \sigma(W)^2 = \sigma(WH)\sqrt{\lambda_h/\lambda_w}"
    )
    source = "Rangamani, Banburski-Fahey 2022; unconstrained features without bias"
    hypotheses = (own_instances,)
    stated = Variant(shrinkage=1.0, share=lambda w, h: np.sqrt(h / w), frame=lambda _: 0.0)
    mutants = (
        stated.but("no shrinkage", shrinkage=0.0),
        stated.but("a simplex without centring", frame=lambda classes: -1 / (classes - 1)),
        stated.but("equal shares of both layers", share=lambda *_: 1.0),
    )
    counter_example = "a simplex without centring: cosines of -1/(C - 1) need a bias or centred labels"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        classes, each, lam_w, lam_h = 3, 2, 0.05, 0.08
        n = classes * each
        path = case.once("features", lambda: self._flow(case, classes, each, lam_w, lam_h))
        W, H = (np.asarray(path.last.weights()[name]) for name in ("W", "H"))
        found = np.linalg.svd(W @ H, compute_uv=False)[:classes]
        sigma = np.sqrt(each) - variant.shrinkage * (n * np.sqrt(lam_w * lam_h))
        share = variant.share(lam_w, lam_h)
        means = H.reshape(-1, classes, each).mean(axis=2)
        within = float(np.abs(H.reshape(-1, classes, each) - means[:, :, None]).max() / np.abs(means).max())

        def cosines(m: np.ndarray) -> np.ndarray:
            unit = m / np.linalg.norm(m, axis=0)
            return (unit.T @ unit)[np.triu_indices(classes, 1)]

        raw, centred = cosines(means), cosines(means - means.mean(axis=1, keepdims=True))
        frame = variant.frame(classes)
        return Measurement.of(
            [
                *(
                    Quantity(f"singular value {i + 1} of W H", float(s), float(sigma), 1e-6, route="flow")
                    for i, s in enumerate(found)
                ),
                Quantity(
                    "largest singular value of W, squared",
                    float(np.linalg.norm(W, 2) ** 2),
                    float(np.sqrt(each) - n * np.sqrt(lam_w * lam_h)) * float(share),
                    1e-6,
                    route="flow",
                ),
                Quantity("spread of features within classes", within, 0.0, 1e-6, relation="<="),
                Quantity(
                    "cosine of class means farthest from that of the frame",
                    float(raw[np.abs(raw - frame).argmax()]),
                    frame,
                    1e-6,
                    route="flow",
                ),
                Quantity(
                    "cosine of centred class means", float(centred.mean()), -1 / (classes - 1), 1e-6, route="flow"
                ),
            ],
            "what decays slowest does so like e^(-lambda_w t): t = 500 leaves 1e-11",
        )

    @staticmethod
    def _flow(case: Case, classes: int, each: int, lam_w: float, lam_h: float) -> Any:
        from flowlab.dynamics import time
        from flowlab.language.data import Data
        from flowlab.language.problem import Problem
        from flowlab.language.state import initial_state

        data = Data(
            np.eye(classes * each), np.repeat(np.eye(classes), each, axis=0), name=f"{classes} classes of {each}"
        )
        problem = Problem(
            "W @ H @ x", "square", reduction="mean", decay={"W": lam_w / 2, "H": lam_h / 2}, coordinates="weights"
        )
        start = initial_state(problem.network, data, widths={"H": 5}, seed=case.seed)
        return integrated(case, "features", problem, start, data, time(500.0), rtol=1e-10, atol=1e-12, solver="tsit5")
