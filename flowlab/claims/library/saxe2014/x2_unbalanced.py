"""X2: modes of two layers that are off balance."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.saxe2014.flows import STRENGTHS, TWO, learned, logistic
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def off_balance(t: np.ndarray, s: float, a0: float, b0: float, lam: float) -> np.ndarray:
    """The mode u = a b with a^2 - b^2 = λ under du/dt = sqrt(λ^2 + 4 u^2) (s - u), in closed form.

    Only |λ| matters. With 2u = λ sinh θ it is dθ/dt = 2 s - λ sinh θ, and in x = tanh(θ/2) a Riccati equation with
    constant coefficients, dx/dt = s (1 - x^2) - λ x, whose roots are x± = (-λ ± sqrt(λ^2 + 4 s^2))/(2 s).
    """
    lam = abs(lam)
    root = np.hypot(lam, 2 * s)
    up, down = (-lam + root) / (2 * s), (-lam - root) / (2 * s)
    x0 = np.tanh(0.5 * np.arcsinh(2 * a0 * b0 / lam))
    ratio = (x0 - up) / (x0 - down) * np.exp(-root * t)
    x = (up - down * ratio) / (1 - ratio)
    return lam * x / (1 - x * x)


def _unbalanced(t: np.ndarray, a: np.ndarray, b: np.ndarray, lam: np.ndarray) -> np.ndarray:
    modes = zip(STRENGTHS, a, b, lam, strict=True)
    return np.stack([off_balance(t, s, p, q, k) for s, p, q, k in modes], axis=1)


@claim("X2")
class UnbalancedModes(Claim):
    """Off balance the mode keeps a^2 - b^2 = λ and follows a curve that is logistic only for λ = 0."""

    title = "modes of two layers that are off balance"
    statement = (
        "A mode u = a b of two aligned layers keeps lambda = a^2 - b^2 and obeys du/dt = sqrt(lambda^2 + 4 u^2) (s - "
        "u). With 2u = lambda sinh(theta) and x = tanh(theta/2) this is dx/dt = s (1 - x^2) - lambda x, which has a "
        "closed form."
    )
    latex = r"\dot u = \sqrt{\lambda^2 + 4u^2}\,(s - u), \quad \lambda = a^2 - b^2"
    source = "Saxe, McClelland, Ganguli 2014 (hyperbolic coordinates); closed form derived here"
    hypotheses = (about(TWO),)
    stated = Variant(curves=lambda t, a, b: _unbalanced(t, a, b, a * a - b * b))
    mutants = (
        stated.but("balanced", curves=lambda t, a, b: logistic(t, STRENGTHS, a * b)),
        stated.but("twice the imbalance", curves=lambda t, a, b: _unbalanced(t, a, b, 2 * (a * a - b * b))),
        stated.but(
            "imbalance of the other two modes", curves=lambda t, a, b: _unbalanced(t, a, b, np.roll(a * a - b * b, 1))
        ),
    )
    counter_example = "balanced: the logistic curve from the same u_0"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        a, b = np.array([0.3, 0.5, 0.05]), np.array([0.1, 0.02, 0.7])
        times, u, path = learned(case, "unbalanced", TWO, np.stack([b, a]), STRENGTHS, 4.0)
        lam = a * a - b * b
        expected = variant.curves(times, a, b)
        weights = {k: np.asarray(w) for k, w in path.last.weights().items()}
        differences = np.linalg.eigvalsh(weights["W2"].T @ weights["W2"] - weights["W1"] @ weights["W1"].T)
        i = int(np.argmin(abs(u[:, 2] - 0.5)))
        return Measurement.of(
            [
                Quantity(
                    "largest distance from the closed form", float(abs(u - expected).max()), 0.0, 1e-9, relation="<="
                ),
                Quantity(
                    "strength of the third mode half-way",
                    float(u[i, 2]),
                    float(expected[i, 2]),
                    1e-9,
                    route="flow of the layers",
                ),
                Quantity(
                    "change of lambda over the flow",
                    float(abs(np.sort(lam) - differences).max()),
                    0.0,
                    1e-9,
                    relation="<=",
                ),
            ],
            "local errors of 1e-11 in some hundreds of steps",
        )
