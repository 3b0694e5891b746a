"""O6: optimistic multiplicative weights are stable, but no contraction."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.flows import GAME, X, Y, frequencies, inside, jacobian, radius, step
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("O6")
class NoContraction(Claim):
    """Locally stable, but no contraction in the Euclidean norm."""

    title = "stable, but no contraction"
    statement = (
        "At eta = 0.1 the derivative of optimistic multiplicative weights at the equilibrium has a spectral radius "
        "below one. Its Euclidean norm is above one: distances can grow in a step."
    )
    latex = r"\rho(J) = .99717 < 1 < \lVert J\rVert_2 = 1.443"
    source = (
        'Daskalakis, Panageas 2019, abstract of version 1 ("becomes a contracting map"); version 5 says locally stable'
    )
    hypotheses = (own_instances,)
    stated = Variant(norm=">=", radius=(1.0, "<="), power=1)
    mutants = (
        stated.but(USUAL, norm="<="),
        stated.but("unstable", radius=(1.01, ">=")),
        stated.but("formula without the square", power=2),
    )
    counter_example = "unstable: a spectral radius above one"
    usual = "Near the equilibrium the map is a contraction."
    decisive = "the Euclidean norm of the derivative, 1.443, with a spectral radius of .99717"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        eta = 0.1
        B, J = inside(3, 3), jacobian(GAME, X, Y, eta)
        norm, rho = float(np.linalg.norm(B.T @ J @ B, 2)), radius(GAME, X, Y, eta)
        sigma = eta * frequencies(GAME, X, Y)
        factors = np.sqrt((1 + np.sqrt(1 - 4 * sigma**2)) / 2) ** variant.power
        grown = self._growth(J, B, eta)
        bound, relation = variant.radius
        return Measurement.of(
            [
                Quantity(
                    "spectral radius",
                    rho,
                    float(factors.max()),
                    1e-9,
                    route="derivative of the map",
                    altered=1e-3,
                    printed=".99717",
                ),
                Quantity("Euclidean norm of the derivative", norm, 1.0, 0.0, relation=variant.norm, printed="1.443"),
                Quantity(
                    "largest growth of a distance of 1e-6 in one step of the map itself",
                    grown,
                    norm,
                    1e-4 * norm,
                    route="the map",
                ),
                Quantity("bound on the spectral radius", rho, bound, 0.0, relation=relation),
            ],
            "derivatives are exact to roundings; the map starts 1e-6 away, along the direction that grows most",
        )

    @staticmethod
    def _growth(J: np.ndarray, B: np.ndarray, eta: float) -> float:
        direction = B @ np.linalg.svd(B.T @ J @ B)[2][0]
        z = np.concatenate([X, Y, X, Y]) + 1e-6 * direction
        x, y, x0, y0 = np.split(z, 4)
        p, q = step(GAME, x, y, x0, y0, eta)
        after = np.concatenate([p, q, x, y]) - np.concatenate([X, Y, X, Y])
        return float(np.linalg.norm(after)) / 1e-6
