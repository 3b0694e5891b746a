"""B4 and B5: the minimum has the largest eigenvalues, and every other critical point is a saddle."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import RANK, SIX, TAU, data, problem
from flowlab.claims.library.brechet2023.generators import own_points
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete import descend
from flowlab.language.state import State
from flowlab.studies.covariance_points import CovariancePoint

STARTS = 100
_STEP, _COUNT = 0.05, 2_500
"""A step far below 2 over the largest curvature, 4, and four times what the slowest of a hundred starts needs."""


def _value(tau: float, inside: list[int]) -> float:
    outside = SIX[[i for i in range(len(SIX)) if i not in inside]]
    return float(((np.sqrt(outside) - np.sqrt(tau)) ** 2).sum())


@claim("B4")
class Minimiser(Claim):
    """The lowest critical point has the k largest eigenvalues, with noise or without."""

    title = "the minimiser of the Bures-Wasserstein loss of a bottleneck"
    statement = (
        "The minimum over covariances of rank k has the k largest eigenvalues of the target, less tau. It is the only "
        "critical point without a direction in which the loss falls."
    )
    latex = (
        r"\arg\min_{\operatorname{rank} \Sigma \le k} L_\tau = \Omega_{[k]} (\Lambda_{[k]} - \tau) \Omega_{[k]}^\top"
    )
    source = "Bréchet et al. 2023"
    hypotheses = (own_instances,)
    stated = Variant(chosen=list(range(RANK)), stable=1)
    mutants = (
        stated.but("the smallest eigenvalues", chosen=list(range(RANK, len(SIX)))),
        stated.but("the largest but one", chosen=list(range(1, RANK + 1))),
        stated.but("a minimum beside it", stable=2),
    )
    counter_example = "the smallest eigenvalues: the highest of all critical values"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for tau in (0.0, TAU):
            found = own_points(case, tau).points
            told = f"tau = {tau:g}"
            least = _value(tau, variant.chosen)
            stable = sum(point.index == 0 for point in found.points)
            quantities += [
                Quantity(f"least critical value, {told}", found.minimum.value, least, 1e-12, route="objective"),
                Quantity(f"points without a falling direction, {told}", stable, variant.stable, 0.0, altered=0.0),
            ]
        return Measurement.of(quantities, "values are exact to roundings, indices are counts of Hessian eigenvalues")


def _index(point: CovariancePoint) -> int:
    """Pairs of an eigenvector inside and a larger one outside, and free columns times eigenvectors outside."""
    inside = point.eigenvectors
    outside = [j for j in range(len(SIX)) if j not in inside]
    pairs = sum(SIX[j] > SIX[i] for i in inside for j in outside)
    return int(pairs) + (RANK - len(inside)) * len(outside)


@claim("B5")
class Saddles(Claim):
    """All critical points but one are saddles, and random starts do not end there."""

    title = "saddles of the Bures-Wasserstein loss"
    statement = (
        "A critical point of a single layer falls in as many directions as there are pairs of an eigenvector inside "
        "and a larger one outside; with noise every column that is zero adds the eigenvectors outside. Descent from "
        "100 of 100 random starts ends at the k largest eigenvalues."
    )
    latex = r"\operatorname{index} \Sigma_J = \#\{i \in J, j \notin J : \lambda_j > \lambda_i\} + (k - |J|)(n - |J|)"
    source = "Bréchet et al. 2023 (saddles); the index is derived here from second derivatives"
    hypotheses = (own_instances,)
    stated = Variant(index=_index, ends=lambda tau: _value(tau, list(range(RANK))))
    mutants = (
        stated.but("one direction for every point", index=lambda _: 1),
        stated.but("without the columns that are zero", index=lambda p: _index(p) if p.rank == RANK else 0),
        stated.but("descent ends at the next point", ends=lambda tau: _value(tau, [0, 1, 3])),
    )
    counter_example = "descent ends at the next point: as it does from starts inside the saddle's eigenvectors"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        wrong = sum(point.index != variant.index(point) for tau in (0.0, TAU) for point in own_points(case, tau).points)
        ends = case.once("descents", lambda: self._ends(case))
        goal = variant.ends(0.0)
        reached = int(sum(abs(value - goal) <= 1e-9 for value in ends))
        return Measurement.of(
            [
                Quantity("points with another index", wrong, 0, 0.0, relation="<=", altered=0.0),
                Quantity("starts that end at the k largest", reached, STARTS, 0.0, relation=">=", altered=0.0),
                Quantity("largest loss at an end", max(ends), goal, 1e-9, route="gradient descent"),
            ],
            "a count has no error; a gap between critical values is 0.4 or more",
        )

    def _ends(self, case: Case) -> list[float]:
        prob, told = problem(1, 0.0), data(case, SIX)
        found = []
        for i in range(STARTS):
            rng = np.random.default_rng([case.seed, i])
            start = State.from_weights({"W1": rng.normal(size=(len(SIX), RANK))})
            walk = descend(prob, start, told, step=_STEP, count=_COUNT)
            found.append(float(walk.dataset["objective"].values[-1]))
        return found
