"""Softmax, centring and root-mean-square normalisation over one axis, each with a short pull-back of its own."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.core.namespaces import held
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.axes import OVER_SAMPLES, array_axis, axis_of, counted
from flowlab.language.operations.base import (
    Exponents,
    Handle,
    Linear,
    Operation,
    Option,
    Piece,
    Sign,
    Tape,
    operations,
)
from flowlab.language.operations.pieces import function_piece
from flowlab.language.types import Shapes, Type

LAST = Fraction(-1)


class _Along(Operation):
    """An operation along one axis of a value."""

    called = True
    options: ClassVar[Mapping[str, Option]] = {"axis": LAST}

    def axis(self, params: Params) -> Option:
        """The axis that the parameters name."""
        return self.option_values(params)[0]

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        axis_of(args[0], self.axis(params), shapes, told, operands[0])
        return args[0]

    def mixes_samples(self, params: Params) -> bool:
        return self.axis(params) == OVER_SAMPLES

    def channels(self, args: Sequence[Type], params: Params) -> tuple[()]:
        return ()

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        # An axis counted from the end would count the samples, which stand last in print.
        return function_piece(self.name, tex, parts, (counted(self.axis(params), types[0]), *params[1:]))


@operations.register("center")
class Center(_Along, Linear):
    """A value less its mean along an axis, the last one unless `axis` says otherwise.

    Examples:
        >>> net = fl.Network("center(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-1.3333, -0.3333, 1.6667]]
    """

    reading = (
        "center(A, k) is A less its mean along axis k, counted from 0, or along the samples",
        r"$\operatorname{center}(A, k)$ is $A$ less its mean along axis $k$, counted from 0, or along the samples",
    )

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        z, at = args[0], array_axis(self.axis(params), types[0])
        return z - z.sum(axis=at, keepdims=True) / z.shape[at]

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return (True, True) if any(args[0]) else (False, False)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("center", cot, params=params)]


@operations.register("softmax")
class Softmax(_Along):
    """e^z over the sum of e^z along an axis, the last one unless `axis` says otherwise.

    Examples:
        >>> net = fl.Network("softmax(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[0.0, 0.0, 1.0]]))).round(4).tolist()
        [[0.2119, 0.2119, 0.5761]]
    """

    reading = (
        "softmax(A, k) is exp(A) over its sum along axis k, counted from 0, or along the samples",
        r"$\operatorname{softmax}(A, k)$ is $e^{A}$ over its sum along axis $k$, counted from 0, or along the samples",
    )

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        exps.require_zero(args[0], "softmax is not homogeneous, so its argument must not scale")
        return exps.zero()

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return None if parts[0] else 0

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return AsFunction(None, parts[0].degree if parts[0].degree == 0 else None, 1 if parts[0].parity == 1 else None)

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return True, False

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        z, at = args[0], array_axis(self.axis(params), types[0])
        grown = xp.exp(z) if z.dtype == object else xp.exp(z - held(xp, z.max(axis=at, keepdims=True)))
        return grown / grown.sum(axis=at, keepdims=True)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("softmax_pull", out, cot, params=(self.axis(params),))]


class _Pull(Operation):
    """A pull-back along one axis, of derived equations."""

    in_language = False

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[0].shape, any(kind.sampled for kind in args))

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        numbers = (counted(params[0], types[0]), *(p for p in params[1:] if p))
        return function_piece(self.name, tex, parts, numbers)


@operations.register("softmax_pull")
class SoftmaxPull(_Pull):
    """A * (C - sum(A * C)) with sums along an axis: the pull-back of A = softmax(Z) from its cotangent C."""

    reading = (
        "softmax_pull(A, C, k) is A * (C - S) where S is the sum of A * C along axis k",
        r"$\operatorname{softmax\_pull}(A, C, k)$ is $A \odot (C - S)$ where $S$ is the sum of $A \odot C$ along"
        r" axis $k$",
    )

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        a, c = args
        both = a * c
        return both - a * both.sum(axis=array_axis(params[0], out), keepdims=True)


@operations.register("rms_norm")
class RmsNorm(_Along):
    """z over the root of its mean square along an axis: z / sqrt(mean(z^2) + eps) (Zhang and Sennrich 2019).

    Examples:
        >>> net = fl.Network("rms_norm(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.7746, 0.0, 1.5492]]
    """

    options: ClassVar[Mapping[str, Option]] = {"axis": LAST, "eps": Fraction(0)}
    reading = (
        "rms_norm(A, k, e) is A over the root of e plus the mean of A^2 along axis k, counted from 0, or along"
        " the samples; e is 0 where it is left out",
        r"$\operatorname{rms\_norm}(A, k, e)$ is $A$ over the root of $e$ plus the mean of $A^{\odot 2}$ along"
        r" axis $k$, counted from 0, or along the samples; $e$ is 0 where it is left out",
    )

    def eps(self, params: Params) -> Fraction:
        """What is added to the mean square."""
        return self.option_values(params)[1]

    def admit(self, told: str, signs: Sequence[Sign], params: Params) -> None:
        if isinstance(self.eps(params), str) or self.eps(params) < 0:
            raise LanguageError(
                f"`{told}` must have a number `eps` from 0 on, got {params[1]}; write for example 1e-6."
            )

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        if self.eps(params):
            exps.require_zero(args[0], "the number `eps` does not scale, so the argument must not")
        return exps.zero()

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return None if parts[0] else 0

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        scaled = parts[0].degree is not None and not self.eps(params)
        return AsFunction(None, Fraction(0) if scaled else None, parts[0].parity)

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return args[0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        z, at = args[0], array_axis(self.axis(params), types[0])
        return z / _root(xp, z, at, self.eps(params))

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("rms_pull", args[0], out, cot, params=(self.axis(params), self.eps(params)))]


def _root(xp: Namespace, z: Array, at: int, eps: Fraction) -> Array:
    """The root of the mean square along an axis, with eps below it."""
    added = xp.exact(eps) if z.dtype == object else float(eps)
    return xp.sqrt((z * z).sum(axis=at, keepdims=True) / z.shape[at] + added)


@operations.register("rms_pull")
class RmsPull(_Pull):
    """(C - A * mean(A * C)) / sqrt(mean(Z^2) + eps) along an axis: the pull-back of A = rms_norm(Z) from C."""

    reading = (
        "rms_pull(Z, A, C, k, e) is C - A * M over the root that belongs to A = rms_norm(Z, k, e), where M is"
        " the mean of A * C along axis k",
        r"$\operatorname{rms\_pull}(Z, A, C, k, e)$ is $C - A \odot M$ over the root that belongs to $A ="
        r" \operatorname{rms\_norm}(Z, k, e)$, where $M$ is the mean of $A \odot C$ along axis $k$",
    )

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        z, a, c = args
        at = array_axis(params[0], types[0])
        return (c - a * ((a * c).sum(axis=at, keepdims=True) / z.shape[at])) / _root(xp, z, at, params[1])


@operations.register("causal")
class Causal(Operation):
    """Scores of which each position sees those up to itself: entries right of the diagonal are -inf, for a softmax.

    Rows, the axis before the last, are positions that look; columns, the last axis, those that are looked at.

    Examples:
        >>> net = fl.Network("flatten(softmax(causal(X @ A @ X.T)))", inputs={"X": ("t", "d")})
        >>> net.outputs({"A": np.zeros((1, 1))}, {"X": np.ones((1, 2, 1))}).tolist()
        [[1.0, 0.0, 0.5, 0.5]]
    """

    called = True
    reading = (
        "causal(A) has -infinity instead of every A[i,j,n] with j > i, whose exponential is 0; further axes"
        " stand in front",
        r"$\operatorname{causal}(A)$ has $-\infty$ instead of every $[A]_{i,j,n}$ with $j > i$, whose exponential"
        r" is 0; further axes stand in front",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return _square(shapes, args[0], told, operands[0])

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return parts[0]

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return AsFunction()

    def channels(self, args: Sequence[Type], params: Params) -> tuple[()]:
        return ()

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        z = args[0]
        return xp.where(_seen(xp, z), z, -xp.inf)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("tril", cot)]


@operations.register("tril")
class Tril(Linear):
    """A square matrix with zeros right of its diagonal, as the scores of causal linear attention have them.

    Examples:
        >>> net = fl.Network("flatten(tril(X @ A @ X.T))", inputs={"X": ("t", "d")})
        >>> net.outputs({"A": np.ones((1, 1))}, {"X": np.ones((1, 2, 1))}).tolist()
        [[1.0, 0.0, 1.0, 1.0]]
    """

    called = True
    reading = (
        "tril(A) has 0 instead of every A[i,j,n] with j > i; further axes stand in front",
        r"$\operatorname{tril}(A)$ has 0 instead of every $[A]_{i,j,n}$ with $j > i$; further axes stand in front",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return _square(shapes, args[0], told, operands[0])

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        z = args[0]
        return xp.where(_seen(xp, z), z, xp.zeros_like(z))

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("tril", cot)]


def _seen(xp: Namespace, z: Array) -> Array:
    size = z.shape[-1]
    return xp.arange(size)[:, None] >= xp.arange(size)[None, :]


def _square(shapes: Shapes, kind: Type, told: str, operand: str) -> Type:
    if kind.rank < 2 or not shapes.unify(kind.shape[-1], kind.shape[-2]):
        raise ShapeMismatch(
            f"`{told}` must have two last axes of one length, got `{operand}` of shape {shapes.told(kind)}."
        )
    return kind
