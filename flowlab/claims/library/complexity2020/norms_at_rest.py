"""Norms of weights at which flows of least squares rest."""

from collections.abc import Mapping

import numpy as np
import sympy as sp

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.core.typing import ArrayLike
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State


def ended(
    case: Case, name: str, problem: Problem, weights: Mapping[str, ArrayLike], data: Data
) -> dict[str, np.ndarray]:
    """Weights after a time in which the residual falls below roundings."""
    least = 1.0 if name.startswith("two") else float(np.linalg.svd(np.asarray(data.x), compute_uv=False)[-1] ** 2)
    path = integrated(
        case, f"N2 {name}", problem, State.from_weights(weights), data, time(30.0 / least), rtol=1e-11, atol=1e-13
    )
    return {k: np.asarray(v) for k, v in path.last.weights().items()}


def proof() -> bool:
    """(a² + b²)² = (a² - b²)² + 4 (ab)², and a² - b² is constant along a' = -b ℓ'(ab), b' = -a ℓ'(ab), for any ℓ."""
    a, b, pull = sp.symbols("a b p")
    rate = sp.expand(2 * a * (-b * pull) - 2 * b * (-a * pull))
    return rate == 0 and sp.expand((a**2 + b**2) ** 2 - (a**2 - b**2) ** 2 - 4 * (a * b) ** 2) == 0


TWO = "W2 @ W1 @ x"


def closed(a: float, b: float, u: float) -> float:
    """a² + b² where a² - b² = λ and ab = u, from the positive root of A² - λ A - u² for A = a²."""
    roots = np.roots([1.0, -(a * a - b * b), -u * u])
    square = float(roots.max())
    return square + u * u / square
