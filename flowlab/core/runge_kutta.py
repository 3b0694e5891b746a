"""One step of the classical Runge-Kutta method."""

from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np

from flowlab.core.typing import Scalar

Row = TypeVar("Row", jax.Array, np.ndarray)


def runge_kutta_step(slope: Callable[[Row], Row], row: Row, h: Scalar) -> Row:
    """Where row' = slope(row) is after a time h, to fourth order, without control of the error."""
    a = slope(row)
    b = slope(row + 0.5 * h * a)
    c = slope(row + 0.5 * h * b)
    return row + h / 6.0 * (a + 2.0 * b + 2.0 * c + slope(row + h * c))
