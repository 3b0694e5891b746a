"""Samples on which weight normalisation is faster than every power of ρ: one support vector, and equal multipliers."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.library.poggio2020.direction_constant import (
    normalised,
)
from flowlab.claims.library.poggio2020.flows import HORIZON
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory
from flowlab.late.richardson import Estimate

EXPONENT = "exponent of |v - v*| in rho"


def exceptions(case: Case, law: str) -> list[Quantity]:
    """One support vector, and equal multipliers: weight normalisation is faster than every power of rho there."""
    one, equal = (
        case.once("P9 one", lambda: one_support_vector(case)),
        case.once("P9 equal", lambda: equal_multipliers(case)),
    )
    return [
        Quantity(
            "slope of log sin over rho^2/2, one support vector, weight normalisation",
            one[law],
            -1.0,
            3e-3,
            route="flow",
        ),
        Quantity(
            "rho sin over |w_perp(0)|, one support vector, gradient flow",
            one["constant"],
            1.0,
            1e-6,
            route="flow at log t = 1e6",
        ),
        Quantity(
            "slope of log |v - v*| over a^2 rho^3/3 + rho^2/2, equal multipliers, weight normalisation",
            equal["slope"],
            -1.0,
            8e-3,
            route="flow",
        ),
        Quantity(
            f"{EXPONENT}, equal multipliers, weight normalisation",
            equal["exponent"],
            -3.0,
            0.0,
            relation="<=",
            route="flow",
        ),
    ]


def one_support_vector(case: Case) -> dict[str, float]:
    """Eight copies of one sample: the law of the angle under weight normalisation, and what gradient flow keeps."""
    rng = np.random.default_rng([9, case.seed])
    x = rng.normal(size=3)
    x *= rng.uniform(0.8, 1.25) / np.linalg.norm(x)
    v = x / np.linalg.norm(x)
    off = rng.normal(size=3)
    off -= v * (v @ off)
    start = State.from_weights({"W1": (1.2 * v + 0.6 * off / np.linalg.norm(off))[None]})
    y = np.where(np.arange(8) % 2 == 0, 1.0, -1.0)
    data = Data(np.outer(y, x), y, name="one sample", kind="binary")
    wn = normalised(case, "lagrange", data, " one sample", start=start, rtol=1e-10, atol=1e-12)
    gf = integrated(case, "linear one sample", Problem("W1 @ x", coordinates="weights"), start, data, log_time(HORIZON))
    rho, sine = norms_and_sines(wn, v)
    late = (sine < 0.3) & (sine > 1e-7)
    slope = np.polyfit(rho[late] ** 2 / 2, np.log(sine[late]), 1)[0]
    early, sines = norms_and_sines(gf, v)
    few = early < 6.0
    return {
        "weight normalisation": float(slope),
        "constant": float(early[-1] * sines[-1] / 0.6),
        "gradient flow": float(np.polyfit(early[few] ** 2 / 2, np.log(sines[few]), 1)[0]),
    }


def norms_and_sines(path: Trajectory, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Norms ρ over the rows, and the sines of the angles between V and the unit vector v."""
    V = path.dataset["V_W1"].values[:, 0, :]
    return path.dataset["rho"].values[:, 0], np.linalg.norm(V - np.outer(V @ v, v), axis=1)


def equal_multipliers(case: Case) -> dict[str, float]:
    """Four copies of (1, a, 0) and (1, -a, 0), of equal multipliers: |v_2| falls like exp(-a² ρ³/3 - ρ²/2)."""
    rng = np.random.default_rng([99, case.seed])
    a = float(rng.uniform(0.25, 0.5))
    y = np.where(np.arange(8) < 4, 1.0, -1.0)
    z = np.tile([[1.0, a, 0.0], [1.0, -a, 0.0]], (4, 1))
    data = Data(z * y[:, None], y, name="equal multipliers", kind="binary")
    start = State.from_weights({"W1": np.array([[1.2, rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.6)]])})
    path = normalised(case, "lagrange", data, " equal multipliers", start=start, rtol=1e-10, atol=1e-12)
    rho, V = path.dataset["rho"].values[:, 0], path.dataset["V_W1"].values[:, 0, :]
    gap = np.abs(V[:, 1])
    # Where v_3, which the law leaves out, is below 1 % and enters squared.
    late = (rho > 3.5) & (gap > 1e-8)
    law = a**2 * rho**3 / 3 + rho**2 / 2
    return {
        "slope": float(np.polyfit(law[late], np.log(gap[late]), 1)[0]),
        "exponent": float(np.polyfit(np.log(rho[late]), np.log(gap[late]), 1)[0]),
    }


def as_if_faster(order: Estimate, C: Estimate, gradient_flow: float, star: float) -> Measurement:
    """What holds if weight normalisation were faster than every power of rho."""
    return Measurement.of(
        [
            Quantity(
                f"{EXPONENT}, weight normalisation", order.value, -2.0, 0.1, order.error, "<=", "flow, extrapolated"
            ),
            Quantity(
                "C* of weight normalisation over C* of gradient flow",
                C.value / gradient_flow,
                0.0,
                0.1,
                C.error / star,
                route="flows, extrapolated",
            ),
        ],
        "faster than every power of rho would be faster than rho^-2",
    )
