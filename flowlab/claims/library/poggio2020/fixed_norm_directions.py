"""Directions of least loss at fixed norm: by the continuation in R, by Newton, and their limit."""

import math

import numpy as np

from flowlab.claims.library.poggio2020.flows import SMALLEST, across, constant
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import separable
from flowlab.discrete.continuation.paths import norm_path
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

NORMS = tuple(5.0 * 2.0**i for i in range(7))
"""R at which the bounds are checked."""


LATE = tuple(2.0**i for i in range(12, 20))
"""R at which limits are read."""


def at_fixed_norm(z: np.ndarray, R: float, V: np.ndarray) -> np.ndarray:
    """The unit vector of least Σ exp(-R z_n V), (d,), by Newton steps on the sphere from V."""
    for _ in range(200):
        q = R * (z @ V)
        p = np.exp(q.min() - q)
        p /= p.sum()
        mean = z.T @ p
        tangent = np.eye(len(V)) - np.outer(V, V)
        hessian = R * ((z.T * p) @ z - np.outer(mean, mean)) + (mean @ V) * np.eye(len(V))
        step = np.linalg.solve(tangent @ hessian @ tangent + np.outer(V, V), tangent @ mean)
        step *= min(1.0, 1.0 / max(R * float(np.abs(z @ step).max()), 1e-300))
        V = (V + step) / np.linalg.norm(V + step)
        if np.linalg.norm(step) < 1e-15:
            break
    return V


def bounds_of_gap(
    z: np.ndarray, gamma: float, bound: float, near: np.ndarray, newton: np.ndarray, far: np.ndarray
) -> list[Quantity]:
    """The gap of the margin between its bounds, at all norms, and the curve against Newton's method."""
    lowest = [float((z @ V).min()) for V in near]
    largest = max(R * (gamma - low) for R, low in zip(NORMS, lowest, strict=True))
    lacking = (gamma - (np.concatenate([newton, far]) @ z.T).min(axis=1)) * [*NORMS, *LATE]
    name, route = "R (gamma - margin), R =", "curve of critical points"
    return [
        Quantity(f"largest {name} 5..320", largest, bound, 0.0, relation="<=", route=route),
        Quantity(
            f"largest {name} 5..524288",
            float(lacking.max()),
            bound,
            0.0,
            relation="<=",
            route="Newton steps on the sphere",
        ),
        Quantity(
            "smallest gamma - margin, R = 5..320", gamma - max(lowest), 0.0, 1e-13 * gamma, relation=">=", route=route
        ),
        Quantity(
            "curve of critical points against Newton, R = 5..320",
            float(np.abs(near - newton).max()),
            0.0,
            1e-8,
            route=route,
        ),
    ]


def drawn(seed: int) -> Data:
    """Eight samples in three dimensions whose constant is not too small to be measured."""
    return next(d for i in range(100) if constant(d := separable(8, 3, seed + 1000 * i)) > SMALLEST)


def curve_in_norm(data: Data, z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """V_R at `NORMS` from the continuation in R."""
    first = at_fixed_norm(z, NORMS[0], v)
    curve = norm_path(
        Problem("W1 @ x"),
        data,
        norms=(NORMS[0], NORMS[-1] * 1.01),
        start=State.from_weights({"W1": NORMS[0] * first[None]}),
        switch=False,
    )
    points = [curve.at(math.log(R), branch=0)[0]["W1"].ravel() for R in NORMS]
    return np.array([w / np.linalg.norm(w) for w in points])


def by_newton(z: np.ndarray, v: np.ndarray, norms: tuple[float, ...]) -> np.ndarray:
    """V_R at some norms, each from the one before."""
    V, directions = v, []
    for R in norms:
        V = at_fixed_norm(z, R, V)
        directions.append(V)
    return np.array(directions)


def linearised(z: np.ndarray, v: np.ndarray, V: np.ndarray, R: float) -> float:
    """|P_perp w~| with w~ from log p_n, the softmax over the support at V_R: log α_n up to a constant there."""
    q = R * (z @ V)
    p = np.exp(q.min() - q)
    return across(np.linalg.lstsq(z, -np.log(p / p.sum()), rcond=None)[0], v)
