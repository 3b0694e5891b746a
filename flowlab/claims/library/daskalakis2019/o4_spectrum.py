"""O4: the spectrum of optimistic multiplicative weights at an equilibrium."""

import cmath
import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.daskalakis2019.by_hand import field, slowest
from flowlab.claims.library.daskalakis2019.flows import (
    SOURCE,
    at,
    called,
    divergences,
    games,
    idle_fall,
    mixed_game,
    pace,
    payoff_of,
    printed,
    rest_of,
    walk,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.studies.stability import stability

ETA = 0.1


def _pair(sigma: complex) -> list[complex]:
    """Both roots λ of λ(λ - 1)/(2λ - 1) = σ."""
    root = cmath.sqrt(1 + 4 * sigma**2)
    return [(1 + 2 * sigma + root) / 2, (1 + 2 * sigma - root) / 2]


def _swapped(sigma: complex) -> list[complex]:
    """Roots with the present and the past force in each other's place: λ² - (1 - σ)λ - 2σ = 0."""
    root = cmath.sqrt((1 - sigma) ** 2 + 8 * sigma)
    return [((1 - sigma) + root) / 2, ((1 - sigma) - root) / 2]


def _without_metric(payoff: np.ndarray, *_: np.ndarray) -> np.ndarray:
    n, m = payoff.shape
    return np.linalg.eigvals(np.block([[np.zeros((n, n)), payoff], [-payoff.T, np.zeros((m, m))]]))


@claim("O4")
class Spectrum(Claim):
    """λ(λ - 1)/(2λ - 1) = iητ on mixed strategies, e^{-η slack} on the others."""

    title = "the spectrum of optimistic multiplicative weights"
    statement = (
        "Let +-i tau be the eigenvalues of the replicator flow at the only equilibrium of a matrix game. Those of "
        "optimistic multiplicative weights solve lambda (lambda - 1)/(2 lambda - 1) = i eta tau; a strategy "
        "that is not mixed dies out by e^(-eta slack) a step."
    )
    latex = (
        r"\frac{\lambda(\lambda - 1)}{2\lambda - 1} = i\sigma, \quad |\lambda|^2 = "
        r"\tfrac12\bigl(1 \pm \sqrt{1 - 4\sigma^2}\bigr), \quad \sigma = \eta\tau"
    )
    source = (
        f"{SOURCE}, section 3.3 (number not checked; the derivative of the map); roots and factors are derived here"
    )
    hypotheses = (mixed_game,)
    stated = Variant(roots=_pair, modes=lambda *game: np.linalg.eigvals(field(*game)), slack=1.0)
    mutants = (
        stated.but("plain multiplicative weights", roots=lambda sigma: [1 + sigma, 0j]),
        stated.but("present and past in each other's place", roots=_swapped),
        stated.but("the metric dropped", modes=_without_metric),
        stated.but("half the slack", slack=0.5),
    )
    counter_example = "plain multiplicative weights: |1 + i sigma| > 1 at every step"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        payoff, eta = payoff_of(case), ETA * pace(case)
        chosen = [(payoff, rest_of(case)), *games(case, 10)]
        quantities = []
        for i, (payoff_i, rest) in enumerate(chosen):
            rows, columns = (list(rest.support[w]) for w in "pq")
            values = variant.modes(payoff_i[np.ix_(rows, columns)], rest.weights["p"][rows], rest.weights["q"][columns])
            # Both simplices have a direction across, along which nothing moves.
            turning = sorted(values, key=abs)[2:]
            told = np.array([root for value in turning for root in variant.roots(eta * value)])
            seen = case.once(f"O4 {i}", lambda rest=rest: stability(rest, "optimistic", step=eta).measured)
            name = f"random game {i}" if i else called(case)
            apart = max(float(np.abs(told - value).min()) for value in seen) if len(told) else math.inf
            quantities.append(
                Quantity(f"eigenvalues of a step, from those told, {name}", apart, 0.0, 1e-6, route="derivative")
            )
        turning = sorted(variant.modes(payoff, *(rest_of(case).weights[w] for w in "pq")), key=abs)[2:]
        worst = max(abs(root) for value in turning for root in variant.roots(eta * value))
        p, q = (rest_of(case).weights[w] for w in "pq")
        slowly = walk(case, 2000, step=eta, start=at(*slowest(payoff, p, q)), name="slow mode")
        kept = divergences(rest_of(case), slowly)
        quantities.append(
            Quantity(
                "factor of a distance in a step, slowest mode",
                float((kept[-1] / kept[500]) ** (0.5 / 1500)),
                worst,
                2e-6,
                route="1500 steps of the map",
                altered=1e-3,
                printed=printed(case, ".99717"),
            )
        )
        quantities.append(
            Quantity(
                "fall of log p of an idle strategy in a step over eta slack",
                idle_fall(case, ETA),
                variant.slack,
                1e-4,
                route="200 steps of the map",
            )
        )
        return Measurement.of(quantities, "the derivative of one step with its memory is exact to roundings")
