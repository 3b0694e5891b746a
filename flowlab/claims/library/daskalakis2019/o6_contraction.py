"""O6: optimistic multiplicative weights are stable, but no contraction."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.library.daskalakis2019.by_hand import inside, jacobian, step
from flowlab.claims.library.daskalakis2019.flows import games, mixed_game, pace, payoff_of, printed, rest_of
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.studies.equilibrium import Equilibrium
from flowlab.studies.stability import stability

ETA = 0.1


@claim("O6")
class NoContraction(Claim):
    """Locally stable, but no contraction in the Euclidean norm."""

    title = "stable, but no contraction"
    statement = (
        "At eta = 0.1 the derivative of optimistic multiplicative weights at the equilibrium has a spectral radius "
        "below one. Its Euclidean norm is above one, in strategies and in their logarithms: distances can grow in a "
        "step."
    )
    latex = r"\rho(J) = .99717 < 1 < \lVert J\rVert_2 = 1.443"
    source = (
        'Daskalakis, Panageas 2019, abstract of version 1 ("becomes a contracting map"); version 5 says locally stable'
    )
    hypotheses = (mixed_game,)
    stated = Variant(rule="optimistic", norm=">=", radius=(1.0, "<="), power=1)
    mutants = (
        stated.but(USUAL, norm="<="),
        stated.but("unstable", radius=(1.01, ">=")),
        stated.but("formula without the square", power=2),
        stated.but("plain multiplicative weights", rule="gradient"),
    )
    counter_example = "unstable: a spectral radius above one"
    usual = "Near the equilibrium the map is a contraction."
    decisive = "the Euclidean norm of the derivative, 1.443, with a spectral radius of .99717"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rest = rest_of(case)
        p, q = rest.weights["p"], rest.weights["q"]
        payoff, eta = payoff_of(case), ETA * pace(case)
        found = stability(rest, variant.rule, step=eta)
        factors = np.sqrt((1 + np.sqrt(1 - 4 * (eta * rest.frequencies) ** 2)) / 2) ** variant.power
        B, J = inside(len(p), len(q)), jacobian(payoff, p, q, eta)
        norm = float(np.linalg.norm(B.T @ J @ B, 2))
        grown = self._growth(payoff, eta, rest, J, B)
        bound, relation = variant.radius
        quantities = [
            Quantity(
                "spectral radius",
                found.radius,
                float(factors.max()),
                1e-9,
                route="derivative of the step",
                altered=1e-3,
                printed=printed(case, ".99717") if variant.rule == "optimistic" else "",
            ),
            Quantity("norm of the derivative, of logarithms", found.norm, 1.0, 0.0, relation=variant.norm),
            Quantity(
                "norm of the derivative, of strategies",
                norm,
                1.0,
                0.0,
                relation=variant.norm,
                printed=printed(case, "1.443"),
            ),
            Quantity("largest growth of a distance of 1e-6 in one step", grown, norm, 1e-4 * norm, route="by hand"),
            Quantity("bound on the spectral radius", found.radius, bound, 0.0, relation=relation),
        ]
        for i, (_, other) in enumerate(games(case, 10)[:3], 1):
            norm = stability(other, variant.rule, step=ETA).norm
            name = f"norm of the derivative, of logarithms, random game {i}"
            quantities.append(Quantity(name, norm, 1.0, 0.0, relation=variant.norm))
        return Measurement.of(
            quantities, "derivatives are exact to roundings; the step starts along the direction that grows most"
        )

    @staticmethod
    def _growth(payoff: np.ndarray, eta: float, rest: Equilibrium, J: np.ndarray, B: np.ndarray) -> float:
        direction = B @ np.linalg.svd(B.T @ J @ B)[2][0]
        still = np.concatenate([rest.weights[w] for w in "pqpq"])
        n, m = payoff.shape
        x, y, x0, y0 = np.split(still + 1e-6 * direction, [n, n + m, 2 * n + m])
        after = np.concatenate([*step(payoff, x, y, x0, y0, eta), x, y]) - still
        return float(np.linalg.norm(after)) / 1e-6
