"""Late flows of one linear layer on separable data, which several claims are about: which problems they take, the flow,
and its constants.
"""

import itertools
import math
import re
from collections.abc import Sequence

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.hypotheses import Hypothesis, hypothesis, subject
from flowlab.claims.sample_problems import integrated, separable
from flowlab.core.errors import ClaimError
from flowlab.core.typing import ArrayLike
from flowlab.discrete.critical.critical_points import CriticalPoints, critical_points
from flowlab.discrete.margin.svm import certify_separable, hard_margin
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory

HORIZON = 1e6
"""log t to which linear nets are run: what is of order 1/log t has fallen to 1e-6 there."""
EARLIEST = 2e4
"""log t from which on a given flow may show limits to the half per cent that errors of one per cent need."""
SMALLEST = 0.1
"""C* of an instance of our own; below, the term of the next order hides it."""
_SETTLED = 40.0
"""Transients have died out where their exponent has grown to this."""


def only_block(path: Trajectory) -> str:
    """The name of the single layer."""
    return path.problem.network.weights[0]


def machine(data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """w_svm, the support, its multipliers and the bounded part w~ of Soudry et al.

    (2018): x_n w~ = -log α_n on the support, in its span.
    """
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    solution = hard_margin(z, np.ones(len(z)))
    support = np.flatnonzero(solution.alpha > 0)
    return (
        solution.w,
        support,
        solution.alpha[support],
        np.linalg.lstsq(z[support], -np.log(solution.alpha[support]), rcond=None)[0],
    )


def slowest(data: Data) -> float:
    """The rate λ of the slowest transient, which falls like exp(-λ log t).

    On the support it is the least eigenvalue of Σ α_n x_n x_n^T in its span, off it the least x_n·w_svm - 1.
    """
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    w, support, alpha, _ = machine(data)
    rows = np.sqrt(alpha)[:, None] * z[support]
    on = np.linalg.svd(rows, compute_uv=False)[: np.linalg.matrix_rank(z[support])] ** 2
    off = np.delete(z @ w - 1.0, support)
    return float(min(on.min(), off.min(initial=np.inf)))


def linear(case: Case) -> tuple[Data, Trajectory]:
    """The data and the late flow of one linear layer, the given one where there is one; shared by the claims about it.

    Raises:
        ClaimError: if the given flow ends before its transients have died out.
    """
    if case.flow is not None:
        end, needed = float(case.flow.dataset["log_t"].values[-1]), max(EARLIEST, _SETTLED / slowest(case.data))
        if end < needed:
            raise ClaimError(
                f"the given flow ends at log t = {end:.4g}, and limits of these data are seen from {needed:.2g} on; "
                "integrate further."
            )
        return case.data, case.flow
    data = case.data if case.data is not None else separable(8, 3, case.seed)
    problem = Problem("W1 @ x" if case.problem is None else case.problem.network, coordinates="weights")
    start = initial_state(problem.network, data, seed=case.seed)
    return data, integrated(case, "linear", problem, start, data, log_time(HORIZON))


def one_layer(*nets: str) -> Hypothesis:
    """Gradient flow of one linear layer, or any flow of these linear nets, under exponential loss on separable data."""

    def unmet(case: Case) -> str | None:
        p = subject(case)
        if p is not None and (p.network.text not in nets if nets else re.fullmatch(r"\w+ @ x", p.network.text) is None):
            return f"it is about {' or '.join(nets) or 'one linear layer'}, and the network is {p.network.text}"
        if p is not None and p.loss.name != "exponential":
            return f"it is about the exponential loss, and the loss is {p.loss.name}"
        if p is not None and any(p.decay.values()):
            return "weight decay keeps the norm finite"
        if p is not None and not nets and p.scheme.name != "gradient_flow":
            return f"it is about gradient flow, and the scheme is {p.scheme.name}"
        if case.data is None:
            return None
        if case.data.kind != "binary":
            return "labels are not ±1"
        if not certify_separable(np.asarray(case.data.x), np.asarray(case.data.y)).separable:
            return "no hyperplane through 0 separates the data"
        rate = slowest(case.data)
        if rate * HORIZON < _SETTLED:
            slow = f"the slowest transient of these data falls like exp(-{max(rate, 0.0):.2g} log t)"
            late = f"{slow}, too slowly for log t = {HORIZON:g}"
            return f"{late}: a multiplier, or what a sample lacks to support, all but vanishes"
        return None

    flow = " or ".join(f"`{net}`" for net in nets) if nets else "gradient flow of one linear layer"
    return Hypothesis(f"{flow} under the exponential loss without weight decay, separable samples", unmet)


def across(w: np.ndarray, v: np.ndarray) -> float:
    """|P_perp w| for the unit vector v."""
    return float(np.linalg.norm(w - v * (v @ w)))


def constant(data: Data) -> float:
    """C* = |P_perp w~| inside the span of the support vectors."""
    w, _, _, bounded = machine(data)
    return across(bounded, w / np.linalg.norm(w))


def unequal(case: Case) -> tuple[Data, Trajectory]:
    """Data with a C* that can be seen, and its late gradient flow: the case's, or the first of the seeded draws."""
    if case.data is not None or constant(separable(8, 3, case.seed)) > SMALLEST:
        return linear(case)
    seed = next(
        s for s in range(case.seed + 1000, case.seed + 100_000, 1000) if constant(separable(8, 3, s)) > SMALLEST
    )
    problem, data = Problem("W1 @ x", coordinates="weights"), separable(8, 3, seed)
    start = initial_state(problem.network, data, seed=seed)
    return data, integrated(case, f"linear {seed}", problem, start, data, log_time(HORIZON))


@hypothesis("`W1 @ x` under the exponential loss without weight decay, two support vectors of unequal multipliers")
def unequal_duals(case: Case) -> str | None:
    """`one_layer`, and a C* that can be seen."""
    unmet = one_layer("W1 @ x")(case)
    if unmet is None and case.data is not None and not constant(case.data) > SMALLEST:
        small = f"C* = {constant(case.data):.2g} of these data is too small to be seen"
        return f"{small}: one support vector, or multipliers that are all but equal"
    return unmet


def order_of(sizes: Sequence[float]) -> tuple[float, float]:
    """The order of what was measured at four steps, each half of the one before, and its error bar.

    Between two steps the local order is p + c η + ...: doubled at the finer pair and less the coarser one it lacks η²
    only. The bar is what the coarser three steps give otherwise.
    """
    a, b, c = (math.log2(x / y) if x > 0 and y > 0 else math.nan for x, y in itertools.pairwise(sizes))
    return 2 * c - b, abs((2 * c - b) - (2 * b - a))


NORM = 15.0
"""Of the constrained minima."""
LINEAR, RELU = "W2 @ W1 @ x", "W2 @ relu(W1 @ x)"


def critical_set(
    case: Case, net: str, data: Data, name: str, widths: dict[str, int] | None, starts: int, norm: float = NORM
) -> CriticalPoints:
    """Critical points at a fixed norm, computed once."""
    key = f"critical points of {net} {widths} on {name}"
    return case.once(
        key, lambda: critical_points(Problem(net), data, norm=norm, widths=widths, starts=starts, seed=case.seed)
    )


DEEP = {1: "W1 @ x", 2: "W2 @ W1 @ x", 3: "W3 @ W2 @ W1 @ x", 4: "W4 @ W3 @ W2 @ W1 @ x"}
WIDTH = 4
COPIES = 8
"""Samples of the chain's data: equal ones, so that deep nets on other data have the same shapes."""


def chain_of(K: int) -> tuple[Data, State]:
    """Copies of one sample on which f = 1 at unit norms, and balanced layers of rank one with norms 0.9."""
    y = np.where(np.arange(COPIES) % 2 == 0, 1.0, -1.0)
    unit = lambda rows, columns: np.eye(rows)[:, :1] @ np.eye(columns)[:1]  # noqa: E731
    shapes = [(1 if k == K else WIDTH, 3 if k == 1 else WIDTH) for k in range(1, K + 1)]
    weights = {f"W{k}": 0.9 * unit(*shape) for k, shape in enumerate(shapes, 1)}
    return Data(np.outer(y, [1.0, 0.0, 0.0]), y, name="chain", kind="binary"), State.from_weights(weights)


def chain(case: Case, K: int, log_t: float, scheme: str = "gradient_flow") -> Trajectory:
    """The flow of the chain up to log t of a single sample: of `COPIES` samples time runs as many times faster."""
    problem = Problem(DEEP[K], scheme=scheme, coordinates="weights" if scheme == "gradient_flow" else "polar")
    data, start = chain_of(K)
    return integrated(case, f"chain {scheme} K={K} {log_t:g}", problem, start, data, log_time(log_t - math.log(COPIES)))


STARTS = {
    "one unit dead": ((0.05, 1.0), (0.1, -1.0)),
    "both units equal": ((0.0, 1.0), (0.0, 1.0)),
    "one unit for each sample": ((0.3, 1.0), (-0.3, 1.0)),
}
"""First layers; the second one starts at (1, 1)."""
OPTIMUM = np.sqrt(17.0) / 16.0
FAR = 1e6
"""Log t of the flows of two units."""


def two_samples() -> Data:
    """X = (±1, 1/4), both of class +1."""
    return Data([[1.0, 0.25], [-1.0, 0.25]], [1.0, 1.0], name="two samples", kind="binary")


def from_start(case: Case, name: str, first: ArrayLike, log_t: float) -> Trajectory:
    """The flow from a first layer to log t, integrated once."""
    start = State.from_weights({"W1": np.asarray(first, dtype=float), "W2": np.ones((1, 2))})
    return integrated(
        case,
        f"P18 {name} to log t = {log_t:g}",
        Problem(RELU),
        start,
        case.once("P18 samples", two_samples),
        log_time(log_t),
    )


def joint_margin(path: Trajectory) -> tuple[float, float]:
    """min_n q_n/‖θ‖² at the last row, and ‖θ‖² there."""
    squares = float(sum(np.asarray(r) ** 2 for r in path.last.rho.values()))
    return float(np.exp(path.dataset["log_R"][-1])) * float(path.dataset["min_margin"][-1]) / squares, squares
