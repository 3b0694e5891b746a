"""Critical points of objectives of a covariance P P^T and a target: one for every set of eigenvectors of the target.

Distances of covariances that do not depend on a common basis are critical at Σ_J = Σ_{i in J} s_i ω_i ω_i^T, with the
eigenvectors ω_i of the target and numbers s_i that each of them settles alone. Where that holds is measured: every
point comes with the gradient that autodiff has there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import brentq

from flowlab.core.arguments import guarded
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, LanguageError
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.symbolic.balanced_start import balanced_state, chain

ZERO = 1e-7
"""Part of the largest curvature up to which one is a zero mode: second derivatives of roots carry 1e-10."""
MOST = 4_000
"""Points at most: ten minutes of Hessians."""
_STEP = 1e-4
"""Length of every layer in a direction that a point does not have."""
_SMOOTH = 1e-2
"""Change of curvatures, relative to the largest of a point, over such a step that tells a kink."""


@dataclass(frozen=True)
@displayed
class CovariancePoint:
    """A critical point.

    Attributes:
        eigenvectors: which eigenvectors of the target it has, 0 for the largest eigenvalue.
        value: of the objective.
        residual: length of the gradient, relative to the length of the weights.
        index: number of directions of weights with negative curvature.
        zero_modes: number of directions without curvature, those of symmetries among them.
        state: balanced weights.

    Examples:
        >>> P, S0 = fl.weight("W2") @ fl.weight("W1"), fl.constant("S0")
        >>> problem = fl.Problem(fl.bures(P @ P.T + 0.3 * fl.eye, S0), "value")
        >>> points = fl.covariance_points(problem, fl.Data(S0=[[2.0, 0.0], [0.0, 1.0]]), rank=2)
        >>> points.minimum.eigenvectors, points.minimum.index
        ((0, 1), 0)
    """

    eigenvectors: tuple[int, ...]
    value: float
    residual: float
    index: int
    zero_modes: int
    state: State

    @property
    def rank(self) -> int:
        """Of the covariance P P^T."""
        return len(self.eigenvectors)


@dataclass(frozen=True)
@displayed
class CovariancePoints:
    """All of them, the lowest value first.

    Examples:
        >>> P, S0 = fl.weight("W2") @ fl.weight("W1"), fl.constant("S0")
        >>> problem = fl.Problem(fl.bures(P @ P.T + 0.3 * fl.eye, S0), "value")
        >>> points = fl.covariance_points(problem, fl.Data(S0=[[2.0, 0.0], [0.0, 1.0]]), rank=2)
        >>> len(points), points.minimum.eigenvectors
        (4, (0, 1))
    """

    points: tuple[CovariancePoint, ...]

    @property
    def minimum(self) -> CovariancePoint:
        """The point of the lowest value."""
        return self.points[0]

    def nearest(self, value: float) -> CovariancePoint:
        """The point whose value is nearest to one."""
        return min(self.points, key=lambda point: abs(point.value - value))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, place: int) -> CovariancePoint:
        return self.points[place]

    def __str__(self) -> str:
        lines = [f"{'eigenvectors':<16} {'value':>14} {'gradient':>9} {'index':>5} {'zero':>5}"]
        for p in self.points:
            name = " ".join(str(i + 1) for i in p.eigenvectors) or "none"
            lines.append(f"{name:<16} {p.value:>14.10g} {p.residual:>9.1e} {p.index:>5} {p.zero_modes:>5}")
        return "\n".join(lines)


@guarded
def covariance_points(problem: Problem, data: Data, *, rank: int) -> CovariancePoints:
    """The critical points of an objective of P P^T and a target up to a rank, with values and indices by autodiff.

    Lower ranks are among them where the objective has second derivatives there: that of two layers or one has none
    where it has a nuclear norm.

    Args:
        problem: an objective of the product of its blocks and one symmetric constant.
        data: with that constant.
        rank: rows of every hidden layer, or the columns of a single one.

    Raises:
        LanguageError: where the blocks are no chain, or there is no single target; DataError: for a target with equal
            eigenvalues, which has whole families of critical points.

    Examples:
        >>> P, S0 = fl.weight("W2") @ fl.weight("W1"), fl.constant("S0")
        >>> problem = fl.Problem(fl.bures(P @ P.T + 0.3 * fl.eye, S0), "value")
        >>> points = fl.covariance_points(problem, fl.Data(S0=[[2.0, 0.0], [0.0, 1.0]]), rank=2)
        >>> [(point.eigenvectors, point.index) for point in points.points]
        [((0, 1), 0), ((0,), 0), ((1,), 1), ((), 0)]
    """
    require_x64("covariance_points")
    blocks, values, omega = chain(problem), *_target(problem, data)
    if not 1 <= rank <= len(values):
        raise LanguageError(f"`rank` must be an integer from 1 to {len(values)}, got {rank}; pass for example 1.")
    search = _Search(problem, data, blocks, rank, omega)
    sizes = [search.size_along(i) for i in range(len(values))]
    moving = [i for i, s in enumerate(sizes) if s > 0]
    if sum(1 for r in range(rank + 1) for _ in combinations(moving, r)) > MOST:
        raise LanguageError(f"`rank` must leave at most {MOST} points, got {rank} of {len(values)}; lower it.")
    found = [
        search.point(J, sizes)
        for r in range(rank, -1, -1)
        for J in combinations(moving, r)
        if r == rank or search.smooth(J, sizes)
    ]
    return CovariancePoints(tuple(sorted(found, key=lambda point: point.value)))


def _target(problem: Problem, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the target, the largest first, and its eigenvectors."""
    names = [name for name in problem.network.constants if name in problem.network.symmetric]
    if len(names) != 1:
        told = ", ".join(names) or "none"
        raise LanguageError(f"the objective must have one symmetric constant, its target, got {told}; write one.")
    problem.network.require_given(data.shapes)
    values, omega = np.linalg.eigh(np.asarray(data.given[names[0]]))
    if np.diff(values).min(initial=np.inf) <= 1e-9 * np.abs(values).max():
        raise DataError(
            f"the target `{names[0]}` must have different eigenvalues, got some that are equal, whose critical points"
            " are no points; change them."
        )
    return values[::-1], omega[:, ::-1]


