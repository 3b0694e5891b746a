"""Where a flow in weight coordinates is at rest: zeros of its velocity by a regularised Newton method.

Nothing here asks for a gradient, so that coarse flows have their points too. A symmetry, such as the length of a filter
behind a step, makes points into curves: the regularisation goes to zero with the velocity, which keeps convergence
quadratic there (Yamashita and Fukushima 2001).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.arguments import guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.language.data import Data
from flowlab.language.given_data import required
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state, shapes_match
from flowlab.language.trajectory import Outcome
from flowlab.lowering.lower import lower
from flowlab.lowering.vector_field import VectorField
from flowlab.symbolic.equations import FlowEquations

_STEPS = 200
"""Of the method, at most; some tens are usual, and those beside a kink of the velocity take more."""
_FOLLOWED = 0.5
"""Step along the flow over the size of its Jacobian, for every second start: far below where descent is unstable."""
_REST = 1e-10
"""Size of a velocity, beside that of a random start, up to which it is zero."""
_NULL = 1e-7
"""Real part of an eigenvalue, beside the largest one, up to which it is none; half of the digits of the point."""
_SAME = 1e-7
"""Distance of two points, and of their values, up to which they are the same, beside 1 and their size."""
_MOST = 4_000
"""Starts at most: all of them are stepped at once."""


@dataclass(frozen=True)
@displayed
class RestPoint:
    """A state at which nothing moves.

    Attributes:
        state: norms and directions.
        value: of the objective.
        residual: size of the velocity there.
        eigenvalues: of the Jacobian of the velocity, largest real part first; on one side of a kink where there is one.
        index: how many of them grow.
        nullity: how many neither grow nor fall, as along a symmetry.
        found: how many starts came here.

    Examples:
        >>> net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
        >>> pop = fl.population(net, teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]})
        >>> found = fl.rest_points(fl.derive(pop), starts=20)
        >>> found.points[0].residual < 1e-9
        True
    """

    state: State
    value: float
    residual: float
    eigenvalues: np.ndarray
    index: int
    nullity: int
    found: int

    @property
    def stable(self) -> bool:
        """Whether nothing grows."""
        return self.index == 0

    def __str__(self) -> str:
        kind = "stable" if self.stable else f"{self.index} growing"
        also = f", {self.nullity} neutral" if self.nullity else ""
        return f"value {self.value:.6g}, {kind}{also}, {self.found} starts, velocity {self.residual:.1e}"


@dataclass(frozen=True)
@displayed
class RestPoints:
    """The rest points that were found, lowest value first; others may exist.

    Attributes:
        points: isolated ones, and one of every family: points with neutral directions that share value, index and
            nullity.
        outcome: `"done"` where all starts came to rest, `"budget"` where only some did, `"stalled"` where none did.
        starts: how many were tried.

    Examples:
        >>> net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
        >>> pop = fl.population(net, teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]})
        >>> found = fl.rest_points(fl.derive(pop), starts=20)
        >>> found.starts, len(found.points) > 0
        (20, True)
    """

    points: tuple[RestPoint, ...]
    outcome: Outcome
    starts: int

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[RestPoint]:
        return iter(self.points)

    def __getitem__(self, place: int) -> RestPoint:
        return self.points[place]

    def __str__(self) -> str:
        return "\n".join([*(str(point) for point in self.points), str(self.outcome)])


@guarded
def rest_points(
    flow: FlowEquations,
    data: Data | None = None,
    *,
    widths: Mapping[str, int] | None = None,
    starts: int | Sequence[State] = 200,
    seed: int = 0,
) -> RestPoints:
    """Zeros of the velocity of a flow, with their value and stability.

    Args:
        flow: in weight coordinates.
        data: samples or constants; nothing, where the problem has its own.
        widths: rows of blocks that the data leave open.
        starts: how many random states to start from, or the states themselves.
        seed: of the states.

    Returns:
        Points and outcome. The search is not exhaustive.

    Raises:
        LanguageError: for polar coordinates, blocks in charts, or starts outside 1 to 4000.

    Examples:
        >>> net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
        >>> pop = fl.population(net, teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]})
        >>> found = fl.rest_points(fl.derive(pop), starts=20)
        >>> [round(point.value, 6) for point in found.points][:1]
        [0.0]
    """
    require_x64("rest_points")
    seed = checked_seed(seed)
    count = starts if type(starts) is int else len(starts) if isinstance(starts, Sequence) else 0
    if not 1 <= count <= _MOST:
        raise must_be("starts", starts, f"an integer from 1 to {_MOST}, or as many states", "for example 200")
    problem = flow.problem
    if problem.coordinates != "weights":
        raise LanguageError(
            '`rest_points` must have a flow in weight coordinates, got polar; say `coordinates="weights"`.'
        )
    for w, space in problem.charts.items():
        raise LanguageError(
            f'`rest_points` must have blocks that move as they are, got `{w}` in the chart of "{space.name}", which'
            " need not rest where its point does; use `fl.equilibrium`."
        )
    data = required(problem, data)
    field = lower(flow)
    given = [] if isinstance(starts, int) else list(starts)
    for state in given:
        shapes_match(state, problem.network, data)
    first = given or [
        initial_state(problem.network, data, widths=widths, seed=draw)
        for draw in range(seed * _MOST, seed * _MOST + count)
    ]
    like = dict(first[0].weights())
    rows = jnp.stack([ravel_pytree(dict(state.weights()))[0] for state in first])
    if not given:
        # Weights of a usual start are small beside those of a solution, so that others are drawn larger.
        rows = rows * jnp.where(jnp.arange(count) % 4 < 2, 1.0, 3.0)[:, None]
    ends, sizes, usual = _search(field, like, data, rows)
    ends, sizes = np.asarray(ends), np.asarray(sizes)
    done = np.isfinite(sizes) & (sizes <= _REST * float(usual))
    points = _told(field, problem, like, data, ends[done]) if done.any() else ()
    rested = int(done.sum())
    kind = "done" if rested == count else "budget" if rested else "stalled"
    outcome = Outcome(kind, f"{rested} of {count} starts came to rest, at {len(points)} points or families of them.")
    return RestPoints(points, outcome, count)


def _velocity(field: VectorField, like: dict[str, jax.Array], data: Data, row: jax.Array) -> jax.Array:
    """-dW/dt of a row of all weights."""
    _, unravel = ravel_pytree(like)
    return -ravel_pytree(field.rate(0.0, unravel(row), data))[0]


@eqx.filter_jit
def _search(
    field: VectorField, like: dict[str, jax.Array], data: Data, rows: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where all rows come to, with the size of the velocity there and its usual size at the start."""

    def size(row: jax.Array) -> jax.Array:
        return jnp.linalg.norm(_velocity(field, like, data, row))

    def follow(row: jax.Array, _: None) -> tuple[jax.Array, None]:
        F = _velocity(field, like, data, row)
        J = jax.jacfwd(lambda r: _velocity(field, like, data, r))(row)
        ahead = row - _FOLLOWED / jnp.linalg.norm(J) * F
        return jnp.where(jnp.isfinite(ahead).all(), ahead, row), None

    def step(carry: tuple[jax.Array, jax.Array], _: Any) -> tuple[tuple[jax.Array, jax.Array], None]:
        row, mu = carry
        F = _velocity(field, like, data, row)
        J = jax.jacfwd(lambda r: _velocity(field, like, data, r))(row)
        now = jnp.linalg.norm(F)
        move = jnp.linalg.solve(J.T @ J + mu * now * jnp.eye(row.size), J.T @ F)
        ahead = row - move
        better = size(ahead) < now
        row = jnp.where(better & jnp.isfinite(ahead).all(), ahead, row)
        return (row, jnp.clip(jnp.where(better, mu / 4, mu * 6), 1e-12, 1e8)), None

    def one(row: jax.Array, follows: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Newton's method is as fond of saddles as of what attracts, and finds more of them.
        row = jnp.where(follows, jax.lax.scan(follow, row, None, length=_STEPS)[0], row)
        (end, _), _ = jax.lax.scan(step, (row, jnp.asarray(1.0)), None, length=_STEPS)
        return end, size(end)

    ends, sizes = jax.vmap(one)(rows, jnp.arange(len(rows)) % 2 == 1)
    return ends, sizes, jnp.median(jax.vmap(size)(rows))


def _told(
    field: VectorField, problem: Problem, like: dict[str, jax.Array], data: Data, ends: np.ndarray
) -> tuple[RestPoint, ...]:
    """What the ends are, each family once."""
    _, unravel = ravel_pytree(like)
    rows = jnp.asarray(ends)
    slopes = np.asarray(jax.jit(jax.vmap(jax.jacfwd(lambda row: _velocity(field, like, data, row))))(rows))
    points: list[tuple[RestPoint, np.ndarray]] = []
    for row, slope in zip(rows, slopes, strict=True):
        eigenvalues = np.linalg.eigvals(-slope)
        eigenvalues = eigenvalues[np.argsort(-eigenvalues.real)]
        null = np.abs(eigenvalues.real) <= _NULL * np.abs(eigenvalues).max(initial=1e-300)
        index, weights = int(((eigenvalues.real > 0) & ~null).sum()), unravel(row)
        value, size = float(problem.objective(weights, data)), float(jnp.linalg.norm(_velocity(field, like, data, row)))
        state = State.from_weights(weights)
        points.append((RestPoint(state, value, size, eigenvalues, index, int(null.sum()), 1), np.asarray(row)))
    kept: list[tuple[RestPoint, np.ndarray]] = []
    for point, row in points:
        same = next((k for k, other in enumerate(kept) if _alike(*other, point, row)), None)
        if same is None:
            kept.append((point, row))
        else:
            kept[same] = (replace(kept[same][0], found=kept[same][0].found + 1), kept[same][1])
    return tuple(sorted((point for point, _ in kept), key=lambda point: point.value))


def _alike(a: RestPoint, x: np.ndarray, b: RestPoint, y: np.ndarray) -> bool:
    """Whether two points are one, or of one family."""
    if (a.index, a.nullity) != (b.index, b.nullity) or abs(a.value - b.value) > _SAME * (1 + abs(a.value)):
        return False
    return a.nullity > 0 or float(np.linalg.norm(x - y)) <= _SAME * (1 + float(np.linalg.norm(x)))
