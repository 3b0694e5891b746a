"""The symmetries of a network: permutations, signs and rotations of hidden units, exchange of factors, the splitting of
units, and scalings.

Which of them a network has is found by trying them on random weights. A hidden dimension is a width shared by axes of
several blocks; an orthogonal matrix acts on all of those axes at once. Where no activation stands on the dimension
every rotation leaves the function as it is; where one does, permutations do, and changes of sign on some of the axes
for odd and even activations. Under activations of degree one, units that point the same way, but for signs, may share
their weight: (cos φ, sin φ) in place of (1, 0); this makes orbits where no rotation acts on all units. Scaling weights
into a unit and those out of it inversely changes norms, so it is not a symmetry at fixed norms, unless several
such changes keep them together.
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from flowlab.core.typing import ArrayLike
from flowlab.discrete.critical.hidden_dimension import Dimension
from flowlab.discrete.critical.signed_permutations import Images
from flowlab.discrete.critical.sphere_product import Layout, blocks
from flowlab.discrete.critical.symmetry_trials import SAME, Trials, close
from flowlab.language.network import Network

_TURNS = 20
_COSETS = 64
"""Symmetries of whole blocks beyond so many are left out of distances."""
_PARALLEL = 1e-7
"""Units whose weights differ in direction by less point the same way; the square root of what round-off leaves of their
cosine.
"""
_MET = 1e-9
"""So do units that are apart by less of the largest unit; kinks are met no better."""


class Symmetries:
    """The symmetries of a network with given shapes; weights are rows (P,) or blocks.

    Args:
        network: the network.
        layout: blocks and shapes.
        d: input dimension.
        merge: blocks that are normed unit by unit may not be mixed: then only permutations and signs are left.
        rho: norms where rows are directions: factors of unequal norms may not be exchanged.

    Raises:
        LanguageError: if outputs do not depend on the weights of the trials: every change would leave them as they are.
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        d: int,
        *,
        merge: bool = True,
        rho: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self.network, self.layout, self.rho = network, layout, dict(rho or {})
        self._trials = Trials(network, layout, d, self.rho)
        self.dimensions: list[Dimension] = self._trials.dimensions(merge)

    def aligned(self, theta: np.ndarray) -> np.ndarray:
        """Signs, (P,), that bring units which can be split to one side: what points the same way but for signs points
        the same way then.
        """
        W, signs = blocks(self.layout, theta), {k: np.ones(shape) for k, shape in self.layout}
        for dim in self.dimensions:
            if dim.splits:
                for c in dim.signs:
                    part = Dimension(dim.name, dim.size, tuple(c), False, (), False)
                    turned = part.units(W) * part.units(signs)
                    side = turned @ np.random.default_rng(turned.shape[1]).normal(size=turned.shape[1])
                    signs = dim.act(signs, np.diag(np.where(side < 0, -1.0, 1.0)), c)
        return self._row(signs)

    def gathered(self, theta: np.ndarray) -> np.ndarray:
        """The row with units that point the same way gathered into the largest of them, (P,)."""
        W = {k: np.array(v) for k, v in blocks(self.layout, theta * self.aligned(theta)).items()}
        for dim in self.dimensions:
            if dim.splits:
                units, Q = dim.units(W), np.eye(dim.size)
                for group in self._parallel(units):
                    lengths = np.linalg.norm(units[group], axis=1)
                    # The first row of the rotation gathers; the others are across and give nothing.
                    frame = np.linalg.qr(np.column_stack([lengths, np.eye(len(group))[:, 1:]]))[0].T
                    frame[0] *= np.sign(frame[0] @ lengths)
                    Q[np.ix_(group, group)] = frame
                W = dim.act(W, Q)
        return self._row(W)

    def directions(self, theta: np.ndarray) -> tuple[int, int]:
        """How many units that can be split are active, and in how many directions they point."""
        W, active, distinct = blocks(self.layout, theta * self.aligned(theta)), 0, 0
        for dim in self.dimensions:
            if dim.splits:
                units = dim.units(W)
                used = units[np.linalg.norm(units, axis=1) > _PARALLEL * np.linalg.norm(units)]
                active += len(used)
                distinct += len(used) - sum(len(group) - 1 for group in self._parallel(used))
        return active, distinct

    @staticmethod
    def _parallel(units: np.ndarray) -> list[list[int]]:
        sizes = np.linalg.norm(units, axis=1)
        top = float(sizes.max(initial=0.0))
        groups: list[list[int]] = []
        # The largest first: kinks are met to a share of typical pre-activations, by which small units turn more than
        # large ones.
        for i in (int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] > _PARALLEL * top):
            near = max(_PARALLEL, _MET * top / sizes[i])
            home = next(
                (g for g in groups if np.linalg.norm(units[i] / sizes[i] - units[g[0]] / sizes[g[0]]) < near), None
            )
            groups.append([i]) if home is None else home.append(i)
        return [g for g in groups if len(g) > 1]

    def alike(self, theta: np.ndarray, *, tolerance: float = 1e-6) -> list[tuple[np.ndarray, np.ndarray]]:
        """Units that have the same weights but for signs: swapping them leaves θ where it is.

        Args:
            theta: weights, (P,).
            tolerance: distance of two units, over the root mean square of all, below which they are the same.

        Returns:
            For every set of m > 1 such units the coordinates of each, (m, M), and the signs, (m, M), that bring them to
            those of the first.
        """
        W, places = blocks(self.layout, theta), blocks(self.layout, np.arange(len(theta)))
        ones, found = {k: np.ones(shape) for k, shape in self.layout}, []
        for dim in self.dimensions:
            units, where = dim.units(W), dim.units(places)
            signs = [np.ones(units.shape[1]), *(dim.units(dim.act(ones, -np.eye(dim.size), c))[0] for c in dim.signs)]
            near, left = tolerance * float(np.linalg.norm(units)) / np.sqrt(dim.size), np.arange(dim.size)
            while len(left):
                off = np.array([np.linalg.norm(units[left] * s - units[left[0]], axis=1) for s in signs])
                same = off.min(axis=0) <= near
                if same.sum() > 1:
                    found.append((where[left[same]], np.array([signs[i] for i in off.argmin(axis=0)[same]])))
                left = left[~same]
        return found

    def orbit(self, theta: np.ndarray, *, smallest: float = 0.0) -> np.ndarray:
        """Directions along which θ moves and the function does not, (M, P): an orthonormal basis of the tangent space
        of the orbit.

        Args:
            theta: weights, (P,).
            smallest: tangent vectors of the orbit below this length count as none.
        """
        signs = self.aligned(theta)
        W, rows = {k: np.asarray(v) for k, v in blocks(self.layout, theta * signs).items()}, []
        for dim in self.dimensions:
            pairs = list(combinations(range(dim.size), 2)) if dim.rotations else []
            if dim.splits:
                units = dim.units(W)
                sizes = np.linalg.norm(units, axis=1)
                empty = [int(i) for i in np.flatnonzero(sizes <= _PARALLEL * sizes.max())]
                pairs = [pair for group in self._parallel(units) for pair in combinations(group, 2)]
                pairs += [(i, int(j)) for i in empty for j in np.flatnonzero(sizes > _PARALLEL * sizes.max())]
            for i, j in pairs:
                Omega = np.zeros((dim.size, dim.size))
                Omega[i, j], Omega[j, i] = 1.0, -1.0
                rows.append(
                    signs * self._row({block: self._velocity(dim, W, Omega, block) for block, _ in self.layout})
                )
        return _spanned(rows, len(theta), smallest)

    def freedom(self, theta: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Directions along which the function does not move, of the orbit or of scalings that keep norms together, (M,
        P), orthonormal.

        Where the loss answers to norms such scalings are symmetries to first order only, and curvatures along them are
        not zero; where it does not, as at minima that a larger norm does not lower, they make zero modes.

        Args:
            theta: weights, (P,).
            normals: of the spheres, (K, P).
        """
        signs, rows = self.aligned(theta), []
        W = {k: np.asarray(v) for k, v in blocks(self.layout, theta * signs).items()}
        for dim in self.dimensions:
            groups = [list(range(dim.size))] if dim.rotations else self._parallel(dim.units(W)) if dim.splits else []
            mixed = (
                [(i, j) for group in groups for i in group for j in group if i != j] if len(dim.scalings) == 1 else []
            )
            for powers in dim.scalings:
                # What two units share moves from one to the other only where weights into and out of them count alike.
                pairs = [(i, i) for i in range(dim.size)] + (
                    mixed if np.allclose(np.abs(powers), 1.0, atol=1e-6) else []
                )
                for i, j in pairs:
                    X = np.zeros((dim.size, dim.size))
                    X[i, j] = 1.0
                    moved = {k: np.zeros_like(v) for k, v in W.items()}
                    for power, (block, axis) in zip(powers, dim.axes, strict=True):
                        moved[block] += np.moveaxis(
                            np.tensordot(power * (X if power > 0 else X.T), W[block], (1, axis)), 0, axis
                        )
                    rows.append(signs * self._row(moved))
        basis = _spanned([*rows, *self.orbit(theta)], len(theta), 0.0)
        across = normals @ basis.T
        _, sizes, combined = np.linalg.svd(across)
        kept = combined[int((sizes > 1e-9).sum()) :]
        return kept @ basis

    @staticmethod
    def _velocity(dim: Dimension, W: Mapping[str, np.ndarray], Omega: np.ndarray, block: str) -> np.ndarray:
        axes = [axis for name, axis in dim.axes if name == block]
        return np.moveaxis(np.tensordot(Omega, W[block], (1, axes[0])), 0, axes[0]) if axes else np.zeros_like(W[block])

    @cached_property
    def images(self) -> Images:
        """The finite symmetries, as signed permutations of rows."""
        network, rows = self.network, [self._row(W) for W in self._trials.weights]

        def kept(places: np.ndarray, signs: np.ndarray) -> bool:
            images = (blocks(self.layout, signs * row[places]) for row in rows)
            return all(close(out, self._trials.outputs(W)) for out, W in zip(outputs, images, strict=True))

        outputs = [self._trials.outputs(W) for W in self._trials.weights]
        norms = {name: np.asarray(self.rho.get(name, 1.0), dtype=float) for name, _ in self.layout}
        radii = self._row(
            {
                name: np.broadcast_to(norms[name][:, None] if norms[name].ndim else norms[name], shape)
                for name, shape in self.layout
            }
        )
        whole = {dim.name for dim in self.dimensions if dim.rotations}
        return Images(self.layout, {name: network.shapes[name] for name, _ in self.layout}, whole, kept, radii)

    @cached_property
    def _cosets(self) -> np.ndarray:
        """Symmetries that act on whole blocks, or on units of inputs and outputs, one of each set that hidden
        dimensions take to each other, (n, P).
        """
        hidden, images = {dim.name for dim in self.dimensions}, self.images
        others = [rows for name, rows in images.of_units.items() if name not in hidden]
        found = images.generated(np.vstack([*others, images.of_blocks]), _COSETS)
        found = images.generated(images.of_blocks, _COSETS) if found is None else found
        row, kept = self._row(self._trials.weights[0]), list[np.ndarray]()
        for g in found if found is not None else np.arange(1, 1 + len(row))[None]:
            image = np.sign(g) * row[np.abs(g) - 1]
            if all(self._apart(np.sign(k) * row[np.abs(k) - 1], image) > 1e-6 for k in kept):
                kept.append(g)
        return np.array(kept)

    def distance(self, a: np.ndarray, b: np.ndarray) -> float:
        """‖a - g b‖ for the symmetry g that brings b nearest to a, with split units gathered (dimensionless).

        The least of all where the symmetries are finite and listed; otherwise found by alternation, which gives an
        upper bound.
        """
        a, b = self.gathered(a), self.gathered(b)
        if (
            not any(dim.rotations or dim.splits for dim in self.dimensions)
            and (images := self.images.of(b)) is not None
        ):
            return float(np.linalg.norm(images - a, axis=1).min())
        best = np.inf
        for g in self._cosets:
            best = min(best, self._apart(a, np.sign(g) * b[np.abs(g) - 1]))
            if best <= SAME:
                break
        return best

    def _apart(self, a: np.ndarray, b: np.ndarray) -> float:
        """The same by alternation over hidden dimensions."""
        A, B = (dict(blocks(self.layout, t)) for t in (a, b))
        best, rng = float(np.linalg.norm(a - b)), np.random.default_rng(0)
        orders = [self.dimensions[k:] + self.dimensions[:k] for k in range(len(self.dimensions))] + [
            self.dimensions[::-1]
        ]
        # Rotations of several dimensions at once have local optima; other first guesses get out of them.
        turns = [None] * len(orders) + [rng] * (_TURNS if sum(dim.rotations for dim in self.dimensions) > 1 else 0)
        for turn, order in zip(turns, orders + orders[:1] * (len(turns) - len(orders)), strict=True):
            if best <= SAME:
                break
            W = B
            # To begin with, a dimension is compared by what it does not share with dimensions that are still to be
            # settled.
            open_ones = {dim.name for dim in order}
            for dim in order:
                open_ones.discard(dim.name)
                if turn is not None and dim.rotations:
                    W = dim.act(W, np.linalg.qr(turn.normal(size=(dim.size, dim.size)))[0])
                else:
                    W = self._nearest(dim, A, W, set(open_ones))
            last, now = np.inf, float(np.linalg.norm(a - self._row(W)))
            while now < last * (1.0 - 1e-6) and now > 1e-15:
                last = now
                for dim in self.dimensions:
                    W = self._nearest(dim, A, W, set())
                now = float(np.linalg.norm(a - self._row(W)))
            best = min(best, now)
        return best

    def _nearest(
        self, dim: Dimension, A: Mapping[str, np.ndarray], W: dict[str, np.ndarray], without: set[str]
    ) -> dict[str, np.ndarray]:
        others = {axis: d.name for d in self.dimensions for axis in d.axes}
        axes = [(w, k) for w, k in dim.axes if others.get((w, 1 - k)) not in without] or list(dim.axes)
        part = Dimension(dim.name, dim.size, tuple(axes), False, (), False)
        mine, theirs = part.units(A), part.units(W)
        if others and len(axes) < len(dim.axes):
            # What is shared with an open dimension is compared by what no mixing of that dimension changes.
            shared = [
                np.moveaxis(np.stack([A[w], W[w]]), k + 1, 1).reshape(2, dim.size, -1)
                for w, k in dim.axes
                if (w, k) not in axes
            ]
            sizes = np.stack([np.linalg.norm(s, axis=2) for s in shared], axis=2)
            mine, theirs = np.hstack([mine, sizes[0]]), np.hstack([theirs, sizes[1]])
        if dim.rotations:
            u, _, v = np.linalg.svd(mine @ theirs.T)
            return dim.act(W, u @ v)
        swaps = [None, *(dim.exchanges if len(axes) == len(dim.axes) else ())]
        choices = [(c, pair) for c in (None, *dim.signs) for pair in swaps]
        images = [self._image(part, W, c, pair, theirs) for c, pair in choices]
        costs = np.stack([((mine[:, None] - image[None]) ** 2).sum(axis=2) for image in images])
        rows, columns = linear_sum_assignment(costs.min(axis=0))
        Q = np.zeros((dim.size, dim.size))
        Q[rows, columns] = 1.0
        out = W
        which = costs.argmin(axis=0)
        for index, (c, pair) in enumerate(choices):
            chosen = [int(j) for i, j in zip(rows, columns, strict=True) if which[i, j] == index]
            if pair is not None and chosen:
                out = dim.exchanged(out, pair, chosen)
            if c is not None:
                flips = np.ones(dim.size)
                flips[chosen] = -1.0
                out = dim.act(out, np.diag(flips), c)
        return dim.act(out, Q)

    @staticmethod
    def _image(
        part: Dimension,
        W: Mapping[str, np.ndarray],
        signs: frozenset[tuple[str, int]] | None,
        pair: Any,
        theirs: np.ndarray,
    ) -> np.ndarray:
        """All units after an exchange and a change of signs, in as many columns as `theirs`."""
        if signs is None and pair is None:
            return theirs
        W, width = part.exchanged(W, pair, list(range(part.size))) if pair is not None else W, theirs.shape[1]
        turned = part.units(part.act(W, -np.eye(part.size), signs) if signs is not None else W)
        rest = part.units(W).shape[1]
        return (
            turned if width == rest else np.hstack([turned, np.stack([np.zeros(part.size)] * (width - rest), axis=1)])
        )

    def _row(self, W: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([np.ravel(W[name]) for name, _ in self.layout])


def _spanned(rows: list[np.ndarray], size: int, smallest: float) -> np.ndarray:
    """An orthonormal basis of what rows span, (M, P), without what is as short as `smallest`."""
    if not rows:
        return np.zeros((0, size))
    _, sizes, basis = np.linalg.svd(np.array(rows), full_matrices=False)
    return basis[sizes > max(1e-8 * sizes[0], smallest, 1e-300)]
