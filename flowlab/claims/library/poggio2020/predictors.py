"""Directions of predictors that flows from several starts come to."""

import numpy as np
from scipy.optimize import linprog

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.core.typing import Blocks
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory

DEEP, DIAGONAL = "W2 @ W1 @ x", "sum(u * v * x)"


LATE = {"W1 @ x": 1e6, DEEP: 1e5, DIAGONAL: 1e6}


DRAWN = 3


def predictor(net: str, weights: Blocks) -> np.ndarray:
    """The unit vector along the linear predictor of a network of weights."""
    w = {k: np.asarray(v) for k, v in weights.items()}
    b = (w["u"] * w["v"] if net == DIAGONAL else w["W2"] @ w["W1"] if net == DEEP else w["W1"]).ravel()
    return b / np.linalg.norm(b)


def ends_of_flows(case: Case, net: str, data: Data) -> list[np.ndarray]:
    """Unit predictors from three starts: of a diagonal network at the last horizon, of others extrapolated."""
    problem = Problem(net) if net != "W1 @ x" else Problem(net, coordinates="weights")
    ends = []
    for k in range(DRAWN):
        start = initial_state(problem.network, data, seed=1000 * k + case.seed, default_width=3)
        if net == DIAGONAL:
            # One coordinate that starts at zero in both factors stays there, and the limit remembers that.
            rng = np.random.default_rng(1000 * k + case.seed)
            u = rng.uniform(0.5, 1.0, size=data.d) * (np.arange(data.d) != k)
            start = State.from_weights({"u": u, "v": u})
        path = integrated(case, f"P19 {net} from start {k}", problem, start, data, log_time(LATE[net]))
        ends.append(predictor(net, path.last.weights()) if net == DIAGONAL else extrapolated(net, path))
    return ends


def extrapolated(net: str, path: Trajectory) -> np.ndarray:
    """The unit predictor that three rows point to, by a parabola in x = (log t)^(-1/2).

    Off the span of the support a layer keeps what it starts with: beside a predictor of size log t that is of order x
    in two layers, x² in one.
    """
    log_t = path.dataset["log_t"].values
    rows = [int(np.argmax(log_t >= part * log_t[-1])) for part in (1.0, 0.25, 0.0625)]
    powers = np.vander(log_t[rows] ** -0.5, increasing=True)
    b = np.linalg.solve(powers, np.array([predictor(net, path.state(i).weights()) for i in rows]))[0]
    return b / np.linalg.norm(b)


def margins_of_predictors(rows: list[np.ndarray], z: np.ndarray, order: float) -> np.ndarray:
    """min_n z_n b/|b|_order for every predictor."""
    return np.array([(z @ b).min() / np.linalg.norm(b, ord=order) for b in rows])


def cross() -> Data:
    """Two samples in three dimensions, whose largest margin over |b|_1 is 0.6, and 0.5 without the first or the second
    coordinate.
    """
    return Data([[1.0, 0.2, 0.5], [0.2, 1.0, 0.5]], [1.0, 1.0], name="two samples in three dimensions", kind="binary")


def signed_inputs(data: Data) -> np.ndarray:
    """Rows y_n x_n, (N, d)."""
    return np.asarray(data.x) * np.asarray(data.y)[:, None]


def diagonal(case: Case) -> tuple[np.ndarray, list[float]]:
    """Margins over |b|_1 that the flow comes to without one coordinate, and the largest ones by linear programming, all
    coordinates last.
    """
    data = cross()
    z = signed_inputs(data)
    most = []
    for keep in [[j for j in range(3) if j != k] for k in range(3)] + [[0, 1, 2]]:
        part = z[:, keep]
        # b = p - m with p, m >= 0 and sum 1; the largest smallest margin.
        rows = np.hstack([-part, part, np.ones((len(z), 1))])
        size = 2 * len(keep)
        optimum = linprog(
            np.r_[np.zeros(size), -1.0],
            A_ub=rows,
            b_ub=np.zeros(len(z)),
            A_eq=[[1.0] * size + [0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * size + [(None, None)],
        )
        most.append(float(-optimum.fun))
    return margins_of_predictors(ends_of_flows(case, DIAGONAL, data), z, 1), most
