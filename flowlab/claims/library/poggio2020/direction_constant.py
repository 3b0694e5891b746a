"""How |v - v*| of a linear net falls under gradient flow, its normalised relatives and descent."""

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.case import Case
from flowlab.claims.library.poggio2020.flows import HORIZON, machine
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.discrete.descent.descend import descend
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory
from flowlab.late.richardson import Estimate

WN_HORIZON = 1e4
"""Log t of runs with normalised weights, whose directions settle ρ² times as fast as the norm grows: they are stiff."""


STEPS = 40_000
"""Of normalised descent."""


def gaps(path: Trajectory, v: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ρ, |P V/|V| - v|) over the rows, with P the projection on the span of the support."""
    V = path.dataset["V_W1"].values[:, 0, :]
    V = V / np.linalg.norm(V, axis=1, keepdims=True)
    return path.dataset["rho"].values[:, 0], np.linalg.norm(V @ onto - v, axis=1)


def reduced(z: np.ndarray, rho: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Directions of weight normalisation at the norms `rho` (m,), from V at the first one: dV/dlog ρ = ρ² (m - V (V
    m))/(V m), m = Σ p_n z_n.
    """

    def parts(u: float, V: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        q = np.exp(u) * (z @ V)
        p = np.exp(q.min() - q)
        p /= p.sum()
        return float(np.exp(u)), p, p @ z

    def rate(u: float, V: np.ndarray) -> np.ndarray:
        norm, _, m = parts(u, V)
        return norm**2 * (m / (V @ m) - V)

    def slope(u: float, V: np.ndarray) -> np.ndarray:
        norm, p, m = parts(u, V)
        c = -norm * ((z.T * p) @ z - np.outer(m, m))
        return norm**2 * (c / (V @ m) - np.outer(m, m + c @ V) / (V @ m) ** 2 - np.eye(len(V)))

    # V m is never anything but positive from a separating V on, so that the norm is a clock.
    u = np.log(rho)
    solution: Any = solve_ivp(rate, (u[0], u[-1]), V, method="Radau", jac=slope, t_eval=u, rtol=1e-9, atol=1e-13)
    return solution.y.T


def constants_of_flows(
    ends: list[float], descent: float, C: Estimate, far: float, star: float, factor: float
) -> list[Quantity]:
    """ρ|v - v*| under gradient flow, exponential weight normalisation, normalised descent and weight normalisation."""
    near, name, route = 3e-3 * star, "rho |v - v*|", "flow at log t = 1e6"
    return [
        Quantity(f"{name}, gradient flow", ends[0], star, near, route=route),
        Quantity(f"{name}, exponential weight normalisation", ends[1], star, near, route=route),
        Quantity(f"{name}, normalised descent", descent, factor * star, near, route=f"descent, {STEPS} steps"),
        Quantity(
            f"{name}, weight normalisation",
            C.value,
            star,
            near,
            C.error,
            route="flow to log t = 1e4, extrapolated in 1/rho",
            second=far,
            second_route="reduced equation dV/dlog rho by Radau, another start, two norms extrapolated",
        ),
    ]


def normalised(case: Case, scheme: str, data: Data, name: str = "", **settings: Any) -> Trajectory:
    """The flow of one layer under a normalised scheme, from a start that separates the samples."""
    problem = Problem("W1 @ x", scheme=scheme)
    start = settings.pop("start", None) or State.from_weights({"W1": 1.5 * separating(data, case.seed)[None]})
    until = log_time(WN_HORIZON if scheme == "lagrange" else HORIZON)
    return integrated(case, f"linear {scheme}{name}", problem, start, data, until, **settings)


def separating(data: Data, seed: int) -> np.ndarray:
    """A unit vector away from v* that separates the samples, (d,)."""
    z, w = np.asarray(data.x) * np.asarray(data.y)[:, None], machine(data)[0]
    off = np.random.default_rng([999, seed]).normal(size=len(w))
    V = w + 0.9 * off / np.abs(z @ off).max()
    return V / np.linalg.norm(V)


def constant_by_reduced_equation(data: Data, v: np.ndarray, onto: np.ndarray, seed: int) -> float:
    """C* by the reduced equation at ρ and 2ρ, from a start of its own that separates."""
    z, V = np.asarray(data.x) * np.asarray(data.y)[:, None], separating(data, seed + 1)
    size = 1.0 / float((z @ v).min())
    rho = np.array([3.0, 1e4, 2e4]) * max(1.0, size)
    V = reduced(z, rho, V)[1:]
    C = [r * float(np.linalg.norm(onto @ u / np.linalg.norm(u) - v)) for r, u in zip(rho[1:], V, strict=True)]
    return 2.0 * C[1] - C[0]


def by_descent(case: Case, data: Data, onto: np.ndarray, v: np.ndarray) -> float:
    """ρ|v - v*| at the end of descent with steps η/L."""
    problem = Problem("W1 @ x", coordinates="weights")
    # The softmax of the margins has a curvature of at most the largest |x_n|².
    step = 0.5 / float((np.asarray(data.x) ** 2).sum(axis=1).max())
    start = initial_state(problem.network, data, seed=case.seed)
    walk = descend(problem, start, data, step=step, count=STEPS, loss_scaled=True)
    return float(np.prod(gaps(walk, v, onto), axis=0)[-1])
