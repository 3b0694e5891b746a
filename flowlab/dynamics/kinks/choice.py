"""Which way pairs go that are on their kinks: across, along, or nobody knows.

With multipliers λ in [0, 1], 0 the slope on the left and 1 that on the right, the pre-activations on their kinks move at w(λ) = w + A λ. A pair leaves to
the left where λ = 0 and w ≤ 0, to the right where λ = 1 and w ≥ 0, and slides where w = 0 in between: a box-constrained complementarity
problem, that of the element of least norm where all surfaces attract. Element of least norm and next mode are two things: where a surface repels,
the former lies on it while every solution leaves (A. F. Filippov, "Differential Equations with Discontinuous Righthand Sides", 1988).
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np

_MOST = 8
"""Surfaces that repel at once up to which every combination of sides is looked at."""
_ROUNDS, _SWEEPS = 500, 200
_SETTLING, _SETTLED = 20, 1e-9
"""Rounds after which multipliers of several layers must have settled, to this; those of one layer do in the second."""
TINY = 1e-11
"""Rates below this part of the largest are zero."""


About = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""The problem linearised about multipliers: (w, A)."""


class Choice(NamedTuple):
    """What is possible.

    Attributes:
        multipliers: (K,), of the first solution found; all of them give attracting pairs one and the same velocity.
        solutions: how many combinations of sides of repelling pairs are solutions; 1 is a decision, -1 means too many to try.
        w: rates with every multiplier 0, (K,), and `A`, what multipliers add, (K, K), as they are about the solution.
    """

    multipliers: np.ndarray
    solutions: int
    w: np.ndarray
    A: np.ndarray


class Unsettled(Exception):
    """Multipliers of several layers that did not settle."""


def choose(w: np.ndarray, A: np.ndarray) -> Choice:
    """Solve the complementarity problem.

    Args:
        w: rates (K,) with every multiplier 0.
        A: what multipliers add to them, (K, K).
    """
    return settle(lambda _: (w, A), np.full(len(w), 0.5))


def settle(about: About, first: np.ndarray) -> Choice:
    """Solve the complementarity problem where what multipliers add depends on them, as it does when pairs of several layers are on their kinks.

    For every combination of sides of repelling pairs the others settle, and only then it is asked whether the combination stands: about other
    multipliers it may be what linearising made of another one.

    Args:
        about: answers (w, A), the problem linearised about multipliers (K,).
        first: multipliers to begin with.

    Raises:
        Unsettled: if multipliers do not settle for some combination.
    """
    w, A = about(first)
    repels = np.flatnonzero(np.diag(A) > _zero(w, A))
    rest = np.flatnonzero(np.diag(A) <= _zero(w, A))
    if len(repels) > _MOST:
        return Choice(np.zeros(len(w)), -1, w, A)
    found: list[Choice] = []
    for sides in product((0.0, 1.0), repeat=len(repels)):
        one = _with_sides(about, first, repels, rest, np.array(sides))
        # Other multipliers with the same rates are another way to write the same flow.
        if one is not None and not any(np.abs(_rate(one) - _rate(other)).max() <= _zero(w, A) for other in found):
            found.append(one)
    if not found:
        return Choice(np.zeros(len(w)), 0, w, A)
    middle = _centred(found[0])
    w, A = about(middle)
    # Where what multipliers add depends on them, the same rates may be had in the linearised problem alone.
    same = np.abs(w + A @ middle - _rate(found[0])).max(initial=0.0) <= _zero(w, A)
    return Choice(middle, len(found), w, A) if same else found[0]._replace(solutions=len(found))


def _centred(choice: Choice) -> np.ndarray:
    """Multipliers with the same rates, (K,), those of pairs that slide as near to a half as they can be.

    Where more surfaces meet than their normals have dimensions many will do. At an end of them a pair would leave while others hold what it lets go;
    and of two mirrored ways to leave neither is to be preferred.
    """
    w, A, lam = choice.w, choice.A, choice.multipliers
    slides = (np.abs(_rate(choice)) <= _zero(w, A)) & (np.diag(A) < -_zero(w, A))
    if slides.sum() < 2:
        return lam
    _, sizes, rows = np.linalg.svd(A[:, slides])
    free = rows[int((sizes > 1e-9 * max(float(sizes[0]), 1e-300)).sum()) :]
    step = free.T @ (free @ (0.5 - lam[slides]))
    reach = np.where(step > 0, 1.0 - lam[slides], lam[slides]) / np.maximum(np.abs(step), 1e-300)
    out = lam.copy()
    out[slides] += min(1.0, float(reach.min())) * step
    return np.clip(out, 0.0, 1.0)


