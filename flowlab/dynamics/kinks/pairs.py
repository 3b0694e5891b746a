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
        jump = np.zeros(self.count)
        names = sorted(sliding)
        signs[names] = 0.0
        flat = [p for p in names if self.straight[p]]
        deep = [p for p in names if not self.straight[p]]
        size = int(ravel_pytree(y)[0].size)
        normals = self.normals(y, flat, self.slopes(side, sliding))
        chosen, held = _independent(normals)
        live = [flat[i] for i in chosen]
        for i in held:
            slopes[flat[i]] = self.left[flat[i]] + sliding[flat[i]] * (self.right - self.left)[flat[i]]
        slopes[live] = self.left[live]
        jump[live] = (self.right - self.left)[live]
        slopes[deep] = 0.0
        places = max(least[0], room(len(live))) if self.straight.any() else 0
        basis, dual = np.zeros((size, places)), np.zeros((places, size))
        if live:
            C = normals[chosen]
            q, _ = np.linalg.qr(C.T)
            basis[:, : len(live)] = q
            dual[: len(live)] = np.linalg.pinv(C.T)
        deeper = 0 if self.straight.all() else max(least[1], room(len(deep), _DEEP_ROOM))
        padded = np.zeros(deeper, dtype=np.int64)
        padded[: len(deep)] = deep
        starts = np.zeros(deeper)
        starts[: len(deep)] = [sliding[p] for p in deep]
        mode = Mode(
            slopes=jnp.asarray(slopes), side=jnp.asarray(signs), jump=jnp.asarray(jump), basis=jnp.asarray(basis), dual=jnp.asarray(dual),
            normal=jnp.arange(places) < len(live), deep=jnp.asarray(padded), deep_live=jnp.arange(deeper) < len(deep),
            deep_left=jnp.asarray(self.left[padded]), deep_jump=jnp.asarray((self.right - self.left)[padded]), deep_start=jnp.asarray(starts),
            shapes=self.shapes,
        )  # fmt: skip
        return mode, Sliders(tuple(live), tuple(deep), {flat[i]: sliding[flat[i]] for i in held}, places)

    @cached_property
    def bare(self) -> VectorField:
        """The field in a mode without sliding and without meaning, for programs that set slopes themselves."""
        none = jnp.zeros(0)
        zero, index = jnp.zeros(self.count), jnp.zeros(0, dtype=jnp.int64)
        size = 0
        return self.within(Mode(zero, zero, zero, jnp.zeros((size, 0)), jnp.zeros((0, size)), index > 0, index, index > 0, none, none, none, self.shapes))

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
class Sliders:
    """Pairs that slide: those of the first layer and the deeper ones in the order of their multipliers, and those that hang on others, with theirs."""

    flat: tuple[int, ...]
    deep: tuple[int, ...]
    held: dict[int, float]
    room: int

    @property
    def columns(self) -> dict[int, int]:
        """Where the multiplier of each pair stands among all places."""
        return {pair: i for i, pair in enumerate(self.flat)} | {pair: self.room + i for i, pair in enumerate(self.deep)}


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
