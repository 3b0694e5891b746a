"""Descents of one layer by steps of one length, short and long."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.discrete.descent.descend import descend
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

TIME = 20_000.0
"""η k at the end."""


SHARES = (0.5, 0.25, 0.125)
"""Steps in units of 2/β."""


def lively(seed: int) -> Data:
    """Eight samples in three dimensions with two support vectors and fast transients: they leave as t^{-1} or faster.

    With the support (1, p) and (1, -q) on a line the transient along it falls like t^{-pq}, and what other samples add
    like t^{1-m}, m ≥ 2 their least margin in units of γ.
    """
    rng = np.random.default_rng([5, seed])
    p, q = rng.uniform(1.1, 1.5), rng.uniform(1.9, 2.6)
    z = np.ones((8, 3))
    z[0, 1:], z[1, 1:] = (p, 0.0), (-q, 0.0)
    z[2:, 0] = rng.uniform(2.0, 3.0, size=6)
    z[2:, 1:] = rng.uniform(-1.5, 1.5, size=(6, 2))
    # To one side on average, so that the part off the span of the support moves.
    z[2:, 2] = np.abs(z[2:, 2]) + 0.3
    y = rng.permutation(np.repeat([1.0, -1.0], 4))
    return Data(z * y[:, None], y, name="fast transients", kind="binary")


def first_weights(seed: int) -> np.ndarray:
    """Weights of one layer near the first axis, (3,)."""
    return np.array([1.0, 0.0, 0.0]) + np.random.default_rng([55, seed]).uniform(-0.3, 0.3, size=3)


def walk_from(data: Data, first: np.ndarray, step: float, count: int, every: int) -> Trajectory:
    """Gradient descent from weights, with every so many steps kept."""
    return descend(
        Problem("W1 @ x", coordinates="weights"),
        State.from_weights({"W1": first[None]}),
        data,
        step=step,
        count=count,
        record_every=every,
    )


def tight(seed: int, steps: float) -> tuple[Data, np.ndarray, float]:
    """Samples whose transverse parts pull hard against one another, a start off the middle, and a step of `steps`/β."""
    p, q = np.random.default_rng([555, seed]).uniform(5.0, 7.0, size=2)
    z = np.tile([[1.0, p, 0.0], [1.0, -q, 0.0]], (4, 1))
    y = np.repeat([1.0, -1.0], 4)
    first = np.array([0.0, 0.2, 0.0])
    beta = float(np.exp(-z @ first).sum() * np.linalg.norm(z, 2) ** 2)
    return Data(z * y[:, None], y, name="fast transients", kind="binary"), first, steps / beta


def last_step(data: Data, first: np.ndarray, step: float) -> tuple[np.ndarray, int]:
    """(w, k) at the last step with η k ≤ `TIME`."""
    count = round(TIME / step)
    walk = walk_from(data, first, step, count, count)
    return np.asarray(walk.last.weights()["W1"]).ravel(), count


def rises(data: Data, first: np.ndarray, step: float, count: int) -> float:
    """The largest rise of log L in a step; negative where the loss falls at every one."""
    return float(np.diff(walk_from(data, first, step, count, 1).dataset["log_loss"].values).max())


def weights_of_flow(case: Case, data: Data, first: np.ndarray) -> np.ndarray:
    """Weights of gradient flow at t = `TIME`."""
    start = State.from_weights({"W1": first[None]})
    path = integrated(
        case,
        "S5 gradient flow",
        Problem("W1 @ x", coordinates="weights"),
        start,
        data,
        log_time(math.log(TIME)),
        rtol=1e-11,
        atol=1e-13,
    )
    return np.asarray(path.last.weights()["W1"]).ravel()
