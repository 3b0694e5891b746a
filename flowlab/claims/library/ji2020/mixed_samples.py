"""Samples that separate in one part of space and not in the other, and the flow on them."""

import numpy as np

from flowlab.core.errors import ClaimError
from flowlab.dynamics import integrate, log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive

LOG_T = 200.0


def mixed(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows y_n x_n in four dimensions: six that span the first two without a direction that separates them, and six
    whose last two parts it separates.
    """
    rng = np.random.default_rng(seed)
    stuck = np.zeros((6, 4))
    angles = 2.0 * np.pi * (np.arange(6) + rng.uniform(-0.3, 0.3, 6)) / 6.0
    # Around the whole circle: 0 is inside their hull.
    stuck[:, :2] = (rng.uniform(0.7, 1.3, 6) * np.array([np.cos(angles), np.sin(angles)])).T
    free = rng.normal(size=(6, 4))
    turn = rng.uniform(-0.5, 0.5, 6)
    free[:, 2:] = (rng.uniform(0.8, 1.5, 6) * np.array([np.cos(turn), np.sin(turn)])).T
    return stuck, free


def flow(stuck: np.ndarray, free: np.ndarray, seed: int) -> Trajectory:
    """The flow of one layer on both kinds of rows from a random start to log t = `LOG_T`."""
    data = Data(np.vstack([stuck, free]), np.ones(len(stuck) + len(free)), kind="binary")
    problem = Problem("W1 @ x", coordinates="weights")
    start = initial_state(problem.network, data, seed=seed)
    path = integrate(
        lower(derive(problem)),
        start,
        data,
        until=log_time(LOG_T),
        solver="kvaerno5",
        clock="time",
        rtol=1e-8,
        atol=1e-10,
    )
    if not path.outcome.ok:
        raise ClaimError(f"the flow ended early ({path.outcome}); try another seed.")
    return path
