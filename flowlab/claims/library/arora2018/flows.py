"""Deep linear nets from balanced starts, W_{j+1}^T W_{j+1} = W_j W_j^T: instances, flows, and the end-to-end equations
of their products.
"""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.case import Case
from flowlab.claims.hypotheses import about, hypothesis
from flowlab.claims.sample_problems import integrated
from flowlab.core.typing import Blocks
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

DEEP = "W3 @ W2 @ W1 @ x"
LAYERS = 3


def layers(product: np.ndarray, count: int = LAYERS, seed: int = 0) -> dict[str, np.ndarray]:
    """Balanced layers with this product (o, d): equal powers of its singular values, hidden bases random."""
    rng = np.random.default_rng(seed)
    u, s, vt = np.linalg.svd(product, full_matrices=False)
    bases = [np.linalg.qr(rng.normal(size=(len(s), len(s))))[0] for _ in range(count - 1)]
    root = np.diag(s ** (1.0 / count))
    left, right = [*bases, u], [vt, *[b.T for b in bases]]
    return {f"W{j + 1}": left[j] @ root @ right[j] for j in range(count)}


def product(weights: Blocks) -> np.ndarray:
    """W_N ⋯ W_1, (o, d)."""
    W = np.asarray(weights["W1"])
    for j in range(2, len(weights) + 1):
        W = np.asarray(weights[f"W{j}"]) @ W
    return W


def gradient(W: np.ndarray, data: Data) -> np.ndarray:
    """dL/dW of the square loss, summed over samples, in the product W, (o, d)."""
    x, y = np.asarray(data.x), np.asarray(data.y)
    return (W @ x.T - (y.T if y.ndim == 2 else y[None, :])) @ x


def power(basis: np.ndarray, s: np.ndarray, p: float) -> np.ndarray:
    """W W^T to the power p >= 0, from left singular vectors and singular values of W; the identity for p = 0."""
    return np.eye(len(basis)) if p == 0 else (basis * s ** (2 * p)) @ basis.T


def end_to_end(W: np.ndarray, G: np.ndarray, count: int = LAYERS, root: float | None = None) -> np.ndarray:
    """-Σ_j [W W^T]^{(N-j)/N} G [W^T W]^{(j-1)/N}; `root` stands in for the N of the exponents."""
    root = root or float(count)
    # Not from eigenvalues of W^T W: where it is singular their roundings, to a small power, would be no small noise.
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    return -sum(
        (power(u, s, (count - j) / root) @ G @ power(vt.T, s, (j - 1) / root) for j in range(1, count + 1)),
        np.zeros_like(W),
    )


def solved(
    W: np.ndarray, data: Data, times: np.ndarray, rate: Callable[[np.ndarray, np.ndarray], np.ndarray] = end_to_end
) -> np.ndarray:
    """The end-to-end flow by an explicit method of order 8, (T, o, d)."""

    def slope(_: float, w: np.ndarray) -> np.ndarray:
        now = w.reshape(W.shape)
        return rate(now, gradient(now, data)).ravel()

    solution = solve_ivp(
        slope, (0.0, float(times[-1])), W.ravel(), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13
    )
    return solution.y.T.reshape(-1, *W.shape)


def regression(case: Case) -> tuple[Problem, Data]:
    """A problem of three linear layers and its samples: those given, or three in three dimensions with Gaussian
    targets.
    """
    problem = Problem(
        DEEP, "square", coordinates="weights", reduction="sum" if case.problem is None else case.problem.reduction
    )
    if case.data is not None:
        return problem, case.data
    rng = np.random.default_rng(case.seed)
    return problem, Data(
        np.eye(3) + 0.3 * rng.normal(size=(3, 3)), 1.5 * rng.normal(size=(3, 3)), name=f"regression seed={case.seed}"
    )


def began(case: Case, data: Data) -> np.ndarray:
    """The product that balanced flows start at: Gaussian, with singular values from 0.3 to 0.9 so that no mode is
    asleep.
    """
    rng = np.random.default_rng(1000 + case.seed)
    u, _, vt = np.linalg.svd(rng.normal(size=(data.outputs, data.d)), full_matrices=False)
    return u @ np.diag(np.linspace(0.9, 0.3, u.shape[1])) @ vt


def horizon(data: Data) -> float:
    """A time in which the fast modes are learned and the slow ones are not."""
    x, y = np.asarray(data.x), np.asarray(data.y)
    return 1.0 / float(np.linalg.norm(x.T @ x, 2) + np.linalg.norm(y.T @ x, 2))


def balanced_flow(case: Case) -> tuple[Problem, Trajectory, Data]:
    """Problem, path and data of one balanced flow, shared by the claims of this pack."""
    problem, data = regression(case)
    start = State.from_weights(layers(began(case, data), seed=case.seed))
    path = integrated(
        case, "balanced", problem, start, data, time(4.0 * horizon(data)), rtol=1e-11, atol=1e-13, solver="tsit5"
    )
    return problem, path, data


def rows(path: Trajectory, count: int) -> list[int]:
    """Some rows of a path, spread over its steps; the last one among them."""
    return np.unique(np.linspace(1, len(path) - 1, count).round().astype(int)).tolist()


@hypothesis("losses summed over samples")
def sums(case: Case) -> str | None:
    """The loss is a sum, as in the theorems."""
    if case.problem is not None and case.problem.reduction != "sum":
        return "it is stated for losses summed over samples"
    return None


ANY_TARGETS = (sums, about(DEEP, takes_data=True))


def bases(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two rotations."""
    rng = np.random.default_rng(seed)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2)]
    return tuple(q * np.array([1.0, 1.0, np.linalg.det(q)]) for q in turns)  # type: ignore[return-value]


def whitened(target: np.ndarray, name: str) -> Data:
    """Samples whose square loss is |W - target|^2/2."""
    return Data(np.eye(3), target.T, name=name)
