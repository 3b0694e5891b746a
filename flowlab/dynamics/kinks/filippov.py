"""Which way pairs go that are on their kinks: across, along, or nobody knows.

With multipliers λ in [0, 1], 0 the slope on the left and 1 that on the right, the pre-activations on their kinks move
at w(λ) = w + A λ. A pair leaves to the left where λ = 0 and w ≤ 0, to the right where λ = 1 and w ≥ 0, and slides where
w = 0 in between: a box-constrained complementarity problem, that of the element of least norm where all surfaces
attract. Element of least norm and next mode are two things: where a surface repels, the former lies on it while every
solution leaves (A. F. Filippov, "Differential Equations with Discontinuous Righthand Sides", 1988).
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
"""Rates below this part of the terms that they are sums of are zero."""
_OUTSIDE = 1e-2
"""Multipliers that are outside their range by this part of `TINY`, in the same terms, are at its end."""


About = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""The problem linearised about multipliers: (w, A)."""


class Choice(NamedTuple):
    """What is possible.

    Attributes:
        multipliers: (K,), of the first solution found; all of them give attracting pairs one and the same velocity.
        solutions: how many combinations of sides of repelling pairs are solutions; 1 is a decision, -1 means too many
            to try.
        w: rates with every multiplier 0, (K,), and `A`, what multipliers add, (K, K), as they are about the solution.
        gross: sizes of the terms that w are sums of, (K,).
    """

    multipliers: np.ndarray
    solutions: int
    w: np.ndarray
    A: np.ndarray
    gross: np.ndarray

    @property
    def rates(self) -> np.ndarray:
        """Of the pre-activations at the multipliers, (K,)."""
        return self.w + self.A @ self.multipliers

    @property
    def zero(self) -> np.ndarray:
        """Rates of this size are zero, (K,)."""
        return _zero(self.gross, self.A, self.multipliers)

    @property
    def attracts(self) -> np.ndarray:
        """Whether a pair's own multiplier takes from its rate, (K,)."""
        return np.diag(self.A) < -_idle(self.w, self.A)


class Unsettled(Exception):
    """Multipliers of several layers that did not settle."""


def choose(w: np.ndarray, A: np.ndarray, gross: np.ndarray | None = None) -> Choice:
    """Solve the complementarity problem.

    Args:
        w: rates (K,) with every multiplier 0.
        A: what multipliers add to them, (K, K).
        gross: as for `settle`.
    """
    return settle(lambda _: (w, A), np.full(len(w), 0.5), gross)


def settle(about: About, first: np.ndarray, gross: np.ndarray | None = None) -> Choice:
    """Solve the complementarity problem where what multipliers add depends on them, as it does when pairs of several
    layers are on their kinks.

    For every combination of sides of repelling pairs the others settle, and only then it is asked whether the
    combination stands: about other multipliers it may be what linearising made of another one.

    Args:
        about: answers (w, A), the problem linearised about multipliers (K,).
        first: multipliers to begin with.
        gross: sizes of the terms that w are sums of, (K,); at least those of w. They decide row by row what counts as
            zero: samples whose loss is 1e-16 of another's may hold a unit.

    Raises:
        Unsettled: if multipliers do not settle for some combination.
    """
    w, A = about(first)
    gross = np.abs(w) if gross is None else np.maximum(gross, np.abs(w))
    pushes = np.diag(A) > _idle(w, A)
    repels, rest = np.flatnonzero(pushes), np.flatnonzero(~pushes)
    if len(repels) > _MOST:
        return Choice(np.zeros(len(w)), -1, w, A, gross)
    found: list[Choice] = []
    for sides in product((0.0, 1.0), repeat=len(repels)):
        one = _with_sides(about, first, repels, rest, np.array(sides), gross)
        # Other multipliers with the same rates are another way to write the same flow.
        if one is not None and not any(_alike(one, other) for other in found):
            found.append(one)
    if not found:
        return Choice(np.zeros(len(w)), 0, w, A, gross)
    middle = _centred(found[0])
    other = Choice(middle, len(found), *about(middle), gross)
    # Where what multipliers add depends on them, the same rates may be had in the linearised problem alone.
    return other if _alike(other, found[0]) else found[0]._replace(solutions=len(found))


def _alike(one: Choice, other: Choice) -> bool:
    """Whether the rates are the same."""
    return bool((np.abs(one.rates - other.rates) <= np.maximum(one.zero, other.zero)).all())


def _centred(choice: Choice) -> np.ndarray:
    """Multipliers with the same rates, (K,), those of pairs that slide as near to a half as they can be.

    Where more surfaces meet than their normals have dimensions many will do. At an end of them a pair would leave while
    others hold what it releases; and of two mirrored ways to leave neither is to be preferred.
    """
    A, lam = choice.A, choice.multipliers
    slides = (np.abs(choice.rates) <= choice.zero) & choice.attracts
    if slides.sum() < 2:
        return lam
    rows, columns = _sizes(A[:, slides])
    _, sizes, across = np.linalg.svd(A[:, slides] / rows[:, None] / columns)
    free = across[int((sizes > 1e-9 * float(sizes[0])).sum()) :] / columns
    free = np.linalg.qr((free / np.linalg.norm(free, axis=1, keepdims=True)).T)[0].T
    step = free.T @ (free @ (0.5 - lam[slides]))
    reach = np.where(step > 0, 1.0 - lam[slides], lam[slides]) / np.maximum(np.abs(step), 1e-300)
    out = lam.copy()
    out[slides] += min(1.0, float(reach.min())) * step
    return np.clip(out, 0.0, 1.0)


