"""The largest step with which a rule converges to the equilibrium of a game, by autodiff of the forces alone.

Steps of a rule on forces that are linear in the distance multiply a mode q of the flow by the roots of the rule's own
matrix at h = ηq, which is read off by running the rule on one mode with unit vectors as its memory and place.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from flowlab.core.errors import LanguageError, RunFailed
from flowlab.core.typing import Blocks
from flowlab.discrete.matrix_game import MIXED, gaining_strategy, matrix_game
from flowlab.discrete.rest_point import Chart, Forces, slope, tangent, zero_of_forces
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.rules import Momentum, Rule

SAME = 1e-9
"""Excess of a modulus over 1, by step, that is roundings: centres of a flow stay on the circle under no rule."""
_HALVINGS = 60
"""Of an interval that holds the limit: to the last digit of float64."""
_LOOKS, _LASTS = 16, 0.9
"""Pairs of rows by which a walk is seen to move, and the part of its earlier speed at which it has not settled."""


def largest_stable(grows: Callable[[float], bool], speed: float) -> float:
    """The step up to which modes shrink: 0 where they grow at any step, infinity where at none.

    Args:
        grows: whether some mode grows at a step.
        speed: the largest modulus of the modes of the flow.
    """
    if not speed:
        return float("inf")
    low, high = 1e-3 / speed, 1.0 / speed
    if grows(low):
        return 0.0
    while not grows(high):
        if high > 1e6 / speed:
            return float("inf")
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if grows(middle) else (middle, high)
    return low


def mode_matrices(how: Rule, heavy: Momentum | None, beta: float, q: np.ndarray, step: float) -> np.ndarray:
    """What one step does to memory and place on every mode of linear forces, (k, m, m) from (k,), complex."""
    ones = {"z": np.ones(len(q), dtype=complex)}
    memory = ones if heavy is not None else how.fresh(ones)
    slots, rebuilt = jax.tree.flatten(memory)

    def field(z: Any) -> Any:
        return {"z": q * z["z"]}

    columns = []
    for unit in np.eye(len(slots) + 1):
        old = jax.tree.unflatten(rebuilt, [value * np.ones_like(q) for value in unit[:-1]])
        place = {"z": unit[-1] * np.ones_like(q)}
        if heavy is not None:
            new, moved = heavy.update(old, {"z": -q * place["z"]}, step, beta)
            after = {"z": place["z"] + moved["z"]}
        else:
            new, after = how.advance(old, place, field(place), field, step)
        columns.append(np.stack([*jax.tree.leaves(new), after["z"]], axis=-1))
    return np.stack(columns, axis=-1)


def step_limit(
    problem: Problem, data: Data, weights: Blocks, how: Rule, heavy: Momentum | None, beta: float
) -> float | None:
    """The step up to which the linearised steps shrink distances from the equilibrium of a game; 0 where none does.

    A game of two players on simplices must have one equilibrium; elsewhere that one is taken which Newton's method
    finds from the weights. The limit is in units of flow time, and None where no single equilibrium is found.
    """
    try:
        rest = _only_equilibrium(problem, data)
    except LanguageError:
        try:
            rest, _ = zero_of_forces(problem, data, weights, Forces(problem))
        except RunFailed:
            return None
    if rest is None:
        return None
    q = np.linalg.eigvals(np.asarray(slope(Chart.of(problem, data, rest, Forces(problem))))).astype(complex)
    if not np.abs(q).min(initial=np.inf) > MIXED:
        return None

    def grows(step: float) -> bool:
        radii = np.abs(np.linalg.eigvals(mode_matrices(how, heavy, beta, q, step)))
        return float(radii.max(initial=0.0)) > 1.0 + SAME * step

    return largest_stable(grows, float(np.abs(q).max(initial=0.0)))


def _only_equilibrium(problem: Problem, data: Data) -> dict[str, np.ndarray] | None:
    """The equilibrium of a matrix game, to the digits of its linear program; None where there may be others.

    Raises:
        LanguageError: for another game.
    """
    up, down, payoff = matrix_game(problem, data)
    p, q = gaining_strategy(payoff), gaining_strategy(-payoff.T)
    value, size = float(p @ payoff @ q), float(np.abs(payoff).max())
    idle = np.concatenate([(value - payoff @ q)[p <= MIXED], (payoff.T @ p - value)[q <= MIXED]])
    if (p > MIXED).sum() != (q > MIXED).sum() or not idle.min(initial=np.inf) > MIXED * size:
        return None
    return {w: np.where(v > MIXED, v, 0.0) for w, v in ((up, p), (down, q))}


def settles(problem: Problem, places: Sequence[Blocks]) -> bool:
    """Whether a walk moves more slowly in its charts at the end than before its middle; a few rows tell nothing, and
    pass. Where a strategy dies out its logarithm falls for ever, so that such walks never settle.
    """
    last = len(places) - 2
    if last < 4:
        return True
    ends = ((last // 4, last // 2), (last - last // 4, last - 1))
    early, late = (
        float(np.mean([_apart(problem, places[i], places[i + 1]) for i in np.linspace(*some, _LOOKS, dtype=int)]))
        for some in ends
    )
    return late < _LASTS * early or not late


def _apart(problem: Problem, one: Blocks, other: Blocks) -> float:
    moved = tangent(problem, {w: np.asarray(other[w]) - np.asarray(one[w]) for w in one})
    return max(float(np.abs(v).max(initial=0.0)) for v in moved.values())
