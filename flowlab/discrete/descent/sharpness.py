"""Sharpness: the largest eigenvalues of the Hessian of the objective in the weights, along a path, next to the edge of
stability 2/η.

Gradient descent of step η on a quadratic is stable along an eigenvector where its eigenvalue is below 2/η; on networks
the largest one rises until it gets there and then stays about there (Cohen, Kaur, Li, Kolter and Talwalkar, ICLR 2021).
"""

from collections.abc import Mapping
from functools import cached_property
from numbers import Integral
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from flowlab.core.arguments import guarded, must_be, positive
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, RunFailed, UnknownName
from flowlab.core.memory import require_memory
from flowlab.core.precision import require_x64
from flowlab.core.registry import nearest
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import Array, ArrayLike, Given, Number
from flowlab.discrete.critical.sphere_product import Layout, blocks
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory

METHODS = ("auto", "dense", "lanczos")
_DENSE = 150
"""Weights up to which the whole matrix is cheaper than Lanczos' products."""
_ROWS = 200
_LOST = "the Hessian is not finite at these weights; look at the outcome of the path, or use a smaller step."


@displayed
class Curvature:
    """The objective of a problem as a function of one row of all weights, (P,), with its derivatives up to the third.

    Args:
        problem: network, loss, reduction and decay; its scheme is not used.
        data: samples.
        weights: any weights by block; their shapes are taken.
    """

    def __init__(self, problem: Problem, data: Data, weights: Mapping[str, ArrayLike]) -> None:
        require_x64("Curvature")
        self.problem, self.data = problem.objective_only, data
        self.layout: Layout = tuple((name, tuple(np.shape(weights[name]))) for name in problem.network.weights)
        self.size = sum(int(np.prod(shape)) for _, shape in self.layout)

    @cached_property
    def args(self) -> tuple[Problem, Layout, Given, jax.Array]:
        """What the compiled functions take before a row."""
        return self.problem, self.layout, self.data.inputs, self.data.y

    def row(self, weights: Mapping[str, ArrayLike]) -> np.ndarray:
        """Weights by block as one row, (P,)."""
        return np.concatenate([np.ravel(np.asarray(weights[name], dtype=np.float64)) for name, _ in self.layout])

    def weights(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """A row, (P,), as weights by block; with leading axes, (…, P), as blocks with these axes."""
        cuts = np.cumsum([int(np.prod(shape)) for _, shape in self.layout])[:-1]
        pieces = np.split(np.asarray(row), cuts, axis=-1)
        return {
            name: piece.reshape(*np.shape(row)[:-1], *shape)
            for (name, shape), piece in zip(self.layout, pieces, strict=True)
        }

    def value(self, row: np.ndarray) -> float:
        """The objective."""
        return float(_value(*self.args, row))

    def gradient(self, row: np.ndarray) -> np.ndarray:
        """Its gradient, (P,)."""
        return np.asarray(_gradient(*self.args, row))

    def hessian(self, row: np.ndarray) -> np.ndarray:
        """Its Hessian, (P, P); TooLarge where it, its eigenvectors and their work do not fit into memory."""
        remedy = 'use smaller widths, or method="lanczos"'
        require_memory(3 * 8 * self.size**2, f"the Hessian in {self.size} weights", remedy)
        return np.asarray(_hessian(*self.args, row))

    def times(self, row: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The Hessian times a vector, (P,), without forming it."""
        return np.asarray(_times(*self.args, row, v))

    def bending(self, row: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The gradient of uᵀ H(w) v in w, (P,)."""
        return np.asarray(_bending(*self.args, row, u, v))

    def top(
        self,
        row: np.ndarray,
        count: int = 1,
        *,
        method: str = "auto",
        seed: int = 0,
        first: np.ndarray | None = None,
        tolerance: float = 1e-10,
        lowest: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The algebraically largest eigenvalues of the Hessian, descending, (count,), and their eigenvectors as
        columns, (P, count).

        Args:
            row: weights, (P,).
            count: how many, from 1 to P.
            method: `"dense"`, `"lanczos"` (ARPACK on Hessian-vector products), or `"auto"`: dense up to 150 weights.
            seed: of the first vector of Lanczos' method.
            first: that vector, in place of a random one: an eigenvector of a state nearby saves products.
            tolerance: of Lanczos' eigenvalues, relative.
            lowest: whether the smallest are meant, ascending.

        Raises:
            RunFailed: where the Hessian is not finite, or Lanczos' method does not converge.
        """
        if method == "dense" or (method == "auto" and self.size <= _DENSE) or count >= self.size:
            matrix = self.hessian(row)
            if not np.isfinite(matrix).all():
                raise RunFailed(_LOST)
            values, vectors = np.linalg.eigh(matrix)
            order = np.arange(count) if lowest else np.arange(self.size - 1, self.size - 1 - count, -1)
            return values[order], vectors[:, order]
        begin = np.random.default_rng(seed).normal(size=self.size)
        if first is not None:
            # A little of everything, so that no direction is out of reach.
            begin = np.ravel(first) / np.linalg.norm(first) + 1e-3 * begin / np.linalg.norm(begin)
        # ARPACK does not look at its input, and answers for NaN too.
        if not np.isfinite(self.times(row, begin)).all():
            raise RunFailed(_LOST)
        made: Any = LinearOperator
        lanczos: Any = eigsh
        operator = made((self.size, self.size), matvec=lambda v: self.times(row, np.ravel(v)), dtype=np.float64)
        try:
            values, vectors = lanczos(operator, k=count, which="SA" if lowest else "LA", v0=begin, tol=tolerance)
        except ArpackNoConvergence as error:
            raise RunFailed(
                f'Lanczos\' method did not converge ({error}); use method="dense", or a larger `tolerance`.'
            ) from None
        order = np.argsort(values)[:: 1 if lowest else -1]
        return values[order], vectors[:, order]


@guarded
def sharpness(
    path: Trajectory,
    data: Data | None = None,
    *,
    count: int = 1,
    step: float | None = None,
    rows: int = _ROWS,
    method: str = "auto",
    seed: int = 0,
) -> xr.Dataset:
    """The largest eigenvalues of the Hessian in the weights along a flow or a descent; no preconditioner.

    Args:
        path: a flow or a descent.
        data: its samples, where the path has been read from a file and does not hold them.
        count: eigenvalues at every row.
        step: step size η for the edge of stability; by default that of the descent, none for a flow.
        rows: at most so many rows of the path, evenly spread, first and last among them.
        method: see `Curvature.top`.
        seed: of the first vector of Lanczos' method; the same seed gives the same bits.

    Returns:
        `eigenvalue` (row, rank), descending; `residual` ‖Hv - λv‖ (row, rank); `log_t` and `place`, the row of the
        path, (row,); and `edge`: 2/η, for a descent with momentum β 2(1 + β)/η, for Nesterov's 2(1 + β)/(η (1 + 2β))
        (where a quadratic becomes unstable); NaN without η.

    Raises:
        LanguageError, UnknownName, DataError: for bad input; RunFailed: where the Hessian is not finite, or Lanczos'
            method does not converge.

    Examples:
        >>> data, problem = fl.Data([[1.0], [2.0]], [0.5, 1.5]), fl.Problem("W @ x", loss="square")
        >>> walk = fl.descend(problem, fl.initial_state("W @ x", data, seed=0), data, step=0.1, count=5)
        >>> fl.sharpness(walk, rows=2).eigenvalue.values.ravel().round(6).tolist()
        [5.0, 5.0]
    """
    require_x64("sharpness")
    if not isinstance(path, Trajectory):
        raise must_be("path", path, "a trajectory", "what `integrate` or `descend` returns")
    path.problem.require_plain("`sharpness`")
    samples = data if data is not None else path.data
    if samples is None:
        raise DataError("the trajectory must have its samples, got none; pass them as `data`.")
    if method not in METHODS:
        guess = nearest(str(method), METHODS)
        raise UnknownName(
            f"`method={method!r}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known:"
            f" {', '.join(METHODS)}."
        )
    places = path.places(rows)
    if step is not None:
        positive("step", step)
    seed = checked_seed(seed)
    curvature = Curvature(path.problem, samples, path.weights(0))
    if isinstance(count, bool) or not isinstance(count, Integral) or not 1 <= count <= curvature.size:
        raise must_be("count", count, f"an integer from 1 to {curvature.size}, the number of weights", "fewer")
    values, residuals, first = np.empty((len(places), count)), np.empty((len(places), count)), None
    for i, place in enumerate(places):
        row = curvature.row(path.weights(int(place)))
        values[i], vectors = curvature.top(row, int(count), method=method, seed=seed, first=first)
        residuals[i] = [
            np.linalg.norm(curvature.times(row, v) - a * v) for a, v in zip(values[i], vectors.T, strict=True)
        ]
        first = vectors[:, 0]
    variables = {
        "eigenvalue": (
            ("row", "rank"),
            values,
            {"units": "dimensionless", "long_name": "largest eigenvalues of the Hessian"},
        ),
        "residual": (("row", "rank"), residuals, {"units": "dimensionless", "long_name": "norm of H v - eigenvalue v"}),
        "log_t": (
            "row",
            path.dataset["log_t"].values[places],
            {"units": "dimensionless", "long_name": "log of flow time t"},
        ),
        "place": ("row", places, {"units": "dimensionless", "long_name": "row of the path"}),
        "edge": ((), edge(path, step), {"units": "dimensionless", "long_name": "edge of stability"}),
    }
    return xr.Dataset(variables, attrs={"method": method, "seed": seed})


def edge(path: Trajectory, step: float | None = None) -> float:
    """The curvature at which the steps of a descent become unstable on a quadratic; NaN where there is no step size.

    The roots of z² - (1 + β - ηλ) z + β (heavy ball), or of z² - (1 + β)(1 - ηλ) z + β(1 - ηλ) (Nesterov), leave the
    unit circle there, at z = -1.

    Args:
        path: a descent, of which rule and momentum are read; or a flow.
        step: η in place of the one of the descent.
    """
    settings = path.provenance.get("settings", {}) if path.kind == "descent" else {}
    # Steps divided by the loss, and those on spheres, have another edge.
    told = (
        None if settings.get("loss_scaled") or settings.get("rule", "gradient") != "gradient" else settings.get("step")
    )
    eta = told if step is None else step
    if eta is None:
        return float("nan")
    beta = float(settings.get("momentum") or 0.0)
    return 2.0 * (1.0 + beta) / (float(eta) * (1.0 + 2.0 * beta if settings.get("nesterov") else 1.0))


class _Samples(eqx.Module):
    inputs: Given
    y: Array


def objective_of_row(problem: Problem, layout: Layout, x: Given, y: Array, row: Array) -> Number:
    """The objective, weight decay included, at a row of all weights, (P,); for jax to differentiate up to
    three times.
    """
    return problem.objective(blocks(layout, row), _Samples(x, y), jnp)


_value = eqx.filter_jit(objective_of_row)


@eqx.filter_jit
def _gradient(problem: Problem, layout: Layout, x: Given, y: Array, row: Array) -> jax.Array:
    return jax.grad(lambda w: objective_of_row(problem, layout, x, y, w))(row)


@eqx.filter_jit
def _hessian(problem: Problem, layout: Layout, x: Given, y: Array, row: Array) -> jax.Array:
    found = jax.hessian(lambda w: objective_of_row(problem, layout, x, y, w))(row)
    return 0.5 * (found + found.T)


@eqx.filter_jit
def _times(problem: Problem, layout: Layout, x: Given, y: Array, row: Array, v: Array) -> jax.Array:
    return jax.jvp(jax.grad(lambda w: objective_of_row(problem, layout, x, y, w)), (row,), (v,))[1]


@eqx.filter_jit
def _bending(problem: Problem, layout: Layout, x: Given, y: Array, row: Array, u: Array, v: Array) -> jax.Array:
    def along(w: Array) -> jax.Array:
        return jax.jvp(
            lambda a: jax.jvp(lambda b: objective_of_row(problem, layout, x, y, b), (a,), (u,))[1], (w,), (v,)
        )[1]

    return jax.grad(along)(row)
