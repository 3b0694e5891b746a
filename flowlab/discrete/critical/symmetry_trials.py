"""Which symmetries a network has, by trial on random weights: a change is one where it leaves the outputs
as they are.
"""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.core.typing import ArrayLike
from flowlab.discrete.critical.hidden_dimension import Dimension
from flowlab.discrete.critical.sphere_product import Layout
from flowlab.language.network import Network

SAME = 1e-10
"""Outputs whose difference is below this part of the largest are the same."""
_ASIDE = 1e-3


class Trials:
    """Random samples and weights on which changes are tried.

    Args:
        network: the network.
        layout: blocks and shapes.
        d: input dimension.
        rho: norms where rows are directions: factors of unequal norms may not be exchanged.

    Attributes:
        x: inputs, (3 d + 8, d).
        weights: two sets of weights by block.

    Raises:
        LanguageError: if outputs do not depend on the weights of the trials: every change would leave them as they are.
    """

    def __init__(self, network: Network, layout: Layout, d: int, rho: Mapping[str, ArrayLike]) -> None:
        self.network, self.rho = network, rho
        self._shapes, self._rng = dict(layout), np.random.default_rng(20)
        # Samples enough, and two sets of weights, so that no symmetry is one of a point alone.
        self.x = self._rng.normal(size=(3 * d + 8, d))
        self.weights = [{k: self._rng.normal(size=s) for k, s in layout} for _ in range(2)]
        if close(*(self.outputs(W) for W in self.weights)):
            told = f"symmetries of `{network.text[:120]}` cannot be tried: its outputs are the same at random weights"
            raise LanguageError(f"{told}; use a network that depends on its weights.")

    def dimensions(self, merge: bool) -> list[Dimension]:
        """The hidden dimensions with what acts on their units; without `merge` units are not mixed."""
        network, found = self.network, list[Dimension]()
        outer = {network.input_dim, *network.output_shape}
        for name in dict.fromkeys(dim for shape in network.shapes.values() for dim in shape):
            axes = tuple((w, k) for w, shape in network.shapes.items() for k, dim in enumerate(shape) if dim == name)
            if isinstance(name, int) or name in outer or not axes or any((w, 1 - k) in axes for w, k in axes):
                continue
            size = self._shapes[axes[0][0]][axes[0][1]]
            found.append(self._dimension(str(name), size, axes, merge))
        return found

    def _dimension(self, name: str, size: int, axes: tuple[tuple[str, int], ...], merge: bool) -> Dimension:
        plain = Dimension(name, size, axes, False, (), False)
        Q = np.linalg.qr(self._rng.normal(size=(size, size)))[0]
        flip = np.diag(np.r_[-1.0, np.ones(size - 1)])
        subsets = (
            [frozenset(c) for n in range(1, len(axes) + 1) for c in combinations(axes, n)] if len(axes) <= 6 else []
        )
        signs = tuple(c for c in subsets if self._unchanged(lambda W, c=c: plain.act(W, flip, c)))
        rotations = merge and size > 1 and self._unchanged(lambda W: plain.act(W, Q))
        shapes = {axis: np.delete(self.weights[0][axis[0]].shape, axis[1]).tolist() for axis in axes}
        pairs = [
            (p, q)
            for p, q in combinations(axes, 2)
            if p[0] != q[0] and p[1] == q[1] and shapes[p] == shapes[q] and self._alike(p[0], q[0])
        ]
        exchanges = tuple(pair for pair in pairs if self._unchanged(lambda W, pair=pair: plain.exchanged(W, pair, [0])))
        splits = merge and not rotations and size > 1 and self._splits(plain)
        return Dimension(name, size, axes, rotations, signs, splits, self._scalings(plain), exchanges)

    def _alike(self, a: str, b: str) -> bool:
        """Whether two blocks have the same norms."""
        one, two = (np.asarray(self.rho.get(name, 0.0)) for name in (a, b))
        return one.shape == two.shape and bool(np.allclose(one, two, rtol=1e-12, atol=0.0))

    def _scalings(self, dim: Dimension) -> np.ndarray:
        """Powers of one factor that cancel: relations between what scaling one unit on each axis does to
        the outputs.
        """
        one, effects = np.eye(dim.size), []
        for W in self.weights:
            columns = []
            for axis in dim.axes:
                up, down = (np.exp(h * np.diag(one[0])) * one for h in (_ASIDE, -_ASIDE))
                columns.append(
                    (
                        self.outputs(dim.act(W, up, frozenset({axis})))
                        - self.outputs(dim.act(W, down, frozenset({axis})))
                    ).ravel()
                    / (2.0 * _ASIDE)
                )
            effects.append(np.array(columns).T)
        _, sizes, rows = np.linalg.svd(np.vstack(effects))
        free = rows[np.r_[sizes, np.zeros(len(rows) - len(sizes))] <= 1e-7 * max(float(sizes[0]), 1e-300)]
        return free / np.abs(free).max(axis=1, keepdims=True) if len(free) else free

    def _splits(self, dim: Dimension) -> bool:
        """Whether (1, 0) and (cos φ, sin φ) times one unit are the same function."""
        mix = np.eye(dim.size)
        mix[:2, :2] = [[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]]
        alone = np.eye(dim.size)
        alone[1, 1] = 0.0
        for W in self.weights:
            one = dim.act(W, alone)
            if not close(self.outputs(one), self.outputs(dim.act(one, mix))):
                return False
        return True

    def _unchanged(self, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> bool:
        return all(close(self.outputs(W), self.outputs(change(W))) for W in self.weights)

    def outputs(self, W: Mapping[str, np.ndarray]) -> np.ndarray:
        """Outputs at the inputs of the trials."""
        return np.asarray(self.network.outputs(W, self.x, np))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether outputs are the same but for round-off."""
    return bool(np.abs(a - b).max() <= SAME * max(float(np.abs(a).max()), 1e-300))
