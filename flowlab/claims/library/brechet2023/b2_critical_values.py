"""B2 and B3: the critical values without noise and with it."""

from collections.abc import Callable
from math import comb

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import RANK, SIX, TAU, points
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.studies.covariance_points import CovariancePoints


def _outside(J: tuple[int, ...]) -> np.ndarray:
    """The eigenvalues of the target that a point leaves out."""
    return SIX[[i for i in range(len(SIX)) if i not in J]]


def _values(found: CovariancePoints, count: int, value: Callable[[tuple[int, ...]], float]) -> Measurement:
    gaps = [abs(point.value - value(point.eigenvectors)) for point in found.points]
    least = found.minimum
    return Measurement.of(
        [
            Quantity("number of critical points", len(found), count, 0.0, altered=0.0),
            Quantity("largest distance of a value from the formula", max(gaps), 0.0, 1e-12, relation="<="),
            Quantity("largest gradient at a point", max(p.residual for p in found.points), 0.0, 1e-12, relation="<="),
            Quantity("least value", least.value, value(least.eigenvectors), 1e-12, route="objective"),
        ],
        "values are sums of six numbers of order one",
        points=[[list(p.eigenvectors), p.value, p.index] for p in found.points],
    )


@claim("B2")
class CriticalValues(Claim):
    """Every choice of k eigenvectors is critical, and loses the other eigenvalues."""

    title = "critical points of the Bures-Wasserstein loss of a bottleneck"
    statement = (
        "A target with different eigenvalues has C(n, k) critical covariances of rank k. They are Omega_J Lambda_J "
        "Omega_J^T for every set J of k eigenvectors, and have the value sum_(i not in J) lambda_i."
    )
    latex = r"\Sigma_J = \Omega_J \Lambda_J \Omega_J^\top, \quad L(\Sigma_J) = \sum_{i \notin J} \lambda_i"
    source = "Bréchet et al. 2023"
    hypotheses = (own_instances,)
    stated = Variant(value=lambda J: float(_outside(J).sum()), count=comb(len(SIX), RANK))
    mutants = (
        stated.but("the eigenvalues inside", value=lambda J: float(SIX[list(J)].sum())),
        stated.but("roots of eigenvalues", value=lambda J: float(np.sqrt(_outside(J)).sum())),
        stated.but("the largest value of all", value=lambda _: float(np.sort(SIX)[:RANK].sum())),
        stated.but("lower ranks too", count=sum(comb(len(SIX), r) for r in range(RANK + 1))),
    )
    counter_example = "lower ranks too: the nuclear norm has no gradient there"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        return _values(points(case, 0.0), variant.count, variant.value)


@claim("B3")
class NoisyCriticalValues(Claim):
    """With noise lower ranks are critical too."""

    title = "critical points of the smooth Bures-Wasserstein loss"
    statement = (
        "For 0 < tau < lambda_min the critical covariances of rank k or less are Omega_J (Lambda_J - tau) Omega_J^T. "
        "Their values are sum_(i not in J) (sqrt(lambda_i) - sqrt(tau))^2; at n = 6, k = 3 there are 42."
    )
    latex = (
        r"\Sigma_J = \Omega_J (\Lambda_J - \tau) \Omega_J^\top, \quad L_\tau(\Sigma_J) = \sum_{i \notin J} "
        r"(\sqrt{\lambda_i} - \sqrt\tau)^2"
    )
    source = "Bréchet et al. 2023 (value as in the authors' code)"
    hypotheses = (own_instances,)
    stated = Variant(
        value=lambda J: float(((np.sqrt(_outside(J)) - np.sqrt(TAU)) ** 2).sum()),
        count=sum(comb(len(SIX), r) for r in range(RANK + 1)),
    )
    mutants = (
        stated.but("the value without noise", value=lambda J: float(_outside(J).sum())),
        stated.but("eigenvalues less tau", value=lambda J: float((_outside(J) - TAU).sum())),
        stated.but("the highest rank alone", count=comb(len(SIX), RANK)),
    )
    counter_example = "eigenvalues less tau: the values at a target that commutes with nothing"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        return _values(points(case, TAU), variant.count, variant.value)
