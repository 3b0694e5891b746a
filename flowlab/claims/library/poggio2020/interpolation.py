"""Errors of multilinear interpolation on grids: in all variables together, and node by node of a tree."""

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import qmc

GRIDS, FINE = (6, 12, 24, 48), (24, 48, 96)


def node_functions(seed: int) -> list[tuple[float, float, float]]:
    """Three functions h(u, v) = sin(a u + b v + c) that take [0, 1]² into [0, 1) and grow in both variables."""
    rng = np.random.default_rng(seed)
    return [(*rng.uniform(0.3, 0.6, size=2), rng.uniform(0.0, 0.2)) for _ in range(3)]


def node_value(node: tuple[float, float, float], u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """h(u, v) of one node."""
    return np.sin(node[0] * u + node[1] * v + node[2])


def interpolated(axes: list[np.ndarray], values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values on a grid, interpolated multilinearly at points (n, d)."""
    return RegularGridInterpolator(axes, values)(at)


def errors_of_interpolation(seed: int, dimension: int) -> tuple[list[float], list[float], list[int], list[int]]:
    """Root mean square errors of generic and compositional interpolation, and numbers of their units, per grid.

    The generic one takes m^d nodes of a grid in all variables; the compositional one m² for each of its functions of
    two variables. `dimension` 4 is h3(h1(x1, x2), h2(x3, x4)); 3 is h3(h1(x1, x2), x3).
    """
    nodes = node_functions(seed)
    generic, tree, many, few = [], [], [], []

    def exact(x: np.ndarray) -> np.ndarray:
        last = node_value(nodes[1], x[..., 2], x[..., 3]) if dimension == 4 else x[..., 2]
        return node_value(nodes[2], node_value(nodes[0], x[..., 0], x[..., 1]), last)

    for m in GRIDS[: 4 if dimension == 3 else 3]:
        # Midpoints of all cells: there the error of interpolation is largest, and its mean is smooth in m.
        axis, middle = np.linspace(0.0, 1.0, m + 1), (np.arange(m) + 0.5) / m
        at = np.stack(np.meshgrid(*[middle] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
        mesh = np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), axis=-1)
        generic.append(rms(interpolated([axis] * dimension, exact(mesh), at) - exact(at)))
        many.append((m + 1) ** dimension)
    # Values of the inner functions lie anywhere in the outer cells: fine grids and evenly spread points average that
    # out.
    at = qmc.Sobol(dimension, scramble=False).random_base2(16)
    for m in FINE:
        axis = np.linspace(0.0, 1.0, m + 1)
        two = np.meshgrid(axis, axis, indexing="ij")
        first = interpolated([axis, axis], node_value(nodes[0], *two), at[:, :2])
        last = interpolated([axis, axis], node_value(nodes[1], *two), at[:, 2:]) if dimension == 4 else at[:, 2]
        values = interpolated(
            [axis, axis], node_value(nodes[2], *two), np.clip(np.stack([first, last], axis=-1), 0.0, 1.0)
        )
        tree.append(rms(values - exact(at)))
        few.append((dimension - 1) * (m + 1) ** 2)
    return generic, tree, many, few


def rms(v: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(v * v)))


def exponent(errors: list[float], units: list[int]) -> float:
    """-d log(units)/d log(error) between the last two grids."""
    return float(-np.log(units[-1] / units[-2]) / np.log(errors[-1] / errors[-2]))
