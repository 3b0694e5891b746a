"""A quadratic law: a sum of terms that the flow keeps, or that weight decay shrinks at a known rate."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from flowlab.core.arguments import fitting, named_blocks
from flowlab.core.display import displayed
from flowlab.core.typing import Array, Blocks, Record
from flowlab.language.problem import Problem
from flowlab.symbolic.laws.terms import Term

_CONSTANT = 1e-9
"""Part of its summands below which a gradient is zero."""


@runtime_checkable
class Part(Protocol):
    """What a law is a sum of: a term at all sizes, or a product of entries at the sizes it was found at."""

    @property
    def blocks(self) -> tuple[str, ...]: ...
    def value(self, W: Blocks) -> np.ndarray: ...
    def rate(self, W: Blocks, moved: Blocks) -> np.ndarray: ...
    def size(self, W: Blocks, moved: Blocks) -> np.ndarray: ...
    def seen(self, W: Blocks, probes: Callable[[int], np.ndarray]) -> np.ndarray: ...
    def to_json(self) -> list[Any]: ...


@dataclass(frozen=True)
class Entries:
    """One entry of a block, or the product of two.

    Attributes:
        blocks: of each entry.
        places: where each entry is in its block.
    """

    blocks: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]

    def value(self, W: Blocks) -> np.ndarray:
        """The product at weights with any leading axes."""
        return np.asarray(np.prod(np.broadcast_arrays(*self._entries(W)), axis=0))

    def rate(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """Its derivative along a change of the weights."""
        at, along = self._entries(W), self._entries(moved)
        return along[0] if len(at) == 1 else at[0] * along[1] + along[0] * at[1]

    def size(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """What the summands of `rate` add up to without their signs."""
        return self.rate({w: np.abs(W[w]) for w in self.blocks}, {w: np.abs(moved[w]) for w in self.blocks})

    def seen(self, W: Blocks, probes: Callable[[int], np.ndarray]) -> np.ndarray:
        """The value at one state, a number."""
        del probes
        return self.value(W)

    def _entries(self, W: Blocks) -> list[np.ndarray]:
        return [np.asarray(W[w])[(..., *place)] for w, place in zip(self.blocks, self.places, strict=True)]

    def to_json(self) -> list[Any]:
        return [list(self.blocks), [list(place) for place in self.places]]


@dataclass(frozen=True)
@displayed
class Law:
    """A quantity h with h' = 0, or with h' = -`shrinks` h where weight decay shrinks it.

    Attributes:
        has_parts: whether it is a sum of parts.
        parts: the terms with their coefficients.
        text, latex: the quantity that is constant, with its factor e^{shrinks t}.
        where: the condition it holds under, text and LaTeX; empty where there is none.
        shrinks: rate at which weight decay shrinks it (in units of 1/t).
        shapes: the shapes of blocks it was found at, where it is not known for others.
    """

    kind: ClassVar[str] = "quadratic"
    has_parts: ClassVar[bool] = True
    parts: tuple[tuple[float, Part], ...]
    text: str
    latex: str
    where: tuple[str, str] = ("", "")
    shrinks: float = 0.0
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __str__(self) -> str:
        return f"{self.text} = const{self.where[0]}"

    def _repr_latex_(self) -> str:
        return f"${self.latex}$"

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks it ties."""
        return tuple(dict.fromkeys(w for _, part in self.parts for w in part.blocks))

    @property
    def lifted(self) -> bool:
        """Whether it is a formula that holds at all sizes."""
        return not self.shapes

    def around(self, problem: Problem, data: Any) -> Mapping[str, np.ndarray] | None:
        """What its parts are measured from at some data, by name; None where it is about nothing there."""
        return {}

    def fits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether it is known for blocks of these shapes."""
        return all(shapes[w] == shape for w, shape in self.shapes)

    def value(self, W: Blocks) -> np.ndarray:
        """The quantity without its factor, at weights with any leading axes.

        Raises:
            LanguageError: if a block is missing or no array of numbers; ShapeMismatch: if blocks do not fit the law.
        """
        W = named_blocks("W", W, self.blocks)
        with fitting(W):
            return self._sum(c * part.value(W) for c, part in self.parts)

    def rate(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """Its derivative along a change of the weights."""
        return self._sum(c * part.rate(W, moved) for c, part in self.parts)

    def size(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """What the summands of `rate` add up to without their signs."""
        return self._sum(abs(c) * part.size(W, moved) for c, part in self.parts)

    @staticmethod
    def _sum(values: Iterator[np.ndarray]) -> np.ndarray:
        total = np.zeros(())
        for value in values:
            # Sums of arrays without axes are numbers.
            total = np.asarray(total + value)
        return total

    def seen(self, W: Blocks, probes: Callable[[int], np.ndarray]) -> np.ndarray:
        """The quantity at one state; of matrices what they do to some vectors, so that none is made where they are
        large.

        Args:
            W: weights.
            probes: vectors (n, p) by their length n.
        """
        return self._sum(c * part.seen(W, probes) for c, part in self.parts)

    def scale(self, W: Blocks) -> float:
        """The product of the norms of blocks in the largest term."""
        return max(abs(c) * float(np.prod([np.linalg.norm(W[w]) for w in part.blocks])) for c, part in self.parts)

    def gradients(self, W: Blocks) -> np.ndarray:
        """The gradients of its entries at weights, (entries, P), blocks one after the other; those of entries that are
        one number for all weights are left out.
        """
        units = unit_moves(W)
        rows, sizes = (values.reshape(len(values), -1).T for values in (self.rate(W, units), self.size(W, units)))
        return rows[np.linalg.norm(rows, axis=1) > _CONSTANT * np.linalg.norm(sizes, axis=1)]

    def drift(self, point: tuple[Blocks, ...], rate: tuple[Blocks, ...]) -> tuple[float, float]:
        """Size of the rate of the quantity, divided by its factor, and of the terms that make it up; both zero where
        nothing moves.

        Args:
            point: norms, directions and weights.
            rate: their rates, in the same order.
        """
        W, moved = point[2], rate[2]
        terms = float(np.linalg.norm(self.size(W, moved)))
        if not self.shrinks:
            return float(np.linalg.norm(self.rate(W, moved))), terms
        kept = self.shrinks * self.value(W)
        return float(np.linalg.norm(self.rate(W, moved) + kept)), terms + float(np.linalg.norm(kept))

    def to_json(self) -> Record:
        """Fields as JSON has them."""
        return {
            "kind": self.kind,
            "parts": [[c, *part.to_json()] for c, part in self.parts],
            "text": self.text,
            "latex": self.latex,
            "where": list(self.where),
            "shrinks": self.shrinks,
            "shapes": [[w, list(shape)] for w, shape in self.shapes],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Law":
        """The inverse of `to_json`; KeyError, TypeError or ValueError for anything else."""
        parts = [(float(c), cls.read_part(part)) for c, *part in stored["parts"]]
        shapes = tuple((w, tuple(shape)) for w, shape in stored["shapes"])
        text, latex = str(stored["text"]), str(stored["latex"])
        first, second = stored["where"]
        return cls(tuple(parts), text, latex, (first, second), float(stored["shrinks"]), shapes)

    @classmethod
    def read_part(cls, stored: Any) -> Part:
        """The inverse of a part's `to_json`."""
        blocks, places, *out = stored
        if out:
            return Term(tuple(blocks), tuple(places), *out)
        return Entries(tuple(blocks), tuple(tuple(place) for place in places))


def unit_moves(W: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """A change of every single weight by one, with a leading axis over all weights, (P, ...)."""
    sizes = [int(np.prod(np.shape(v))) for v in W.values()]
    ends = np.cumsum([0, *sizes])
    out = {}
    for start, size, (w, v) in zip(ends, sizes, W.items(), strict=False):
        moves = np.zeros((ends[-1], size))
        moves[start : start + size] = np.eye(size)
        out[w] = moves.reshape(ends[-1], *np.shape(v))
    return out
