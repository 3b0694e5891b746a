"""S4: data on which a multiplier of the support vanishes, where the remainder grows like log log t."""

import math
from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.late.richardson import power, richardson

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.state import State
    from flowlab.language.trajectory import Trajectory

_HORIZON = 1e6
_FROM = 1e4
"""Log t from which growth is read."""


def degenerate(seed: int, alpha: float = 0.0) -> "tuple[Data, np.ndarray, int, float]":
    """Data, their w_svm, the sample on the margin that the machine does not need, and |x_⊥|, its part off the span of
    the others on the margin.

    Samples 0 and 1 carry w_svm = (1, 0, 0); sample 2 is on the margin too, at the height b off their plane. With
    `alpha` above zero a sample below the plane balances it, so that its multiplier does not vanish.
    """
    from flowlab.language.data import Data

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


@claim("S4")
class DegenerateData(Claim):
    """Where a sample on the margin has multiplier zero, w~ grows like log log t · x_⊥/‖x_⊥‖², and x·w~ - log log t → 2
    log ‖x_⊥‖.
    """

    title = "degenerate data: a remainder like log log t"
    statement = (
        "If a sample x on the margin has a multiplier of zero, w(t) - w_svm log t grows like (log log t) "
        "x_perp/|x_perp|^2. Here x_perp is the part of x off the span of the support vectors that have multipliers. x "
        "(w - w_svm log t) - log log t tends to 2 log |x_perp|. Still w/|w| tends to w_svm/|w_svm|, and L t to "
        "1/gamma^2."
    )
    latex = (
        r"w(t) = \hat w \log t + \frac{x_\perp}{\lVert x_\perp\rVert^2} \log\log t + O(1), \qquad "
        r"\langle x, w - \hat w \log t\rangle - \log\log t \to 2 \log \lVert x_\perp\rVert"
    )
    source = (
        "Soudry, Hoffer, Nacson, Gunasekar, Srebro 2018, theorem 3 (number not checked) and appendix on degenerate "
        "data; the coefficient from d(x w)/dt = |x_perp|^2 exp(-x w) + ..."
    )
    hypotheses = (own_instances,)
    stated = Variant(multiplier=0.0, run="S4", coefficient=1.0, length=lambda height, _: height)
    mutants = (
        stated.but("bounded remainder", coefficient=0.0),
        stated.but("multiplier that does not vanish", multiplier=1.0, run="S4 regular"),
        stated.but("coefficient of the whole sample", length=lambda _, x: float(np.linalg.norm(x))),
    )
    counter_example = "multiplier that does not vanish: then the remainder is bounded"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, w, at, height = degenerate(case.seed, variant.multiplier)
        path = _flow(case, data, variant.run)
        log_t, all_weights = (
            path.dataset["log_t"].values,
            path.dataset["rho"].values[:, :1] * path.dataset["V_W1"].values[:, 0, :],
        )
        rest = np.where(
            np.isfinite(log_t)[:, None], all_weights - np.where(np.isfinite(log_t), log_t, 0.0)[:, None] * w, np.nan
        )
        z = np.asarray(data.x) * np.asarray(data.y)[:, None]
        late = np.flatnonzero(log_t > _FROM)
        slow = np.log(log_t[late])
        height = variant.length(height, z[at])
        # exp(x w~) is linear in log t up to logarithms, so that its exponent in log t is the coefficient of log log t
        # in x w~.
        coefficient = power(log_t[late], np.exp(rest[late] @ z[at]), logs=True, drift=1e-8)
        level = richardson(log_t[late], rest[late] @ z[at] - slow, logs=True, drift=1e-8)
        growth = float(rest[late[-1], 2] - rest[late[0], 2]) / float(slow[-1] - slow[0])
        return Measurement.of(
            [
                Quantity(
                    "coefficient of log log t in x w~",
                    coefficient.value,
                    variant.coefficient,
                    4e-3,
                    coefficient.error,
                    route="flow to log t = 1e6, extrapolated",
                ),
                Quantity(
                    "limit of x w~ - log log t, off 2 log |x_perp|",
                    level.value - 2 * math.log(height),
                    0.0,
                    4e-3,
                    level.error,
                    route="flow to log t = 1e6, extrapolated",
                ),
                Quantity(
                    "growth of w~ across the plane over log log t, times |x_perp|",
                    growth * height,
                    1.0,
                    4e-3,
                    route="flow, log t = 1e4 to 1e6",
                ),
                Quantity(
                    "(exp(b w_2)/b + w_2)/(b w_1 + const) of the samples (1, 0), (1, b)",
                    case.once("S4 plane", lambda: _plane(case)),
                    1.0,
                    1e-7,
                    route="flow at log t = 1e6",
                ),
                Quantity(
                    "|w/|w| - v*| at log t = 1e6",
                    float(np.linalg.norm(all_weights[-1] / np.linalg.norm(all_weights[-1]) - w)),
                    100.0 / _HORIZON,
                    0.0,
                    relation="<=",
                    route="flow",
                ),
                Quantity(
                    "L t",
                    math.exp(float(path.dataset["log_loss"][-1]) + log_t[-1]),
                    1.0,
                    100.0 / _HORIZON,
                    route="flow at log t = 1e6",
                ),
            ],
            "coefficients are extrapolated, or read between log t = 1e4 and 1e6, where the law lacks log log t/log t; "
            "the implicit solution is exact",
            height=height,
        )


def _flow(case: Case, data: "Data", name: str, start: "State | None" = None) -> "Trajectory":
    from flowlab.dynamics import log_time
    from flowlab.language.problem import Problem
    from flowlab.language.state import initial_state

    problem = Problem("W1 @ x", coordinates="weights")
    return integrated(
        case, name, problem, start or initial_state(problem.network, data, seed=case.seed), data, log_time(_HORIZON)
    )


def _plane(case: Case) -> float:
    """Samples (1, 0) and (1, b): dw_2/dw_1 = b e^{-b w_2}/(1 + e^{-b w_2}), so that e^{b w_2}/b + w_2 - b w_1 is
    constant.
    """
    from flowlab.language.data import Data
    from flowlab.language.state import State

    rng = np.random.default_rng([2019, case.seed])
    b = float(rng.uniform(0.7, 1.8))
    y = np.repeat([1.0, -1.0], 4)
    data = Data(np.tile([[1.0, 0.0, 0.0], [1.0, b, 0.0]], (4, 1)) * y[:, None], y, name="plane", kind="binary")
    first = rng.uniform(0.2, 1.0, size=3)
    end = np.asarray(
        _flow(case, data, "S4 plane flow", State.from_weights({"W1": first[None]})).last.weights()["W1"]
    ).ravel()
    constant = math.exp(b * first[1]) / b + first[1] - b * first[0]
    return (math.exp(b * end[1]) / b + end[1]) / (b * end[0] + constant)
