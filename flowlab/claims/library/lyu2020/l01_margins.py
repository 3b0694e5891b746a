"""L1, L2 and L9: the smoothed margin along flows."""

from abc import abstractmethod

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis, subject
from flowlab.claims.library.lyu2020.flows import flows, homogeneous_flow, largest_fall, levels, own
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.trajectory import Trajectory


def _reversed(level: np.ndarray, size: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return level[late][::-1], size[late][::-1]


def _raised(level: np.ndarray, size: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One loss too large, where the margin rises least."""
    level, at = level.copy(), np.flatnonzero(late)
    flattest = at[1 + int(np.argmin(np.diff(np.log(level[at]) - size[at])))]
    level[flattest] = (1.0 - 1e-5) * np.exp(np.log(level[flattest - 1]) + size[flattest] - size[flattest - 1])
    return level, size


class _Monotone(Claim):
    """What L1 and L9 share: rows of flows, and how wrong variants look."""

    hypotheses = (homogeneous_flow,)
    stated = Variant(degree=lambda _: 1.0, rows=lambda level, size, _: (level, size))
    mutants = (
        stated.but("a larger degree", degree=lambda far: 1.01 if far else 2.0),
        stated.but("time reversed", rows=_reversed),
        stated.but("one loss too large by a part in 1e5 of its level", rows=_raised),
    )

    @abstractmethod
    def log_size(self, path: Trajectory) -> np.ndarray:
        """Logarithm of what log(1/L) is divided by, at every row."""

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities, rows = [], {}
        for which, _, path in flows(case):
            level, size = levels(path)["level"], self.log_size(path)
            late = level > 0
            # One per cent on flows that go far; others may end before the margin is done with rising.
            level, size = variant.rows(level, variant.degree(own(case)) * size, late)
            fall = largest_fall(level, size)
            bound = 1e-12 if own(case) else max(1e-12, 1e-2 * path.rtol)
            quantities.append(
                Quantity(f"largest fall, {which}", fall, 0.0, bound, relation="<=", route="rows of the flow")
            )
            rows[which] = int(late.sum())
        return Measurement.of(
            quantities, "relative falls between rows; roundings of the logarithm of the loss", rows=rows
        )


@claim("L1")
class SmoothedMargin(_Monotone):
    """log(1/L)/‖θ‖^K does not fall once L < 1."""

    title = "the smoothed margin of all weights never falls"
    statement = (
        "Along gradient flow of a homogeneous net log(1/L)/|theta|^K does not decrease once L < 1, K the degree of "
        "all weights together. For other losses with an exponential tail l^-1(L) stands for log(1/L), and l(0) for 1."
    )
    latex = r"\tilde\gamma = \frac{\log(1/L)}{\lVert\theta\rVert^K} \text{ is non-decreasing once } L < 1"
    source = "Lyu and Li 2020, theorem 4.1"
    counter_example = "a larger degree: log(1/L)/|theta|^(1.01 K) falls late"

    def log_size(self, path: Trajectory) -> np.ndarray:
        columns = levels(path)
        return columns["K"] * np.log(columns["theta"])


@hypothesis("every block scales alone")
def _multihomogeneous(case: Case) -> str | None:
    p = subject(case)
    if p is not None and not p.network.symmetry.is_multihomogeneous:
        return f"the network is {p.network.symmetry.kind}, and it is about nets of which every block scales alone"
    return None


@claim("L9")
class SmoothedMarginOfLayers(_Monotone):
    """log(1/L)/Π‖W_k‖^κ_k does not fall either."""

    title = "the smoothed margin of the product of norms never falls"
    statement = (
        "Along gradient flow of a multi-homogeneous net log(1/L)/prod_k |W_k|^kappa_k does not decrease once L < 1."
    )
    latex = r"\frac{\log(1/L)}{\prod_k \lVert W_k\rVert^{\kappa_k}} \text{ is non-decreasing once } L < 1"
    source = "Lyu and Li 2020, appendix on multi-homogeneous models"
    hypotheses = (_multihomogeneous, homogeneous_flow)
    counter_example = "a larger degree: then the quotient falls late"

    def log_size(self, path: Trajectory) -> np.ndarray:
        return path.dataset["log_R"].values
