"""O5: the sharp step of optimistic multiplicative weights."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.flows import GAME, X, Y, frequencies, radius, step
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def _at_radius_one(A: np.ndarray, x: np.ndarray, y: np.ndarray, top: float) -> float:
    """η τ_max where the spectral radius of the derivative is one."""
    from scipy.optimize import brentq

    step_size: Any = brentq(lambda eta: radius(A, x, y, eta) - 1, 0.3 / top, 0.9 / top, xtol=1e-14)
    return top * step_size


@claim("O5")
class SharpStep(Claim):
    """Stable iff η τ_max < 1/√3."""

    title = "the sharp step of optimistic multiplicative weights"
    statement = (
        "Let tau be the frequencies of the replicator flow at an interior equilibrium of a bilinear game. Optimistic "
        "multiplicative weights are locally stable iff eta tau_max < 1/sqrt(3)."
    )
    latex = (
        r"\lambda^2 - (1 + 2i\sigma)\lambda + i\sigma = 0, \quad |\lambda| < 1 \iff \sigma = \eta\tau_{\max} < "
        r"\tfrac{1}{\sqrt 3}"
    )
    source = (
        "Daskalakis, Panageas 2019 (spectrum); threshold derived here: |lambda| = 1 at sigma = 1/sqrt(3), lambda = "
        "e^(i pi/3)"
    )
    hypotheses = (own_instances,)
    stated = Variant(threshold=3.0**-0.5, measured=_at_radius_one, below=(1e-12, "<="))
    mutants = (
        stated.but(USUAL, threshold=1e-3, below=(1e-3, ">=")),
        stated.but("threshold one half", threshold=0.5),
        stated.but("plain multiplicative weights", measured=lambda *_: 0.0),
    )
    counter_example = "plain multiplicative weights: |1 + i sigma| > 1 at every step"
    usual = "Convergence needs a step that is exponentially small in the smallest weight of the equilibrium."
    decisive = "convergence at eta tau_max = .57, divergence at .585: 1/sqrt(3) = .57735"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        games = [(GAME, X, Y), *case.once("games", lambda: [self._game(case.seed, k) for k in range(2)])]
        for i, (A, x, y) in enumerate(games):
            top = float(frequencies(A, x, y)[0])
            threshold = variant.measured(A, x, y, top)
            name = f"random game {i}" if i else "the 3 x 3 game"
            quantities.append(
                Quantity(
                    f"eta tau_max where the spectral radius is one, {name}",
                    threshold,
                    variant.threshold,
                    1e-7,
                    route="derivative of the map",
                    printed=".57735" if i == 0 else "",
                )
            )
        below, above = case.once("two runs", lambda: [self._run(s) for s in (0.57, 0.585)])
        # As usually stated nothing converges at .57.
        quantities.append(
            Quantity("distance after 6000 steps at .57", below, variant.below[0], 0.0, relation=variant.below[1])
        )
        quantities.append(Quantity("distance after 6000 steps at .585", above, 1e-3, 0.0, relation=">="))
        return Measurement.of(
            quantities,
            "eigenvalues of a derivative that is exact to roundings; runs begin 1e-3 from the equilibrium",
            lambda_at_threshold=self._at_threshold(),
        )

    @staticmethod
    def _at_threshold() -> str:
        """The root of modulus one at σ = 1/√3, by exact algebra."""
        import sympy as sp

        sigma, lam = 1 / sp.sqrt(3), sp.exp(sp.I * sp.pi / 3)
        rest = sp.simplify(sp.expand((lam**2 - (1 + 2 * sp.I * sigma) * lam + sp.I * sigma).rewrite(sp.cos)))
        return f"lambda = exp(i pi/3): remainder {rest}"

    @staticmethod
    def _run(sigma: float) -> float:
        eta = sigma / float(frequencies(GAME, X, Y)[0])
        x = X + 1e-3 * np.array([1.0, -1.0, 0.0])
        y = Y + 1e-3 * np.array([0.0, 1.0, -1.0])
        x0, y0 = x, y
        for _ in range(6000):
            (x, y), x0, y0 = step(GAME, x, y, x0, y0, eta), x, y
        return float(np.abs(x - X).sum() + np.abs(y - Y).sum())

    @staticmethod
    def _game(seed: int, which: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A random 3 x 3 game with a given interior equilibrium."""
        rng = np.random.default_rng((seed, which))
        x, y = rng.dirichlet(np.full(3, 4.0)), rng.dirichlet(np.full(3, 4.0))
        B = rng.normal(size=(3, 3))
        # Rows and columns are shifted until x and y make the other indifferent.
        B = B - np.outer(B @ y, np.ones(3))
        return B - np.outer(np.ones(3), x @ B), x, y
