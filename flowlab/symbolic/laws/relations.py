"""Which combinations of terms stand still: the null space of their rates, with fractions as coefficients."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias, TypeVar

import numpy as np

from flowlab.symbolic.laws.draws import Draws
from flowlab.symbolic.laws.law import Part

_ZERO = 1e-9
"""Size of a rate, relative to its summands, below which it is zero: far above roundings, far below a wrong law's."""
_LARGEST = 1000
"""Denominator of a coefficient at most."""
_NEAR = 1e-7
"""How near to a fraction a coefficient must be; it is known to about 1e-9."""

P = TypeVar("P", bound=Part)
Relation: TypeAlias = list[tuple[Fraction, P]]


def relations(terms: Sequence[P], weights: Sequence[float], draws: Draws) -> Iterator[Relation[P]]:
    """Combinations of terms of one signature whose rates are zero at all states, each with as few terms as may be.

    Args:
        terms: what is combined, in the order in which it is written.
        weights: what each term is multiplied by before coefficients are looked for.
        draws: states with rates.
    """
    scale = draws.scale()
    seen: list[tuple[P, np.ndarray]] = []
    """Terms that move, with their rates."""
    basis: list[int] = []
    """Of these, some that are independent."""
    for term, weight in zip(terms, weights, strict=True):
        column, size = _column(term, weight, draws, scale)
        if not size > 0:
            # Nothing of it moves at any state, which tells nothing about laws.
            continue
        if np.linalg.norm(column) <= _ZERO * size:
            yield [(Fraction(1), term)]
            continue
        relation = _pair(column, term, seen) or _sum(column, term, [seen[i] for i in basis])
        if relation is None:
            basis.append(len(seen))
        seen.append((term, column))
        if relation:
            yield relation


def _column(term: Part, weight: float, draws: Draws, scale: np.ndarray) -> tuple[np.ndarray, float]:
    """The rates of a term at all states and entries, each relative to its state's, and their size without signs."""

    def flat(values: np.ndarray) -> np.ndarray:
        return (values.reshape(draws.count, -1) / scale[:, None]).ravel() * weight

    size = flat(term.size(draws.W, draws.pull))
    return flat(term.rate(draws.W, draws.pull)), float(np.linalg.norm(size))


def _pair(column: np.ndarray, term: P, seen: Sequence[tuple[P, np.ndarray]]) -> Relation[P] | None:
    """The nearest earlier term that a term is a multiple of."""
    for other, values in reversed(seen):
        c = float(values @ column) / float(values @ values)
        if np.linalg.norm(column - c * values) <= _ZERO * np.linalg.norm(column):
            return _rounded([c], term, [other])
    return None


def _sum(column: np.ndarray, term: P, basis: Sequence[tuple[P, np.ndarray]]) -> Relation[P] | None:
    """A term as a combination of independent ones; None where it is none."""
    if not basis:
        return None
    matrix = np.stack([values for _, values in basis], axis=1)
    found, *_ = np.linalg.lstsq(matrix, column, rcond=None)
    if np.linalg.norm(column - matrix @ found) > _ZERO * np.linalg.norm(column):
        return None
    return _rounded(list(found), term, [other for other, _ in basis])


def _rounded(found: Sequence[float], term: P, others: Sequence[P]) -> Relation[P]:
    """Others minus the term, with fractions, most of them positive, these first; empty where one is not a fraction."""
    relation: Relation[P] = []
    for c, other in zip(found, others, strict=True):
        fraction = Fraction(c).limit_denominator(_LARGEST)
        if abs(c - fraction) > _NEAR * max(1.0, abs(c)):
            return []
        if fraction:
            relation.append((fraction, other))
    relation.append((Fraction(-1), term))
    positive = sum(c > 0 for c, _ in relation)
    flip = 2 * positive < len(relation) or (2 * positive == len(relation) and relation[0][0] < 0)
    return sorted([(-c if flip else c, each) for c, each in relation], key=lambda part: part[0] < 0)
