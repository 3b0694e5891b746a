"""Convolution over one axis or two: windows of the input, summed against a filter that all positions share."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

from flowlab.core.errors import LanguageError
from flowlab.core.namespaces import is_jax, writes
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.operations.axes import whole
from flowlab.language.operations.base import (
    Handle,
    Operation,
    Option,
    Piece,
    Product,
    Tape,
    operations,
)
from flowlab.language.operations.pieces import function_piece, option_text
from flowlab.language.operations.windows import (
    CIRCULAR,
    SAME,
    Settings,
    by_products,
    cuts_of,
    padded,
    products_are_faster,
    unpadded,
)
from flowlab.language.types import Dim, Shapes, Type


class Layout(NamedTuple):
    """How a filter meets its input.

    Attributes:
        axes: how many axes the filter moves along, the last ones of the input.
        filter, input, output: letters of one sample, windows in capitals: the places of a filter are `K`.
    """

    axes: int
    filter: str
    input: str
    output: str


class _Convolving(Operation):
    """What the convolution and its two pull-backs share: the layout, and the windows of an input."""

    options: ClassVar[Mapping[str, Option]] = {"stride": 1, "padding": 0}
    each_channel: ClassVar[bool] = False
    """Whether every channel has a filter of its own and makes one channel."""

    def settings(self, params: Params) -> Settings:
        """Stride and padding; options that are left out are at their default."""
        stride, padding = self.option_values(params)
        return Settings(whole(stride), padding)

    def layout(self, w: Type, x: Type) -> Layout | None:
        """How a filter meets an input; None where it does not."""
        if self.each_channel:
            return Layout(w.rank - 1, "fK", "fKP", "fP") if w.rank == x.rank > 1 else None
        if w.rank == x.rank:
            return Layout(w.rank, "K", "KP", "P")
        return Layout(w.rank - 2, "ofK", "fKP", "oP") if w.rank == x.rank + 1 > 2 else None

    def windows(self, xp: Namespace, x: Array, sizes: Sequence[int], settings: Settings) -> Array:
        """The windows of an input, (..., places of the filter, positions), each of the two one axis."""
        several = x.shape[: x.ndim - len(sizes)]
        around = padded(xp, x, sizes, settings)
        counts = settings.counts(sizes, x.shape[x.ndim - len(sizes) :])
        cuts = [around[(..., *cut)] for cut in cuts_of(sizes, counts, settings)]
        return xp.stack([cut.reshape((*several, -1)) for cut in cuts], axis=-2)

    def by_windows(
        self, xp: Namespace, layout: Layout, settings: Settings, w: Array, x: Array, types: Sequence[Type]
    ) -> Array:
        """The convolution as sums over the windows of the input."""
        sizes, lengths = self.met(layout, w, x)
        seen = self.windows(xp, x, sizes, settings)
        flat = w.reshape((*w.shape[: w.ndim - layout.axes], -1))
        made = xp.einsum(
            _spec(layout, types, ("filter", "input"), ("N" if types[1].sampled else "") + layout.output), flat, seen
        )
        return made.reshape((*made.shape[:-1], *settings.counts(sizes, lengths)))

    def compiled(self, layout: Layout, settings: Settings, w: Array, x: Array, several: bool) -> Array:
        """The convolution by the compiler's own primitive or by products of matrices, whichever is faster; samples and
        channels are made up where there are none.
        """
        import jax.numpy as jnp
        from jax import lax

        sizes, lengths = self.met(layout, w, x)
        x = padded(jnp, x, sizes, settings)
        if several and "o" in layout.output:
            counts = settings.counts(sizes, lengths)
            if products_are_faster(w, counts):
                return by_products(w, x, counts, settings)
        spread = x if several else x[None]
        plain = "f" not in layout.input
        spread = spread[:, None] if plain else spread
        wide = w[None, None] if plain else w[:, None] if self.each_channel else w
        made = lax.conv_general_dilated(
            jnp.asarray(spread),
            jnp.asarray(wide),
            (settings.stride,) * layout.axes,
            "VALID",
            feature_group_count=w.shape[0] if self.each_channel else 1,
        )
        made = made[:, 0] if plain else made
        return made if several else made[0]

    def met(self, layout: Layout, w: Array, x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The places of a filter, and the lengths of the axes it moves along."""
        return w.shape[w.ndim - layout.axes :], x.shape[x.ndim - layout.axes :]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return function_piece(self.name, tex, parts, self.shortened(params))


def _spec(layout: Layout, types: Sequence[Type], parts: Sequence[str], out: str) -> str:
    """An einsum over flattened positions and places."""
    named = [("N" if kind.sampled else "") + getattr(layout, part) for kind, part in zip(types, parts, strict=True)]
    return f"{','.join(named)}->{out}".lower().replace("n", "N")


