"""Concrete shapes of weight blocks, from the data, the labels and the widths that a user gives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral

from flowlab.core.arguments import expects, short, shown
from flowlab.core.errors import DataError, ShapeMismatch, UnknownName, several
from flowlab.core.memory import require_memory
from flowlab.core.registry import nearest
from flowlab.language.inference import brief
from flowlab.language.types import DerivedDim, Dim

Shape = tuple[int, ...]


@dataclass
class Sizes:
    """Sizes of named dimensions, settled one by one.

    Attributes:
        text: the network, for messages.
        derived: dimensions that follow from others.
        called: what a derived dimension, or a part of one, is called since it was equated with another.
        sizes: what is settled so far, by name.
    """

    text: str
    derived: Mapping[str, DerivedDim]
    called: Mapping[str, Dim] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    _why: dict[str, str] = field(default_factory=dict)

    def settle(self, dim: Dim, size: int, reason: str) -> None:
        """Give a dimension its size; ShapeMismatch where it has another one."""
        have = dim if isinstance(dim, int) else self.sizes.get(dim)
        if have is not None and have != size:
            before = self._why.get(str(dim), f"the declared shapes say {have}")
            which = "a dimension" if isinstance(dim, int) else f"the dimension `{shown(dim, 40)}`"
            raise ShapeMismatch(
                f"{which} of `{brief(self.text)}` must have one size, got {have} ({before}) and {size} ({reason});"
                " change either."
            )
        if isinstance(dim, str):
            self.sizes[dim], self._why[dim] = size, reason

    def of(self, dim: Dim) -> int | None:
        """The size of a dimension; None while it is not known."""
        return dim if isinstance(dim, int) else self.sizes.get(dim)

    @cached_property
    def following(self) -> frozenset[Dim]:
        """The dimensions that follow from others."""
        return frozenset(self.called.get(name, name) for name in self.derived)

    def is_free(self, dim: Dim) -> bool:
        """Whether a dimension is neither settled nor follows from others."""
        return self.of(dim) is None and dim not in self.following

    def follow(self) -> None:
        """Settle what follows from what is known, until nothing more does."""
        waiting = dict(self.derived)
        for _ in range(len(waiting) + 1):
            for name, rule in list(waiting.items()):
                known = [self.of(self.called.get(str(part), part)) for part in rule.parts]
                if None not in known:
                    self.settle(self.called.get(name, name), rule.size(*known), "what stands below makes it so")
                    del waiting[name]


def given_shape(text: str, name: str, shape: Sequence[Dim], given: Mapping[str, Shape], *, constant: bool) -> Shape:
    """The shape that the data have for an input or a constant.

    Raises:
        DataError: if they lack it, or it has another number of axes.
    """
    keyword = f"constants={{{name!r}: …}}" if constant else f"{name}=…"
    if name not in given:
        what = "constant" if constant else "input"
        raise DataError(f"the data must have the {what} `{name}` of `{brief(text)}`; pass `fl.Data(…, {keyword})`.")
    if len(given[name]) != len(shape):
        wanted = ", ".join(("N", *map(str, shape)) if not constant else map(str, shape))
        raise DataError(
            f"`{name}` must have the shape ({wanted}) of `{brief(text)}`, got {several(len(given[name]), 'axis')}"
            f"{'' if constant else ' per sample'} instead of {len(shape)}; reshape it or declare its shape."
        )
    return given[name]


def widths_given(
    sizes: Sizes, shapes: Mapping[str, Sequence[Dim]], blocks: Sequence[str], widths: Mapping[str, int] | None
) -> None:
    """Settle the widths of a user: rows of blocks, or dimensions by name.

    Raises:
        ShapeMismatch: for a width that is no positive integer or contradicts another size.
        UnknownName: for what the network does not have.
    """
    names = {str(dim) for shape in shapes.values() for dim in shape}
    expects("widths", widths, (Mapping, type(None)), "rows by hidden block", 'for example `{"W1": 16}`')
    for name, size in (widths or {}).items():
        expects("a key of widths", name, str, "a text", "the name of a block")
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise ShapeMismatch(
                f"`widths[{short(name)}]` must be a positive integer, got {short(size)}; give the rows of the block."
            )
        if shapes.get(name):
            sizes.settle(shapes[name][0], int(size), f"widths[{name!r}]")
        elif name in names:
            sizes.settle(name, int(size), f"widths[{name!r}]")
        else:
            known = [*blocks, *sorted(names)]
            guess = nearest(name, known) or known[0]
            told = f"`widths` names `{shown(name)}`, which `{brief(sizes.text)}` does not have"
            raise UnknownName(f"{told}; did you mean `{shown(guess)}`?")


def shapes_of(
    sizes: Sizes, shapes: Mapping[str, Sequence[Dim]], blocks: Sequence[str], default_width: int | None
) -> dict[str, Shape]:
    """The concrete shapes of blocks.

    Raises:
        ShapeMismatch: if a size is missing without a default.
        TooLarge: if a state of such blocks does not fit into memory.
    """
    for block in shapes:
        for dim in shapes[block]:
            if sizes.is_free(dim):
                if default_width is None:
                    told = f"the width `{shown(dim)}` of `{block}` is not known"
                    key = block if shapes[block][0] == dim else str(dim)
                    raise ShapeMismatch(f"{told}; give it with `widths={{{key!r}: 16}}`.")
                sizes.sizes[str(dim)] = default_width
    sizes.follow()
    found = {w: tuple(sizes.of(dim) or 0 for dim in shapes[w]) for w in blocks}
    largest = max(found, key=lambda name: math.prod(found[name]))
    # The draw of a state, the weights, and their directions.
    require_memory(
        24 * sum(map(math.prod, found.values())),
        f"a state whose block `{largest}` has the shape {short(found[largest])}",
    )
    return found
