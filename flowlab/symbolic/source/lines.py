"""The straight-line program of a flow at given shapes: every line one primitive on arrays.

The tape of a flow has one word a line, such as `softmax` or `conv`. What a word does with arrays is read off its own
numeric meaning, which jax traces: there are some fifty primitives, and no language needs to know a word.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from flowlab.core.namespaces import TRACED
from flowlab.core.typing import Namespace
from flowlab.symbolic.identifiers import Identifiers
from flowlab.symbolic.names import called
from flowlab.symbolic.program import Value
from flowlab.symbolic.trial_shapes import MOVED, Sizes, input_shapes

if TYPE_CHECKING:
    from flowlab.symbolic.derivation_record import DerivationRecord

_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters by which a primitive holds a program of its own."""
_CALLS = frozenset(
    ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "remat", "checkpoint")
)
"""Primitives that stand for programs of their own."""
_SAME = frozenset(("copy", "copy_p", "stop_gradient", "optimization_barrier"))
"""Primitives that change no value."""
_NEUTRAL = {"add": (0.0,), "sub": (0.0,), "mul": (1.0,), "div": (1.0,)}
"""Second operands with which a primitive changes no value."""


class Ref(NamedTuple):
    """An array by its name; `kind` is `"f"` for float64, `"i"` for integers and `"b"` for truth values."""

    name: str
    shape: tuple[int, ...]
    kind: str = "f"


Atom = Ref | float | int | bool
"""An operand: an array, or a number that stands in the line."""