@operations.register("conv")
class Conv(_Convolving, Product):
    """The convolution of a filter with an input: z_p = sum_k w_k x_{p+k}, summed over channels where there are any.

    Without channels, x (L,) and w (k,), or x (H, W) and w (k, k). With channels, x (c, L) and w (o, c, k), or
    x (c, H, W) and w (o, c, k, k). `padding` is a number of zeros at each end, "same" for as many positions as the
    input has, or "circular" for an input that closes on itself.

    Examples:
        >>> net = fl.Network("conv(w, x)", shapes={"w": (2,)})
        >>> net.outputs({"w": np.array([1.0, -1.0])}, np.array([[1.0, 2.0, 4.0]])).tolist()
        [[-1.0, -2.0]]
    """

    called = True
    operands = (2, 2)
    reading = (
        "conv(w, X, s, p) at i is the sum over k of w[k] X[s i + k], i and k from 0 on, along one axis or both,"
        " and over channels c of w[o,c,k] X[c,s i + k] where X has them; s = 1, p = 0 where left out; p zeros"
        " are added at both ends, 'same' as many as leave L/s positions of L, rounded up, an odd one at the end,"
        " 'circular' none, X goes on from its start",
        r"$\operatorname{conv}(w, X, s, p)$ at $i$ is $\sum_k w_k X_{s i + k}$, $i$ and $k$ from 0 on, along one"
        r" axis or both, and $\sum_{c,k} w_{o,c,k} X_{c,s i + k}$ where $X$ has channels $c$; $s = 1$, $p = 0$"
        r" where left out; $p$ zeros are added at both ends, \text{same} as many as leave $\lceil L/s\rceil$"
        r" positions of $L$, an odd one at the end, \text{circular} none, $X$ goes on from its start",
    )

    def admit(self, told: str, signs: Sequence[Any], params: Params) -> None:
        stride, padding = self.option_values(params)
        if whole(stride) != stride or whole(stride) < 1:
            raise LanguageError(f"`{told}` must have an integer `stride` from 1 on, got {option_text(stride)}.")
        fits = (
            padding in (SAME, CIRCULAR)
            if isinstance(padding, str)
            else padding is not None and 0 <= padding == whole(padding)
        )
        if not fits:
            raise LanguageError(
                f"`{told}` must have a `padding` from 0 on, 'same' or 'circular', got {option_text(padding)}."
            )

    def ranks(self, args: Sequence[Type | None], params: Params) -> Sequence[int | None]:
        x = args[1]
        if x is None:
            return (None, None)
        return (x.rank if self.each_channel or x.rank == 1 else x.rank + 1, None)

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        w, x = args
        layout = self.layout(w, x)
        if layout is None or layout.axes not in (1, 2) or w.sampled:
            shapes.clash(w, x, f"`{told}` has no filter that fits its input", operands)
            raise AssertionError
        if layout.input.startswith("f") and not shapes.unify(w.shape[layout.filter.index("f")], x.shape[0]):
            shapes.clash(w, x, f"`{told}` must have one number of channels", operands)
        settings = self.settings(params)
        dims: list[Dim] = []
        for k, n in zip(w.shape[w.rank - layout.axes :], x.shape[x.rank - layout.axes :], strict=True):
            key = (settings, "conv")
            dims.append(shapes.derive("p", (k, n), partial(settings.positions, told), key))
        channels = {"o": w.shape[:1], "f": x.shape[:1]}.get(layout.output[0], ())
        return Type((*channels, *dims), x.sampled, channels_first=bool(channels))

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        w, x = args
        layout, settings = self.layout(*types), self.settings(params)
        assert layout is not None
        if is_jax(xp):
            return self.compiled(layout, settings, w, x, out.sampled)
        return self.by_windows(xp, layout, settings, w, x, types)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        w, x = args
        options = tuple(self.settings(params))
        name = self.name
        return [
            tape(f"{name}_filter_pull", cot, x, w, params=options),
            tape(f"{name}_input_pull", w, cot, x, params=options),
        ]


class _FilterPull(_Convolving):
    """The cotangent of the filter: that of the result (first operand), against the windows of the input (second)."""

    in_language = False

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[2].shape)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        cot, x, w = args
        layout, settings = self.layout(types[2], types[1]), self.settings(params)
        assert layout is not None
        if is_jax(xp):
            from jax import vjp

            if types[0].sampled and not types[1].sampled:
                # What all samples share meets the sum of their cotangents.
                cot = cot.sum(axis=0)
            # The value itself is not used, and compiled programs leave it out.
            return vjp(lambda v: self.compiled(layout, settings, v, x, types[1].sampled), w)[1](cot)[0]
        seen = self.windows(xp, x, self.met(layout, w, x)[0], settings)
        flat = cot.reshape((*cot.shape[: cot.ndim - layout.axes], -1))
        return xp.einsum(_spec(layout, types[:2], ("output", "input"), layout.filter.lower()), flat, seen).reshape(
            w.shape
        )


