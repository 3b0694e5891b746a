"""Source text in Julia. Scalars are numbers, arrays have the axes that they have elsewhere, samples first."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from flowlab.symbolic.source.language import Language, alike, languages
from flowlab.symbolic.source.lines import Line, Listing, Ref

_SPREAD = """
# Values repeated over the axes of a shape in which they have length one.
spread(values, wide, shape) = ((value, _) -> value).(reshape(values, wide), falses(shape))
"""
_ROWMAJOR = """
# Entries in the order of their last axis put into another shape.
rowmajor(values, shape) =
    permutedims(reshape(permutedims(values, ndims(values):-1:1), reverse(shape)), length(shape):-1:1)
"""
_CONTRACT = """
# The sum over pairs of axes of products of entries, at each place of the axes that both share.
function contract(a, b, over_a, over_b, shared_a, shared_b)
    free_a, free_b = setdiff(1:ndims(a), over_a, shared_a), setdiff(1:ndims(b), over_b, shared_b)
    size_of(v, axes) = Int[size(v, i) for i in axes]
    n, c = prod(size_of(a, shared_a)), prod(size_of(a, over_a))
    f, g = prod(size_of(a, free_a)), prod(size_of(b, free_b))
    left = reshape(permutedims(a, [shared_a; free_a; over_a]), n, f, c)
    right = reshape(permutedims(b, [shared_b; over_b; free_b]), n, c, g)
    made = zeros(n, f, g)
    for i in 1:n
        made[i, :, :] = left[i, :, :] * right[i, :, :]
    end
    shape = [size_of(a, shared_a); size_of(a, free_a); size_of(b, free_b)]
    return isempty(shape) ? only(made) : reshape(made, shape...)
end
"""
_PADDED = """
# Values with entries around and between them; fewer than none are cut off.
function padded(values, fill_with, config)
    place(size, inside) = size + max(size - 1, 0) * inside
    sizes = [place(n, c[3]) for (n, c) in zip(size(values), config)]
    wide = fill(fill_with, (n + max(c[1], 0) + max(c[2], 0) for (n, c) in zip(sizes, config))...)
    wide[(max(c[1], 0) .+ (1:(c[3]+1):n) for (n, c) in zip(sizes, config))...] = values
    return wide[(max(-c[1], 0)+1:size(wide, i)-max(-c[2], 0) for (i, c) in enumerate(config))...]
