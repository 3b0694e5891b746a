"""The flow of one norm and one direction under the square loss, to rest."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

NET = "W1 @ x"
SAMPLES, FEATURES = 4, 6
DECAY = 0.2
"""λ of L = mean (1 - ρ f)^2 + λ ρ^2; flowlab's objective is half of that."""


def folded(seed: int) -> np.ndarray:
    """Samples times labels, (N, d), fewer than features."""
    return np.random.default_rng(seed).normal(size=(SAMPLES, FEATURES))


def ridge(z: np.ndarray, decay: float) -> np.ndarray:
    """The minimiser of mean (1 - z w)^2 + λ |w|^2, (d,)."""
    n = len(z)
    return z.T @ np.linalg.solve(z @ z.T / n + decay * np.eye(n), np.ones(n)) / n


def rested(case: Case, rho: float, decay: float, until: float) -> Trajectory:
    """The flow of one norm and one direction from norm `rho`; directions start the same."""
    z = folded(case.seed)
    data = Data(z, np.ones(len(z)), name=f"folded seed={case.seed}", kind="binary")
    problem = Problem(NET, "square", "lagrange", reduction="mean", decay=decay / 2)
    start = State.from_weights({"W1": rho * direction(case.seed)[None, :]})
    return integrated(
        case, f"rho {rho:g} decay {decay:g}", problem, start, data, time(until), rtol=1e-10, atol=1e-12, solver="tsit5"
    )


def direction(seed: int) -> np.ndarray:
    """The unit vector that flows start along, (d,): half of it where no sample sees it."""
    z = folded(seed)
    v = np.random.default_rng(seed + 100).normal(size=FEATURES)
    inside = np.linalg.pinv(z) @ (z @ v)
    outside = v - inside
    inside *= np.sign((z @ inside).mean()) / np.linalg.norm(inside)
    return (inside + outside / np.linalg.norm(outside)) / np.sqrt(2.0)
