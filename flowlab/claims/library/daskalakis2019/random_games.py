"""Optimistic multiplicative weights on random games: when a run first comes near to the equilibrium."""

import math

import numpy as np

from flowlab.claims.library.daskalakis2019.flows import at, matrix_game, strategies
from flowlab.discrete.descent.descend import descend
from flowlab.language.data import Data
from flowlab.language.trajectory import Trajectory
from flowlab.studies.equilibrium import equilibrium

ETA, DRAWS, NEAR = 0.01, 20, 0.5
"""The step of the paper, games of every size, and the distance from the equilibrium that counts as near."""
ROWS, FIRST = 2_000, 20
"""Rows of a run, and the part of it that is tried before the whole."""
LEVELS = (0.1, 0.5, 0.9)


def game(seed: int, size: int, draw: int) -> np.ndarray:
    """Payoffs from [-1, 1]; (size, size)."""
    return np.random.default_rng((8, seed, size, draw)).uniform(-1, 1, size=(size, size))


def walked(payoff: np.ndarray, count: int, every: int) -> Trajectory:
    """Optimistic multiplicative weights on a game from uniform strategies."""
    uniform = np.full(len(payoff), 1 / len(payoff))
    start, data = at(uniform, uniform), Data(A=payoff)
    return descend(matrix_game(), start, data, rule="optimistic", step=ETA, count=count, record_every=every)


def first_times(seed: int, size: int, draw: int, cap: int, errors: tuple[float, ...]) -> dict[float, float]:
    """The first step, seen every cap/2000, at which ‖p - p*‖₁ + ‖q - q*‖₁ is at most each of the errors of a game;
    infinite where it is not within `cap`.
    """
    payoff, every = game(seed, size, draw), max(1, cap // ROWS)
    rest, seen = equilibrium(matrix_game(), Data(A=payoff)), dict.fromkeys(errors, math.inf)
    for count in (cap // FIRST, cap):
        run = walked(payoff, count, every)
        off = np.sum(
            [np.abs(now - rest.weights[w]).sum(axis=1) for w, now in zip("pq", strategies(run), strict=True)], axis=0
        )
        seen = {e: float(np.argmax(off <= e) * every) if (off <= e).any() else math.inf for e in errors}
        if math.isfinite(seen[min(errors)]):
            break
    return seen


def quantile(times: list[float], level: float, cap: int) -> float:
    """A quantile of times that are known up to `cap` alone: a lower bound where it is `cap`.

    Where all runs end at one cap, Kaplan and Meier's estimate (1958) is the share of games that are near by then.
    """
    return min(float(np.sort(times)[math.ceil(level * len(times)) - 1]), float(cap))
