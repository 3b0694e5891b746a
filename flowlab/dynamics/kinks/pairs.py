"""Pairs of a unit and a sample at a kink, and entries of weights at theirs: their numbers, and the mode they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.compiling import Program
from flowlab.core.typing import Array, PyTree
from flowlab.dynamics.kinks.crossing_guard import terms
from flowlab.dynamics.kinks.hyperplanes import Block, Kink, Span, coupled, parallel
from flowlab.dynamics.kinks.sliders import NO_ROOM, WIDTH, Places, Sliders, room, solved_for, spanned
from flowlab.language.data import Data
from flowlab.language.expr import Expr
from flowlab.language.kink_slots import Slot
from flowlab.language.traversal import word_of
from flowlab.lowering.kink_mode import Mode
from flowlab.lowering.vector_field import VectorField

_SHARE = 100
"""One of so many pairs has a place once any slides."""
_SMALL = 10_000
"""Coordinates up to which there is room before any pair slides: steps of small nets cost less than a compilation."""
_NORMALS = 64e6
"""Bytes of normals that are worked out at one time; each is as long as all weights before its zeros are left out."""


@dataclass(frozen=True)
class Where:
    """What a pair's number stands for.

    Attributes:
        slot: number of the tracked kink.
        unit: within it; of a kink of weights themselves the number of the entry, row by row.
        sample: -1 for a kink of weights themselves.
        words: a sentence without its full stop.
    """

    slot: int
    unit: int
    sample: int
    words: str


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
    def of(cls, field: VectorField, data: Data, y: PyTree) -> "Pairs":
        """Numbered for the integrated coordinates y of a state."""
        network = field.problem.network
        found = jax.eval_shape(
            lambda y, x: [network.node_values(field.weights(y), x)[id(slot.argument)] for slot in network.slots],
            y,
            data.inputs,
        )
        return cls(
            field, data, tuple(z.shape if slot.tracked else None for slot, z in zip(network.slots, found, strict=True))
        )

    @property
    def tracked(self) -> list[tuple[Slot, tuple[int, ...]]]:
        """The tracked slots with their shapes."""
        return [
            (slot, shape)
            for slot, shape in zip(self.field.problem.network.slots, self.shapes, strict=True)
            if shape is not None
        ]

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
        """Whether a pair's kink is a hyperplane of the integrated coordinates along which only its own direction moves,
        (P,).

        In weight coordinates, whatever is affine in the weights, without another kink below as in a maximum of three:
        what passes that one is for the slope above it to say. In polar ones W @ x with one block W, as there the pull
        on a pair of zero pre-activation is tangent to the sphere and scaled by one number per norm.
        """
        polar = self.field.problem.coordinates == "polar"
        found = []
        for slot, shape in self.tracked:
            word, parts = word_of(slot.argument), slot.argument.args
            applied = word is not None and word.composes and parts[0].block is not None and parts[1].is_input
            plain = applied or slot.argument.block is not None
            found.append(np.full(prod(shape), slot.degree == 1 and not self._above(slot) and (plain or not polar)))
        return np.concatenate(found)

    @cached_property
    def fixed(self) -> bool:
        """Whether normals are the same in every state and mode: in weight coordinates, where pre-activations are affine
        and none hangs on another's slope.
        """
        return self.field.problem.coordinates == "weights" and bool(self.straight.all())

    def _above(self, slot: Slot) -> bool:
        """Whether there are other kinks below one."""
        kinked = {name for other, _ in self.tracked for name in other.nodes}
        return bool(kinked.intersection(_below(slot.argument)))

    def reserved(self, y: PyTree) -> Places:
        """Room to begin with at integrated coordinates, none for large nets."""
        size = size_of(y)
        if size > _SMALL or not self.straight.any():
            return NO_ROOM
        blocks = y[1] if self.field.problem.coordinates == "polar" else y
        rows = [sum(prod(np.shape(blocks[name])[1:]) for name in slot.blocks) for slot, _ in self.tracked]
        return Places(min(room(self.count // _SHARE), size), 0, min(room(max(rows), WIDTH), size))

    def where(self, pair: int) -> Where:
        """What a number stands for."""
        i, unit, sample = (int(each[0]) for each in self.numbers([pair]))
        slot, shape = self.tracked[i]
        place = ", ".join(str(int(k)) for k in np.unravel_index(unit, shape[1:] if slot.sampled else shape))
        if not slot.sampled:
            return Where(i, unit, sample, f"{f'entry ({place}) of ' if shape else ''}{_named(slot)} is on its kink")
        named = f"({place})" if len(shape) > 2 else unit
        return Where(i, unit, sample, f"unit {named} is on the kink of sample {sample}")

    def numbers(self, pairs: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Slots, units and samples of pairs, as `Where` has them; integers (len(pairs),) each."""
        ends = np.cumsum([prod(shape) for _, shape in self.tracked])
        at = np.asarray(pairs, dtype=np.int64)
        slot = np.searchsorted(ends, at, side="right")
        at = at - np.concatenate([[0], ends[:-1]])[slot]
        sampled = np.array([s.sampled for s, _ in self.tracked])[slot]
        units = np.array([prod(shape[1:]) if s.sampled else prod(shape) for s, shape in self.tracked])[slot]
        return slot, at % units, np.where(sampled, at // units, -1)

    def mode(
        self, side: np.ndarray, sliding: dict[int, float], y: PyTree, least: Places = NO_ROOM
    ) -> tuple[Mode, Sliders]:
        """The mode in which pairs are on their sides, and those of `sliding` slide.

        Args:
            side: (P,) -1 or 1; what it says of sliding pairs is not looked at.
            sliding: multipliers by pair, where to start from.
            y: the state, on all their kinks.
            least: room to keep for pairs that slide.
        """
        slopes = np.where(side > 0, self.right, self.left)
        signs = np.where(side > 0, 1.0, -1.0)
        jump, number, growth = np.zeros(self.count), np.zeros(self.count, dtype=np.int64), self.right - self.left
        names = sorted(sliding)
        signs[names] = 0.0
        if self.fixed:
            parts, deep = [(block.kinks, block.span) for block in self.blocks(y, names)], []
        else:
            parts, deep = self.apart(y, names, self.slopes(side, sliding))
        for kink in (kink for kinks, _ in parts for kink in kinks):
            for pair, sign in zip(kink.pairs, kink.turned, strict=True):
                slopes[pair] = (self.left if sign > 0 else self.right)[pair]
        slopes[[pair for kink in deep for pair in kink.pairs]] = 0.0
        live = [kinks[i] for kinks, span in parts for i in span.live]
        held = [kinks[i] for kinks, span in parts for i in span.held]
        for i, kink in enumerate(live):
            jump[list(kink.pairs)] = np.array(kink.turned) * growth[list(kink.pairs)]
            number[list(kink.pairs)] = i
        for kink in held:
            for pair in kink.pairs:
                slopes[pair] = self.left[pair] + sliding[pair] * growth[pair]
        flat = spanned([span for _, span in parts], least, self.count // _SHARE, size_of(y))
        normal = np.arange(len(flat[0])) < len(live)
        further = solved_for(deep, sliding, self.left, self.right, least.deep)
        arrays = (slopes, signs, jump, number, *flat, normal, *further)
        mode = Mode(*arrays, shapes=self.shapes)
        return mode, Sliders(tuple(live), tuple(deep), tuple(held), len(normal))

    @cached_property
    def bare(self) -> VectorField:
        """The field in a mode without sliding and without meaning, for programs that set slopes themselves."""
        none, index, empty = np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros((0, 0))
        zero, number = np.zeros(self.count), np.zeros(self.count, dtype=np.int64)
        flat = (empty.astype(index.dtype), empty, empty, index > 0)
        return self.within(
            Mode(zero, zero, zero, number, *flat, index, index > 0, none, index, index, none, none, self.shapes)
        )

    def slopes(self, side: np.ndarray, sliding: dict[int, float]) -> np.ndarray:
        """Slopes of all pairs, (P,), with multipliers for those that slide."""
        slopes = np.where(side > 0, self.right, self.left)
        for pair, multiplier in sliding.items():
            slopes[pair] = self.left[pair] + multiplier * (self.right - self.left)[pair]
        return slopes

    def blocks(self, y: PyTree, names: list[int]) -> list[Block]:
        """Kinks of pairs by what they know of one another, where normals are fixed: each is worked out once and serves
        from then on.
        """
        found = []
        for together in self.together(y, names):
            key = tuple(together)
            if key not in self._blocks:
                at, rows = self.compact(y, together, self.left)
                self._blocks[key] = Block.of(together, rows, at)
            found.append(self._blocks[key])
        return found

    def apart(
        self, y: PyTree, names: list[int], slopes: np.ndarray
    ) -> tuple[list[tuple[tuple[Kink, ...], Span]], list[Kink]]:
        """Kinks of pairs in the first layer, by what they know of one another, with their spans, and deeper ones;
        where normals depend on the state.
        """
        at, rows = self.compact(y, names, slopes)
        kinks = [Kink(tuple(names[i] for i in same), turned) for same, turned in parallel(rows)]
        row = dict(zip(names, rows, strict=True))
        flat = [kink for kink in kinks if self.straight[kink.first]]
        parts = []
        for group in coupled([np.flatnonzero(row[kink.first]) for kink in flat], len(at)):
            some = tuple(flat[i] for i in group)
            parts.append((some, Span.of(np.array([row[kink.first] for kink in some]), at)))
        return parts, [kink for kink in kinks if not self.straight[kink.first]]

    def together(self, y: PyTree, names: list[int]) -> list[list[int]]:
        """Pairs by groups that share coordinates, where normals are fixed; in a group what happens to one concerns the
        others, and nobody else.
        """
        self._learn(y, names)
        groups = coupled([self._rows[name][0] for name in names], size_of(y))
        return [[names[i] for i in group] for group in groups]

    def normals(self, y: PyTree, pairs: list[int], slopes: np.ndarray) -> np.ndarray:
        """Normals of kinks by row, (len(pairs), n), at a state; without what they have along norms."""
        rows = np.zeros((len(pairs), size_of(y)))
        at, some = self.compact(y, pairs, slopes)
        rows[:, at] = some
        return rows

    def compact(self, y: PyTree, pairs: list[int], slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates (m,) in which any of the normals of pairs is not zero, and the normals there, (len(pairs), m)."""
        if self.fixed:
            self._learn(y, pairs)
            told = [self._rows[pair] for pair in pairs]
        else:
            told = self._sparse(y, pairs, slopes)
        at = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(where for where, _ in told)]))
        rows = np.zeros((len(pairs), len(at)))
        for row, (where, values) in zip(rows, told, strict=True):
            row[np.searchsorted(at, where)] = values
        return at, rows

    def _learn(self, y: PyTree, pairs: list[int]) -> None:
        """Keep the fixed normals of pairs."""
        fresh = [pair for pair in pairs if pair not in self._rows]
        self._rows.update(zip(fresh, self._sparse(y, fresh, self.left), strict=True))

    def _sparse(self, y: PyTree, pairs: list[int], slopes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Where the normal of each pair is not zero, and what it is there."""
        most = max(1, int(_NORMALS / (8 * size_of(y))))
        parts = [pairs[first : first + most] for first in range(0, len(pairs), most)]
        return [(np.flatnonzero(row), row[row != 0]) for part in parts for row in self._computed(y, part, slopes, most)]

    def _computed(self, y: PyTree, pairs: list[int], slopes: np.ndarray, most: int = 1 << 30) -> np.ndarray:
        """Normals of pairs by row; compiled for as many as there is room for, and for `most` of them."""
        padded = np.zeros(min(room(len(pairs)), most), dtype=np.int64)
        padded[: len(pairs)] = pairs
        return np.asarray(_normals(self.bare, self.data, y, slopes, padded))[: len(pairs)]

    @cached_property
    def _rows(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        return {}

    @cached_property
    def _blocks(self) -> dict[tuple[int, ...], Block]:
        return {}

    def current(self, y: PyTree) -> np.ndarray:
        """Pre-activations at a state by their own signs, (P,)."""
        return np.asarray(_present(self.field, self.data, y))

    def terms(self, y: PyTree) -> float:
        """What round-off of pre-activations is measured by at a state (see `guard.terms`)."""
        return float(_terms(self.field, self.data, y))

    def within(self, mode: Mode) -> VectorField:
        """The field in a mode."""
        return self.field.within(mode)


def size_of(y: PyTree) -> int:
    """How many integrated coordinates there are."""
    return sum(leaf.size for leaf in jax.tree.leaves(y))


def _below(node: Expr) -> set[int]:
    """Identities of a node and all that it is made from."""
    found, stack = set(), [node]
    while stack:
        node = stack.pop()
        if id(node) not in found:
            found.add(id(node))
            stack += node.args
    return found


def _named(slot: Slot) -> str:
    """The argument of a kink of weights, in words."""
    names = " and ".join(f"`{name}`" for name in sorted(slot.blocks))
    return names if slot.argument.block is not None else f"what {names} make"


@Program
def _present(field: VectorField, data: Data, y: PyTree) -> jax.Array:
    network = field.problem.network
    values = network.node_values(field.weights(y), data.inputs)
    return jnp.concatenate([values[id(slot.argument)].ravel() for slot in network.slots if slot.tracked])


_terms = Program(terms)


@Program
def _normals(field: VectorField, data: Data, y: PyTree, slopes: Array, pairs: Array) -> jax.Array:
    flat, restore = ravel_pytree(y)
    rows = jax.jacrev(lambda v: field.preactivations(restore(v), data, jnp.asarray(slopes))[pairs])(flat)
    if field.problem.coordinates != "polar":
        return rows
    # Kinks are cones: what a pre-activation owes to norms does not move it off zero.
    along = ravel_pytree(
        ({k: jnp.zeros_like(r) for k, r in y[0].items()}, {w: jnp.ones_like(v) for w, v in y[1].items()})
    )[0]
    return rows * along
