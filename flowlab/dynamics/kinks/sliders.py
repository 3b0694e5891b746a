"""Kinks that are slid on, and the arrays that a mode has of them; none is as long as all weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from flowlab.dynamics.kinks.hyperplanes import Kink, Span

_ROOM, _DEEP_ROOM, WIDTH, _GROWTH = 32, 16, 8, 4
"""Least number of places for pairs that slide, in the first layer and deeper, and for what a normal has; and what they
are multiplied by when there is more. Every size is a compilation.
"""


def room(count: int, least: int = _ROOM) -> int:
    """Places kept for some number of pairs."""
    size = least
    while size < count:
        size *= _GROWTH
    return size


class Places(NamedTuple):
    """How much room a mode has.

    Attributes:
        flat, deep: kinks of the first layer and deeper ones.
        width: coordinates of a normal.
    """

    flat: int = 0
    deep: int = 0
    width: int = 0


NO_ROOM = Places()


@dataclass(frozen=True)
class Sliders:
    """Kinks that are slid on: in the first layer and deeper, in the order of their multipliers, and those that hang on
    others and keep theirs.
    """

    flat: tuple[Kink, ...]
    deep: tuple[Kink, ...]
    held: tuple[Kink, ...]
    room: int

    @cached_property
    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """First pairs of the kinks that have a multiplier, and where it stands among all places."""
        return np.fromiter(self.columns, dtype=int), np.fromiter(self.columns.values(), dtype=int)

    @cached_property
    def columns(self) -> dict[int, int]:
        """Where the multiplier of each kink stands among all places, by its first pair."""
        return {kink.first: i for i, kink in enumerate(self.flat)} | {
            kink.first: self.room + i for i, kink in enumerate(self.deep)
        }

    @cached_property
    def kinks(self) -> dict[int, Kink]:
        """The kinks by their first pair."""
        return {kink.first: kink for kink in (*self.flat, *self.deep, *self.held)}


def spanned(spans: Sequence[Span], least: Places, likely: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the live normals of spans are, (K, m), an orthonormal basis there and its dual, both (K, m).

    Args:
        spans: without a coordinate in common.
        least: room to keep.
        likely: normals to make room for once there is one.
        size: number of coordinates.
    """
    count, width = sum(len(span.live) for span in spans), max((len(span.coordinates) for span in spans), default=0)
    # There are never more independent normals than coordinates.
    places = max(least.flat, min(room(max(count, likely)), size) if count else 0)
    shape = places, max(least.width, min(room(width, WIDTH), size) if count else 0)
    support, basis, dual, at = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape), 0
    for span in spans:
        rows, columns = slice(at, at + len(span.live)), slice(len(span.coordinates))
        support[rows, columns], basis[rows, columns], dual[rows, columns] = span.coordinates, span.basis.T, span.dual
        at = rows.stop
    return support, basis, dual


def solved_for(
    deep: Sequence[Kink], sliding: dict[int, float], left: np.ndarray, right: np.ndarray, least: int
) -> tuple[np.ndarray, ...]:
    """What a mode has of deeper kinks that are slid on, from `deep` to `echo_jump`.

    Args:
        deep: the kinks.
        sliding: multipliers by pair.
        left: slopes of all pairs on their left, (P,).
        right: and on their right.
        least: room to keep.
    """
    told = [(pair, i, sign) for i, kink in enumerate(deep) for pair, sign in zip(kink.pairs, kink.turned, strict=True)]
    places = max(least, room(len(deep), _DEEP_ROOM) if deep else 0)
    echoes = max(places, room(len(told), _DEEP_ROOM)) if places else 0
    ahead, starts = np.zeros(places, dtype=np.int64), np.zeros(places)
    ahead[: len(deep)] = [kink.first for kink in deep]
    starts[: len(deep)] = [sliding[kink.first] for kink in deep]
    echo, of = np.zeros(echoes, dtype=np.int64), np.zeros(echoes, dtype=np.int64)
    bottom, growing = np.zeros(echoes), np.zeros(echoes)
    for at, (pair, i, sign) in enumerate(told):
        echo[at], of[at] = pair, i
        bottom[at], growing[at] = (left if sign > 0 else right)[pair], sign * (right - left)[pair]
    return ahead, np.arange(places) < len(deep), starts, echo, of, bottom, growing
