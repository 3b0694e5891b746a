"""The remainder of late weights beside the hard-margin machine, by the flow and by a second route."""

import math
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.library.poggio2020.flows import machine, only_block, slowest
from flowlab.claims.sample_problems import samples_of
from flowlab.language.data import Data
from flowlab.language.trajectory import Trajectory

FAR = 2000.0
"""Log t of the second route."""
SOURCE = "Soudry, Hoffer, Nacson, Gunasekar, Srebro 2018"


def weights(path: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """(log t, w) over the rows with log t > 100, (S,) and (S, d); of a mean over N samples in units in which it is
    their sum.
    """
    late = path.dataset.isel(step=np.flatnonzero(path.dataset["log_t"].values > 100.0))
    V = late[f"V_{only_block(path)}"].values
    unit = np.log(samples_of(path).n) if path.problem.reduction == "mean" else 0.0
    return late["log_t"].values - unit, late["rho"].values[:, :1] * V.reshape(len(V), -1)


def settled(path: Trajectory) -> float:
    """What is left of rates at the run's tolerance, relative to those of a run at rtol 1e-8 and from log t = 1e6."""
    return max(1.0, path.rtol / 1e-8)


def by_radau(path: Trajectory, data: Data) -> np.ndarray:
    """The remainder w - w_svm log t, (d,), at log t = 2000 by SciPy in the clock τ = ∫ L dt, from the same start as the
    flow.
    """
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    start = np.asarray(path.state(0).weights()[only_block(path)]).ravel()

    def softmax(w: np.ndarray) -> tuple[np.ndarray, float]:
        q = z @ w
        p = np.exp(q.min() - q)
        return p / p.sum(), math.log(p.sum()) - q.min()

    def rate(_: float, y: np.ndarray) -> np.ndarray:
        p, log_loss = softmax(y[:-1])
        # y's last entry is log t, with dt = dτ/L.
        return np.r_[p @ z, math.exp(-log_loss - y[-1])]

    begin = 1e-6
    p, log_loss = softmax(start)
    first = np.r_[start + math.exp(log_loss) * begin * (p @ z), math.log(begin)]
    w = machine(data)[0]

    def horizon(_: float, y: np.ndarray) -> float:
        return y[-1] - FAR

    horizon.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    solution: Any = solve_ivp(
        rate,
        (begin * math.exp(log_loss), 20.0 * FAR * float(w @ w)),
        first,
        method="Radau",
        events=horizon,
        rtol=1e-9,
        atol=1e-11,
    )
    end = solution.y[:, -1]
    rest, far = end[:-1] - w * end[-1], 40.0 / slowest(data)
    if far <= FAR:
        return rest
    # Slow transients: further in log t itself, where the remainder obeys dw~/dlog t = sum_n t exp(-x_n w) x_n - w_svm
    # and stays of order one.
    beyond = 1.0 - z @ w

    def slow(log_t: float, r: np.ndarray) -> np.ndarray:
        return np.exp(np.minimum(log_t * np.where(np.abs(beyond) < 1e-12, 0.0, beyond) - z @ r, 50.0)) @ z - w

    return solve_ivp(slow, (float(end[-1]), far), rest, method="Radau", rtol=1e-10, atol=1e-11).y[:, -1]
