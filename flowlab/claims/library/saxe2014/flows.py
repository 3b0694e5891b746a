"""Deep linear nets whose layers are diagonal in the singular bases of the input-output correlation: every mode learns
alone.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

TWO, THREE = "W2 @ W1 @ x", "W3 @ W2 @ W1 @ x"
STRENGTHS = np.array([3.0, 2.0, 1.0])


def rotations(seed: int, count: int) -> list[np.ndarray]:
    """Orthogonal 3 x 3 matrices."""
    rng = np.random.default_rng(seed)
    return [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(count)]


def aligned(
    seed: int, sizes: np.ndarray, strengths: np.ndarray
) -> tuple[dict[str, np.ndarray], Data, np.ndarray, np.ndarray]:
    """Layers with these sizes of modes (layers, 3), whitened samples with these strengths, and the outer bases."""
    bases = rotations(seed, len(sizes) + 1)
    weights = {f"W{j + 1}": bases[j + 1] @ np.diag(size) @ bases[j].T for j, size in enumerate(sizes)}
    u, v = bases[-1], bases[0]
    return (
        weights,
        Data(np.eye(3), (u @ np.diag(strengths) @ v.T).T, name=f"modes {strengths.tolist()} seed={seed}"),
        u,
        v,
    )


def learned(
    case: Case, name: str, net: str, sizes: np.ndarray, strengths: np.ndarray, until: float
) -> tuple[np.ndarray, np.ndarray, Trajectory]:
    """Times (T,), strengths of the modes of the product (T, 3), and the flow that starts with these sizes."""
    weights, data, u, v = aligned(case.seed, sizes, strengths)
    problem = Problem(net, "square", coordinates="weights")
    path = integrated(
        case, name, problem, State.from_weights(weights), data, time(until), rtol=1e-11, atol=1e-16, solver="tsit5"
    )
    rows = path.dataset
    W = rows["rho"].values[:, 0, None, None] * rows["V_W1"].values
    for j in range(1, len(sizes)):
        W = (rows["rho"].values[:, j, None, None] * rows[f"V_W{j + 1}"].values) @ W
    return np.exp(rows["log_t"].values), np.einsum("ij,tjk,ki->ti", u.T, W, v), path


def half_time(times: np.ndarray, u: np.ndarray, s: float) -> float:
    """When a mode has reached half of its strength: a cubic spline of log u/(s - u), which is zero there."""
    near = (u > 0.02 * s) & (u < 0.98 * s)
    return float(CubicSpline(np.log(u[near] / (s - u[near])), times[near])(0.0))


def solved(start: np.ndarray, strengths: np.ndarray, times: np.ndarray, depth: int) -> np.ndarray:
    """Modes du/dt = N u^(2-2/N) (s - u) by an explicit method of order 8, (T, modes)."""
    solution = solve_ivp(
        lambda _, u: depth * u ** (2 - 2 / depth) * (strengths - u),
        (0.0, float(times[-1])),
        start,
        method="DOP853",
        t_eval=times,
        rtol=1e-12,
        atol=1e-16,
    )
    return solution.y.T


SMALL = 1e-3


def logistic(t: np.ndarray, s: np.ndarray, u0: np.ndarray, speed: float = 2.0) -> np.ndarray:
    """s/(1 + (s/u0 - 1) e^(-2 s t)): the closed form, divided through so that it does not overflow."""
    return s / (1.0 + (s / u0 - 1.0) * np.exp(-speed * s * t[:, None]))
