"""Operations that move entries: slices, windows, flattening, splitting and joining. All are linear."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from flowlab.core.errors import ShapeMismatch, several
from flowlab.core.namespaces import writes
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.axes import whole
from flowlab.language.operations.base import (
    ATOM,
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
from flowlab.language.types import Dim, Shapes, Type

Place = int | slice


def _places(told: Sequence[Any]) -> tuple[Place, ...]:
    """Positions as an array takes them."""
    return tuple(slice(*part) if isinstance(part, tuple) else part for part in told)


def _place_text(place: Place) -> str:
    if isinstance(place, int):
        return str(place)
    start, stop = ("" if end is None else str(end) for end in (place.start, place.stop))
    return f"{start}:{stop}" + ("" if place.step is None else f":{place.step}")


def _taken(place: slice, told: str, size: int) -> int:
    count = len(range(*place.indices(size)))
    if not count:
        raise ShapeMismatch(f"`{told}` must keep an entry of an axis of length {size}, got an empty slice; widen it.")
    return count


class _Moving(Linear):
    """An operation whose pull-back puts entries of the cotangent back where those of the operand came from."""

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("put_back", cot, args[0], params=(self.name, params))]

    def moved(self, xp: Namespace, z: Array, kind: Type, params: Params) -> Array:
        """The entries of z in their new places; also applied to the numbers of the entries, as integers."""
        raise self.missing("moved")

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return self.moved(xp, args[0], types[0], params)


@operations.register("put_back")
class PutBack(Operation):
    """The adjoint of moving entries: each goes back where it came from, and those of one place are added up."""

    in_language = False
    reading = (
        "put_back_f(C, A, …) is as A, but zero, with every entry of C added where f(A, …) takes it from;"
        " put_back_take(C, A, [p]) does so for A[p]",
        r"$\operatorname{put\_back\_f}(C, A, \dots)$ is as $A$, but zero, with every entry of $C$ added where"
        r" $f(A, \dots)$"
        r" takes it from; $\operatorname{put\_back\_take}(C, A, [p])$ does so for $A_{[p]}$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[1].shape, args[0].sampled)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        word, own = operations[params[0]](), Type(out.shape)
        assert isinstance(word, _Moving)
        shape = args[1].shape[types[1].sampled :]
        if not writes(xp):
            from jax import ShapeDtypeStruct, linear_transpose

            whole = ShapeDtypeStruct((*args[0].shape[: out.sampled], *shape), args[0].dtype)
            return linear_transpose(lambda v: word.moved(xp, v, out, params[1]), whole)(args[0])[0]
        # The numbers of the entries, moved as the entries were.
        origin = word.moved(np, np.arange(int(np.prod(shape))).reshape(shape), own, params[1])
        lead = args[0].shape[: out.sampled]
        flat = args[0].reshape((*lead, -1))
        made = np.zeros((*lead, int(np.prod(shape))), dtype=args[0].dtype)
        rows = made.reshape(-1, made.shape[-1])
        np.add.at(rows.T, origin.ravel(), np.asarray(flat).reshape(len(rows), -1).T)
        return made.reshape((*lead, *shape))

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return function_piece(f"put_back_{params[0]}", tex, [*parts, *map(Piece, map(_told, params[1]))], ())


def _told(param: Any) -> str:
    if isinstance(param, tuple):
        return "[" + ", ".join(_place_text(place) for place in _places(param)) + "]"
    return str(param)


@operations.register("take")
class Take(_Moving):
    """Entries of a value by their place: z[0], z[1:3], z[:, -1]; axes of one sample are counted from 0."""

    reading = (
        "A[0] and A[:, 1:3] keep entries of A: axes are taken from the left, one left out is kept whole, and"
        " positions count from 0, negative ones from the end",
        r"$A_{[0]}$ and $A_{[:, 1:3]}$ keep entries of $A$: axes are taken from the left, one left out is kept"
        r" whole, and positions count from 0, negative ones from the end",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        kind, places = args[0], _places(params[0])
        if len(places) > kind.rank:
            raise ShapeMismatch(
                f"`{told}` must have at most {several(kind.rank, 'position')} for `{operands[0]}` of shape"
                f" {shapes.told(kind)}, got {len(places)}; leave the others out."
            )
        dims: list[Dim] = []
        for place, dim in zip(places, kind.shape, strict=False):
            if isinstance(place, int):
                shapes.derive("place", (dim,), partial(_inside, place, told), (place,))
            elif place == slice(None):
                dims.append(dim)
            else:
                key = (place.start, place.stop, place.step)
                dims.append(shapes.derive("part", (dim,), partial(_taken, place, told), key))
        return Type((*dims, *kind.shape[len(places) :]), kind.sampled)

    def moved(self, xp: Namespace, z: Array, kind: Type, params: Params) -> Array:
        places = _places(params[0])
        return z[(slice(None), *places) if kind.sampled else places]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        inner = parts[0].within(ATOM, tex)
        places = ", ".join(_place_text(place) for place in _places(params[0]))
        return Piece(rf"{{{inner}}}_{{[{places}]}}" if tex else f"{inner}[{places}]")


def _inside(place: int, told: str, size: int) -> int:
    if not -size <= place < size:
        of = several(size, "entry")
        raise ShapeMismatch(f"`{told}` must take one of {of}, got position {place}; count them from 0.")
    return 1


@operations.register("window")
class Window(_Moving):
    """One entry of every window: of windows of `size` positions that start `stride` apart, that at `place`.

    Over two axes `place` counts the entries of a window row by row.

    Examples:
        >>> net = fl.Network("window(W @ x, 0, 2, 2)")
        >>> np.asarray(net.outputs({"W": np.eye(4)}, np.array([[-1.0, 1.0, 2.0, 4.0]]))).round(4).tolist()
        [[-1.0, 2.0]]
    """

    called = True
    options: ClassVar[Mapping[str, Option]] = {"place": 0, "size": 1, "stride": 1, "axes": 1}
    reading = (
        "window(A, p, s, t, a) has the entry p of every window of s positions, t apart, along the last a axes of"
        " a sample, row by row; what is left out is 1",
        r"$\operatorname{window}(A, p, s, t, a)$ has the entry $p$ of every window of $s$ positions, $t$ apart,"
        r" along the last $a$ axes of a sample, row by row; what is left out is 1",
    )

    def _settings(self, params: Params) -> tuple[int, int, int, int]:
        place, size, stride, axes = map(whole, self.option_values(params))
        return place, size, stride, axes

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        _, size, stride, axes = self._settings(params)
        kind = args[0]
        if kind.rank < axes:
            raise ShapeMismatch(
                f"`{told}` must have {several(axes, 'axis')} to move along, got `{operands[0]}` of shape"
                f" {shapes.told(kind)}; pool over fewer."
            )
        dims = [
            shapes.derive("p", (dim,), partial(positions, size, stride, told), (size, stride, "window"))
            for dim in kind.shape[kind.rank - axes :]
        ]
        return replace(kind, shape=(*kind.shape[: kind.rank - axes], *dims))

    def moved(self, xp: Namespace, z: Array, kind: Type, params: Params) -> Array:
        place, size, stride, axes = self._settings(params)
        cuts = []
        for axis in range(axes):
            offset = place // size ** (axes - 1 - axis) % size
            count = positions(size, stride, "window", z.shape[z.ndim - axes + axis])
            cuts.append(slice(offset, offset + stride * (count - 1) + 1, stride))
        return z[(..., *cuts)]


def positions(size: int, stride: int, told: str, length: int) -> int:
    """How many windows fit.

    Raises:
        ShapeMismatch: if none does.
    """
    if size > length:
        raise ShapeMismatch(
            f"`{told}` must have windows that fit into {several(length, 'position')}, got {size}; use smaller ones."
        )
    return (length - size) // stride + 1


@operations.register("flatten")
class Flatten(_Moving):
    """All entries of a sample as one vector, the last axis fastest.

    Examples:
        >>> net = fl.Network("flatten(split(W @ x, 2))")
        >>> np.asarray(net.outputs({"W": np.eye(4)}, np.array([[-1.0, 1.0, 2.0, 4.0]]))).round(4).tolist()
        [[-1.0, 1.0, 2.0, 4.0]]
    """

    called = True
    reading = (
        "flatten(A) has all entries of a sample in a column, those along its last axis side by side",
        r"$\operatorname{flatten}(A)$ has all entries of a sample in a column, those along its last axis side by side",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        kind = args[0]
        return Type((kind.shape[0] if kind.rank == 1 else shapes.derive("flat", kind.shape, _product),), kind.sampled)

    def moved(self, xp: Namespace, z: Array, kind: Type, params: Params) -> Array:
        return z.reshape((z.shape[0], -1) if kind.sampled else (-1,))


def _product(*sizes: int) -> int:
    return int(np.prod(sizes))


@operations.register("split")
class Split(_Moving):
    """The first axis cut into `parts` of equal length, which become an axis of their own in front of it.

    Examples:
        >>> net = fl.Network("sum(split(W @ x, 2), axis=0)")
        >>> np.asarray(net.outputs({"W": np.eye(4)}, np.array([[-1.0, 1.0, 2.0, 4.0]]))).round(4).tolist()
        [[1.0, 5.0]]
    """

    called = True
    parameters = 1
    reading = (
        "split(A, g) cuts the first axis into g equal parts and puts an axis that counts them in front",
        r"$\operatorname{split}(A, g)$ cuts the first axis into $g$ equal parts and puts an axis that counts them"
        r" in front",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        kind, count = args[0], whole(params[0])
        if not kind.rank or count < 1 or params[0] != count:
            raise ShapeMismatch(
                f"`{told}` must cut an axis into a number of parts from 1 on, got `{operands[0]}` of shape"
                f" {shapes.told(kind)} and {params[0]}."
            )
        inner = shapes.derive("part", kind.shape[:1], partial(_share, count, told), (count, "split"))
        return Type((count, inner, *kind.shape[1:]), kind.sampled)

    def moved(self, xp: Namespace, z: Array, kind: Type, params: Params) -> Array:
        at = int(kind.sampled)
        return z.reshape((*z.shape[:at], whole(params[0]), -1, *z.shape[at + 1 :]))


def _share(count: int, told: str, size: int) -> int:
    if size % count:
        of = several(size, "entry")
        raise ShapeMismatch(f"`{told}` must cut {of} into equal parts, got {count} of them; change either.")
    return size // count


@operations.register("concat")
class Concat(Operation):
    """Values one after another along their first axis.

    Examples:
        >>> net = fl.Network("concat(W @ x, x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-1.0, 0.0, 2.0, -1.0, 0.0, 2.0]]
    """

    called = True
    operands = (2, None)
    repeats = True
    reading = (
        "concat(A, B) has A on top of B along the first axis; what has no samples is repeated for each",
        r"$\operatorname{concat}(A, B)$ has $A$ on top of $B$ along the first axis; what has no samples is"
        r" repeated for each",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        first = args[0]
        for kind, name in zip(args[1:], operands[1:], strict=False):
            if not (first.rank and kind.rank):
                shapes.clash(first, kind, f"`{told}` joins along the first axis", (operands[0], name))
            shapes.match(
                Type(first.shape[1:]),
                Type(kind.shape[1:]),
                f"`{told}` needs equal axes behind the first",
                (operands[0], name),
            )
        joined = shapes.derive("joined", [kind.shape[0] for kind in args], _sum)
        return Type((joined, *first.shape[1:]), any(kind.sampled for kind in args))

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        for other in args[1:]:
            exps.require_equal(args[0], other, "all joined parts must scale alike")
        return args[0]

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return max(parts)

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        made = parts[0]
        for part in parts[1:]:
            made = made + part
        return made

    def channels(self, args: Sequence[Type], params: Params) -> tuple[()]:
        return ()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return any(p for p, _ in args), any(n for _, n in args)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        count = next((a.shape[0] for a, t in zip(args, types, strict=True) if t.sampled), None)
        wide = [
            a if t.sampled or count is None else xp.broadcast_to(a[None], (count, *a.shape))
            for a, t in zip(args, types, strict=True)
        ]
        return xp.concatenate(wide, axis=int(out.sampled))

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [tape("part_of", cot, *args, params=(i,)) for i in range(len(args))]


def _sum(*sizes: int) -> int:
    return sum(sizes)


@operations.register("part_of")
class PartOf(Operation):
    """The entries of a joined value, its first operand, that came from one of the values behind it."""

    in_language = False
    reading = (
        "part_of(C, A, B, i) is the part of C where concat(A, B) has its operand i, counted from 0",
        r"$\operatorname{part\_of}(C, A, B, i)$ is the part of $C$ where $\operatorname{concat}(A, B)$ has its"
        r" operand $i$, counted from 0",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[1 + params[0]].shape, args[0].sampled)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        sizes = [a.shape[int(t.sampled)] for a, t in zip(args[1:], types[1:], strict=True)]
        start = sum(sizes[: params[0]])
        cut = slice(start, start + sizes[params[0]])
        return args[0][:, cut] if types[0].sampled else args[0][cut]