class _InputPull(_Convolving):
    """The cotangent of the input: that of the result (second operand) through the filter (first), put back in place."""

    in_language = False

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[2].shape, args[1].sampled)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        w, cot, x = args
        layout, settings = self.layout(types[0], types[2]), self.settings(params)
        assert layout is not None
        if not writes(xp):
            from jax import ShapeDtypeStruct, linear_transpose

            lengths = x.shape[types[2].sampled :]
            shape = ShapeDtypeStruct((cot.shape[0], *lengths) if out.sampled else lengths, cot.dtype)
            # The transpose of sums over windows is faster here than that of the compiler's convolution.
            kinds = (types[0], Type(types[2].shape, out.sampled))
            return linear_transpose(lambda v: self.by_windows(xp, layout, settings, w, v, kinds), shape)(cot)[0]
        sizes, lengths = self.met(layout, w, x)
        flat_w = w.reshape((*w.shape[: w.ndim - layout.axes], -1))
        flat = cot.reshape((*cot.shape[: cot.ndim - layout.axes], -1))
        pulled = ("N" if out.sampled else "") + layout.input
        back = xp.einsum(_spec(layout, types[:2], ("filter", "output"), pulled), flat_w, flat)
        several = back.shape[:-2]
        counts = settings.counts(sizes, lengths)
        margins = [settings.margins(k, n) for k, n in zip(sizes, lengths, strict=True)]
        wide = [n + a + b for n, (a, b) in zip(lengths, margins, strict=True)]
        made = xp.zeros((*several, *wide), dtype=back.dtype)
        for i, cut in enumerate(cuts_of(sizes, counts, settings)):
            part = back[..., i, :].reshape((*several, *counts))
            made[(..., *cut)] += part
        return unpadded(xp, made, lengths, margins, settings)


def _gradient_read(word: str, part: str, operands: str, of: str) -> tuple[str, str]:
    """How a pull-back of a convolution is read."""
    pull = f"{word}_{part}_pull"
    tex, tex_word = (name.replace("_", r"\_") for name in (pull, word))
    return (
        f"{pull}({operands}, …) is the gradient in {of} of the sum of C * {word}(w, X, …)",
        rf"$\operatorname{{{tex}}}({operands}, \dots)$ is the gradient in ${of}$ of the sum of $C \odot"
        rf" \operatorname{{{tex_word}}}(w, X, \dots)$",
    )


@operations.register("conv_filter_pull")
class ConvFilterPull(_FilterPull):
    """The cotangent of the filter of `conv`."""

    reading = _gradient_read("conv", "filter", "C, X, w", "w")


@operations.register("conv_input_pull")
class ConvInputPull(_InputPull):
    """The cotangent of the input of `conv`."""

    reading = _gradient_read("conv", "input", "w, C, X", "X")


@operations.register("depthwise_conv")
class DepthwiseConv(Conv):
    """A convolution whose channels have a filter each: x (c, L) and w (c, k), or x (c, H, W) and w (c, k, k).

    Examples:
        >>> net = fl.Network("flatten(depthwise_conv(K, X))", inputs={"X": (2, 3)}, shapes={"K": (2, 2)})
        >>> K, X = np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]]])
        >>> net.outputs({"K": K}, {"X": X}).tolist()
        [[-1.0, -2.0, 3.0, 6.0]]
    """

    each_channel = True
    reading = (
        "depthwise_conv(w, X, s, p) is conv(w[c], X[c], s, p) in every channel c",
        r"$\operatorname{depthwise\_conv}(w, X, s, p)$ is $\operatorname{conv}(w_c, X_c, s, p)$ in every channel $c$",
    )


@operations.register("depthwise_conv_filter_pull")
class DepthwiseFilterPull(_FilterPull):
    """The cotangent of the filter of `depthwise_conv`."""

    each_channel = True
    reading = _gradient_read("depthwise_conv", "filter", "C, X, w", "w")


@operations.register("depthwise_conv_input_pull")
class DepthwiseInputPull(_InputPull):
    """The cotangent of the input of `depthwise_conv`."""

    each_channel = True
    reading = _gradient_read("depthwise_conv", "input", "w, C, X", "X")
