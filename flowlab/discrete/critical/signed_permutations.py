"""The finite group of signed permutations of weights that leave a network as it is, found by trial.

Swaps and changes of sign of units, exchanges of the weights of one unit between two blocks, and exchanges and changes
of sign of whole blocks all permute coordinates up to signs. Each is tried on random weights; those that keep the
outputs generate the group.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from flowlab.discrete.critical.sphere_product import Layout, blocks

MOST = 20_000
"""Larger groups are not listed: all images of one point would fill memory."""
_UNITS = 7
"""Permutations of more units are too many to list: 8! = 40,320."""
_BLOCKS, _AXES, _TRIED = 6, 6, 400
"""Permutations of at most so many blocks, and changes of sign on at most so many axes, are tried, at 0.1 ms each; both
at once for so many.
"""
_SAME = 1e-7
"""Images closer than this are one; critical points are known to about 1e-12, and the nearest different ones are further
apart.
"""

_POWERS = 64
"""Above the order of every symmetry that is listed: seven units make cycles of at most twelve, signs and exchanges
twice or four times that.
"""

Axis = tuple[str, int]


class Images:
    """Signed permutations g of rows, (P,): (g θ)_i = sign_i θ_{place_i}; each is kept as a row of ±(1 + place).

    Args:
        layout: blocks and shapes.
        dims: names of the dimensions of every block.
        whole: dimensions whose units may be rotated as well: the first unit alone is acted on here, in whose direction
            all of them can be turned.
        kept: answers whether weights and their image, given by places and signs, (P,) each, have the same outputs at
            random weights.
        radii: norms of the coordinates of a row, (P,); an image has to have the same.

    Attributes:
        of_units: by dimension, what acts on its units, (M, P); `of_blocks`, what acts on whole blocks.
    """

    def __init__(
        self,
        layout: Layout,
        dims: Mapping[str, tuple[Any, ...]],
        whole: set[str],
        kept: Callable[[np.ndarray, np.ndarray], bool],
        radii: np.ndarray,
    ) -> None:
        self.layout, self.shapes, self._dims, self._whole = layout, dict(layout), dims, whole
        self._places = np.arange(1, 1 + len(radii))

        def is_symmetry(g: np.ndarray) -> bool:
            places = np.abs(g) - 1
            return bool(np.allclose(radii[places], radii, rtol=1e-12, atol=0.0)) and kept(places, np.sign(g))

        names = dict.fromkeys(name for shape in dims.values() for name in shape if not isinstance(name, int))
        self.of_units = {name: self._rows(self._of_units(name, is_symmetry)) for name in names}
        self.of_blocks = self._rows([g for g in self._candidates() if is_symmetry(g)])

    def _rows(self, found: list[np.ndarray]) -> np.ndarray:
        return np.array(found, dtype=int).reshape(-1, len(self._places))

    def _of_units(self, name: str, is_symmetry: Callable[[np.ndarray], bool]) -> list[np.ndarray]:
        """Swaps of neighbours, and what acts on one unit; tried on the first, since all units of a
        dimension are alike.
        """
        axes = [(w, k) for w, shape in self._dims.items() for k, dim in enumerate(shape) if dim == name]
        size, found = self.shapes[axes[0][0]][axes[0][1]], list[np.ndarray]()
        if name not in self._whole and size > 1 and is_symmetry(self._swap(axes, 0)):
            found += [self._swap(axes, i) for i in range(size - 1)]
        subsets = [c for n in range(len(axes) + 1) for c in combinations(axes, n)] if len(axes) <= _AXES else [()]
        rest = {(w, k): self._dims[w][:k] + self._dims[w][k + 1 :] for w, k in axes}
        pairs = [None, *((p, q) for p, q in combinations(axes, 2) if p[0] != q[0] and rest[p] == rest[q])]
        for pair, signs in product(pairs, subsets):
            if (pair or signs) and is_symmetry(self._unit(0, pair, signs)):
                found += [self._unit(i, pair, signs) for i in range(1 if name in self._whole else size)]
        return found

    def _swap(self, axes: list[Axis], i: int) -> np.ndarray:
        W = {k: np.array(v) for k, v in blocks(self.layout, self._places).items()}
        for block, axis in axes:
            rows = np.moveaxis(W[block], axis, 0)
            rows[[i, i + 1]] = rows[[i + 1, i]]
        return self._row(W)

    def _unit(self, i: int, pair: tuple[Axis, Axis] | None, signs: tuple[Axis, ...]) -> np.ndarray:
        W = {k: np.array(v) for k, v in blocks(self.layout, self._places).items()}
        if pair is not None:
            one, two = (np.moveaxis(W[block], axis, 0) for block, axis in pair)
            one[i], two[i] = two[i].copy(), one[i].copy()
        for block, axis in signs:
            np.moveaxis(W[block], axis, 0)[i] *= -1
        return self._row(W)

    def _candidates(self) -> list[np.ndarray]:
        """Exchanges of whole blocks and changes of their signs; both at once where there are few.

        Dimensions are renamed by an exchange, each to one: layers that follow each other are of one shape by chance
        only, and are not such factors.
        """
        names = list(self.shapes)
        if len(names) > _BLOCKS:
            return []
        W = blocks(self.layout, self._places)
        orders = [order for order in permutations(names) if self._renames(names, order)]
        signs = list(product((1, -1), repeat=len(names)))
        both = (
            list(product(orders, signs))
            if len(orders) * len(signs) <= _TRIED
            else [(o, signs[0]) for o in orders] + [(orders[0], s) for s in signs]
        )
        return [
            self._row({a: s * W[b] for a, b, s in zip(names, order, sign, strict=True)}) for order, sign in both[1:]
        ]

    def _renames(self, names: list[str], order: tuple[str, ...]) -> bool:
        if any(self.shapes[a] != self.shapes[b] for a, b in zip(names, order, strict=True)):
            return False
        pairs = {
            pair for a, b in zip(names, order, strict=True) for pair in zip(self._dims[a], self._dims[b], strict=True)
        }
        return len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})

    def _row(self, W: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([np.ravel(W[name]) for name in self.shapes])

    def generated(self, generators: np.ndarray, most: int) -> np.ndarray | None:
        """The group that rows generate, (n, P), the identity first; None where it has more than `most` elements."""
        last = self._places[None]
        found, listed = {last.tobytes()}, [last]
        while len(last):
            images = [np.sign(g) * last[:, np.abs(g) - 1] for g in generators]
            new = list[np.ndarray]()
            for image in np.ascontiguousarray(np.vstack(images)) if images else ():
                key = image.tobytes()
                if key not in found:
                    found.add(key)
                    new.append(image)
            if len(found) > most:
                return None
            last = self._rows(new)
            listed.append(last)
        return np.vstack(listed)

    @cached_property
    def elements(self) -> np.ndarray | None:
        """All of the group, (n, P); None where it is larger than `MOST`."""
        swaps = [name for name, rows in self.of_units.items() if len(rows) and (np.sign(rows) > 0).all(axis=1).any()]
        sizes = [
            max(self.shapes[w][k] for w, shape in self._dims.items() for k, dim in enumerate(shape) if dim == name)
            for name in swaps
        ]
        if any(size > _UNITS for size in sizes):
            return None
        return self.generated(np.vstack([*self.of_units.values(), self.of_blocks]), MOST)

    @staticmethod
    def act(g: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """The image g θ of a row, (P,)."""
        return np.sign(g) * theta[np.abs(g) - 1]

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """One of the group, (P,): of all alike where they are listed, else a product of two generators."""
        if self.elements is not None:
            return self.elements[rng.integers(len(self.elements))]
        generators = np.vstack([self._places, *self.of_units.values(), self.of_blocks])
        one, two = generators[rng.integers(len(generators), size=2)]
        return self.act(one, two)

    def fixed(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The part of a row that a random symmetry leaves fixed, (P,): the mean over its powers."""
        g = self.random(rng)
        image, powers = self.act(g, theta), [theta]
        while np.abs(image - theta).max() > 0 and len(powers) < _POWERS:
            powers.append(image)
            image = self.act(g, image)
        return np.mean(powers, axis=0)

    def moved(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random image of a row, (P,)."""
        return self.act(self.random(rng), theta)

    def of(self, theta: np.ndarray) -> np.ndarray | None:
        """All images of a row, (n, P), some of them equal; None where the group is too large."""
        return None if self.elements is None else np.sign(self.elements) * theta[np.abs(self.elements) - 1]

    def count(self, theta: np.ndarray, norms: Callable[[np.ndarray], np.ndarray]) -> int | None:
        """How many different images of the same norms a row has; None where the group is too large.

        Args:
            theta: a critical point, (P,).
            norms: of every sphere, (n, K), of rows, (n, P). An exchange of the weights of one unit changes them, but
                not at critical points whose multipliers are not zero: each unit has equal weights in both blocks there,
                and the image is critical with the same index.
        """
        images = self.of(theta)
        if images is None:
            return None
        fixed = int((np.abs(images - theta).max(axis=1) <= _SAME).sum())
        held = np.abs(norms(images) - norms(theta[None])).max(axis=1) <= _SAME
        return int(held.sum()) // fixed
