"""Source text in Python: for numpy, and for jax."""

import textwrap
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from flowlab.symbolic.source.language import Language, alike, languages
from flowlab.symbolic.source.lines import Line, Listing, Ref

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class _Python(Language):
    """What numpy and jax.numpy have in common; `np` is replaced by the name of the module."""

    np: ClassVar[str]
    imports: ClassVar[str]
    special: ClassVar[str]
    elementwise: ClassVar[Mapping[str, str]] = {
        **alike("np.{}({{0}})", "{{0}} {} {{1}}"),
        "neg": "-{0}",
        "pow": "{0} ** {1}",
        "integer_pow": "{0} ** {y}",
        "max": "np.maximum({0}, {1})",
        "min": "np.minimum({0}, {1})",
        "abs": "np.abs({0})",
        "sign": "np.sign({0})",
        "rsqrt": "1.0 / np.sqrt({0})",
        "atan": "np.arctan({0})",
        "atan2": "np.arctan2({0}, {1})",
        "logistic": "1.0 / (1.0 + np.exp(-{0}))",
        "erf": "special.erf({0})",
        "erfc": "special.erfc({0})",
        "and": "np.logical_and({0}, {1})",
        "or": "np.logical_or({0}, {1})",
        "not": "np.logical_not({0})",
        "is_finite": "np.isfinite({0})",
        "select_n": "np.where({0}, {2}, {1})",
    }
    reductions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reduce_sum": ("sum",),
        "reduce_max": ("max",),
        "reduce_min": ("min",),
        "reduce_prod": ("prod",),
    }

    def number(self, value: float | int | bool) -> str:
        if isinstance(value, float) and not np.isfinite(value):
            return f"np.{'nan' if np.isnan(value) else 'inf'}" if not value < 0 else "-np.inf"
        return repr(value)

    def entrywise(self, line: Line, form: str) -> str:
        return self._is(line, form.format(*map(self.atom, line.operands), **line.params))

    def _is(self, line: Line, told: str) -> str:
        return f"{line.out.name} = {told}"

    def write_constant(self, line: Line) -> str:
        return self._is(line, f"np.array({line.params['value'].tolist()!r})")

    def write_broadcast_in_dim(self, line: Line) -> str:
        (given,), shape = line.operands, line.out.shape
        if not isinstance(given, Ref) or not given.shape:
            return self._is(line, f"np.full({shape}, {self.atom(given)})")
        axes = dict(zip(line.params["broadcast_dimensions"], given.shape, strict=True))
        wide = tuple(axes.get(i, 1) for i in range(len(shape)))
        turned = given.name if wide == given.shape else f"{given.name}.reshape({wide})"
        return self._is(line, turned if wide == shape else f"np.broadcast_to({turned}, {shape})")

    def write_reshape(self, line: Line) -> str:
        return self._is(line, f"np.reshape({self.atom(line.operands[0])}, {line.out.shape})")

    def write_transpose(self, line: Line) -> str:
        given, order = self.atom(line.operands[0]), tuple(line.params["permutation"])
        return self._is(line, f"{given}.T" if order == (1, 0) else f"{given}.transpose({order})")

    def reduced(self, line: Line, word: str) -> str:
        given, axes = line.operands[0], tuple(line.params["axes"])
        whole = isinstance(given, Ref) and len(axes) == len(given.shape)
        return self._is(line, f"np.{word}({self.atom(given)}{'' if whole else f', axis={axes}'})")

    def write_concatenate(self, line: Line) -> str:
        parts = ", ".join(map(self.atom, line.operands))
        return self._is(line, f"np.concatenate([{parts}], axis={line.params['dimension']})")

    def write_slice(self, line: Line) -> str:
        (given,) = line.operands
        assert isinstance(given, Ref)
        starts, ends = line.params["start_indices"], line.params["limit_indices"]
        steps = line.params["strides"] or (1,) * len(starts)
        cuts = [_cut(*map(int, cut)) for cut in zip(starts, ends, steps, given.shape, strict=True)]
        return self._is(line, f"{given.name}[{', '.join(cuts)}]")

    def write_rev(self, line: Line) -> str:
        return self._is(line, f"np.flip({self.atom(line.operands[0])}, {tuple(line.params['dimensions'])})")

    def write_iota(self, line: Line) -> str:
        shape, axis = line.out.shape, line.params["dimension"]
        row = f"np.arange({shape[axis]})" if line.out.kind == "i" else f"np.arange({shape[axis]}.0)"
        if len(shape) == 1:
            return self._is(line, row)
        wide = tuple(n if i == axis else 1 for i, n in enumerate(shape))
        return self._is(line, f"np.broadcast_to({row}.reshape({wide}), {shape})")

    def write_convert_element_type(self, line: Line) -> str:
        kind = {"f": "float", "i": "int", "b": "bool"}[line.out.kind]
        return self._is(line, f"np.asarray({self.atom(line.operands[0])}, dtype={kind})")

    def write_dot_general(self, line: Line) -> str:
        a, b = line.operands
        assert isinstance(a, Ref)
        assert isinstance(b, Ref)
        (left, right), (left_batch, right_batch) = line.params["dimension_numbers"]
        if not left_batch and len(left) == 1 and max(len(a.shape), len(b.shape)) <= 2:
            # Of matrices and vectors `@` sums over the last axis of the first and the first one of the second.
            first = a.name if left[0] == len(a.shape) - 1 else f"{a.name}.T"
            second = b.name if right[0] == 0 else f"{b.name}.T"
            return self._is(line, f"{first} @ {second}")
        told = iter(_LETTERS)
        named, other = {i: next(told) for i in range(len(a.shape))}, {}
        for i, j in (*zip(left_batch, right_batch, strict=True), *zip(left, right, strict=True)):
            other[j] = named[i]
        other = {j: other.get(j) or next(told) for j in range(len(b.shape))}
        out = [named[i] for i in left_batch]
        out += [named[i] for i in range(len(a.shape)) if i not in (*left, *left_batch)]
        out += [other[j] for j in range(len(b.shape)) if j not in (*right, *right_batch)]
        spec = f"{''.join(named.values())},{''.join(other.values())}->{''.join(out)}"
        return self._is(line, f'np.einsum("{spec}", {a.name}, {b.name})')

    def function(self, listing: Listing, body: list[str]) -> str:
        arguments = ", ".join(ref.name for ref in listing.arguments)
        told = [f"{ref.name} = {self.atom(atom)}" for ref, atom in listing.rates]
        back = ", ".join(ref.name for ref, _ in listing.rates)
        head = "\n\n".join(self.head(listing))
        lines = [f'"""{head}\n"""', *body, *told, f"return {back}{',' if len(told) == 1 else ''}"]
        whole = f"def rate({arguments}):\n" + textwrap.indent("\n".join(lines), "    ")
        imports = self.imports.replace("\n\n", f"\n{self.special}\n\n", 1) if "special." in whole else self.imports
        return imports + "\n" + whole.replace("np.", f"{self.np}.")


