"""The contract of an operation word: every meaning of one operation in one class."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from flowlab.core.errors import LanguageError, MissingRule
from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.activations import Activation, activations
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.matrix_rules import MatrixRules
from flowlab.language.operations.pieces import ATOM as ATOM
from flowlab.language.operations.pieces import POWER as POWER
from flowlab.language.operations.pieces import PRODUCT as PRODUCT
from flowlab.language.operations.pieces import SUM as SUM
from flowlab.language.operations.pieces import Option as Option
from flowlab.language.operations.pieces import Piece as Piece
from flowlab.language.operations.pieces import diagonal as diagonal
from flowlab.language.operations.pieces import entrywise as entrywise
from flowlab.language.operations.pieces import function_piece
from flowlab.language.operations.pieces import product as product
from flowlab.language.operations.pieces import times as times
from flowlab.language.types import Shapes, Type

operations: Registry[type["Operation"]] = Registry("operation")

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


@dataclass(frozen=True)
class IndexSum:
    """A sum over products of entries, `out[i,n] = sum_j a[i,j] b[j,n]`.

    Attributes:
        operands: a letter per axis of every operand; `N` is the axis of the samples.
        out: the letters of the result; letters that are missing here are summed over.
        mean: whether the sum is divided by the number of its terms.
        like: the letters of a further operand that only says how far indices go, where the others do not.
    """

    operands: tuple[str, ...]
    out: str
    mean: bool = False
    like: str = ""

    @property
    def summed(self) -> str:
        """The letters that are summed over, in the order in which they are met."""
        return "".join(dict.fromkeys(letter for part in self.operands for letter in part if letter not in self.out))

    @property
    def spec(self) -> str:
        """As numpy's einsum has it."""
        return f"{','.join(self.operands)}->{self.out}"


@dataclass(frozen=True)
class IndexTerms:
    """A sum of entries of several values, `out[i,j] = a[i,j] - b[j]`.

    Attributes:
        operands: a letter per axis of every operand; `N` is the axis of the samples.
        out: the letters of the result.
        signs: 1 or -1 for every operand.
    """

    operands: tuple[str, ...]
    out: str
    signs: tuple[int, ...]


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
    """Where pull-backs write: calling it applies an operation word to values and returns the new value.

    `made_of` has the word of a value, its operands and parameters (None of them for an input); `turned` the transpose
    of a matrix where that costs nothing, else None.
    """

    def __call__(self, op: str, *args: Any, params: tuple[Any, ...] = ()) -> Any: ...

    def made_of(self, value: Any) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]: ...

    def turned(self, value: Any) -> Any: ...


@runtime_checkable
class Exponents(Protocol):
    """Linear relations between the scaling exponents of the weight blocks (see `degrees.py`)."""

    def require_equal(self, a: Any, b: Any, reason: str) -> None: ...

    def require_zero(self, a: Any, reason: str) -> None: ...

    def add(self, a: Any, b: Any) -> Any: ...

    def times(self, factor: Fraction, a: Any) -> Any: ...

    def zero(self) -> Any: ...


