"""Source text in C: loops over arrays of doubles, the last axis fastest; integers and truth values are doubles too."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from flowlab.symbolic.source.language import Language, alike, languages
from flowlab.symbolic.source.lines import Atom, Line, Listing, Ref


@languages.register("c")
class C(Language):
    """C99 with the mathematical library; what is worked out lies in one block of memory."""

    comment = "//"
    elementwise: ClassVar[Mapping[str, str]] = {
        **alike("{}({{0}})", "{{0}} {} {{1}}"),
        "neg": "-{0}",
        "pow": "pow({0}, {1})",
        "integer_pow": "pow({0}, {y})",
        "max": "({0} > {1} || {0} != {0} ? {0} : {1})",
        "min": "({0} < {1} || {0} != {0} ? {0} : {1})",
        "abs": "fabs({0})",
        "sign": "({0} > 0) - ({0} < 0)",
        "rsqrt": "1.0 / sqrt({0})",
        "atan": "atan({0})",
        "atan2": "atan2({0}, {1})",
        "logistic": "1.0 / (1.0 + exp(-{0}))",
        "erf": "erf({0})",
        "erfc": "erfc({0})",
        "and": "{0} != 0 && {1} != 0",
        "or": "{0} != 0 || {1} != 0",
        "not": "{0} == 0",
        "is_finite": "isfinite({0}) != 0",
        "select_n": "{0} != 0 ? {2} : {1}",
    }
    reductions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reduce_sum": ("0.0", "{0} + {1}"),
        "reduce_prod": ("1.0", "{0} * {1}"),
        "reduce_max": ("-INFINITY", elementwise["max"]),
        "reduce_min": ("INFINITY", elementwise["min"]),
    }

    def number(self, value: float | int | bool) -> str:
        if isinstance(value, float) and not np.isfinite(value):
            return "NAN" if np.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
        return repr(float(value))

    def entrywise(self, line: Line, form: str) -> str:
        shapes = {atom.shape for atom in line.operands if isinstance(atom, Ref) and atom.shape}
        if shapes <= {line.out.shape}:
            told = [f"{a.name}[{'i' if a.shape else 0}]" if isinstance(a, Ref) else self.atom(a) for a in line.operands]
            return self._each(line.out, form.format(*told, **line.params))
        # Axes of length one meet longer ones.
        own = _letters(len(line.out.shape))
        told = [self.entry(atom, _wide(own, atom)) for atom in line.operands]
        place = f"{line.out.name}[{_flat(own, line.out.shape)}]"
        return _loops(own, line.out.shape, f"{place} = {form.format(*told, **line.params)};")

    def _each(self, out: Ref, told: str) -> str:
        count = _count(out.shape)
        if count == 1:
            return f"{out.name}[0] = {told.replace('[i]', '[0]')};"
        return f"for (long i = 0; i < {count}; i++) {out.name}[i] = {told};"

    def entry(self, atom: Atom, places: Sequence[str]) -> str:
        """An entry of an operand at a place along each axis."""
        if not isinstance(atom, Ref):
            return self.atom(atom)
        return f"{atom.name}[{_flat(places, atom.shape)}]"

    def _moved(self, line: Line, places: Callable[[list[str]], Sequence[str]]) -> str:
        """The line of a primitive whose entries are those of its operand at other places."""
        own = _letters(len(line.out.shape))
        told = self.entry(line.operands[0], places(own))
        return _loops(own, line.out.shape, f"{line.out.name}[{_flat(own, line.out.shape)}] = {told};")

    def write_constant(self, line: Line) -> str:
        flat = ", ".join(map(self.number, line.params["value"].ravel().tolist()))
        name, count = line.out.name, _count(line.out.shape)
        return f"{{\n    static const double values[] = {{{flat}}};\n" + (
            f"    for (long i = 0; i < {count}; i++) {name}[i] = values[i];\n}}"
        )

    def write_broadcast_in_dim(self, line: Line) -> str:
        axes, given = line.params["broadcast_dimensions"], line.operands[0]
        sizes = given.shape if isinstance(given, Ref) else ()
        return self._moved(line, lambda own: [own[i] if n > 1 else "0" for i, n in zip(axes, sizes, strict=True)])

    def write_reshape(self, line: Line) -> str:
        given = line.operands[0]
        assert isinstance(given, Ref)
        return self._each(line.out, f"{given.name}[i]")

    def write_transpose(self, line: Line) -> str:
        order = line.params["permutation"]
        return self._moved(line, lambda own: [own[list(order).index(k)] for k in range(len(order))])

    def write_slice(self, line: Line) -> str:
        starts = line.params["start_indices"]
        steps = line.params["strides"] or (1,) * len(starts)
        return self._moved(line, lambda own: [f"{a} + {s} * {p}" for a, s, p in zip(starts, steps, own, strict=True)])

    def write_rev(self, line: Line) -> str:
        turned, shape = line.params["dimensions"], line.out.shape
        return self._moved(line, lambda own: [f"{shape[k] - 1} - {p}" if k in turned else p for k, p in enumerate(own)])

    def write_iota(self, line: Line) -> str:
        own = _letters(len(line.out.shape))
        told = f"{line.out.name}[{_flat(own, line.out.shape)}] = {own[line.params['dimension']]};"
        return _loops(own, line.out.shape, told)

    def write_convert_element_type(self, line: Line) -> str:
        given = line.operands[0]
        told = f"{given.name}[i]" if isinstance(given, Ref) else self.atom(given)
        return self._each(line.out, {"i": f"trunc({told})", "b": f"{told} != 0"}.get(line.out.kind, told))

    def reduced(self, line: Line, start: str, form: str) -> str:
        given, axes, out = line.operands[0], line.params["axes"], line.out
        assert isinstance(given, Ref)
        every = _letters(len(given.shape))
        place = f"{out.name}[{_flat([p for k, p in enumerate(every) if k not in axes], out.shape)}]"
        told = f"{place} = {form.format(place, self.entry(given, every))};"
        return f"{self._each(out, start)}\n{_loops(every, given.shape, told)}"

    def write_concatenate(self, line: Line) -> str:
        axis, out, told, start = line.params["dimension"], line.out, [], 0
        for part in line.operands:
            assert isinstance(part, Ref)
            own = _letters(len(part.shape))
            there = [f"{start} + {p}" if k == axis else p for k, p in enumerate(own)]
            told.append(_loops(own, part.shape, f"{out.name}[{_flat(there, out.shape)}] = {self.entry(part, own)};"))
            start += part.shape[axis]
        return "\n".join(told)

    def write_pad(self, line: Line) -> str:
        given, fill = line.operands
        assert isinstance(given, Ref)
        own, out = _letters(len(given.shape)), line.out
        there = [
            f"({low} + {inside + 1} * {p})"
            for (low, _, inside), p in zip(line.params["padding_config"], own, strict=True)
        ]
        inside = " && ".join(f"{p} >= 0 && {p} < {n}" for p, n in zip(there, out.shape, strict=True))
        told = f"if ({inside}) {out.name}[{_flat(there, out.shape)}] = {self.entry(given, own)};"
        return f"{self._each(out, self.entry(fill, ()))}\n{_loops(own, given.shape, told)}"

    def write_dot_general(self, line: Line) -> str:
        a, b = line.operands
        assert isinstance(a, Ref)
        assert isinstance(b, Ref)
        (left, right), (left_batch, right_batch) = line.params["dimension_numbers"]
        first, second = _letters(len(a.shape)), [f"j{k}" for k in range(len(b.shape))]
        for i, j in (*zip(left_batch, right_batch, strict=True), *zip(left, right, strict=True)):
            second[j] = first[i]
        own = [first[i] for i in left_batch]
        own += [first[i] for i in range(len(a.shape)) if i not in (*left, *left_batch)]
        own += [second[j] for j in range(len(b.shape)) if j not in (*right, *right_batch)]
        summed = [first[i] for i in left]
        inner = _loops(summed, [a.shape[i] for i in left], f"sum += {self.entry(a, first)} * {self.entry(b, second)};")
        place = f"{line.out.name}[{_flat(own, line.out.shape)}]"
        body = f"double sum = 0.0;\n{inner}\n{place} = sum;"
        return _loops(own, line.out.shape, body)

    def function(self, listing: Listing, body: list[str]) -> str:
        arguments = [f"const double *{ref.name}" for ref in listing.arguments]
        outs = [f"double *{ref.name}" for ref, _ in listing.rates]
        ends = [
            self._each(ref, f"{atom.name}[{'i' if atom.shape else 0}]" if isinstance(atom, Ref) else self.atom(atom))
            for ref, atom in listing.rates
        ]
        size = sum(_count(line.out.shape) for line in listing.lines)
        room, start = [f"double *work = malloc({max(size, 1)} * sizeof(double));", "if (work == NULL) return 1;"], 0
        for line in listing.lines:
            room.append(f"double *{line.out.name} = work + {start};")
            start += _count(line.out.shape)
        lines = textwrap.indent("\n".join([*room, *body, *ends, "free(work);", "return 0;"]), "    ")
        head = "\n".join(f"// {text}" for text in [*self.head(listing), "Returns 0, or 1 where memory is short."])
        whole = f"{head}\nint rate({', '.join([*arguments, *outs])})\n{{\n{lines}\n}}"
        return f"#include <math.h>\n#include <stdlib.h>\n\n{whole}"


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=int))


def _wide(places: Sequence[str], atom: Atom) -> list[str]:
    """The place of an entry in an operand, of which an axis may have length one."""
    shape = atom.shape if isinstance(atom, Ref) else ()
    return [place if size > 1 else "0" for place, size in zip(places, shape, strict=False)]


def _letters(count: int) -> list[str]:
    return [f"i{k}" for k in range(count)]


def _flat(places: Sequence[str], shape: Sequence[int]) -> str:
    """The number of an entry from its places, the last axis fastest."""
    told = ""
    for place, size in zip(places, shape, strict=True):
        grown = f"({told})" if " " in told else told
        told = f"{grown} * {size} + {place}" if told else place
    return told or "0"


def _loops(places: Sequence[str], shape: Sequence[int], body: str) -> str:
    """Loops over the entries of a shape around a statement, or around several in brackets."""
    heads = [f"for (long {p} = 0; {p} < {n}; {p}++)" for p, n in zip(places, shape, strict=True)]
    if "\n" in body:
        body = f"{{\n{textwrap.indent(body, '    ')}\n}}"
    return " ".join([*heads, body])
