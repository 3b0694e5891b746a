"""Rest points of games in the charts of their spaces: Newton's method for them, and the slope of the forces there."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
from jax.flatten_util import ravel_pytree

from flowlab.core.errors import RunFailed
from flowlab.core.typing import Array, Blocks
from flowlab.discrete.descent.gradient_walk import force_of
from flowlab.language.data import Data
from flowlab.language.geometries import Simplex
from flowlab.language.problem import Problem

_REST = 1e-10
"""Size of the forces, relative to those at the start or 1, at which Newton's method has found a zero."""
_NEAR = 1e-6
"""Relative length of the next Newton step at a zero."""


@runtime_checkable
class Field(Protocol):
    """What gives the rates of all blocks at places in the charts: a derived `VectorField`, or `Forces`."""

    def rate(self, log_t: Any, y: Any, data: Data, /) -> Any: ...


class Forces(eqx.Module):
    """The forces of a game by autodiff of its objective."""

    problem: Problem = eqx.field(static=True)

    def rate(self, log_t: Any, y: Blocks, data: Data, /) -> Blocks:
        """Z' of every block; the time plays no part."""
        return force_of(self.problem, data, y)


def tangent(problem: Problem, force: Mapping[str, Array]) -> dict[str, Array]:
    """Forces without the part that moves no weight, as a common one on all logarithms of probabilities."""
    spaces = problem.geometry
    return {w: spaces[w].tangent(v) if w in spaces else v for w, v in force.items()}


def support(problem: Problem, weights: Blocks) -> dict[str, tuple[int, ...]]:
    """The strategies that are mixed, by player on a simplex."""
    players = [w for w in weights if isinstance(problem.geometry.get(w), Simplex)]
    return {w: tuple(np.flatnonzero(weights[w] > 0).tolist()) for w in players}


class Chart(eqx.Module):
    """An equilibrium in the charts of its spaces, on strategies that are mixed.

    Attributes:
        problem, data: the game.
        field: its forces.
        whole: the equilibrium in the charts, by block; strategies that are not mixed stand at minus infinity, where
            their probability stays zero.
        mixed: the strategies that are mixed, by player on a simplex.
        basis: of the changes of flat places that move weights, orthonormal, (k, r).
    """

    problem: Problem = eqx.field(static=True)
    data: Data
    field: Field
    whole: dict[str, Array]
    mixed: dict[str, np.ndarray]
    basis: np.ndarray

    @classmethod
    def of(cls, problem: Problem, data: Data, weights: Blocks, field: Field) -> "Chart":
        """The chart round an equilibrium at these weights."""
        spaces = problem.geometry
        mixed = {w: np.asarray(s) for w, s in support(problem, weights).items()}
        sizes = {w: len(mixed[w]) if w in mixed else np.size(v) for w, v in weights.items()}
        # Flat arrays have their blocks in the order of the names.
        bases = [
            _across(sizes[w]) if w in spaces and spaces[w].has_idle_shift else np.eye(sizes[w]) for w in sorted(sizes)
        ]
        whole = problem.dual({w: jnp.asarray(v) for w, v in weights.items()})
        return cls(problem, data, field, whole, mixed, np.asarray(scipy.linalg.block_diag(*bases)))

    @property
    def place(self) -> dict[str, Array]:
        """The equilibrium in the charts, by block."""
        return self._on_mixed(self.whole)

    def forces(self, place: Blocks) -> dict[str, Array]:
        """The rates of all blocks at a place in the charts."""
        full = {
            w: jnp.asarray(v).at[self.mixed[w]].set(place[w]) if w in self.mixed else place[w]
            for w, v in self.whole.items()
        }
        return self._on_mixed(self.field.rate(0.0, full, self.data))

    def _on_mixed(self, blocks: Any) -> dict[str, Array]:
        return {w: v[self.mixed[w]] if w in self.mixed else v for w, v in blocks.items()}


def slope(chart: Chart) -> np.ndarray:
    """The derivative of the forces, on strategies that are mixed and without shifts that move no weight, (r, r)."""
    full = np.asarray(_slope(chart.field, chart.whole, chart.data))
    places = {w: np.arange(np.size(v)) for w, v in sorted(chart.whole.items())}
    starts = np.cumsum([0, *(len(v) for v in places.values())])
    kept = np.concatenate(
        [start + v[chart.mixed.get(w, slice(None))] for start, (w, v) in zip(starts, places.items(), strict=False)]
    )
    return chart.basis.T @ full[np.ix_(kept, kept)] @ chart.basis


@eqx.filter_jit
def _slope(field: Field, whole: dict[str, Array], data: Data) -> jax.Array:
    """The derivative of the forces on all strategies: one compilation, whoever is mixed."""
    flat, restore = ravel_pytree(whole)
    return jax.jacfwd(lambda z: ravel_pytree(field.rate(0.0, restore(z), data))[0])(flat)


def _across(k: int) -> np.ndarray:
    """An orthonormal basis of vectors with the sum zero, (k, k - 1)."""
    return np.linalg.svd(np.ones((1, k)))[2][1:].T


def zero_of_forces(problem: Problem, data: Data, weights: Blocks, field: Field) -> tuple[dict[str, np.ndarray], float]:
    """Weights at which no player is moved, from a start, and the largest force that is left.

    Raises:
        RunFailed: where Newton's method finds none, or one where a player gains by moving alone.
    """
    place, restore = ravel_pytree(problem.dual({w: jnp.asarray(v) for w, v in weights.items()}))

    def forces(z: jax.Array) -> jax.Array:
        return ravel_pytree(tangent(problem, field.rate(0.0, restore(z), data)))[0]

    compiled, bend_of = jax.jit(forces), jax.jit(jax.jacfwd(forces))
    scale = float(np.abs(compiled(place)).max())
    found = scipy.optimize.root(
        lambda z: np.asarray(compiled(jnp.asarray(z))),
        np.asarray(place),
        jac=lambda z: np.asarray(bend_of(z)),
        tol=1e-14,
    )
    end = jnp.asarray(found.x)
    last, bend = np.asarray(compiled(end)), np.asarray(bend_of(end))
    left, ahead = float(np.abs(last).max()), np.linalg.lstsq(bend, last, rcond=None)[0]
    # Where forces only fade, Newton's next step is as long as the last ones.
    fades = not float(np.abs(ahead).max()) <= _NEAR * (1.0 + float(np.abs(found.x).max()))
    if fades or not left <= _REST * max(scale, 1.0):
        raise RunFailed(
            f"Newton's method must find a zero of the forces, got {left:.2e} of {scale:.2e} at the start; start nearer"
            " to one."
        )
    _require_no_gain(restore(end), restore, bend)
    return {w: np.asarray(v) for w, v in problem.lift(restore(end)).items()}, left


def _require_no_gain(place: Blocks, restore: Callable[[jax.Array], Blocks], bend: np.ndarray) -> None:
    """Refuse a zero of the forces from which a player's own force leads away, so that it gains by moving alone.

    Raises:
        RunFailed: naming the player.
    """
    rows = restore(jnp.arange(len(bend)))
    for w in place:
        own = bend[np.ix_(*2 * [np.asarray(rows[w]).astype(int).ravel()])]
        # In every chart this is minus the Hessian of what the player lowers times a metric, with its signs.
        away = float(np.linalg.eigvals(own).real.max(initial=0.0))
        if away > _NEAR * max(float(np.abs(bend).max()), 1e-300):
            raise RunFailed(
                f"the zero of the forces must be an equilibrium, got one where `{w}` gains by moving alone (its force"
                f" grows by {away:.3g} with the distance); start nearer to another."
            )
