"""Bilinear terms of blocks: the words that laws are spelt with.

A term is a contraction of two blocks, or sums of the axes of one, such as W W^T, its diagonal, u * v, <A, B>, 1^T W.
It is written like a specification of `einsum`: one letter for every axis, and the letters that are kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement, permutations

import numpy as np

from flowlab.core.typing import Blocks
from flowlab.language.types import Dim

LETTERS = "ijklmnpq"
_KEPT = 2
"""Indices that a law has at most: laws are matrices, vectors and numbers; or one matrix for each place along an axis
that both blocks have, such as the heads of attention.
"""


@dataclass(frozen=True)
class Term:
    """One or two blocks, contracted.

    Attributes:
        blocks: the blocks, in order.
        axes: one letter per axis, for each block.
        out: the letters that are kept.
    """

    blocks: tuple[str, ...]
    axes: tuple[str, ...]
    out: str

    @cached_property
    def _spec(self) -> str:
        return ",".join("..." + axes for axes in self.axes) + "->..." + self.out

    def value(self, W: Blocks) -> np.ndarray:
        """The term at weights, whose leading axes beyond those of a block are kept."""
        return np.asarray(np.einsum(self._spec, *(W[w] for w in self.blocks)))

    def rate(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """Its derivative along a change of the weights; leading axes of both are broadcast."""
        parts = [W[w] for w in self.blocks]
        total: np.ndarray = np.zeros(())
        for i, w in enumerate(self.blocks):
            total = total + np.einsum(self._spec, *parts[:i], moved[w], *parts[i + 1 :])
        return total

    def size(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """What the summands of `rate` add up to without their signs."""
        return self.rate({w: np.abs(W[w]) for w in self.blocks}, {w: np.abs(moved[w]) for w in self.blocks})

    def seen(self, W: Blocks, probes: Callable[[int], np.ndarray]) -> np.ndarray:
        """The term at weights of one state; of a matrix what it does to vectors (n, p)."""
        if len(self.out) != 2:
            return self.value(W)
        x, y = self.out
        lengths = dict(zip("".join(self.axes), [n for w in self.blocks for n in np.shape(W[w])], strict=True))
        spec = f"{','.join(self.axes)},{y}z->{x}z"
        return np.einsum(spec, *(W[w] for w in self.blocks), probes(lengths[y]), optimize=True)

    def to_json(self) -> list[list[str] | str]:
        return [list(self.blocks), list(self.axes), self.out]


Signature = tuple[Dim, ...]
"""The dimensions of what a term keeps; terms of one signature can be added."""


def family(shapes: Mapping[str, Sequence[Dim]]) -> dict[Signature, list[Term]]:
    """All terms of blocks of these shapes, by what they keep: matrices first, then vectors, then numbers.

    Axes are tied only where their dimensions are one, so that every term means something at all sizes.
    """
    found: dict[Signature, list[Term]] = {}
    for term in _terms(shapes):
        dims = {
            letter: dim
            for w, axes in zip(term.blocks, term.axes, strict=True)
            for letter, dim in zip(axes, shapes[w], strict=True)
        }
        signature = tuple(dims[letter] for letter in term.out)
        if signature[::-1] in found and signature not in found:
            # The transpose of what is there.
            continue
        same = found.setdefault(signature, [])
        if term not in same:
            same.append(term)
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _terms(shapes: Mapping[str, Sequence[Dim]]) -> Iterator[Term]:
    for name, shape in shapes.items():
        axes = LETTERS[: len(shape)]
        # An axis of length 1 is summed, so that a row is no matrix.
        wide = "".join(letter for letter, dim in zip(axes, shape, strict=True) if dim != 1)
        for out in _kept(wide, wide):
            yield Term((name,), (axes,), out)
    names = list(shapes)
    pairs = combinations_with_replacement(range(len(names)), 2)
    # Squares come first, in the order of the blocks, so that laws tie neighbours where they can.
    for a, b in sorted(pairs, key=lambda pair: (pair[0] != pair[1], pair[1], -pair[0])):
        yield from _products(names[a], shapes[names[a]], names[b], shapes[names[b]])


def _kept(letters: str, optional: str) -> Iterator[str]:
    """What may be kept of some letters: all that are not optional, and any of those that are."""
    for count in range(min(len(letters), _KEPT) + 1):
        for out in permutations(letters, count):
            if set(letters) - set(out) <= set(optional):
                yield "".join(out)


def _stacked(letters: str, shared: str) -> Iterator[str]:
    """One matrix of two free letters for each place along a shared one."""
    free = [letter for letter in letters if letter not in shared]
    if len(free) == _KEPT and len(shared) > 1:
        yield from (letter + "".join(pair) for letter in letters if letter in shared for pair in permutations(free))


def _products(a: str, first: Sequence[Dim], b: str, second: Sequence[Dim]) -> Iterator[Term]:
    left = LETTERS[: len(first)]
    dims = dict(zip(left, first, strict=True))
    # Straight ties come first: where axes of one length make terms dependent, laws are spelt with the plain ones.
    for ties in sorted(_ties(left, dims, second), key=lambda ties: _crossed(left, ties)):
        fresh = iter(LETTERS[len(first) :])
        right = "".join(letter or next(fresh) for letter in ties)
        shared = "".join(letter for letter in ties if letter)
        letters = left + "".join(letter for letter in right if letter not in left)
        size = dims | dict(zip(right, second, strict=True))
        wide = "".join(letter for letter in letters if size[letter] != 1)
        for out in (*_stacked(wide, shared), *_kept(wide, shared)):
            term = Term((a, b), (left, right), out)
            yield _canonical(term) if a == b else term


def _ties(left: str, dims: Mapping[str, Dim], second: Sequence[Dim]) -> Iterator[tuple[str, ...]]:
    """For the axes of a second block a letter of the first, each once and where dimensions agree, or none."""
    if not second:
        yield ()
        return
    for rest in _ties(left, dims, second[1:]):
        same = [letter for letter in left if dims[letter] == second[0] and letter not in rest]
        # Axes of length 1 are as good as tied.
        if not (same and second[0] == 1):
            yield ("", *rest)
        yield from ((letter, *rest) for letter in same)


def _crossed(left: str, ties: Sequence[str]) -> int:
    """How many axes are tied to one that stands elsewhere in the other block."""
    return sum(bool(letter) and left[i : i + 1] != letter for i, letter in enumerate(ties))


def _canonical(term: Term) -> Term:
    """The least of the two ways to write the product of a block with itself."""
    ways = []
    for first, second in (term.axes, term.axes[::-1]):
        renamed = {letter: LETTERS[i] for i, letter in enumerate(dict.fromkeys(first + second))}
        ways.append(tuple("".join(renamed[x] for x in part) for part in (first, second, term.out)))
    first, second, out = min(ways)
    return Term(term.blocks, (first, second), out)
