"""B2 and B3: the critical values without noise and with it."""

from collections.abc import Callable
from math import comb
from typing import NamedTuple

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.brechet2023.flows import TAU
from flowlab.claims.library.brechet2023.generators import CriticalPoints, Generator, critical_points, given_generator
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.studies.covariance_points import CovariancePoint


class Parts(NamedTuple):
    """Eigenvalues of the target inside and outside of a point, and τ."""

    inside: np.ndarray
    outside: np.ndarray
    tau: float


def _parts(told: Generator, point: CovariancePoint) -> Parts:
    inside = np.isin(np.arange(len(told.spectrum)), point.eigenvectors)
    return Parts(told.spectrum[inside], told.spectrum[~inside], told.tau)


def _values(
    found: CriticalPoints, count: int, value: Callable[[Parts], float], *, rank: int | None = None
) -> Measurement:
    """Critical values against a formula; of one rank, or of all."""
    seen = [point for point in found.points.points if rank in (None, point.rank)]
    told = [value(_parts(found.of, point)) for point in seen]
    gaps = [abs(point.value - wanted) for point, wanted in zip(seen, told, strict=True)]
    size = float(found.of.spectrum.sum())
    # Values are sums of eigenvalues: those of the pack's own target are of order one.
    bound = 1e-12 * max(1.0, size / len(found.of.spectrum))
    return Measurement.of(
        [
            Quantity("number of critical points", len(seen), count, 0.0, altered=0.0),
            Quantity("largest distance of a value from the formula", max(gaps), 0.0, bound, relation="<="),
            Quantity("largest gradient at a point", max(p.residual for p in seen), 0.0, bound, relation="<="),
            Quantity("highest value", seen[-1].value, told[-1], bound, route="objective"),
        ],
        "values are sums of a few numbers of the size of eigenvalues",
        points=[[list(p.eigenvectors), p.value, p.index] for p in seen],
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
    hypotheses = (given_generator(noise=False),)
    stated = Variant(value=lambda at: float(at.outside.sum()), count=comb)
    mutants = (
        stated.but("the eigenvalues inside", value=lambda at: float(at.inside.sum())),
        stated.but("roots of eigenvalues", value=lambda at: float(np.sqrt(at.outside).sum())),
        stated.but("one eigenvalue counts twice", value=lambda at: float(at.outside.sum() + at.outside[:1].sum())),
        stated.but("lower ranks too", count=lambda n, k: sum(comb(n, r) for r in range(k + 1))),
    )
    counter_example = "lower ranks too: the nuclear norm has no gradient there"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = critical_points(case, 0.0)
        n, k = len(found.of.spectrum), found.rank
        return _values(found, variant.count(n, k), variant.value, rank=k)


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
    hypotheses = (given_generator(noise=True),)
    stated = Variant(
        value=lambda at: float(((np.sqrt(at.outside) - np.sqrt(at.tau)) ** 2).sum()),
        count=lambda n, k: sum(comb(n, r) for r in range(k + 1)),
    )
    mutants = (
        stated.but("the value without noise", value=lambda at: float(at.outside.sum())),
        stated.but("eigenvalues less tau", value=lambda at: float((at.outside - at.tau).sum())),
        stated.but("the highest rank alone", count=comb),
    )
    counter_example = "eigenvalues less tau: the values at a target that commutes with nothing"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = critical_points(case, TAU)
        return _values(found, variant.count(len(found.of.spectrum), found.rank), variant.value)
