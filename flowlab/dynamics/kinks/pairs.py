"""Pairs of a unit and a sample at a kink, and entries of weights at theirs: their numbers, and the mode they make."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import PyTree
from flowlab.dynamics.kinks.crossing_guard import terms
from flowlab.dynamics.kinks.hyperplanes import Block, Kink, Span, coupled, parallel
from flowlab.language.data import Data
from flowlab.language.expr import Expr
from flowlab.language.kink_slots import Slot
from flowlab.language.traversal import word_of
from flowlab.lowering.kink_mode import Mode
from flowlab.lowering.vector_field import VectorField

_ROOM, _DEEP_ROOM, _GROWTH = 32, 16, 4
"""Least number of places for pairs that slide, and what it is multiplied by when there are more; every size is a
compilation.
"""
_SHARE = 100
"""One of so many pairs has a place from the start."""


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
            data.x,
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

    def where(self, pair: int) -> Where:
        """What a number stands for."""
        at = pair
        for i, (slot, shape) in enumerate(self.tracked):
            if at < prod(shape) and not slot.sampled:
                place = ", ".join(str(int(k)) for k in np.unravel_index(at, shape))
                return Where(i, int(at), -1, f"{f'entry ({place}) of ' if shape else ''}{_named(slot)} is on its kink")
            if at < prod(shape):
                sample, unit = divmod(at, shape[1]) if len(shape) > 1 else (at, 0)
                return Where(i, int(unit), int(sample), f"unit {unit} is on the kink of sample {sample}")
            at -= prod(shape)
        raise IndexError(pair)

    def mode(
        self, side: np.ndarray, sliding: dict[int, float], y: PyTree, least: tuple[int, int] = (0, 0)
    ) -> tuple[Mode, "Sliders"]:
        """The mode in which pairs are on their sides, and those of `sliding` slide.

        Args:
            side: (P,) -1 or 1; what it says of sliding pairs is not looked at.
            sliding: multipliers by pair, where to start from.
            y: the state, on all their kinks.
            least: places to keep for pairs that slide in the first layer and deeper, at least.
        """
        slopes = np.where(side > 0, self.right, self.left)
        signs = np.where(side > 0, 1.0, -1.0)
        jump, number, growth = np.zeros(self.count), np.zeros(self.count, dtype=np.int64), self.right - self.left
        names = sorted(sliding)
        signs[names] = 0.0
        size = int(ravel_pytree(y)[0].size)
        if self.fixed:
            parts, deep = [(block.kinks, block.span) for block in self.blocks(y, names)], []
        else:
            flat, deep, span = self.whole(y, names, self.slopes(side, sliding))
            parts = [(flat, span)]
        flat = [kink for kinks, _ in parts for kink in kinks]
        for kink in (*flat, *deep):
            for pair, sign in zip(kink.pairs, kink.turned, strict=True):
                slopes[pair] = 0.0 if kink in deep else (self.left if sign > 0 else self.right)[pair]
        live = [kinks[i] for kinks, span in parts for i in span.live]
        held = [kinks[i] for kinks, span in parts for i in span.held]
        for i, kink in enumerate(live):
            jump[list(kink.pairs)] = np.array(kink.turned) * growth[list(kink.pairs)]
            number[list(kink.pairs)] = i
        for kink in held:
            for pair in kink.pairs:
                slopes[pair] = self.left[pair] + sliding[pair] * growth[pair]
        # There are never more independent normals than coordinates.
        places = max(least[0], min(room(max(len(live), self.count // _SHARE)), size)) if self.straight.any() else 0
        basis, dual, at = np.zeros((size, places)), np.zeros((places, size)), 0
        for _, span in parts:
            to = at + len(span.live)
            basis[span.coordinates, at:to], dual[at:to, span.coordinates] = span.basis, span.dual
            at = to
        deeper = 0 if self.straight.all() else max(least[1], room(len(deep), _DEEP_ROOM))
        starts, ahead = np.zeros(deeper), np.zeros(deeper, dtype=np.int64)
        ahead[: len(deep)] = [kink.first for kink in deep]
        starts[: len(deep)] = [sliding[kink.first] for kink in deep]
        told = [
            (pair, i, sign) for i, kink in enumerate(deep) for pair, sign in zip(kink.pairs, kink.turned, strict=True)
        ]
        echoes = 0 if not deeper else max(deeper, room(len(told), _DEEP_ROOM))
        echo, of, bottom, growing = (
            np.zeros(echoes, dtype=np.int64),
            np.zeros(echoes, dtype=np.int64),
            np.zeros(echoes),
            np.zeros(echoes),
        )
        for at, (pair, i, sign) in enumerate(told):
            echo[at], of[at] = pair, i
            bottom[at], growing[at] = (self.left if sign > 0 else self.right)[pair], sign * growth[pair]
        first = (slopes, signs, jump, number, basis, dual, np.arange(places) < len(live))
        deep_ones = (ahead, np.arange(deeper) < len(deep), starts, echo, of, bottom, growing)
        mode = Mode(*(jnp.asarray(each) for each in (*first, *deep_ones)), shapes=self.shapes)
        return mode, Sliders(tuple(live), tuple(deep), tuple(held), places)

    @cached_property
    def bare(self) -> VectorField:
        """The field in a mode without sliding and without meaning, for programs that set slopes themselves."""
        none, index = jnp.zeros(0), jnp.zeros(0, dtype=jnp.int64)
        zero, empty = jnp.zeros(self.count), jnp.zeros((0, 0))
        number = jnp.zeros(self.count, dtype=jnp.int64)
        return self.within(
            Mode(
                zero,
                zero,
                zero,
                number,
                empty,
                empty,
                index > 0,
                index,
                index > 0,
                none,
                index,
                index,
                none,
                none,
                self.shapes,
            )
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
                self._blocks[key] = Block.of(together, self.normals(y, together, self.left))
            found.append(self._blocks[key])
        return found

    def whole(self, y: PyTree, names: list[int], slopes: np.ndarray) -> tuple[tuple[Kink, ...], list[Kink], Span]:
        """Kinks of pairs in the first layer and deeper, and the span of those in the first layer, where normals depend
        on the state.
        """
        normals = self.normals(y, names, slopes)
        kinks = [Kink(tuple(names[i] for i in rows), turned) for rows, turned in parallel(normals)]
        row = dict(zip(names, normals, strict=True))
        flat = tuple(kink for kink in kinks if self.straight[kink.first])
        span = Span.of(np.array([row[kink.first] for kink in flat]).reshape(len(flat), normals.shape[1]))
        return flat, [kink for kink in kinks if not self.straight[kink.first]], span

    def together(self, y: PyTree, names: list[int]) -> list[list[int]]:
        """Pairs by groups that share coordinates, where normals are fixed; in a group what happens to one concerns the
        others, and nobody else.
        """
        self._learn(y, names)
        groups = coupled([self._rows[name][0] for name in names], int(ravel_pytree(y)[0].size))
        return [[names[i] for i in group] for group in groups]

    def normals(self, y: PyTree, pairs: list[int], slopes: np.ndarray) -> np.ndarray:
        """Normals of kinks by row, (len(pairs), n), at a state; without what they have along norms."""
        rows = np.zeros((len(pairs), ravel_pytree(y)[0].size))
        if not pairs:
            return rows
        if self.fixed:
            self._learn(y, pairs)
            for i, pair in enumerate(pairs):
                where, told = self._rows[pair]
                rows[i, where] = told
            return rows
        return self._computed(y, pairs, slopes)

    def _learn(self, y: PyTree, pairs: list[int]) -> None:
        """Keep the fixed normals of pairs."""
        fresh = [pair for pair in pairs if pair not in self._rows]
        if fresh:
            for pair, row in zip(fresh, self._computed(y, fresh, self.left), strict=True):
                where = np.flatnonzero(row)
                self._rows[pair] = where, row[where]

    def _computed(self, y: PyTree, pairs: list[int], slopes: np.ndarray) -> np.ndarray:
        padded = np.zeros(room(len(pairs)), dtype=np.int64)
        padded[: len(pairs)] = pairs
        return np.asarray(_normals(self.bare, self.data, y, jnp.asarray(slopes), jnp.asarray(padded)))[: len(pairs)]

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
        return VectorField(
            self.field.decay,
            self.field.program,
            self.field.problem,
            self.field.signature,
            self.field.laws,
            mode,
            self.field.kept,
        )


@dataclass(frozen=True)
class Sliders:
    """Kinks that are slid on: in the first layer and deeper, in the order of their multipliers, and those that hang on
    others and keep theirs.
    """

    flat: tuple[Kink, ...]
    deep: tuple[Kink, ...]
    held: tuple[Kink, ...]
    room: int

    @cached_property
    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """First pairs of the kinks that have a multiplier, and where it stands among all places."""
        return np.fromiter(self.columns, dtype=int), np.fromiter(self.columns.values(), dtype=int)

    @cached_property
    def columns(self) -> dict[int, int]:
        """Where the multiplier of each kink stands among all places, by its first pair."""
        return {kink.first: i for i, kink in enumerate(self.flat)} | {
            kink.first: self.room + i for i, kink in enumerate(self.deep)
        }

    @cached_property
    def kinks(self) -> dict[int, Kink]:
        """The kinks by their first pair."""
        return {kink.first: kink for kink in (*self.flat, *self.deep, *self.held)}


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


def room(count: int, least: int = _ROOM) -> int:
    """Places kept for some number of pairs."""
    size = least
    while size < count:
        size *= _GROWTH
    return size


@eqx.filter_jit
def _present(field: VectorField, data: Data, y: PyTree) -> jax.Array:
    network = field.problem.network
    values = network.node_values(field.weights(y), data.x)
    return jnp.concatenate([values[id(slot.argument)].ravel() for slot in network.slots if slot.tracked])


_terms = eqx.filter_jit(terms)


@eqx.filter_jit
def _normals(field: VectorField, data: Data, y: PyTree, slopes: jax.Array, pairs: jax.Array) -> jax.Array:
    flat, restore = ravel_pytree(y)
    rows = jax.jacrev(lambda v: field.preactivations(restore(v), data, slopes)[pairs])(flat)
    if field.problem.coordinates != "polar":
        return rows
    # Kinks are cones: what a pre-activation owes to norms does not move it off zero.
    along = ravel_pytree(
        ({k: jnp.zeros_like(r) for k, r in y[0].items()}, {w: jnp.ones_like(v) for w, v in y[1].items()})
    )[0]
    return rows * along
