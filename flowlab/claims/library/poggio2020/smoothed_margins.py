"""The smoothed margin log(1/L)/R along flows and long steps."""

from collections.abc import Callable

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.library.lyu2020.flows import levels
from flowlab.claims.library.poggio2020.flows import WIDTH
from flowlab.claims.sample_problems import integrated, samples_of, separable
from flowlab.discrete.descent.descend import descend
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory

NETS = {"W2 @ W1 @ x": lambda h: h, "W2 @ relu(W1 @ x)**2": lambda h: np.maximum(h, 0.0) ** 2}


SCHEMES = ("gradient_flow", "lagrange", "exponential_weight_normalization")


HORIZON = 100.0


STEPS = (0.5, 2.0, 8.0, 32.0)
"""Of the descent that breaks the statement."""


def paths_of(case: Case) -> list[tuple[str, Trajectory, Callable[[np.ndarray], np.ndarray] | None]]:
    """Name, flow and activation (None where margins by hand are not to be had): the case's own problem under every
    scheme, or two networks of our own.
    """
    if case.flow is not None:
        return [("the given run", case.flow, None)]
    nets = dict(NETS) if case.problem is None else {case.problem.network: None}
    data = case.data if case.data is not None else case.once("P14 data", lambda: eight_samples(case.seed))
    flows = []
    for net, act in nets.items():
        for scheme in SCHEMES:
            problem = Problem(net, scheme=scheme, coordinates="weights" if scheme == "gradient_flow" else "polar")
            start = initial_state(problem.network, data, default_width=WIDTH, seed=case.seed)
            start = start if act is None else upright(start, data, act)
            name = f"{problem.network.text}, {scheme}"
            flows.append((name, integrated(case, f"P14 {name}", problem, start, data, log_time(HORIZON)), act))
    return flows


def upright(start: State, data: Data, act: Callable[[np.ndarray], np.ndarray]) -> State:
    """The start, or the one with the other sign of the output: where Σ f_n < 0 normalised flows may reach a norm of 0
    before directions have turned.
    """
    W = {k: np.asarray(w) for k, w in start.weights().items()}
    z = np.asarray(data.x)
    sign = 1.0 if float(np.asarray(data.y) @ (W["W2"] @ act(W["W1"] @ z.T))[0]) >= 0.0 else -1.0
    return State.from_weights({"W1": W["W1"], "W2": sign * W["W2"]})


def eight_samples(seed: int) -> Data:
    """Eight separable samples in three dimensions."""
    return separable(8, 3, seed)


def levels_of(path: Trajectory) -> tuple[np.ndarray, np.ndarray, int]:
    """Log 1/L and R from where L < 1, L being the sum over samples."""
    level, R = levels(path)["level"], np.exp(path.dataset["log_R"].values)
    late = np.maximum.accumulate(level > 0)
    return level[late], R[late], int(late.sum())


def levels_by_hand(path: Trajectory, act: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Log 1/L of two layers from stored norms and directions, at the rows of `levels_of`."""
    rows = path.dataset.isel(step=np.flatnonzero(np.maximum.accumulate(path.dataset["log_loss"].values < 0)))
    first, second = (rows["rho"].sel(block=b).values[:, None, None] * rows[f"V_{b}"].values for b in ("W1", "W2"))
    data = samples_of(path)
    q = np.asarray(data.y) * (second @ act(first @ np.asarray(data.x).T))[:, 0, :]
    low = q.min(axis=1)
    return low - np.log(np.exp(low[:, None] - q).sum(axis=1))


def long_steps(case: Case) -> float:
    """The largest fall along descents with steps of some size over the loss, from where the first flow has L < 1."""

    def make() -> float:
        _, path, _ = paths_of(case)[0]
        at = int(np.flatnonzero(path.dataset["log_loss"].values < -1.0)[0])
        falls = [0.0]
        for step in STEPS:
            walk = descend(
                Problem(path.problem.network), path.state(at), samples_of(path), step=step, count=40, loss_scaled=True
            )
            level, R, count = levels_of(walk)
            if count > 1:
                falls.append(float(-np.diff(level / R).min()))
        return max(falls)

    return case.once("P14 long steps", make)
