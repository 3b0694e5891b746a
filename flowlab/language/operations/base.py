"""The contract of an operation word: every meaning of one operation in one class."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from flowlab.core.errors import LanguageError, MissingRule
from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Namespace
from flowlab.language.activations import Activation, activations
from flowlab.language.input_facts import AsFunction
from flowlab.language.types import Shapes, Type

operations: Registry[type["Operation"]] = Registry("operation")

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4
"""How tightly a printed piece binds."""


@dataclass(frozen=True)
class Piece:
    """A printed operand and how tightly it binds."""

    text: str
    binds: int = ATOM
    negated: "Piece | None" = None
    """What stands behind the sign of `-z`, so that `a + (-z)` is printed as `a - z`."""
    turned: "Piece | None" = None
    """The transpose, where it is shorter than a mark behind this: of `A^T` it is `A`, of `a b^T` it is `b a^T`."""

    def within(self, binds: int, tex: bool = False) -> str:
        """The text, in brackets unless it binds at least as tightly as `binds`."""
        if self.binds >= binds:
            return self.text
        return rf"\left({self.text}\right)" if tex else f"({self.text})"

    def transpose(self, tex: bool) -> "Piece":
        """The transposed operand."""
        if self.turned is not None:
            return self.turned
        inner = self.within(ATOM, tex)
        return Piece(rf"{inner}^{{\top}}", POWER, turned=self) if tex else Piece(f"{inner}.T", turned=self)


def product(tex: bool, a: Piece, b: Piece) -> Piece:
    """The matrix product in print; in text `@` associates to the left, so a product on its right needs brackets."""
    text = f"{a.within(PRODUCT, True)} {b.within(PRODUCT, True)}" if tex else f"{a.within(PRODUCT)} @ {b.within(POWER)}"
    return Piece(text, PRODUCT)


def entrywise(tex: bool, a: Piece, b: Piece) -> Piece:
    """The entrywise product in print; in LaTeX it binds weaker than a matrix product, so (A ⊙ B) C^T has brackets."""
    if tex:
        return Piece(rf"{a.within(PRODUCT, True)} \odot {b.within(PRODUCT, True)}", SUM)
    return Piece(f"{a.within(PRODUCT)} * {b.within(POWER)}", PRODUCT)


def times(a: Piece, b: Piece) -> Piece:
    """A number times a value, in LaTeX."""
    return Piece(rf"{a.within(PRODUCT, True)} \, {b.within(PRODUCT, True)}", PRODUCT)


def diagonal(a: Piece) -> Piece:
    """A vector as a diagonal matrix, in LaTeX."""
    return Piece(rf"\operatorname{{diag}}({a.text})")


Sign = tuple[bool, bool]
"""Whether an entry of a value may be positive, and whether one may be negative; (False, False) is zero."""


@dataclass(frozen=True)
class Channel:
    """How a balance of layers passes an operation.

    Attributes:
        operand: the operand that it passes to.
        entrywise: whether it passes entry by entry alone, so that only the diagonal of a balance is left.
        degree: of the result in the operand.
    """

    operand: int
    entrywise: bool = False
    degree: Fraction = Fraction(1)


class Measured(NamedTuple):
    """A value, the square s² of what it is measured by as a pre-activation, and the weight block that it is, if any."""

    value: Any
    square: Callable[[], Any]
    block: str | None = None


@runtime_checkable
class Handle(Protocol):
    """A value on the tape of a derivation: known by its type alone."""

    @property
    def type(self) -> Type: ...


@runtime_checkable
class Tape(Protocol):
    """Where pull-backs write: calling it applies an operation word to values and returns the new value."""

    def __call__(self, op: str, *args: Any, params: tuple[Any, ...] = ()) -> Any: ...


@runtime_checkable
class Exponents(Protocol):
    """Linear relations between the scaling exponents of the weight blocks (see `degrees.py`)."""

    def require_equal(self, a: Any, b: Any, reason: str) -> None: ...

    def require_zero(self, a: Any, reason: str) -> None: ...

    def add(self, a: Any, b: Any) -> Any: ...

    def times(self, factor: Fraction, a: Any) -> Any: ...

    def zero(self) -> Any: ...


class Operation(ABC):
    """One operation: shape rule, scaling degree, numeric meaning, pull-back and print.

    Sampled values carry a leading sample axis in `numeric`: a sampled vector is an `(N, n)` array and a sampled scalar
    an `(N,)` array, while the printed equations have the samples as columns.
    """

    name: ClassVar[str]
    in_language: ClassVar[bool] = True
    called: ClassVar[bool] = False
    """Whether it is written as a function, `name(z)`, with as many numbers behind z as it has `parameters`."""
    parameters: ClassVar[int] = 0
    composes: ClassVar[bool] = False
    """Whether it applies its left operand to its right one, as the matrix product does, and needs no brackets."""
    multiplies: ClassVar[bool] = False
    """Whether it is linear in each of several operands."""
    bends: ClassVar[bool] = False
    """Whether it is a function of one operand, entry by entry, that need not be linear."""
    alike: ClassVar[bool] = False
    """Whether it wants operands of one shape, so that a vector takes its length from its partner."""
    repeats: ClassVar[bool] = False
    """Whether an operand without samples is repeated over the samples of another, as a sum does it."""
    inlined: ClassVar[bool] = False
    """Whether its print is so short that it is repeated where it is used several times."""
    lengthens: ClassVar[bool] = False
    """Whether it gives its second operand the length that is its first."""
    pulls: ClassVar[bool] = False
    """Whether it is the pull of the loss, which is evaluated in another scale in the far tails."""
    bent: ClassVar[bool] = False
    """Whether a slope given for a unit takes the place of what its function says; then `with_slope` is defined."""

    @abstractmethod
    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        """The type of the result; raises ShapeMismatch naming both operands and both shapes."""

    def admit(self, told: str, signs: Sequence[Sign], params: tuple) -> None:
        """Refuse, by the signs of operands, what a user may not write though derived equations may.

        Raises:
            LanguageError: with what to write instead.
        """
        return

    def function(self, params: tuple) -> Activation | None:
        """The elementwise function that it is, whose kinks a flow is followed across; None for any other operation."""
        return None

    def degree(self, exps: Exponents, args: Sequence[Any], params: tuple) -> Any:
        """The scaling exponent of the result, with the relations it needs added to `exps`."""
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: tuple) -> int | None:
        """The degree of the result as a polynomial in the weights between kinks, from those of the operands; None where
        it is not one.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("polynomial_degree")

    def as_function(self, parts: Sequence[AsFunction], params: tuple) -> AsFunction:
        """What is known of the result as a function of the input, from what is known of the operands.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("as_function")

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        """The operands that a balance of layers passes to; none where it ends here.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("channels")

    def smooths_kinks(self, params: tuple) -> bool:
        """Whether the result has no kink where its operand is an activation at its kink."""
        return False

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: tuple) -> Any:
        """s² of the result as a pre-activation, in its shape: the size by which the rounding of a kink is measured.

        Raises:
            LanguageError: if it has none.
        """
        what = "a kink of an argument that is not a sum of products `W @ a` and biases"
        raise LanguageError(f"{what} cannot be rounded off (here `{self.name}`).")

    def missing(self, rule: str) -> MissingRule:
        """The error that names a rule which this operation lacks."""
        told = f"the operation `{self.name}` has no rule `{rule}`"
        return MissingRule(f"{told}; define it on the class of the operation.")

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        """The signs that the result may have, whatever the weights are; more of them than there are does no harm."""
        return True, True

    def reaches(self, args: Sequence[Sign], params: tuple) -> list[bool]:
        """Whether the derivative in each operand may differ from zero."""
        return [True] * len(args)

    @abstractmethod
    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: tuple) -> Array:
        """The value, with `xp` either numpy or jax.numpy."""

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: tuple) -> Any:
        """The value on arrays of SymPy expressions, with namespace `xp`: the numeric meaning, where that is exact."""
        return self.numeric(xp, args, types, out, params)

    def with_slope(self, slope: Any, z: Any) -> Any:
        """The value at z where the unit is multiplication by a slope.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("with_slope")

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: tuple
    ) -> list[Handle | None]:
        """The cotangent of each operand, written on the tape; reduced to the operand's type by the caller."""
        raise TypeError(f"`{self.name}` belongs to derived equations and is not differentiated again.")

    @abstractmethod
    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        """The operation on one sample, as text of the language (`tex=False`) or as LaTeX."""

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        """The operation on all samples in matrix notation: samples and vectors are columns, a value each is a row."""
        return self.render(tex, parts, types, params)


