"""A hidden dimension of a network: a width that axes of several blocks share, and what its symmetries do to weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Dimension:
    """A hidden dimension.

    Attributes:
        name: as in the shapes of the network.
        size: number of units, h.
        axes: the (block, axis) pairs on which it acts.
        rotations: whether every rotation of the units leaves the function as it is; else permutations do.
        signs: sets of axes on which the sign of one unit may be changed.
        splits: whether units that point the same way may share their weight.
        scalings: powers of c, one per axis, by which the weights of one unit may be multiplied, (M, axes).
        exchanges: pairs of axes whose weights of one unit may change places, as those of two factors may.
    """

    name: str
    size: int
    axes: tuple[tuple[str, int], ...]
    rotations: bool
    signs: tuple[frozenset[tuple[str, int]], ...]
    splits: bool
    scalings: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    exchanges: tuple[tuple[tuple[str, int], tuple[str, int]], ...] = ()

    def exchanged(
        self, W: Mapping[str, np.ndarray], pair: tuple[tuple[str, int], tuple[str, int]], units: list[int]
    ) -> dict[str, np.ndarray]:
        """Weights after those of some units changed places on two axes."""
        out = {k: np.array(v) for k, v in W.items()}
        (a, i), (b, j) = pair
        one, two = (np.moveaxis(out[name], axis, 0) for name, axis in ((a, i), (b, j)))
        one[units], two[units] = two[units].copy(), one[units].copy()
        return out

    def units(self, W: Mapping[str, np.ndarray]) -> np.ndarray:
        """All weights of every unit, (h, M)."""
        return np.hstack([np.moveaxis(W[block], axis, 0).reshape(self.size, -1) for block, axis in self.axes])

    def act(
        self, W: Mapping[str, np.ndarray], Q: np.ndarray, axes: frozenset[tuple[str, int]] | None = None
    ) -> dict[str, np.ndarray]:
        """Weights after the units were mixed by Q, (h, h), on all axes or on some."""
        out = dict(W)
        for block, axis in self.axes:
            if axes is None or (block, axis) in axes:
                out[block] = np.moveaxis(np.tensordot(Q, out[block], (1, axis)), 0, axis)
        return out
