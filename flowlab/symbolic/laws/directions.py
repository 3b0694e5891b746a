"""The directions in which samples can move the weights of a network at one point: its fields, and their brackets.

What is kept by all data sets is what is left over (Marcotte, Gribonval and Peyré 2023).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.host_programs import on_host
from flowlab.core.typing import Array
from flowlab.symbolic.laws.draws import Small, decay_rates, pulled_rates
from flowlab.symbolic.laws.exact_count import ExactSpace, is_polynomial
from flowlab.symbolic.laws.null_space import rows
from flowlab.symbolic.lie_brackets import NEW, Field, Span, nested, units

DEEPEST = 6
"""Nested brackets at most; every further one doubles what is worked out."""
_POINTS = 12
"""Points to choose from: at many points of a narrow net a unit is off for every sample."""
_MORE = 6
"""Brackets drawn beyond the rank that is still missing."""

Point = tuple[dict[str, Array], Array]
"""Weights, and time where weight decay makes laws depend on it."""


def space_of(small: Small, pieces: bool, seed: int) -> "ExactSpace | RoundedSpace":
    """The directions at one point: exact ones of a polynomial network.

    Args:
        small: the problem at small sizes.
        pieces: whether to take all pieces of a network with kinks at once, of which every state has some.
        seed: of the draws.
    """
    return ExactSpace(small, seed) if is_polynomial(small.problem) else RoundedSpace(small, pieces, seed)


def deepened(space: "ExactSpace | RoundedSpace", room: int) -> bool:
    """Take in brackets, deeper and deeper, until directions fill a room; whether deeper ones add no more."""
    stagnant = False
    while space.rank < room and space.clear and not stagnant and space.depth < DEEPEST:
        before = space.rank
        space.deepen(room - before + _MORE)
        stagnant = space.rank == before
    return stagnant


class RoundedSpace:
    """The span of fields and brackets at one point, deeper and deeper; the point is where most weights move."""

    def __init__(self, small: Small, pieces: bool, seed: int) -> None:
        self.small, self.pieces, self.seed, self.depth = small, pieces, seed, 1
        self.decayed = any(decay_rates(small.problem).values())
        weights = small.weights(_POINTS, seed + 7)
        fields = jax.vmap(lambda point, data: self._directions(data, point), in_axes=(0, None))
        found, time = on_host(fields, (weights, np.zeros(_POINTS)), [self.drawn(small.count + _MORE, seed + 1)])
        best = (-1, -1, 0.0)
        for i in range(_POINTS):
            point = {w: v[i] for w, v in weights.items()}, np.zeros(())
            values = _flat(({w: v[i] for w, v in found.items()}, time[i]))
            moving = int((values[:, :-1] != 0).any(axis=0).sum())
            singular = np.linalg.svd(units(values), compute_uv=False)
            # Laws hold on every side of kinks, so that a point with few directions tells less; and so does one whose
            # directions are hard to tell from roundings.
            clear = singular[singular > NEW]
            quality = (moving, len(clear), float(clear.min(initial=np.inf)))
            if quality > best:
                best, self.point, self.moving, first = quality, point, moving, values
        self.span = Span(small.count + 1)
        self.span.take(first)

    @property
    def rank(self) -> int:
        return self.span.rank

    @property
    def clear(self) -> bool:
        return self.span.clear

    def drawn(self, count: int, seed: int) -> tuple[Any, Any, Any]:
        """Inputs, pulls and slopes of so many fields."""
        return (*self.small.samples(count, seed), self.small.pieces(count, seed) if self.pieces else None)

    def field(self, x: Any, pull: Any, pieces: Any) -> Field:
        """The rates that some samples give the weights, and decay."""
        shrink = decay_rates(self.small.problem)

        def rate(point: Point) -> Point:
            W, _ = point
            found = pulled_rates(self.small.problem, W, x, pull, pieces)
            return {w: v - shrink[w] * W[w] for w, v in found.items()}, jnp.full((), float(self.decayed))

        return rate

    def deepen(self, count: int) -> None:
        """Take in brackets of one more field, [F1, [F2, ...]], of so many random draws."""
        self.depth += 1
        drawn = [self.drawn(count, self.seed + 100 * self.depth + i) for i in range(self.depth)]
        self.span.take(_flat(on_host(self._directions, drawn, self.point)))

    def _directions(self, data: Sequence[tuple[Any, Any, Any]], point: Point) -> Point:
        """The nested brackets of many fields at one point, from their data with a leading axis."""
        return jax.vmap(lambda one: nested([self.field(*each) for each in one])(point))(data)


def _flat(rates: Point) -> np.ndarray:
    """Rates with a leading axis as rows, time last."""
    W, t = rates
    return np.concatenate([*(rows(np.asarray(v)) for v in W.values()), np.asarray(t)[:, None]], axis=1)