class Linear(Operation):
    """An operation that is linear in its only operand."""

    def polynomial_degree(self, parts: Sequence[int], params: tuple) -> int | None:
        return parts[0]

    def as_function(self, parts: Sequence[AsFunction], params: tuple) -> AsFunction:
        return parts[0]

    def channels(self, args: Sequence[Type], params: tuple) -> tuple[Channel, ...]:
        return ()

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        return args[0]


class Product(Operation):
    """An operation that is linear in either of two operands."""

    multiplies = True

    def polynomial_degree(self, parts: Sequence[int], params: tuple) -> int | None:
        return sum(parts)

    def as_function(self, parts: Sequence[AsFunction], params: tuple) -> AsFunction:
        return parts[0] * parts[1]

    def signs(self, args: Sequence[Sign], params: tuple) -> Sign:
        (p, n), (q, m) = args
        return (p and q) or (n and m), (p and m) or (n and q)

    def reaches(self, args: Sequence[Sign], params: tuple) -> list[bool]:
        return [any(args[1]), any(args[0])]


def lift(array: Array, kind: Type, sampled: bool, rank: int) -> Array:
    """Give a value the axes it needs to meet a sampled value or one of higher rank by broadcasting."""
    if kind.rank < rank:
        array = array.reshape(array.shape + (1,) * (rank - kind.rank))
    if sampled and not kind.sampled:
        array = array[None, ...]
    return array


def is_function(name: str) -> bool:
    """Whether a name is written as a function: that of an activation, or of an operation that says so."""
    return name in activations or (name in operations and operations[name].called)


def function_words() -> tuple[str, ...]:
    """All names that are written as functions, sorted."""
    return tuple(sorted(filter(is_function, {*activations, *operations})))