class Operation(MatrixRules, ABC):
    """One operation: shape rule, scaling degree, numeric meaning, pull-back and print.

    Sampled values carry a leading sample axis in `numeric`: a sampled vector is an `(N, n)` array and a sampled scalar
    an `(N,)` array, while the printed equations have the samples as columns.
    """

    name: ClassVar[str]
    in_language: ClassVar[bool] = True
    called: ClassVar[bool] = False
    """Whether it is written as a function, `name(z)`, with as many numbers behind z as it has `parameters`."""
    parameters: ClassVar[int] = 0
    operands: ClassVar[tuple[int, int | None]] = (1, 1)
    """How many expressions it takes as a function, at least and at most; None for any number."""
    options: ClassVar[Mapping[str, Option]] = {}
    """What may follow the expressions by place or by name, as in `conv(w, x, stride=2)`, with what stands where it is
    left out."""
    leads_with_text: ClassVar[bool] = False
    """Whether a text stands in front of the expressions, as in `einsum("ij,j->i", W, x)`."""
    composes: ClassVar[bool] = False
    """Whether it applies its left operand to its right one, as the matrix product does, and needs no brackets."""
    multiplies: ClassVar[bool] = False
    """Whether it is linear in each of several operands."""
    bends: ClassVar[bool] = False
    """Whether it is a function of one operand, entry by entry, that need not be linear."""
    squares: ClassVar[bool] = False
    """Whether it is a square, which is never negative, where its operands are one."""
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
    reading: ClassVar[tuple[str, str]] = ("", "")
    """How its print is read, in text and in LaTeX, where that is not plain."""
    own_slope: ClassVar[bool] = False
    """Whether it is its first operand but for a slope of its own in pull-backs, so that no gradient comes out."""
    bent: ClassVar[bool] = False
    """Whether a slope given for a unit takes the place of what its function says; then `with_slope` is defined."""

    @abstractmethod
    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        """The type of the result; raises ShapeMismatch naming both operands and both shapes."""

    def admit(self, told: str, signs: Sequence[Sign], params: Params) -> None:
        """Refuse, by the signs of operands, what a user may not write though derived equations may.

        Raises:
            LanguageError: with what to write instead.
        """
        return

    def ranks(self, args: Sequence[Type | None], params: Params) -> Sequence[int | None]:
        """The ranks that operands must have, from the types of those that are known; None where any will do.

        An undeclared leaf takes its rank from here before its first letter is looked at.
        """
        return [None] * len(args)

    def index_sum(self, args: Sequence[Type], params: Params) -> "IndexSum | None":
        """What the result is as a sum over products of entries; None where it is worked out in another way."""
        return None

    def entries(self, args: Sequence[Type], params: Params) -> "IndexSum | IndexTerms | None":
        """How the result is printed entry by entry; None where it is printed as matrices or as a function."""
        return self.index_sum(args, params)

    def function(self, params: Params) -> Activation | None:
        """The elementwise function that it is, whose kinks a flow is followed across; None for any other operation."""
        return None

    def parts(self, params: Params) -> Mapping[str, Fraction]:
        """The function of one operand that it is, as a sum of those with closed Gaussian means; empty if it is none."""
        return {}

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        """The scaling exponent of the result, with the relations it needs added to `exps`."""
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        """The degree of the result as a polynomial in the weights between kinks, from those of the operands; None where
        it is not one.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("polynomial_degree")

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        """What is known of the result as a function of the input, from what is known of the operands.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("as_function")

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        """The operands that a balance of layers passes to; none where it ends here.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("channels")

    def mixes_samples(self, params: Params) -> bool:
        """Whether the result of one sample depends on others."""
        return False

    def smooths_kinks(self, params: Params) -> bool:
        """Whether the result has no kink where its operand is an activation at its kink."""
        return False

    def scale_square(self, xp: Namespace, parts: Sequence[Measured], params: Params) -> Any:
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

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        """The signs that the result may have, whatever the weights are; more of them than there are does no harm."""
        return True, True

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        """Whether the derivative in each operand may differ from zero."""
        return [True] * len(args)

    @abstractmethod
    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        """The value, with `xp` either numpy or jax.numpy."""

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        """The value on arrays of SymPy expressions, with namespace `xp`: the numeric meaning, where that is exact."""
        return self.numeric(xp, args, types, out, params)

    def with_slope(self, slope: Any, z: Any) -> Any:
        """The value at z where the unit is multiplication by a slope.

        Raises:
            MissingRule: if the operation does not define it.
        """
        raise self.missing("with_slope")

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        """The cotangent of each operand, written on the tape; reduced to the operand's type by the caller."""
        raise TypeError(f"`{self.name}` belongs to derived equations and is not differentiated again.")

    def option_values(self, params: Params) -> tuple[Any, ...]:
        """The values of all options; those that the parameters leave out are at their default."""
        return (*params, *tuple(self.options.values())[len(params) :])

    @classmethod
    def shortened(cls, params: Params) -> list[Any]:
        """Values of options without those at the end that are at their default."""
        defaults, kept = list(cls.options.values()), list(params)
        while kept and kept[-1] == defaults[len(kept) - 1]:
            kept.pop()
        return kept

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        """The operation on one sample, as text of the language (`tex=False`) or as LaTeX; by default as a function."""
        return function_piece(self.name, tex, parts, params)

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        """The operation on all samples in matrix notation: samples and vectors are columns, a value each is a row."""
        return self.render(tex, parts, types, params)


class Linear(Operation):
    """An operation that is linear in its only operand."""

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return parts[0]

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return parts[0]

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return args[0]


class Product(Operation):
    """An operation that is linear in each of several operands."""

    multiplies = True

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        return reduce(exps.add, args)

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return sum(parts)

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return reduce(mul, parts)

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return reduce(_sign_of_product, args)

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        return [all(any(sign) for j, sign in enumerate(args) if j != i) for i in range(len(args))]


def _sign_of_product(a: Sign, b: Sign) -> Sign:
    (p, n), (q, m) = a, b
    return (p and q) or (n and m), (p and m) or (n and q)


def lift(array: Array, kind: Type, sampled: bool, rank: int) -> Array:
    """Give a value the axes it needs to meet a sampled value or one of higher rank by broadcasting."""
    if kind.rank < rank:
        array = array.reshape(array.shape + (1,) * (rank - kind.rank))
    if sampled and not kind.sampled:
        array = array[None, ...]
    return array


composed: Registry[Callable[..., Any]] = Registry("composed function")
"""Functions of expressions that are made of the words there are, such as `maximum`."""


def is_function(name: str) -> bool:
    """Whether a name is written as a function: of an activation, an operation that says so, or what is made of them."""
    return name in activations or name in composed or (name in operations and operations[name].called)


def function_words() -> tuple[str, ...]:
    """All names that are written as functions, sorted."""
    return tuple(sorted(filter(is_function, {*activations, *operations, *composed})))
