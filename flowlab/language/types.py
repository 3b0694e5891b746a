"""Symbolic shapes: what a value looks like for one sample, and whether there is one of it per sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from flowlab.core.arguments import shown
from flowlab.core.errors import ShapeMismatch

Dim = str | int


@dataclass(frozen=True)
class Type:
    """The shape of a value for one sample, and whether it varies over the samples.

    Attributes:
        shape: one entry per axis, of any number; entries are symbolic names or integers.
        sampled: True for values that depend on the input; they carry a leading sample axis when evaluated.
        symmetric: True for a matrix that is its own transpose whatever its factors are; two types that differ in this
            alone are equal.
        channels_first: True for what has its features along the first axis and positions along the others, as a
            convolution does; two types that differ in this alone are equal.
    """

    shape: tuple[Dim, ...]
    sampled: bool = False
    symmetric: bool = field(default=False, compare=False)
    channels_first: bool = field(default=False, compare=False)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix in print, where samples are columns: at most two axes, the samples counted."""
        return self.rank + self.sampled <= 2

    def __str__(self) -> str:
        inner = ", ".join(str(d) for d in self.shape) + ("," if self.rank == 1 else "")
        return f"({inner})" + (" per sample" if self.sampled else "")


@dataclass(frozen=True)
class DerivedDim:
    """A dimension that others determine: the positions that a window has, the entries of a flattened value.

    Attributes:
        parts: the dimensions that determine it.
        size: its size from theirs; raises ShapeMismatch where there is none.
    """

    parts: tuple[Dim, ...]
    size: Callable[..., int]


@dataclass
class Shapes:
    """Union-find over dimensions, filled while an expression is typed.

    Dimensions are strings until something equates them with an integer or with each other.

    Attributes:
        derived: dimensions that follow from others, by name.
    """

    derived: dict[str, DerivedDim] = field(default_factory=dict)
    _parent: dict[str, Dim] = field(default_factory=dict)
    _fresh: int = 0
    _named: set[str] = field(default_factory=set)
    """Names that were made up here, for what nobody declared."""
    _made: dict[tuple[object, ...], str] = field(default_factory=dict)

    def derive(self, hint: str, parts: Sequence[Dim], size: Callable[..., int], key: tuple[object, ...] = ()) -> Dim:
        """The dimension that follows from others; the same one for the same parts, hint and key."""
        known = tuple(self.find(part) for part in parts)
        if all(isinstance(part, int) for part in known):
            return size(*known)
        place = (hint, *known, *key)
        if place not in self._made:
            self._made[place] = self.fresh(hint)
            self.derived[self._made[place]] = DerivedDim(known, size)
        return self._made[place]

    def fresh(self, hint: str) -> str:
        """A new dimension; `hint` is the name it is shown by while nothing better is known."""
        name, self._fresh = f"{hint}", self._fresh + 1
        while name in self._parent:
            name = f"{hint}_{self._fresh}"
            self._fresh += 1
        self._parent[name] = name
        self._named.add(name)
        return name

    def find(self, dim: Dim) -> Dim:
        """The representative of a dimension."""
        passed = []
        while isinstance(dim, str):
            above = self._parent.setdefault(dim, dim)
            if above == dim:
                break
            passed.append(dim)
            dim = above
        # The way is kept short: in a long sum every term would go through all before it.
        self._parent |= dict.fromkeys(passed, dim)
        return dim

    def unify(self, a: Dim, b: Dim) -> bool:
        """Equate two dimensions; False when they are different integers."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if isinstance(a, int) and isinstance(b, int):
            return False
        # Integers win over names; of two names the input dimension, then a declared one, then the older one, is kept.
        declared = isinstance(b, str) and b != "d" and b in self._named and str(a) not in self._named
        if isinstance(a, int) or (isinstance(b, str) and a == "d") or (isinstance(a, str) and declared):
            a, b = b, a
        self._parent[str(a)] = b
        return True

    def settle(self, kind: Type) -> Type:
        """The type with every dimension replaced by its representative."""
        return replace(kind, shape=tuple(self.find(d) for d in kind.shape))

    def match(self, a: Type, b: Type, told: str, operands: Sequence[str]) -> None:
        """Equate two shapes or raise.

        Raises:
            ShapeMismatch: naming both operands and both shapes.
        """
        if a.rank != b.rank or not all(self.unify(p, q) for p, q in zip(a.shape, b.shape, strict=True)):
            self.clash(a, b, told, operands)

    def clash(self, a: Type, b: Type, told: str, operands: Sequence[str]) -> None:
        """Raise the one sentence every shape error is told in."""
        first, second = (self.told(kind) for kind in (a, b))
        raise ShapeMismatch(
            f"{told}: `{operands[0]}` has shape {first} but `{operands[1]}` has shape {second}; "
            "change one of them or declare `shapes`."
        )

    def told(self, kind: Type) -> str:
        """A shape as messages have it."""
        return shown(str(self.settle(kind)), 36)
