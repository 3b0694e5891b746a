"""Symbolic shapes: what a value looks like for one sample, and whether there is one of it per sample."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowlab.core.arguments import shown
from flowlab.core.errors import ShapeMismatch

Dim = str | int


@dataclass(frozen=True)
class Type:
    """The shape of a value for one sample, and whether it varies over the samples.

    Attributes:
        shape: `()`, `(n,)` or `(m, n)`; entries are symbolic names or integers.
        sampled: True for values that depend on the input; they carry a leading sample axis when evaluated.
    """

    shape: tuple[Dim, ...]
    sampled: bool = False

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        inner = ", ".join(str(d) for d in self.shape) + ("," if self.rank == 1 else "")
        return f"({inner})" + (" per sample" if self.sampled else "")


@dataclass
class Shapes:
    """Union-find over dimensions, filled while an expression is typed.

    Dimensions are strings until something equates them with an integer or with each other.
    """

    _parent: dict[str, Dim] = field(default_factory=dict)
    _fresh: int = 0

    def fresh(self, hint: str) -> str:
        """A new dimension; `hint` is the name it is shown by while nothing better is known."""
        name, self._fresh = f"{hint}", self._fresh + 1
        while name in self._parent:
            name = f"{hint}_{self._fresh}"
            self._fresh += 1
        self._parent[name] = name
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
        # Integers win over names; of two names the input dimension, then the older one, is kept.
        if isinstance(a, int) or (isinstance(b, str) and a == "d"):
            a, b = b, a
        self._parent[str(a)] = b
        return True

    def settle(self, kind: Type) -> Type:
        """The type with every dimension replaced by its representative."""
        return Type(tuple(self.find(d) for d in kind.shape), kind.sampled)

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