def _with_sides(about: About, first: np.ndarray, repels: np.ndarray, rest: np.ndarray, sides: np.ndarray) -> Choice | None:
    """The solution with these sides of repelling pairs; None if there is none."""
    lam = first.copy()
    lam[repels] = sides
    for _ in range(_SETTLING):
        w, A = about(lam)
        tiny = _zero(w, A)
        start, inner = w[rest] + A[np.ix_(rest, repels)] @ sides, A[np.ix_(rest, rest)]
        part = attracted(start, inner, tiny)
        if part is None:
            # Kinks that are one another's multiples may look independent and at odds about multipliers that do not solve the problem: nearer first.
            lam[rest] = _relaxed(start, inner, tiny, lam[rest])
            continue
        change, lam = np.abs(lam[rest] - part).max(initial=0.0), lam.copy()
        lam[rest] = part
        if change < _SETTLED:
            rate = (w + A @ lam)[repels]
            stands = all(r >= -tiny if side else r <= tiny for r, side in zip(rate, sides, strict=True))
            return Choice(lam, 1, w, A) if stands else None
    if part is None:
        return None
    raise Unsettled


def _zero(w: np.ndarray, A: np.ndarray) -> float:
    return TINY * max(float(np.max(np.abs(w), initial=0.0)), float(np.max(np.abs(A), initial=0.0)), 1e-300)


def _rate(choice: Choice) -> np.ndarray:
    return choice.w + choice.A @ choice.multipliers


def attracted(w: np.ndarray, A: np.ndarray, tiny: float) -> np.ndarray | None:
    """Multipliers (K,) of pairs none of which repels; None if none are found.

    Where more surfaces meet than their normals have dimensions A is singular, and pivots may cycle among multipliers of one velocity. A shift of
    the diagonal makes them end; one of a tenth of what counts as zero changes no answer, and more is tried only if that is not enough.
    """
    for shift in (0.0, 0.1, 10.0, 1000.0):
        found = _pivoted(w, A - shift * tiny * np.diag(np.diag(A) < -tiny), tiny)
        if found is not None:
            return found
    return None


def _relaxed(w: np.ndarray, A: np.ndarray, tiny: float, lam: np.ndarray) -> np.ndarray:
    """Multipliers nearer to a solution than `lam`, (K,): one at a time is put where its own rate vanishes, or on the side to which it goes."""
    lam = lam.copy()
    for _ in range(_SWEEPS):
        for i, own in enumerate(np.diag(A)):
            rate = w[i] + A[i] @ lam
            lam[i] = np.clip(lam[i] - rate / own, 0.0, 1.0) if own < -tiny else float(rate > 0)
    return lam


def _pivoted(w: np.ndarray, A: np.ndarray, tiny: float) -> np.ndarray | None:
    """Principal pivoting; None if that does not end."""
    place = np.zeros(len(w), dtype=int)
    place[np.diag(A) >= -tiny] = -1
    # Where a slope changes nothing, the rate alone says which side it is.
    fixed = place == -1
    lam = np.zeros(len(w))
    for round_ in range(_ROUNDS):
        inside = place == 0
        lam = np.where(place == 1, 1.0, 0.0)
        if inside.any():
            lam[inside] = np.linalg.lstsq(A[np.ix_(inside, inside)], -(w + A @ lam)[inside], rcond=1e-12)[0]
        rate = w + A @ lam
        wrong = inside & ((lam < -1e-13) | (lam > 1 + 1e-13))
        wrong |= (place == -1) & (rate > tiny)
        wrong |= (place == 1) & (rate < -tiny)
        if not wrong.any():
            return np.clip(lam, 0.0, 1.0)
        # All at once is fast, one at a time cannot cycle (K. G. Murty, Linear Algebra Appl. 9, 1974).
        move = wrong if round_ < 20 else np.arange(len(w)) == np.flatnonzero(wrong)[0]
        after = np.where(inside, np.where(lam < 0, -1, 1), np.where(fixed, -place, 0))
        place = np.where(move, after, place)
    return None