end
"""


@languages.register("julia")
class Julia(Language):
    """Julia, without packages but for the error function."""

    helpers: ClassVar[Mapping[str, str]] = {
        "spread(": _SPREAD,
        "rowmajor(": _ROWMAJOR,
        "contract(": _CONTRACT,
        "padded(": _PADDED,
    }
    elementwise: ClassVar[Mapping[str, str]] = {
        **alike("{}.({{0}})", "{{0}} .{} {{1}}"),
        "neg": ".-{0}",
        "pow": "{0} .^ {1}",
        "integer_pow": "{0} .^ {y}",
        "max": "max.({0}, {1})",
        "min": "min.({0}, {1})",
        "abs": "abs.({0})",
        "sign": "sign.({0})",
        "rsqrt": "1.0 ./ sqrt.({0})",
        "atan": "atan.({0})",
        "atan2": "atan.({0}, {1})",
        "logistic": "1.0 ./ (1.0 .+ exp.(.-{0}))",
        "erf": "erf.({0})",
        "erfc": "erfc.({0})",
        "and": "{0} .& {1}",
        "or": "{0} .| {1}",
        "not": ".!{0}",
        "is_finite": "isfinite.({0})",
        "select_n": "ifelse.({0}, {2}, {1})",
    }
    reductions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reduce_sum": ("sum",),
        "reduce_max": ("maximum",),
        "reduce_min": ("minimum",),
        "reduce_prod": ("prod",),
    }

    def number(self, value: float | int | bool) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, float) and not np.isfinite(value):
            return "NaN" if np.isnan(value) else "Inf" if value > 0 else "-Inf"
        return repr(value)

    def entrywise(self, line: Line, form: str) -> str:
        return self._is(line, form.format(*map(self.atom, line.operands), **line.params))

    def _is(self, line: Line, told: str) -> str:
        return f"{line.out.name} = {told}"

    def write_constant(self, line: Line) -> str:
        flat = ", ".join(map(self.number, line.params["value"].ravel().tolist()))
        return self._is(line, f"rowmajor([{flat}], {_tuple(line.out.shape)})")

    def write_broadcast_in_dim(self, line: Line) -> str:
        (given,), shape = line.operands, line.out.shape
        if not isinstance(given, Ref) or not given.shape:
            return self._is(line, f"fill({self.atom(given)}, {_tuple(shape)})")
        axes = dict(zip(line.params["broadcast_dimensions"], given.shape, strict=True))
        wide = tuple(axes.get(i, 1) for i in range(len(shape)))
        if wide == shape:
            return self._is(line, f"reshape({given.name}, {_tuple(shape)})")
        return self._is(line, f"spread({given.name}, {_tuple(wide)}, {_tuple(shape)})")

    def write_reshape(self, line: Line) -> str:
        (given,), shape = line.operands, line.out.shape
        assert isinstance(given, Ref)
        if not shape:
            return self._is(line, f"only({given.name})")
        if not given.shape:
            return self._is(line, f"fill({given.name}, {_tuple(shape)})")
        if [n for n in given.shape if n > 1] == [n for n in shape if n > 1]:
            return self._is(line, f"reshape({given.name}, {_tuple(shape)})")
        return self._is(line, f"rowmajor({given.name}, {_tuple(shape)})")

    def write_transpose(self, line: Line) -> str:
        return self._is(line, f"permutedims({self.atom(line.operands[0])}, {_axes(line.params['permutation'])})")

    def reduced(self, line: Line, word: str) -> str:
        (given,), axes = line.operands, line.params["axes"]
        if not line.out.shape:
            return self._is(line, f"{word}({self.atom(given)})")
        told = _axes(axes)
        return self._is(line, f"dropdims({word}({self.atom(given)}; dims={told}); dims={told})")

    def write_concatenate(self, line: Line) -> str:
        parts = ", ".join(map(self.atom, line.operands))
        return self._is(line, f"cat({parts}; dims={line.params['dimension'] + 1})")

    def write_slice(self, line: Line) -> str:
        (given,) = line.operands
        starts, ends = line.params["start_indices"], line.params["limit_indices"]
        steps = line.params["strides"] or (1,) * len(starts)
        cuts = [f"{a + 1}:{b}" if s == 1 else f"{a + 1}:{s}:{b}" for a, b, s in zip(starts, ends, steps, strict=True)]
        return self._is(line, f"{self.atom(given)}[{', '.join(cuts)}]")

    def write_rev(self, line: Line) -> str:
        return self._is(line, f"reverse({self.atom(line.operands[0])}; dims={_axes(line.params['dimensions'])})")

    def write_iota(self, line: Line) -> str:
        shape, axis = line.out.shape, line.params["dimension"]
        row = f"collect(0:{shape[axis] - 1})" if line.out.kind == "i" else f"collect(0.0:{shape[axis] - 1})"
        wide = tuple(n if i == axis else 1 for i, n in enumerate(shape))
        return self._is(line, row if len(shape) == 1 else f"spread({row}, {_tuple(wide)}, {_tuple(shape)})")

    def write_convert_element_type(self, line: Line) -> str:
        kind = {"f": "Float64", "i": "Int", "b": "Bool"}[line.out.kind]
        return self._is(line, f"{kind}.({self.atom(line.operands[0])})")

    def write_pad(self, line: Line) -> str:
        given, fill = map(self.atom, line.operands)
        config = _tuple([_tuple(map(int, axis)) for axis in line.params["padding_config"]])
        return self._is(line, f"padded({given}, {fill}, {config})")

    def write_dot_general(self, line: Line) -> str:
        a, b = line.operands
        assert isinstance(a, Ref)
        assert isinstance(b, Ref)
        (left, right), (left_batch, right_batch) = line.params["dimension_numbers"]
        if len(a.shape) == len(b.shape) == 2 and len(left) == 1 and not left_batch:
            first = a.name if left[0] == 1 else f"transpose({a.name})"
            second = b.name if right[0] == 0 else f"transpose({b.name})"
            return self._is(line, f"{first} * {second}")
        axes = ", ".join(
            f"[{', '.join(str(i + 1) for i in some)}]" if some else "Int[]"
            for some in (left, right, left_batch, right_batch)
        )
        return self._is(line, f"contract({a.name}, {b.name}, {axes})")

    def function(self, listing: Listing, body: list[str]) -> str:
        arguments = ", ".join(ref.name for ref in listing.arguments)
        told = [f"{ref.name} = {self.atom(atom)}" for ref, atom in listing.rates]
        back = ", ".join(ref.name for ref, _ in listing.rates)
        lines = textwrap.indent("\n".join([*body, *told, f"return ({back},)"]), "    ")
        head = "\n".join(f"# {text}" for text in self.head(listing))
        whole = f"{head}\nfunction rate({arguments})\n{lines}\nend"
        return "using SpecialFunctions: erf, erfc\n\n" + whole if "erf" in whole else whole


def _tuple(parts: Sequence[int] | Sequence[str] | map) -> str:
    told = [str(part) for part in parts]
    return f"({', '.join(told)}{',' if len(told) == 1 else ''})"


def _axes(axes: Sequence[int]) -> str:
    return _tuple([i + 1 for i in axes])