class _Search:
    """Objective, gradient and Hessian of weights, compiled once."""

    def __init__(self, problem: Problem, data: Data, blocks: tuple[str, ...], rank: int, omega: np.ndarray) -> None:
        self.problem, self.blocks, self.rank, self.omega = problem, blocks, rank, omega
        unpacked = ravel_pytree(dict(self.state((), {}).weights()))[1]

        def objective(flat: jax.Array) -> Array:
            return problem.objective(unpacked(flat), data, jnp)

        self.value, self.gradient = jax.jit(objective), jax.jit(jax.grad(objective))
        self.hessian = jax.jit(jax.hessian(objective))

    def state(self, chosen: tuple[int, ...], sizes: Mapping[int, float]) -> State:
        """Balanced weights whose covariance has these eigenvectors and eigenvalues."""
        n = len(self.omega)
        into = np.eye(self.rank if len(self.blocks) == 1 else n)
        P = sum(
            (np.sqrt(sizes[i]) * np.outer(self.omega[:, i], into[k]) for k, i in enumerate(chosen)),
            np.zeros((n, len(into))),
        )
        return balanced_state(self.problem, product=P, widths=dict.fromkeys(self.blocks[:-1], self.rank))

    def size_along(self, i: int) -> float:
        """The eigenvalue that the covariance has at rest along an eigenvector; 0 where it shrinks from the start."""

        def force(s: float) -> float:
            flat = _packed(self.state((i,), {i: s}))
            return float(self.gradient(flat) @ flat)

        low, high = 1e-12, 1.0
        if force(low) >= 0:
            return 0.0
        while force(high) < 0:
            high *= 2.0
        return float(brentq(force, low, high, xtol=1e-16, rtol=1e-15))  # type: ignore[arg-type]

    def smooth(self, chosen: tuple[int, ...], sizes: list[float]) -> bool:
        """Whether curvatures change little where P gets a direction more, as those of a kink do not."""
        other = next(i for i, s in enumerate(sizes) if s > 0 and i not in chosen)
        told = dict(enumerate(sizes))
        # Every layer gets the length _STEP in the new direction.
        near = self.state((*chosen, other), told | {other: _STEP ** (2 * len(self.blocks))})
        here, there = (np.linalg.eigvalsh(self.hessian(_packed(s))) for s in (self.state(chosen, told), near))
        # At zero weights of many layers nothing is curved, so that another point tells the size of curvatures.
        scale = np.linalg.norm(self.hessian(_packed(self.state((other,), told))), 2)
        return bool(np.abs(here - there).max() <= _SMOOTH * scale)

    def point(self, chosen: tuple[int, ...], sizes: list[float]) -> CovariancePoint:
        """The point of some eigenvectors."""
        state = self.state(chosen, dict(enumerate(sizes)))
        flat = _packed(state)
        curvatures = np.linalg.eigvalsh(np.asarray(self.hessian(flat)))
        small = ZERO * max(float(np.abs(curvatures).max()), 1e-300)
        residual = float(np.linalg.norm(self.gradient(flat)) / max(float(np.linalg.norm(flat)), 1.0))
        return CovariancePoint(
            chosen,
            float(self.value(flat)),
            residual,
            int((curvatures < -small).sum()),
            int((np.abs(curvatures) <= small).sum()),
            state,
        )


def _packed(state: State) -> np.ndarray:
    """The vector of the weights of a state."""
    return np.asarray(ravel_pytree(dict(state.weights()))[0])
