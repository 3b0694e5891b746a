"""Samples one of which is on the margin with multiplier zero, and the flow on them."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory

HORIZON = 1e6


def degenerate(seed: int, alpha: float = 0.0) -> tuple[Data, np.ndarray, int, float]:
    """Data, their w_svm, the sample on the margin that the machine does not need, and |x_⊥|, its part off the span of
    the others on the margin.

    Samples 0 and 1 carry w_svm = (1, 0, 0); sample 2 is on the margin too, at the height b off their plane. With
    `alpha` above zero a sample below the plane balances it, so that its multiplier does not vanish.
    """
    rng = np.random.default_rng([2018, seed])
    p, q, b = rng.uniform(0.8, 1.6, size=3)
    z = np.ones((8, 3))
    z[0, 1:], z[1, 1:], z[2, 1:] = (p, 0.0), (-q, 0.0), (rng.uniform(-0.5, 0.5), b)
    z[3:, 0] = rng.uniform(2.0, 3.0, size=5)
    z[3:, 1:] = rng.uniform(-1.0, 1.0, size=(5, 2))
    if alpha > 0:
        z[3] = (1.0, 0.0, -b)
    y = rng.permutation(np.repeat([1.0, -1.0], 4))
    return Data(z * y[:, None], y, name="a multiplier vanishes", kind="binary"), np.array([1.0, 0.0, 0.0]), 2, float(b)


def flow(case: Case, data: Data, name: str, start: State | None = None) -> Trajectory:
    """Gradient flow of one layer on the samples, to the horizon of the claim."""
    problem = Problem("W1 @ x", coordinates="weights")
    return integrated(
        case, name, problem, start or initial_state(problem.network, data, seed=case.seed), data, log_time(HORIZON)
    )


def plane(case: Case) -> float:
    """Samples (1, 0) and (1, b): dw_2/dw_1 = b e^{-b w_2}/(1 + e^{-b w_2}), so that e^{b w_2}/b + w_2 - b w_1 is
    constant.
    """
    rng = np.random.default_rng([2019, case.seed])
    b = float(rng.uniform(0.7, 1.8))
    y = np.repeat([1.0, -1.0], 4)
    data = Data(np.tile([[1.0, 0.0, 0.0], [1.0, b, 0.0]], (4, 1)) * y[:, None], y, name="plane", kind="binary")
    first = rng.uniform(0.2, 1.0, size=3)
    end = np.asarray(
        flow(case, data, "S4 plane flow", State.from_weights({"W1": first[None]})).last.weights()["W1"]
    ).ravel()
    constant = math.exp(b * first[1]) / b + first[1] - b * first[0]
    return (math.exp(b * end[1]) / b + end[1]) / (b * end[0] + constant)
