"""Pairs of a unit and a sample at a kink: how they are numbered, and the mode of a field made from what each of them does."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg import qr

from flowlab.language.data import Data
from flowlab.language.slots import Slot
from flowlab.lowering.field import VectorField
from flowlab.lowering.mode import Mode

_SAME = 1e-10
"""Normals that are this close to dependent, relative to their lengths, are taken for dependent."""
_ROOM, _DEEP_ROOM, _GROWTH = 32, 16, 4
"""Least number of places for pairs that slide, and what it is multiplied by when there are more; every size is a compilation."""


@dataclass(frozen=True)
class Where:
    """One pair in words: number of the tracked kink, unit and sample."""

    slot: int
    unit: int
    sample: int


@dataclass(frozen=True)
class Pairs:
    """All pairs of a problem, its data and the shapes of a state.

    Attributes:
        field: without a mode.
        shapes: of the pre-activations of every slot, or None where it is not tracked.
    """

    field: VectorField
    data: Data
    shapes: tuple[tuple[int, ...] | None, ...]

    @classmethod
    def of(cls, field: VectorField, data: Data, y: Any) -> "Pairs":
        """Numbered for the integrated coordinates y of a state."""
        network = field.problem.network
        found = jax.eval_shape(lambda y, x: [network.node_values(field.weights(y), x)[id(slot.argument)] for slot in network.slots], y, data.x)
        return cls(field, data, tuple(z.shape if slot.tracked else None for slot, z in zip(network.slots, found, strict=True)))

    @property
    def tracked(self) -> list[tuple[Slot, tuple[int, ...]]]:
        """The tracked slots with their shapes."""
        return [(slot, shape) for slot, shape in zip(self.field.problem.network.slots, self.shapes, strict=True) if shape is not None]

    @cached_property
    def count(self) -> int:
        """P."""
        return sum(prod(shape) for _, shape in self.tracked)

    @cached_property
    def left(self) -> np.ndarray:
        """Slopes on the left, (P,)."""
        return np.concatenate([np.full(prod(shape), slot.left) for slot, shape in self.tracked])

    @cached_property
    def right(self) -> np.ndarray:
        """Slopes on the right, (P,)."""
        return np.concatenate([np.full(prod(shape), slot.right) for slot, shape in self.tracked])

    @cached_property
    def straight(self) -> np.ndarray:
        """Whether a pair's kink is a hyperplane of the integrated coordinates along which only its own direction moves, (P,).

        In weight coordinates, whatever is affine in the weights; in polar ones W @ x with one block W, as there the pull on a pair of zero
        pre-activation is tangent to the sphere and scaled by one number per norm.
        """
        polar = self.field.problem.coordinates == "polar"
        found = []
        for slot, shape in self.tracked:
            plain = slot.argument.op == "matmul" and [arg.op for arg in slot.argument.args] == ["weight", "input"]
            found.append(np.full(prod(shape), slot.degree == 1 and (plain or not polar)))
        return np.concatenate(found)

    def where(self, pair: int) -> Where:
        """What a number stands for."""
        at = pair
        for i, (_, shape) in enumerate(self.tracked):
            if at < prod(shape):
                sample, unit = divmod(at, shape[1]) if len(shape) > 1 else (at, 0)
                return Where(i, int(unit), int(sample))
            at -= prod(shape)
        raise IndexError(pair)

    def mode(self, side: np.ndarray, sliding: dict[int, float], y: Any, least: tuple[int, int] = (0, 0)) -> tuple[Mode, "Sliders"]:
        """The mode in which pairs are on their sides, and those of `sliding` slide.

        Args:
            side: (P,) -1 or 1; what it says of sliding pairs is not looked at.
            sliding: multipliers by pair, where to start from.
            y: the state, on all their kinks.
            least: places to keep for pairs that slide in the first layer and deeper, at least.
        """
        slopes = np.where(side > 0, self.right, self.left)
        signs = np.where(side > 0, 1.0, -1.0)
        jump, growth = np.zeros(self.count), self.right - self.left
        names = sorted(sliding)
        signs[names] = 0.0
        size = int(ravel_pytree(y)[0].size)
        normals = self.normals(y, names, self.slopes(side, sliding))
        kinks = [Kink(tuple(names[i] for i in rows), turned) for rows, turned in parallel(normals)]
        row = {names[i]: normals[i] for i in range(len(names))}
        flat = [kink for kink in kinks if self.straight[kink.first]]
        deep = [kink for kink in kinks if not self.straight[kink.first]]
        for kink in kinks:
            for pair, sign in zip(kink.pairs, kink.turned, strict=True):
                slopes[pair] = (self.left if sign > 0 else self.right)[pair] if kink in flat else 0.0
        chosen, held = _independent(np.array([row[kink.first] for kink in flat]).reshape(-1, size))
        live = [flat[i] for i in chosen]
        for kink in live:
            jump[list(kink.pairs)] = np.array(kink.turned) * growth[list(kink.pairs)]
        for i in held:
            for pair in flat[i].pairs:
                slopes[pair] = self.left[pair] + sliding[pair] * growth[pair]
        places = max(least[0], room(len(live))) if self.straight.any() else 0
        basis, dual = np.zeros((size, places)), np.zeros((places, size))
        if live:
            C = np.array([row[kink.first] for kink in live])
            q, _ = np.linalg.qr(C.T)
            basis[:, : len(live)] = q
            dual[: len(live)] = np.linalg.pinv(C.T)
        deeper = 0 if self.straight.all() else max(least[1], room(len(deep), _DEEP_ROOM))
        starts, ahead = np.zeros(deeper), np.zeros(deeper, dtype=np.int64)
        ahead[: len(deep)] = [kink.first for kink in deep]
        starts[: len(deep)] = [sliding[kink.first] for kink in deep]
        told = [(pair, i, sign) for i, kink in enumerate(deep) for pair, sign in zip(kink.pairs, kink.turned, strict=True)]
        echoes = 0 if not deeper else max(deeper, room(len(told), _DEEP_ROOM))
        echo, of, bottom, growing = np.zeros(echoes, dtype=np.int64), np.zeros(echoes, dtype=np.int64), np.zeros(echoes), np.zeros(echoes)
        for at, (pair, i, sign) in enumerate(told):
            echo[at], of[at] = pair, i
            bottom[at], growing[at] = (self.left if sign > 0 else self.right)[pair], sign * growth[pair]
        arrays = (slopes, signs, jump, basis, dual, np.arange(places) < len(live), ahead, np.arange(deeper) < len(deep), starts, echo, of, bottom, growing)
        mode = Mode(*(jnp.asarray(each) for each in arrays), shapes=self.shapes)
        return mode, Sliders(tuple(live), tuple(deep), tuple(flat[i] for i in held), places)

    @cached_property
    def bare(self) -> VectorField:
        """The field in a mode without sliding and without meaning, for programs that set slopes themselves."""
        none, index = jnp.zeros(0), jnp.zeros(0, dtype=jnp.int64)
        zero, empty = jnp.zeros(self.count), jnp.zeros((0, 0))
        return self.within(Mode(zero, zero, zero, empty, empty, index > 0, index, index > 0, none, index, index, none, none, self.shapes))

    def slopes(self, side: np.ndarray, sliding: dict[int, float]) -> np.ndarray:
        """Slopes of all pairs, (P,), with multipliers for those that slide."""
        slopes = np.where(side > 0, self.right, self.left)
        for pair, multiplier in sliding.items():
            slopes[pair] = self.left[pair] + multiplier * (self.right - self.left)[pair]
        return slopes

    def normals(self, y: Any, pairs: list[int], slopes: np.ndarray) -> np.ndarray:
        """Normals of kinks by row, (len(pairs), n), at a state; without what they have along norms."""
        if not pairs:
            return np.zeros((0, ravel_pytree(y)[0].size))
        padded = np.zeros(room(len(pairs)), dtype=np.int64)
        padded[: len(pairs)] = pairs
        return np.asarray(_normals(self.bare, self.data, y, jnp.asarray(slopes), jnp.asarray(padded)))[: len(pairs)]

    def current(self, y: Any) -> np.ndarray:
        """Pre-activations at a state by their own signs, (P,)."""
        return np.asarray(_present(self.field, self.data, y))

    def within(self, mode: Mode) -> VectorField:
        """The field in a mode."""
        return VectorField(self.field.decay, self.field.program, self.field.problem, self.field.signature, self.field.laws, mode)


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
class Sliders:
    """Kinks that are slid on: in the first layer and deeper, in the order of their multipliers, and those that hang on others and keep theirs."""

    flat: tuple[Kink, ...]
    deep: tuple[Kink, ...]
    held: tuple[Kink, ...]
    room: int

    @property
    def columns(self) -> dict[int, int]:
        """Where the multiplier of each kink stands among all places, by its first pair."""
        return {kink.first: i for i, kink in enumerate(self.flat)} | {kink.first: self.room + i for i, kink in enumerate(self.deep)}

    @property
    def kinks(self) -> dict[int, Kink]:
        """The kinks by their first pair."""
        return {kink.first: kink for kink in (*self.flat, *self.deep, *self.held)}


def parallel(normals: np.ndarray) -> list[tuple[list[int], tuple[int, ...]]]:
    """Rows that are multiples of one another, each with their signs against the first of them."""
    lengths = np.linalg.norm(normals, axis=1)
    units = normals / np.where(lengths > 0, lengths, 1.0)[:, None]
    cosines = units @ units.T
    left, found = list(range(len(normals))), []
    while left:
        first = left[0]
        same = [i for i in left if i == first or abs(cosines[first, i]) > 1.0 - _SAME]
        found.append((same, tuple(1 if i == first or cosines[first, i] > 0 else -1 for i in same)))
        left = [i for i in left if i not in same]
    return found


def room(count: int, least: int = _ROOM) -> int:
    """Places kept for some number of pairs."""
    size = least
    while size < count:
        size *= _GROWTH
    return size


def _independent(normals: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows that span all of them, and the others."""
    lengths = np.linalg.norm(normals, axis=1)
    if not len(normals):
        return [], []
    found: Any = qr((normals / np.where(lengths > 0, lengths, 1.0)[:, None]).T, mode="economic", pivoting=True)
    _, r, order = found
    rank = int((np.abs(np.diag(r)) > _SAME).sum())
    chosen = sorted(int(i) for i in order[:rank])
    return chosen, [i for i in range(len(normals)) if i not in chosen]


@eqx.filter_jit
def _present(field: VectorField, data: Data, y: Any) -> jax.Array:
    network = field.problem.network
    values = network.node_values(field.weights(y), data.x)
    return jnp.concatenate([values[id(slot.argument)].ravel() for slot in network.slots if slot.tracked])


@eqx.filter_jit
def _normals(field: VectorField, data: Data, y: Any, slopes: jax.Array, pairs: jax.Array) -> jax.Array:
    flat, restore = ravel_pytree(y)
    rows = jax.jacrev(lambda v: field.preactivations(restore(v), data, slopes)[pairs])(flat)
    if field.problem.coordinates != "polar":
        return rows
    # Kinks are cones: what a pre-activation owes to norms does not move it off zero.
    along = ravel_pytree(({k: jnp.zeros_like(r) for k, r in y[0].items()}, {w: jnp.ones_like(v) for w, v in y[1].items()}))[0]
    return rows * along
