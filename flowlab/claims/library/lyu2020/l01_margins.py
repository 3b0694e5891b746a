"""L1, L2 and L9: the smoothed margin along flows."""

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis, subject
from flowlab.claims.library.lyu2020.flows import flows, homogeneous_flow, largest_fall, levels, own
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.losses import Loss
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
    def log_size(self, path: "Trajectory") -> np.ndarray:
        """Logarithm of what log(1/L) is divided by, at every row."""

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities, rows = [], {}
        for which, _, path in flows(case):
            level, size = levels(path)["level"], self.log_size(path)
            late = level > 0
            # One per cent on flows that go far; others may end before the margin is done with rising.
            level, size = variant.rows(level, variant.degree(own(case)) * size, late)
            fall = largest_fall(level, size)
            bound = 1e-12 if own(case) else max(1e-12, 1e-2 * float(path.provenance["settings"]["rtol"]))
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

    def log_size(self, path: "Trajectory") -> np.ndarray:
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

    def log_size(self, path: "Trajectory") -> np.ndarray:
        return path.dataset["log_R"].values


def _enlarged(level: np.ndarray, far: bool, data: "Data") -> np.ndarray:
    """One per cent on flows that go far; on others all that samples and classes can make of it."""
    return 1.01 * level if far else level + np.log(data.n * max(1, data.outputs - 1))


@claim("L2")
class Sandwich(Claim):
    """The smoothed margin lies below the margin by at most log N/‖θ‖^K."""

    title = "the smoothed margin between the margin and the margin less log N"
    statement = (
        "At every state margin - log(N)/|theta|^K <= log(1/L)/|theta|^K <= margin, the margin being min_n "
        "q_n/|theta|^K."
    )
    latex = r"\bar\gamma - \frac{\log N}{\lVert\theta\rVert^K} \le \tilde\gamma \le \bar\gamma"
    source = "Lyu and Li 2020, section 4"
    hypotheses = (homogeneous_flow,)
    stated = Variant(share=1.0, level=lambda level, *_: level)
    mutants = (
        stated.but("without log N", share=0.0),
        stated.but("half of log N", share=0.5),
        stated.but("smoothed margin too large", level=_enlarged),
    )
    counter_example = "half of log N: at small weights all samples weigh the same, and the whole logarithm is needed"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which, data, path in flows(case):
            columns, problem = levels(path), path.problem
            level = variant.level(columns["level"], own(case), data)
            # A state whose outputs are all small is added: there all samples weigh the same.
            tiny = {k: 1e-3 * np.asarray(v) for k, v in path.state(0).weights().items()}
            outputs = problem.network.outputs(tiny, np.asarray(data.x), np)
            q = np.append(columns["q"], problem.loss.margins(np, outputs, np.asarray(data.y)).min())
            level = np.append(
                level, np.asarray(problem.loss.level(np, problem.loss.log_loss(np, outputs, np.asarray(data.y))))
            )
            # In units of a margin difference of the network itself: both sides times |theta|^K.
            above, below = level - q, lowest(problem.loss, q, variant.share * np.log(data.n), data.outputs) - level
            scale = np.maximum(1.0, np.abs(q))
            bound = 1e-12 if problem.loss.has_one_output else 1e-9
            quantities += [
                Quantity(
                    f"log(1/L) - min q, {which}",
                    float((above / scale)[:-1].max()),
                    0.0,
                    bound,
                    relation="<=",
                    route="rows of the flow",
                ),
                Quantity(
                    f"min q - log N - log(1/L), {which}",
                    float((below / scale).max()),
                    0.0,
                    bound,
                    relation="<=",
                    route="rows of the flow, and one with outputs near 0",
                ),
            ]
        return Measurement.of(quantities, "roundings of the logarithm of a sum, relative to the margin")


def lowest(loss: "Loss", q: np.ndarray, log_count: float, outputs: int) -> np.ndarray:
    """ℓ^{-1}(N ℓ(q)) with ℓ the loss of one sample: the least that ℓ^{-1}(L) can be where the smallest margin is q.
    Classes count C - 1 times.
    """
    if loss.has_one_output:
        log_single = loss.log_terms(np, q[:, None], np.ones(len(q)))
    else:
        others = q[:, None] * np.r_[1.0, np.zeros(outputs - 1)]
        log_single = loss.log_terms(np, others, np.zeros(len(q), dtype=int))
    return np.asarray(loss.level(np, log_single + log_count))
