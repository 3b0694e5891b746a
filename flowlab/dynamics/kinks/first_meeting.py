"""The first kink in a step: where in the step it lies, and which pairs meet it or leave theirs."""

import dataclasses
from functools import cache
from typing import Any

import numpy as np

from flowlab.core.typing import PyTree
from flowlab.dynamics.kinks import crossing_guard
from flowlab.dynamics.kinks.bernstein import from_values, nodes, root_in, roots
from flowlab.dynamics.kinks.first_root import NEAR
from flowlab.dynamics.kinks.root_location import Guess, refined
from flowlab.dynamics.kinks.sliders import Sliders

_TOGETHER = 1e-12
"""Kinks met within this part of a step are met at once."""
LEFT, SLIDING, RIGHT, REPELS = -1, 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Meeting:
    """The first kink in a step.

    Attributes:
        part: of the step at which it is met.
        state: what is integrated, there, as the step led to it.
        hits: pairs that reach their kink from a side.
        leaves: pairs that stop to slide, with the side they leave to, or 2 where their kink begins to repel.
        sliding: multipliers there of all kinks that are slid on, by their first pair.
    """

    part: float
    state: PyTree
    hits: tuple[int, ...]
    leaves: dict[int, int]
    sliding: dict[int, float]


def first_meeting(side: np.ndarray, terms: float, sliders: Sliders, look: Any) -> Meeting | None:
    """The first kink in a step, or None if there is none after all.

    Args:
        side: of all pairs at the start of the step, (P,).
        terms: the largest term that pre-activations are sums of.
        sliders: the kinks that are slid on.
        look: takes a part of the step, in (0, 1], and answers as `compiled_steps.look`.
    """
    _, (z, multipliers, answers, slack), _ = look(1.0)
    noise = crossing_guard.NOISE * max(float(np.abs(z[[0, -1]]).max()), terms)
    points = nodes(len(z) - 1)[crossing_guard.thirds(len(z))]
    coefficients = (from_values(len(z) - 1) @ z) * side
    guesses: list[Guess] = []
    for pair in np.flatnonzero((coefficients < -noise).any(axis=0)):
        b = np.where(np.abs(coefficients[:, pair]) <= noise, 0.0, coefficients[:, pair])
        found = roots(b)
        if not found and b[0] == 0 and b[-1] < 0:
            guesses.append(Guess(0.0, 0.0, 0.0, int(pair), SLIDING))
        # Leaving its own side is what counts; a return is met, if at all, from the other one.
        for low, high in found[: 1 if b[0] >= 0 else 2]:
            guesses.append(Guess(root_in(b, low, high), low, high, int(pair), SLIDING))
    pairs, columns = sliders.numbers
    told, answers, slack = (each[:, columns] for each in (multipliers, answers, slack))
    for kind, bound in ((LEFT, told + slack), (RIGHT, 1.0 + crossing_guard.SLACK - told), (REPELS, -answers)):
        for i in np.flatnonzero((bound < 0).any(axis=0)):
            j = int(np.flatnonzero(bound[:, i] < 0)[0])
            low, high = (float(points[j - 1]), float(points[j])) if j else (0.0, 0.0)
            part = bound[j - 1, i] / (bound[j - 1, i] - bound[j, i]) if j else 0.0
            guesses.append(Guess(low + float(part) * (high - low), low, high, int(pairs[i]), kind))
    best, hits, leaves = 2.0, [], {}
    for guess in sorted(guesses):
        # Of crossings the dense output knows the place to its own accuracy; of multipliers only three values are known.
        if (guess.part if guess.kind == SLIDING else guess.low) > best + NEAR:
            continue
        part = _part(side, sliders, look, guess, noise)
        if part is None or part > best + _TOGETHER:
            continue
        if part < best - _TOGETHER:
            best, hits, leaves = part, [], {}
        if guess.kind:
            leaves[guess.pair] = guess.kind
        else:
            hits.append(guess.pair)
    if best > 1.0:
        return None
    state, _, (z_end, now, *_) = look(best)
    sliding = {int(pair): float(now[column]) for pair, column in zip(pairs, columns, strict=True)}
    # Whatever else has arrived with them.
    also = np.flatnonzero((np.asarray(z_end) * side < -noise) & (side != 0))
    return Meeting(best, state, tuple(sorted({*hits, *map(int, also)})), leaves, sliding)


def _part(side: np.ndarray, sliders: Sliders, look: Any, guess: Guess, noise: float) -> float | None:
    """The part of the step at which a pair meets its kink, or its multiplier a bound; on the solution stepped to that
    time.
    """
    if guess.kind == SLIDING:
        return refined(cache(lambda part: float(look(part)[2][0][guess.pair]) * side[guess.pair]), guess, 0.01 * noise)
    column = sliders.columns[guess.pair]
    small = {LEFT: 1e-3 * float(look(1.0)[2][3][column]), RIGHT: 1e-3 * crossing_guard.SLACK, REPELS: 0.0}[guess.kind]

    @cache
    def value(part: float) -> float:
        _, multipliers, answers, _ = look(part)[2]
        told = float(multipliers[column])
        return told if guess.kind == LEFT else 1.0 - told if guess.kind == RIGHT else -float(answers[column])

    return refined(value, guess, small)