@dataclass(frozen=True)
class Line:
    """One primitive on earlier values, as jax calls it.

    Attributes:
        out: what it makes.
        primitive: its name.
        operands: what it takes.
        params: its parameters, those of jax.
        word: the operation of the tape that it belongs to.
        told: where it is the first one of that, what is computed, in words.
    """

    out: Ref
    primitive: str
    operands: tuple[Atom, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    word: str = ""
    told: str = ""


@dataclass(frozen=True)
class Listing:
    """A function from state, data and parameters to rates.

    Attributes:
        state: what moves, as arguments.
        given: data and parameters, as further arguments.
        lines: in the order of evaluation.
        rates: what is returned, one for each of `state`: the name of the rate, and its value.
    """

    state: tuple[Ref, ...]
    given: tuple[Ref, ...]
    lines: tuple[Line, ...]
    rates: tuple[tuple[Ref, Atom], ...]

    @property
    def arguments(self) -> tuple[Ref, ...]:
        """All arguments in their order."""
        return (*self.state, *self.given)


def listing(
    flow: "DerivationRecord", d: Sizes, samples: int, widths: Mapping[str, int] | None, outputs: int
) -> Listing:
    """The straight-line program of a flow at given sizes.

    Raises:
        ShapeMismatch, UnknownName: for sizes that the network does not have.
    """
    names, shapes = Identifiers(), input_shapes(flow.problem, d, samples, widths, outputs)
    program, rates = flow.program, flow.program.rates
    state = [("chart" if ("chart", w) in shapes else MOVED[kind], w) for (kind, w), _ in rates]
    kinds = {("y", ""): "i" if flow.problem.loss.compares_outputs else "f"}
    used = [(v.op, v.params[0]) for v in program.values if v.given is not None]
    arguments = {
        key: Ref(names.of(called(flow.problem, *key)), shapes[key], kinds.get(key, "f"))
        for key in dict.fromkeys((*state, *used))
    }
    outs = [names.of(f"d{arguments[key].name}") for key in state]
    writer = _Writer(names)
    env: list[Atom] = []
    for value in program.values:
        if value.given is not None:
            env.append(arguments[value.given, value.params[0]])
        else:
            env.append(writer.word(value, program.values, env))
    made = tuple(
        (Ref(name, arguments[key].shape), env[line]) for name, key, (_, line) in zip(outs, state, rates, strict=True)
    )
    given = tuple(ref for key, ref in arguments.items() if key not in state)
    return Listing(tuple(arguments[key] for key in state), given, _needed(writer.lines, made), made)


class _Writer:
    """Collects the lines of words."""

    def __init__(self, names: Identifiers) -> None:
        self.names = names
        self.lines: list[Line] = []
        self.made: dict[tuple[Any, ...], int] = {}
        self.word_name = self.told = ""

    def word(self, value: Value, values: Sequence[Value], env: Sequence[Atom]) -> Atom:
        """The value of a word of the tape, traced at the shapes of its operands."""
        import jax

        word, args = value.word, [env[i] for i in value.args]
        assert word is not None
        types = [values[i].type for i in value.args]
        operands = [_abstract(jax, atom) for atom in args]
        traced = jax.make_jaxpr(
            lambda *arrays: word.numeric(cast(Namespace, TRACED), arrays, types, value.type, value.params)
        )(*operands)
        told = ", ".join(str(_told(atom)) for atom in args)
        self.word_name, self.told, before = value.op, f"{value.op}({told})", len(self.lines)
        (made,) = self.inlined(traced.jaxpr, traced.consts, args)
        new = [line.out for line in self.lines[before:]]
        return self.called(cast(Ref, made), value.name) if value.name and made in new else made

    def inlined(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Atom]) -> list[Atom]:
        """The values of a traced program, with those that it calls written out."""
        env: dict[Any, Atom] = {v: self.constant(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}
        env.update(zip(jaxpr.invars, args, strict=True))

        def read(atom: Any) -> Atom:
            return self.constant(atom.val) if hasattr(atom, "val") else env[atom]

        for eqn in jaxpr.eqns:
            name, params = eqn.primitive.name, dict(eqn.params)
            given = [read(atom) for atom in eqn.invars]
            if name in _CALLS:
                inner = next(params[key] for key in _INNER if key in params)
                closed = hasattr(inner, "jaxpr")
                found = self.inlined(inner.jaxpr if closed else inner, inner.consts if closed else (), given)
            elif given and not any(isinstance(atom, Ref) for atom in given) and not eqn.outvars[0].aval.shape:
                found = [self.constant(eqn.primitive.bind(*given, **params))]
            else:
                found = self.primitive(name, given, params, [_ref_like(v.aval) for v in eqn.outvars])
            env.update(zip(eqn.outvars, found, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def constant(self, value: Any) -> Atom:
        """A number as it is, an array as a line of its own."""
        array = np.asarray(value)
        if array.ndim == 0:
            return array.item()
        return self.put(Line(_ref_like(array), "constant", (), {"value": array}))

    def primitive(self, name: str, given: Sequence[Atom], params: Mapping[str, Any], outs: Sequence[Ref]) -> list[Atom]:
        """The lines of a primitive; those that others can stand for are written as these."""
        first, out = given[0] if given else None, outs[0]
        if name in _SAME:
            return list(given)
        if name == "convert_element_type" and _kind(first) == out.kind:
            return [cast(Atom, first)]
        if name in ("broadcast_in_dim", "reshape", "squeeze", "expand_dims") and _shape(first) == out.shape:
            return [cast(Atom, first)]
        if _NEUTRAL.get(name, ()) and given[1] in _NEUTRAL[name] and _shape(first) == out.shape:
            return [cast(Atom, first)]
        if name == "split":
            return self._parts(cast(Ref, first), params["axis"], params["sizes"], outs)
        if name == "unstack":
            return self._parts(cast(Ref, first), params["axis"], [1] * len(outs), outs)
        if name == "stack":
            return [self._stacked(cast(Sequence[Ref], given), params["axis"], out)]
        if name in ("squeeze", "expand_dims"):
            name, params = "reshape", {}
        if name == "reshape" and not isinstance(first, Ref):
            name, params = "broadcast_in_dim", {"broadcast_dimensions": ()}
        if name == "square":
            name, params = "integer_pow", {"y": 2}
        name = {"add_any": "add"}.get(name, name)
        if len(outs) == 1:
            return [self.put(Line(out, name, tuple(given), params))]
        return [self.put(Line(ref, name, tuple(given), {**params, "result": i})) for i, ref in enumerate(outs)]

    def _stacked(self, parts: Sequence[Ref], axis: int, out: Ref) -> Ref:
        """Arrays side by side along a new axis, as a concatenation."""
        shape = tuple(1 if i == axis else n for i, n in enumerate(out.shape))
        rows = [self.put(Line(Ref("", shape, part.kind), "reshape", (part,))) for part in parts]
        return self.put(Line(out, "concatenate", tuple(rows), {"dimension": axis}))

    def _parts(self, whole: Ref, axis: int, sizes: Sequence[int], outs: Sequence[Ref]) -> list[Atom]:
        """The parts of an array that is cut along an axis, as slices in the shapes that they are to have."""
        ends = np.cumsum((0, *sizes)).tolist()
        parts: list[Atom] = []
        for start, end, out in zip(ends[:-1], ends[1:], outs, strict=True):
            low, high = [0] * len(whole.shape), list(whole.shape)
            low[axis], high[axis] = start, end
            told = {"start_indices": tuple(low), "limit_indices": tuple(high), "strides": None}
            shape = tuple(b - a for a, b in zip(low, high, strict=True))
            part = self.put(Line(out._replace(shape=shape), "slice", (whole,), told))
            parts.append(part if shape == out.shape else self.put(Line(out, "reshape", (part,))))
        return parts

    def put(self, line: Line) -> Ref:
        """Write a line down, unless it is there; gives its value."""
        key = (line.primitive, line.operands, line.out.shape, line.out.kind, repr(line.params))
        if key not in self.made:
            self.made[key] = len(self.lines)
            out = Ref(self.names.of(f"v{len(self.lines) + 1}"), line.out.shape, line.out.kind)
            self.lines.append(replace(line, out=out, word=self.word_name, told=self.told))
        return self.lines[self.made[key]].out

    def called(self, value: Ref, name: str) -> Ref:
        """Give the value of a word the name that it has in print; nothing has used it yet."""
        at = next(i for i, line in enumerate(self.lines) if line.out == value)
        out = value._replace(name=self.names.of(name))
        self.lines[at] = replace(self.lines[at], out=out)
        return out


def _needed(lines: Sequence[Line], rates: Sequence[tuple[Ref, Atom]]) -> tuple[Line, ...]:
    """The lines that something needs; a word is told of at the first one of its lines."""
    wanted = {atom.name for _, atom in rates if isinstance(atom, Ref)}
    kept: list[Line] = []
    for line in reversed(lines):
        if line.out.name in wanted:
            wanted |= {atom.name for atom in line.operands if isinstance(atom, Ref)}
            kept.append(line)
    before, found = "", []
    for line in reversed(kept):
        told, before = "" if line.told == before else line.told, line.told
        found.append(replace(line, told=told))
    return tuple(found)


def _abstract(jax: Any, atom: Atom) -> Any:
    kinds: dict[str, Callable[[], Any]] = {"f": lambda: np.float64, "i": lambda: np.int64, "b": lambda: np.bool_}
    return jax.ShapeDtypeStruct(_shape(atom), kinds[_kind(atom)]())


def _ref_like(array: Any) -> Ref:
    return Ref("", tuple(int(n) for n in array.shape), {"f": "f", "b": "b"}.get(np.dtype(array.dtype).kind, "i"))


def _shape(atom: Atom | None) -> tuple[int, ...]:
    return atom.shape if isinstance(atom, Ref) else ()


def _kind(atom: Atom | None) -> str:
    if isinstance(atom, Ref):
        return atom.kind
    return "b" if isinstance(atom, bool) else "i" if isinstance(atom, int) else "f"


def _told(atom: Atom) -> str | float:
    return atom.name if isinstance(atom, Ref) else atom
