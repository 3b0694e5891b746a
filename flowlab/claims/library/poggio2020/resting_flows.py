"""Where flows of the square loss with decay rest."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import facing, integrated
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state

N, D = 6, 9


def ended(case: Case, data: Data, net: str, decay: float) -> tuple[float, np.ndarray]:
    """R and the normalised margins y f(V; x), (N,), where the Lagrange flow rests."""
    problem = Problem(net, "square", "lagrange", decay=decay)
    start = facing(problem, initial_state(net, data, seed=case.seed, default_width=3, scale=0.5), data)
    path = integrated(
        case,
        f"P21 {net} decay {decay:g}",
        problem,
        start,
        data,
        time(40.0 / decay),
        rtol=1e-10,
        atol=1e-12,
        max_steps=400_000,
    )
    R = float(np.exp(path.dataset["log_R"][-1]))
    f = problem.network.outputs(
        {k: np.asarray(v) for k, v in path.last.weights().items()}, np.asarray(data.x), np
    ).ravel()
    return R, np.asarray(data.y) * f / R


def spread(margins: np.ndarray) -> float:
    """The standard deviation of margins over their mean."""
    return float(margins.std() / margins.mean())
