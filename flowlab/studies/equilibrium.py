"""Equilibria of games of two players: where neither gains by moving alone.

On two simplices an objective that is linear in each player is a matrix game. Its equilibrium is the solution of a
linear program; which strategies it mixes is taken from there, and the equilibrium itself from linear equations on them
without roundings, every float64 payoff being a rational. That it is one, and the only one, are then statements about
rationals: each strategy that is not mixed loses against the value (Goldman and Tucker 1956). Elsewhere an equilibrium
is a zero of the forces, found by Newton's method.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from types import MappingProxyType

import numpy as np

from flowlab.core.arguments import guarded
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array
from flowlab.discrete.matrix_game import MIXED, exact_equilibrium, gaining_strategy, matrix_game, value_at
from flowlab.discrete.rest_point import Chart, slope, support, zero_of_forces
from flowlab.language.data import Data
from flowlab.language.geometries import require_in_space
from flowlab.language.given_data import required
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match, shapes_match
from flowlab.language.trajectory_table import weights_of
from flowlab.lowering.lower import lower
from flowlab.lowering.vector_field import VectorField
from flowlab.symbolic.derive import derive


@dataclass(frozen=True, eq=False)
@displayed
class Equilibrium:
    """Where no player gains by moving alone.

    Attributes:
        problem, data: the game.
        weights: the place of every block, float64; strategies of a matrix game to the last digit.
        value: the objective there (dimensionless).
        exact: the strategies as rationals, where the game is one of two simplices; else empty.
        unique: whether there is no other one, by exact arithmetic; None where that is not decided.
        slack: by how much the best strategy that is not mixed loses, for each player that has such (dimensionless).
        residual: the largest force that is left, in the tangent of the spaces.

    Examples:
        >>> net = fl.Network("p @ (A @ q)", constants=("A",))
        >>> game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
        >>> data = fl.Data(A=[[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
        >>> nash = fl.equilibrium(game, data)
        >>> [str(share) for share in nash.exact["p"]], nash.unique
        (['7/20', '9/20', '1/5'], True)
    """

    problem: Problem
    data: Data
    weights: Mapping[str, np.ndarray]
    value: float
    exact: Mapping[str, tuple[Fraction, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unique: bool | None = None
    slack: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    residual: float = 0.0

    @cached_property
    def support(self) -> dict[str, tuple[int, ...]]:
        """The strategies that are mixed, by player on a simplex."""
        return support(self.problem, self.weights)

    @cached_property
    def frequencies(self) -> np.ndarray:
        """Angular frequencies τ > 0 of small orbits of the replicator flow, in falling order (dimensionless)."""
        values = np.sort(np.linalg.eigvals(jacobian(self)).imag)[::-1]
        return values[values > MIXED]

    def divergence(self, weights: Mapping[str, Array]) -> float:
        """The sum over players of KL(p*|p), infinite where p lacks a strategy that is mixed.

        Raises:
            ShapeMismatch: for weights of another game.
        """
        self._require(weights)
        total = 0.0
        for w, mixed in self.support.items():
            star, now = self.weights[w][list(mixed)], np.asarray(weights[w])[list(mixed)]
            with np.errstate(divide="ignore"):
                total += float((star * np.log(star / now)).sum())
        return total

    def gap(self, weights: Mapping[str, Array]) -> float:
        """What both players can gain by moving alone, together: the duality gap of a matrix game.

        Raises:
            LanguageError: for a game that is not one of two simplices; ShapeMismatch: for weights of another game.
        """
        self._require(weights)
        up, down, payoff = matrix_game(self.problem, self.data)
        p, q = (np.asarray(weights[w]) for w in (up, down))
        return float((payoff @ q).max() - (payoff.T @ p).min())

    def _require(self, weights: Mapping[str, Array]) -> None:
        """Refuse what is not the weights of this game."""
        for w, star in self.weights.items():
            now = weights.get(w) if isinstance(weights, Mapping) else None
            if now is None or np.shape(now) != star.shape:
                got = "none" if now is None else f"one of shape {np.shape(now)}"
                raise ShapeMismatch(
                    f"`weights` must have the block `{w}` of shape {star.shape}, got {got}; pass for example"
                    " `run.weights(-1)`."
                )

    def __repr__(self) -> str:
        what = {True: "the only one", False: "one of several", None: "a zero of the forces"}[self.unique]
        mixed = ", ".join(f"{w} mixes {len(s)} of {len(self.weights[w])}" for w, s in self.support.items())
        return f"Equilibrium(value={self.value:.6g}, {what}{', ' if mixed else ''}{mixed})"


@guarded
def equilibrium(problem: Problem, data: Data | None = None, *, start: State | None = None) -> Equilibrium:
    """An equilibrium of a game.

    Args:
        problem: of the loss `"value"`; with two players on simplices and an objective that is linear in each it is
            solved exactly.
        data: constants of the objective.
        start: where Newton's method starts; without it the game must be one of two simplices.

    Returns:
        The equilibrium; of a matrix game with a certificate.

    Raises:
        LanguageError: for a game that is not of the kind asked for; RunFailed: where Newton's method finds no zero.
        TooLarge: where exact arithmetic takes more than a day.

    Examples:
        >>> net = fl.Network("p @ (A @ q)", constants=("A",))
        >>> game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
        >>> data = fl.Data(A=[[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
        >>> nash = fl.equilibrium(game, data)
        >>> nash.value
        0.25
        >>> [str(share) for share in nash.exact["q"]]
        ['1/2', '1/4', '1/4']
    """
    require_x64("equilibrium")
    if not problem.loss.is_value:
        raise LanguageError(
            f'`problem` must have the loss "value", got "{problem.loss.name}"; write the objective down.'
        )
    data = required(problem, data)
    if start is not None:
        return _zero(problem, data, start)
    return _solved(problem, data)


def _solved(problem: Problem, data: Data) -> Equilibrium:
    """The equilibrium of a matrix game: the linear program for who is mixed, exact equations for how much."""
    up, down, payoff = matrix_game(problem, data)
    p, q = gaining_strategy(payoff), gaining_strategy(-payoff.T)
    found = exact_equilibrium(payoff, np.flatnonzero(p > MIXED), np.flatnonzero(q > MIXED))
    if found is None:
        # Several solutions, or one whose mixed strategies the program does not tell: its own numbers stand.
        value = float(p @ payoff @ q)
        gap = float((payoff @ q).max() - (payoff.T @ p).min())
        return Equilibrium(problem, data, {up: p, down: q}, value, unique=False, residual=gap)
    exact, value, slack = found
    unique = all(s is None or s > 0 for s in slack)
    names = (up, down)
    weights = {w: np.array([float(v) for v in row]) for w, row in zip(names, exact, strict=True)}
    return Equilibrium(
        problem,
        data,
        weights,
        float(value),
        exact=dict(zip(names, exact, strict=True)),
        unique=unique,
        slack={w: float(s) for w, s in zip(names, slack, strict=True) if s is not None},
    )


def _zero(problem: Problem, data: Data, start: State) -> Equilibrium:
    """A zero of the forces from a start, in the charts of the spaces."""
    names_match(start, problem.network)
    shapes_match(start, problem.network, data)
    weights = weights_of(problem, start)
    require_in_space(problem.geometry, weights)
    there, left = zero_of_forces(problem, data, weights, _field(problem))
    return Equilibrium(problem, data, there, value_at(problem, data, there), residual=left)


def chart_round(rest: Equilibrium) -> Chart:
    """The chart round an equilibrium, with the derived flow."""
    return Chart.of(rest.problem, rest.data, rest.weights, _field(rest.problem))


@lru_cache(maxsize=32)
def _field(problem: Problem) -> VectorField:
    """The flow of a game, derived once."""
    return lower(derive(problem, verify=False))


def jacobian(rest: Equilibrium) -> np.ndarray:
    """The derivative of the forces at an equilibrium, in the charts, on strategies that are mixed and without the
    shifts that move no weight, (r, r).
    """
    return np.asarray(slope(chart_round(rest)))
