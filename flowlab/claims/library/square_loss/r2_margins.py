"""R2: margins become equal as decay vanishes."""

import numpy as np
from scipy.optimize import least_squares

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.square_loss.flows import folded, ridge
from flowlab.claims.quantity import Quantity
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
        "Let the net fit all labels. At the minimum of mean (1 - rho f)^2 + lambda rho^2 margins have a relative "
        "spread of order lambda, and mean 1/rho."
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
        quantities = []
        for name, sizes in (
            ("one layer, in closed form", one),
            ("two layers of squared ReLU, by least squares", [s for s, _ in two]),
        ):
            exponent, bar = order(sizes)
            quantities.append(
                Quantity(
                    f"order of the spread in lambda: {name}", exponent, wanted, 5e-3, error=min(bar, 3e-3), route=name
                )
            )
        at = variant.last(z, two)
        quantities.append(
            Quantity("spread of the margins of two layers at lambda = 1e-5", at[0], 0.0, 1e-2, relation="<=")
        )
        quantities.append(Quantity("rho times the mean margin there", at[1], 1.0, 1e-3))
        return Measurement.of(
            quantities, "orders come from tenfold decays, extrapolated once", one=one, two=[s for s, _ in two]
        )

    @staticmethod
    def _two_layers(seed: int, decays: np.ndarray) -> list[tuple[float, float]]:
        """Spread and mean of the outputs at a minimum, followed from large to small decay."""
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

        # The statement is about nets that can fit: skip starts from which least squares does not.
        for _ in range(50):
            theta = best(np.concatenate([[1.0], rng.normal(size=width * d + width)]), 0.0)
            if np.abs(outputs(theta) - 1).max() < 1e-8:
                break
        fits = []
        for lam in decays:
            theta = best(theta, float(lam))
            theta[1 : 1 + width * d] /= np.linalg.norm(theta[1 : 1 + width * d])
            theta[1 + width * d :] /= np.linalg.norm(theta[1 + width * d :])
            f = outputs(theta)
            fits.append((spread(f), float(f.mean())))
        return fits
