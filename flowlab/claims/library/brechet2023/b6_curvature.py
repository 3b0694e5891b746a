"""B6: the curvature of the loss in the covariance, which has no bound near rank loss."""

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import SPECTRUM, TAU, basis, data, power, target
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Number
from flowlab.language.composed import bures
from flowlab.language.expr import constant, eye, weight
from flowlab.language.network import Network
from flowlab.language.problem import Problem

SIZES = np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5])


def second(sigma: np.ndarray, X: np.ndarray, root: np.ndarray, tau: float) -> float:
    """Σ_ij Y_ij²/(r_i r_j (r_i + r_j)), r² the eigenvalues of R (Σ + τ) R and Y = U^T R X R U."""
    values, U = np.linalg.eigh(root @ (sigma + tau * np.eye(len(sigma))) @ root)
    r, Y = np.sqrt(values), U.T @ root @ X @ root @ U
    return float((Y**2 / (r[:, None] * r * (r[:, None] + r))).sum())


@claim("B6")
class Curvature(Claim):
    """The second derivative is a sum over pairs of modes, and diverges like σ^(-3/2) without noise."""

    title = "curvature of the Bures-Wasserstein loss near rank loss"
    statement = (
        "The second derivative of the loss in the covariance along X is sum_ij Y_ij^2/(r_i r_j (r_i + r_j)), with r "
        "the roots of the eigenvalues of R (Sigma + tau) R and Y = U^T R X R U. Along the eigenvector of lambda_min it "
        "is "
        "(sqrt(lambda_min)/2) sigma^(-3/2) where tau = 0, and bounded where tau > 0."
    )
    latex = (
        r"d^2 L[X, X] = \sum_{ij} \frac{Y_{ij}^2}{r_i r_j (r_i + r_j)}, \qquad d^2 L = "
        r"\tfrac{\sqrt{\lambda_{\min}}}{2}\, \sigma^{-3/2}"
    )
    source = "derived here; Bréchet et al. 2023 smooth the loss by tau because of it"
    hypotheses = (own_instances,)
    stated = Variant(second=second, constant=float(np.sqrt(SPECTRUM[-1]) / 2), slope=-1.5)
    mutants = (
        stated.but("half of the curvature", second=lambda *told: 0.5 * second(*told)),
        stated.but("an inverse root", slope=-0.5),
        stated.but("the largest eigenvalue", constant=float(np.sqrt(SPECTRUM[0]) / 2)),
    )
    counter_example = "an inverse root: the slope of the gradient, not of the curvature"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        root, omega, told = power(target(case), 0.5), basis(case), data(case)
        rng = np.random.default_rng([case.seed, 6])
        A, X = (rng.normal(size=(4, 4)) for _ in range(2))
        A, X = A @ A.T + np.eye(4), X + X.T
        along = np.outer(omega[:, -1], omega[:, -1])

        def curvature(tau: float, sigma: np.ndarray, move: np.ndarray) -> float:
            Sigma = weight("Sigma")
            network = Network(bures(Sigma + tau * eye if tau else Sigma, constant("S0")), symmetric=["Sigma"])
            objective = Problem(network, "value").objective

            def value(s: float) -> Number:
                return objective({"Sigma": sigma + s * move}, told, jnp)

            return float(jax.grad(jax.grad(value))(0.0))

        gaps = [abs(curvature(tau, A, X) / variant.second(A, X, root, tau) - 1) for tau in (0.0, TAU)]
        rest = (omega[:, :-1] * SPECTRUM[:-1]) @ omega[:, :-1].T
        found = np.array([curvature(0.0, rest + s * along, along) for s in SIZES])
        bounded = curvature(TAU, rest + SIZES[-1] * along, along)
        limit = float(np.sqrt(SPECTRUM[-1]) / 2 * TAU**-1.5)
        return Measurement.of(
            [
                Quantity("autodiff over the sum, less one", max(gaps), 0.0, 1e-11, relation="<="),
                Quantity(
                    "exponent of sigma",
                    float(np.polyfit(np.log(SIZES), np.log(found), 1)[0]),
                    variant.slope,
                    1e-6,
                    route="autodiff over four decades",
                ),
                Quantity(
                    "curvature times sigma^(3/2)",
                    float(found[-1] * SIZES[-1] ** 1.5),
                    variant.constant,
                    1e-6,
                    route="autodiff",
                    printed=".41833",
                ),
                Quantity("curvature with noise", bounded, limit, 1e-3 * limit, route="autodiff"),
            ],
            "second derivatives solve two linear equations each; the digits printed are five",
        )
