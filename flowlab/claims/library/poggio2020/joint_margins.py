"""The largest joint margin of two ReLU units on two samples, enclosed; and a KKT point below it."""

from typing import Any

import mpmath
import numpy as np

from flowlab.claims.library.poggio2020.flows import RELU, two_samples
from flowlab.discrete.margin.max_margin import max_margin
from flowlab.language.state import State


def enclosed() -> tuple[float, float]:
    """An enclosure of max q_min/‖θ‖², by interval bisection of the circle of one unit's directions.

    The smaller margin is at most the mean of both, f(x_1) + f(x_2) = Σ a_j Σ_n relu(w_j x_n), and Σ |a_j||w_j| ≤
    ‖θ‖²/2; so the optimum is at most a quarter of the largest Σ_n relu(u x_n) over unit u. Two units along the samples
    reach |x|/4.
    """
    # Its intervals have no type hints.
    iv: Any = mpmath.iv
    mpf = mpmath.mpf

    iv.dps = 20
    quarter = iv.mpf(1) / 4

    def bound(a: Any, b: Any) -> Any:
        u, v = iv.cos(iv.mpf([a, b])), iv.sin(iv.mpf([a, b]))
        parts = [u + v * quarter, -u + v * quarter]
        return sum(max(mpf(0), mpf(p.b)) for p in parts)

    reached = iv.sqrt(iv.mpf(17)) / 16
    edge = (iv.mpf(4 * iv.mpf(reached.b).b) * (1 + iv.mpf(10) ** -7)).b
    todo, worst = [(mpf(k) / 8, mpf(k + 1) / 8) for k in range(-26, 26)], mpf(0)
    while todo:
        a, b = todo.pop()
        top = bound(a, b)
        if top > edge and b - a > mpf(2) ** -40:
            todo += [(a, (a + b) / 2), ((a + b) / 2, b)]
        else:
            worst = max(worst, top)
    # Outward by more than the roundings of sums and conversions.
    return float(mpf(reached.a)) * (1 - 1e-12), float(worst / 4) * (1 + 1e-12)


def largest_margin() -> float:
    """The largest joint margin that the search finds."""
    return max_margin(RELU, two_samples(), widths={"W1": 2}, starts=8, seed=0).joint_margin


def margin_of_kkt_point() -> float:
    """The joint margin of the KKT point (0, 1), 1: nearest to a start on it, with the second unit all but gone."""
    near = State.from_weights({"W1": 30 * np.array([[0.0, 1.0], [0.0, -1e-9]]), "W2": 30 * np.array([[1.0, 1e-9]])})
    return max_margin(RELU, two_samples(), near=near).joint_margin