def _cut(start: int, end: int, step: int, size: int) -> str:
    """A range of positions, whose ends are left out where they are those of the axis."""
    told = f"{start or ''}:{'' if end == size else end}"
    return told if step == 1 else f"{told}:{step}"


_PADDED = '''
def padded(values, fill, config):
    """Values with entries around and between them; fewer than none are cut off."""
    for axis, (low, high, inside) in enumerate(config):
        values = np.moveaxis(values, axis, 0)
        size = len(values) + max(len(values) - 1, 0) * inside
        spread = np.full((size, *values.shape[1:]), fill)
        spread[:: inside + 1] = values
        around = [(max(low, 0), max(high, 0))] + [(0, 0)] * (values.ndim - 1)
        spread = np.pad(spread, around, constant_values=fill)
        values = np.moveaxis(spread[max(-low, 0) : len(spread) - max(-high, 0)], 0, axis)
    return values
'''


@languages.register("numpy")
class Numpy(_Python):
    """Python with numpy, and SciPy where there is an error function."""

    np = "np"
    imports = "import numpy as np\n\n"
    special = "from scipy import special"
    helpers: ClassVar[Mapping[str, str]] = {"padded(": _PADDED}

    def write_pad(self, line: Line) -> str:
        given, fill = map(self.atom, line.operands)
        config = tuple(tuple(map(int, axis)) for axis in line.params["padding_config"])
        if all(low >= 0 and high >= 0 and not inside for low, high, inside in config):
            around = tuple((low, high) for low, high, _ in config)
            return self._is(line, f"np.pad({given}, {around}, constant_values={fill})")
        return self._is(line, f"padded({given}, {fill}, {config})")


@languages.register("jax")
class Jax(_Python):
    """Python with jax.numpy, to be differentiated and compiled on."""

    np = "jnp"
    imports = 'import jax\nimport jax.numpy as jnp\n\njax.config.update("jax_enable_x64", True)\n\n'
    special = "from jax.scipy import special"

    def write_pad(self, line: Line) -> str:
        given, fill = map(self.atom, line.operands)
        config = tuple(tuple(map(int, axis)) for axis in line.params["padding_config"])
        return self._is(line, f"jax.lax.pad({given}, {fill}, {config})")
