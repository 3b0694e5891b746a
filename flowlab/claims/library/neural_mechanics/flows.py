"""A net that does not depend on the length of its weights, f = <θ, x>/|θ|, under descent with decay: the smallest model
of a normalised layer.
"""

import numpy as np

SAMPLES, FEATURES = 12, 4


def instance(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (N, d), targets (N,) that no unit vector fits, and a start (d,)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(SAMPLES, FEATURES)), rng.normal(size=SAMPLES), rng.normal(size=FEATURES)


def slope(x: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Gradient of mean (f - y)^2/2 in θ, orthogonal to it."""
    length = float(np.linalg.norm(theta))
    v = theta / length
    g = x.T @ (x @ v - y) / len(x)
    return (g - v * (v @ g)) / length


def descended(seed: int, step: float, decay: float, count: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the norms of θ, (count + 1,), and of the gradients of the loss there, under θ ← (1 - η λ) θ - η g."""
    x, y, theta = instance(seed)
    theta = scale * theta / np.linalg.norm(theta)
    squares, slopes = [], []
    for _ in range(count + 1):
        g = slope(x, y, theta)
        squares.append(float(theta @ theta))
        slopes.append(float(g @ g))
        theta = (1 - step * decay) * theta - step * g
    return np.array(squares), np.array(slopes)


def convolved(times: np.ndarray, values: np.ndarray, rate: float) -> float:
    """∫ e^{-rate (T - s)} values ds over the steps, by the rule of trapezoids."""
    weighed = np.exp(-rate * (times[-1] - times)) * values
    return float((0.5 * (weighed[1:] + weighed[:-1]) * np.diff(times)).sum())


def order(sizes: np.ndarray) -> tuple[float, float]:
    """The order of what shrinks with halved steps, extrapolated twice, and what the last extrapolation changed."""
    slopes = np.diff(-np.log2(np.abs(sizes)))
    once = 2 * slopes[1:] - slopes[:-1]
    twice = (4 * once[1:] - once[:-1]) / 3
    return float(twice[-1]), float(abs(twice[-1] - once[-1]))