def _with_sides(
    about: About, first: np.ndarray, repels: np.ndarray, rest: np.ndarray, sides: np.ndarray, gross: np.ndarray
) -> Choice | None:
    """The solution with these sides of repelling pairs; None if there is none."""
    lam = first.copy()
    lam[repels] = sides
    for _ in range(_SETTLING):
        w, A = about(lam)
        given = A[np.ix_(rest, repels)]
        start, inner = w[rest] + given @ sides, A[np.ix_(rest, rest)]
        part = attracted(start, inner, TINY, gross[rest] + np.abs(given) @ sides)
        if part is None:
            # Kinks that are one another's multiples may look independent and at odds about multipliers that do not
            # solve the problem: nearer first.
            lam[rest] = _relaxed(start, inner, TINY, lam[rest])
            continue
        change, lam = np.abs(lam[rest] - part).max(initial=0.0), lam.copy()
        lam[rest] = part
        if change < _SETTLED:
            one = Choice(lam, 1, w, A, gross)
            stands = np.where(sides > 0, one.rates[repels] >= -one.zero[repels], one.rates[repels] <= one.zero[repels])
            return one if stands.all() else None
    if part is None:
        return None
    raise Unsettled


def _zero(gross: np.ndarray, A: np.ndarray, lam: np.ndarray, tiny: float = TINY) -> np.ndarray:
    """Rates of this size are zero, (K,)."""
    return tiny * (gross + np.abs(A) @ np.abs(lam)) + np.finfo(float).tiny


def _idle(w: np.ndarray, A: np.ndarray, tiny: float = TINY) -> np.ndarray:
    """A pair's own multiplier that adds no more than this to its rate changes nothing, (K,)."""
    return tiny * np.maximum(np.abs(w), np.abs(A).max(axis=0, initial=0.0)) + np.finfo(float).tiny


def _sizes(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What to divide rows and columns by so that the largest entry of each is about one: samples may differ by any
    power of ten in their loss.
    """
    columns = np.abs(A).max(axis=0, initial=0.0)
    columns = np.where(columns > 0, columns, 1.0)
    rows = np.abs(A / columns).max(axis=1, initial=0.0)
    return np.where(rows > 0, rows, 1.0), columns


def attracted(w: np.ndarray, A: np.ndarray, tiny: float = TINY, gross: np.ndarray | None = None) -> np.ndarray | None:
    """Multipliers (K,) of pairs none of which repels; None if none are found.

    Where more surfaces meet than their normals have dimensions A is singular, and pivots may cycle among multipliers of
    one velocity. A shift of the diagonal makes them end; one of a tenth of what counts as zero changes no answer, and
    more is tried only if that is not enough.
    """
    gross, idle = np.abs(w) if gross is None else gross, _idle(w, A, tiny)
    for shift in (0.0, 0.1, 10.0, 1000.0):
        found = _pivoted(
            w, A - shift * tiny * np.diag((np.diag(A) < -idle) * np.abs(A).max(axis=0, initial=0.0)), tiny, gross
        )
        if found is not None:
            return found
    return None


def _relaxed(w: np.ndarray, A: np.ndarray, tiny: float, lam: np.ndarray) -> np.ndarray:
    """Multipliers nearer to a solution than `lam`, (K,): one at a time is put where its own rate vanishes, or on the
    side to which it goes.
    """
    lam, idle = lam.copy(), _idle(w, A, tiny)
    for _ in range(_SWEEPS):
        for i, own in enumerate(np.diag(A)):
            rate = w[i] + A[i] @ lam
            lam[i] = np.clip(lam[i] - rate / own, 0.0, 1.0) if own < -idle[i] else float(rate > 0)
    return lam


def _pivoted(w: np.ndarray, A: np.ndarray, tiny: float, gross: np.ndarray) -> np.ndarray | None:
    """Principal pivoting; None if that does not end."""
    # Where a slope changes nothing, the rate alone says which side it is.
    own = np.diag(A)
    fixed = own >= -_idle(w, A, tiny)
    place = np.where(fixed, -1, 0)
    lam = np.zeros(len(w))
    for round_ in range(_ROUNDS):
        inside = place == 0
        lam = np.where(place == 1, 1.0, 0.0)
        if inside.any():
            block = A[np.ix_(inside, inside)]
            rows, columns = _sizes(block)
            lam[inside] = (
                np.linalg.lstsq(block / rows[:, None] / columns, -(w + A @ lam)[inside] / rows, rcond=1e-12)[0]
                / columns
            )
        rate, zero = w + A @ lam, _zero(gross, A, lam, tiny)
        off = _OUTSIDE * np.minimum(TINY, zero / np.where(fixed, np.inf, -own))
        wrong = inside & ((lam < -off) | (lam > 1 + off))
        wrong |= (place == -1) & (rate > zero)
        wrong |= (place == 1) & (rate < -zero)
        if not wrong.any():
            return np.clip(lam, 0.0, 1.0)
        # All at once is fast, one at a time cannot cycle (K. G. Murty, Linear Algebra Appl. 9, 1974).
        move = wrong if round_ < 20 else np.arange(len(w)) == np.flatnonzero(wrong)[0]
        after = np.where(inside, np.where(lam < 0, -1, 1), np.where(fixed, -place, 0))
        place = np.where(move, after, place)
    return None
