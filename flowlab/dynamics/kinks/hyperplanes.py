"""Kinks by their normals: which of them are one hyperplane, which know of one another, and the span of those that do.

A unit of a first layer slides along hyperplanes of its own weights, so normals of different units share no coordinate,
and nothing that happens to one changes what another does on its kinks. A wide net then has many small systems in place
of a large one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

SAME = 1e-10
"""Normals that are this close to dependent, relative to their lengths, are taken for dependent."""

LANDING = 1e-10
"""Singular values of normals below this part of the largest one are taken for zero where a state is moved
onto kinks.
"""


@dataclass(frozen=True)
class Kink:
    """Pairs of one unit whose kinks are one hyperplane, as those of equal, parallel or opposite samples are.

    Attributes:
        pairs: their numbers; the first one speaks for all.
        turned: 1 where the right of a pair is the right of the first one, -1 where it is the left of it.
    """

    pairs: tuple[int, ...]
    turned: tuple[int, ...]

    @property
    def first(self) -> int:
        """The pair that speaks for all."""
        return self.pairs[0]

    def multipliers(self, first: float) -> dict[int, float]:
        """The multiplier of every pair, from that of the first one."""
        return {pair: first if sign > 0 else 1.0 - first for pair, sign in zip(self.pairs, self.turned, strict=True)}


@dataclass(frozen=True)
class Span:
    """Independent normals among those of some kinks, in the coordinates they have.

    Attributes:
        live, held: places of kinks whose normals span all of them, and of the others.
        coordinates: (m,) those that a normal has.
        basis: (m, K) orthonormal columns with the span of the live normals.
        dual: (K, m) rows that give the coefficients by the live normals.
    """

    live: tuple[int, ...]
    held: tuple[int, ...]
    coordinates: np.ndarray
    basis: np.ndarray
    dual: np.ndarray

    @classmethod
    def of(cls, normals: np.ndarray, at: np.ndarray | None = None) -> "Span":
        """Of normals by row, (kinks, n), in the coordinates `at` (n,), or in all of them."""
        live, held = independent(normals)
        some = np.flatnonzero(normals.any(axis=0))
        rows, coordinates = normals[live][:, some], some if at is None else at[some]
        basis = np.linalg.qr(rows.T)[0] if live else np.zeros((len(coordinates), 0))
        dual = np.linalg.pinv(rows.T) if live else np.zeros((0, len(coordinates)))
        return cls(tuple(live), tuple(held), coordinates, basis, dual)


@dataclass(frozen=True)
class Block:
    """Kinks that know of one another and of no other kink.

    Attributes:
        kinks: in the order of their first pairs.
        span: of their normals.
        names: their pairs.
        onto: (m, len(names)); takes pre-activations of the pairs to how far the state is from the nearest one with all
            of them zero, in the coordinates of the span.
    """

    kinks: tuple[Kink, ...]
    span: Span
    names: tuple[int, ...]
    onto: np.ndarray

    @classmethod
    def of(cls, names: Sequence[int], normals: np.ndarray, at: np.ndarray | None = None) -> "Block":
        """Of pairs and their normals by row, as for `Span`."""
        rows = dict(zip(names, normals, strict=True))
        kinks = tuple(Kink(tuple(names[i] for i in same), turned) for same, turned in parallel(normals))
        span = Span.of(np.array([rows[kink.first] for kink in kinks]), at)
        some = normals[:, normals.any(axis=0)]
        return cls(kinks, span, tuple(names), np.linalg.pinv(some, rcond=LANDING))


def coupled(supports: Sequence[np.ndarray], size: int) -> list[list[int]]:
    """Places of normals that are coupled through coordinates, directly or through others; in the order of the first
    of each.

    Args:
        supports: coordinates of each normal.
        size: number of coordinates.
    """
    count = len(supports)
    if not count:
        return []
    rows = np.repeat(np.arange(count), [len(each) for each in supports])
    columns = count + np.concatenate(supports)
    graph = csr_array((np.ones(len(rows)), (rows, columns)), shape=(count + size, count + size))
    labels = connected_components(graph, directed=False)[1][:count]
    groups: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        groups.setdefault(int(label), []).append(place)
    return list(groups.values())


def parallel(normals: np.ndarray) -> list[tuple[list[int], tuple[int, ...]]]:
    """Rows that are multiples of one another, each with their signs against the first of them."""
    lengths = np.linalg.norm(normals, axis=1)
    units = normals / np.where(lengths > 0, lengths, 1.0)[:, None]
    cosines = units @ units.T
    left, found = list(range(len(normals))), []
    while left:
        first = left[0]
        same = [i for i in left if i == first or abs(cosines[first, i]) > 1.0 - SAME]
        found.append((same, tuple(1 if i == first or cosines[first, i] > 0 else -1 for i in same)))
        left = [i for i in left if i not in same]
    return found


def independent(normals: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows that span all of them, and the others."""
    lengths = np.linalg.norm(normals, axis=1)
    if not len(normals):
        return [], []
    found: Any = qr((normals / np.where(lengths > 0, lengths, 1.0)[:, None]).T, mode="economic", pivoting=True)
    _, r, order = found
    rank = int((np.abs(np.diag(r)) > SAME).sum())
    chosen = sorted(int(i) for i in order[:rank])
    return chosen, [i for i in range(len(normals)) if i not in chosen]
