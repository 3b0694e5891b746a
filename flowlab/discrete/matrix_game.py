"""Matrix games: the linear program that tells who is mixed, and exact equations for how much."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import scipy.optimize

from flowlab.core.errors import LanguageError, RunFailed
from flowlab.core.memory import require_time
from flowlab.discrete.margin.exact_separability import fractions, solve
from flowlab.language.data import Data
from flowlab.language.geometries import Simplex
from flowlab.language.problem import Problem

MIXED = 1e-9
"""Probability below which a linear program means a strategy that is not mixed."""
_LINEAR = 1e-9
"""Relative difference from a bilinear objective that is more than roundings."""
_EXACT_SECONDS = 1e-7
"""Of one product of the exact elimination, at sizes whose numbers have some hundred digits."""


def matrix_game(problem: Problem, data: Data) -> tuple[str, str, np.ndarray]:
    """Who ascends, who descends, and the payoffs (rows of the former) of a game on two simplices.

    Raises:
        LanguageError: where it is none.
    """
    told = "the game must be one of two players on simplices, one of whom ascends"
    spaces, blocks = problem.geometry, problem.network.weights
    if len(blocks) != 2 or len(problem.ascend) != 1 or any(not isinstance(spaces.get(w), Simplex) for w in blocks):
        way = '`ascend=["p"]` and `geometry={"p": "simplex", …}`, or `start` for a zero of the forces'
        raise LanguageError(f"{told}, got {problem!r}; pass {way}.")
    up = problem.ascend[0]
    down = next(w for w in blocks if w != up)
    shapes = problem.network.resolve(data.shapes, 1, default_width=1)
    n, m = shapes[up][0], shapes[down][0]
    payoff = np.array([[value_at(problem, data, {up: p, down: q}) for q in np.eye(m)] for p in np.eye(n)])
    rng = np.random.default_rng(0)
    for _ in range(3):
        p, q = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
        if abs(value_at(problem, data, {up: p, down: q}) - p @ payoff @ q) > _LINEAR * max(
            np.abs(payoff).max(), 1e-300
        ):
            raise LanguageError(f"{told} and whose objective is linear in each; pass `start` for a zero of the forces.")
    return up, down, payoff


def value_at(problem: Problem, data: Data, weights: Mapping[str, np.ndarray]) -> float:
    """The objective of a game without samples, in numpy."""
    inputs, _ = data.in_numpy
    return float(np.asarray(problem.network.outputs(weights, inputs, np)).ravel()[0])


def gaining_strategy(payoff: np.ndarray) -> np.ndarray:
    """A strategy of rows that gains the most against every column, (n,)."""
    n, m = payoff.shape
    # Maximise v with A^T p ≥ v, p on the simplex.
    found = scipy.optimize.linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.c_[-payoff.T, np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs-ds",
    )
    if not found.success:
        raise RunFailed(f"the linear program of the game must have a solution, got: {found.message}")
    return np.maximum(found.x[:n], 0.0) / np.maximum(found.x[:n], 0.0).sum()


Solved = tuple[tuple[tuple[Fraction, ...], tuple[Fraction, ...]], Fraction, tuple[Fraction | None, Fraction | None]]


def exact_equilibrium(payoff: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Solved | None:
    """Strategies, value and slacks with these strategies mixed, without roundings; None where that is no equilibrium
    or where the equations leave it open.
    """
    k = len(rows)
    if k != len(columns):
        return None
    require_time(
        _EXACT_SECONDS * k**3 * max(1, k), f"the exact equilibrium of {k} mixed strategies", "round the payoffs"
    )
    A = [fractions(row) for row in payoff]
    square = [[A[i][j] for j in columns] for i in rows]
    mixed, other_mixed = _mixed(square), _mixed([list(column) for column in zip(*square, strict=True)])
    if mixed is None or other_mixed is None:
        return None
    (q, value), (p, other) = mixed, other_mixed
    if value != other or min(*p, *q) <= 0:
        return None
    n, m = payoff.shape
    against = [sum((A[i][j] * w for j, w in zip(columns, q, strict=True)), start=Fraction(0)) for i in range(n)]
    gained = [sum((A[i][j] * w for i, w in zip(rows, p, strict=True)), start=Fraction(0)) for j in range(m)]
    slack = (
        min((value - v for i, v in enumerate(against) if i not in set(rows.tolist())), default=None),
        min((v - value for j, v in enumerate(gained) if j not in set(columns.tolist())), default=None),
    )
    if any(s is not None and s < 0 for s in slack):
        return None
    return (_spread(p, rows, n), _spread(q, columns, m)), value, slack


def _mixed(square: Sequence[Sequence[Fraction]]) -> tuple[list[Fraction], Fraction] | None:
    """Probabilities of columns that make all rows gain the same, and what they gain; None where that is not one."""
    k = len(square)
    equations = [[*row, Fraction(-1)] for row in square] + [[Fraction(1)] * k + [Fraction(0)]]
    found = solve(equations, [Fraction(0)] * k + [Fraction(1)])
    return None if found is None else (found[:k], found[k])


def _spread(part: Sequence[Fraction], places: np.ndarray, size: int) -> tuple[Fraction, ...]:
    out = [Fraction(0)] * size
    for at, value in zip(places.tolist(), part, strict=True):
        out[at] = value
    return tuple(out)
