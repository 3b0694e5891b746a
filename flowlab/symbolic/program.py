"""A straight-line program at matrix level: every value is one operation word on earlier values.

Values are numbered when they are made and equal ones are made once, so a program is as long as the network is deep and
knows nothing of widths or of the number of samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowlab.core.errors import UnloweredNode
from flowlab.core.typing import Array, Namespace
from flowlab.language.activations import Activation
from flowlab.language.operations import Operation, operations
from flowlab.language.operations.index_sums import SAMPLES, letters
from flowlab.language.operations.matrix_rules import Products
from flowlab.language.types import Shapes, Type
from flowlab.symbolic import coefficient as _coefficient
from flowlab.symbolic import scalars

_REGISTERS = (_coefficient,)
INPUTS = ("x", "y", "direction", "norm", "weight", "chart", "decay", "rate")
"""What a program is given: inputs, labels, and by block directions, norms, whole weights, places in their charts,
coefficients of decay, and learning rates.
"""


@dataclass(frozen=True)
class Value:
    """One line of a program.

    `op` is an input kind or an operation word. `name` is what the value is called in print, if it is called anything.
    """

    index: int
    op: str
    args: tuple[int, ...]
    params: tuple[Any, ...]
    type: Type
    name: str | None = None

    @property
    def given(self) -> str | None:
        """The kind of input that it is; None for what is computed."""
        return self.op if self.op in INPUTS else None

    @property
    def function(self) -> Activation | None:
        """The elementwise function that it applies; None where it is none."""
        return self.word.function(self.params) if self.word is not None else None

    @property
    def word(self) -> Operation | None:
        """The operation that computes it; None for an input, and for what is not registered."""
        return operations[self.op]() if self.op in operations else None


@dataclass(frozen=True)
class Program:
    """Lines in the order of evaluation, and which of them are the rates.

    Attributes:
        values: the lines.
        rates: ((kind, block), line) with kind `"rho"`, `"V"` or `"W"`.
        marks: lines that others want to find: `"outputs"`, `"s"`, `"R"`.
    """

    values: tuple[Value, ...]
    rates: tuple[tuple[tuple[str, str], int], ...]
    marks: tuple[tuple[str, int], ...] = ()

    def evaluate(
        self,
        xp: Namespace,
        inputs: Mapping[tuple[str, str], Array],
        scaled: Callable[[Array], Array] | None = None,
        pieces: Sequence[Array | None] | None = None,
    ) -> dict[tuple[str, str], Array]:
        """The rates, with `xp` either numpy or jax.numpy.

        Args:
            xp: array namespace.
            inputs: arrays by (kind, block); `("x", name)` is an input or a constant and `("y", "")` the labels.
            scaled: takes the outputs (N, C) and answers with the pull Ψ in another scale, to be used in its place;
                rates are linear in Ψ and the coefficients of decay.
            pieces: a slope per unit and sample for every slot of the network, or None for a slot that follows its sign
                (see `Network.outputs`).

        Raises:
            UnloweredNode: if an operation has no numeric meaning.
        """
        values = self.run(xp, inputs, scaled, pieces)
        return {key: values[i] for key, i in self.rates}

    def run(
        self,
        xp: Namespace,
        inputs: Mapping[tuple[str, str], Array],
        scaled: Callable[[Array], Array] | None = None,
        pieces: Sequence[Array | None] | None = None,
    ) -> list[Array]:
        """Every line's value."""
        env: list[Array] = []
        held = (
            {}
            if pieces is None
            else {key: piece for key, piece in zip(self.slots, pieces, strict=True) if piece is not None}
        )
        for value in self.values:
            args = [env[i] for i in value.args]
            if value.given is not None:
                env.append(inputs[value.given, value.params[0]])
                continue
            word = value.word
            if word is None:
                told = f"`{value.op}` in line {value.index} has no numeric meaning"
                raise UnloweredNode(f"{told}; give it a `numeric` in its operation class.")
            if word.bent and (value.args, value.params) in held:
                env.append(word.with_slope(held[value.args, value.params], args[0]))
            elif word.pulls and scaled is not None:
                outputs = args[0] if value.type.rank else args[0][:, None]
                env.append(scaled(outputs) if value.type.rank else scaled(outputs)[:, 0])
            else:
                env.append(word.numeric(xp, args, [self.values[i].type for i in value.args], value.type, value.params))
        return env

    @property
    def slots(self) -> tuple[tuple[tuple[int, ...], tuple[Any, ...]], ...]:
        """Operand and parameters of every activation with a kink, in the order of `Network.slots`:
        lines follow its nodes, equal ones made once.
        """
        return tuple((v.args, v.params) for v in self.values if (function := v.function) is not None and function.kinks)

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class Tape:
    """Builds a program; calling it applies an operation word."""

    shapes: Shapes = field(default_factory=Shapes)
    values: list[Value] = field(default_factory=list)
    _made: dict[tuple, int] = field(default_factory=dict)
    _products: Products = field(default_factory=Products)

    def put(self, op: str, args: tuple[Value, ...], params: tuple, kind: Type) -> Value:
        """The value of an operation, made once."""
        key = (op, tuple(a.index for a in args), params)
        if key not in self._made:
            self._made[key] = len(self.values)
            if args and kind.rank == 2 and not kind.sampled:
                named = [(a.index, a.type) for a in args]
                symmetric = self._products.symmetric(len(self.values), operations[op](), named)
                kind = Type(kind.shape, symmetric=symmetric)
            self.values.append(Value(len(self.values), op, key[1], params, kind))
        return self.values[self._made[key]]

    def given(self, kind: str, block: str, type_: Type, name: str | None = None) -> Value:
        """An input of the program."""
        value = self.put(kind, (), (block,), type_)
        return self.call_it(value, name) if name else value

    def __call__(self, op: str, *args: Value, params: tuple[Any, ...] = ()) -> Value:
        word, args = operations[op](), tuple(self.values[a.index] for a in args)
        shorter = word.simpler(self, args, params)
        if shorter is not None:
            return shorter
        kinds = [a.type for a in args]
        told = [a.name or f"v{a.index}" for a in args]
        return self.put(op, args, params, word.shape(self.shapes, kinds, op, [*told, ""], params))

    def made_of(self, value: Value) -> tuple[Operation | None, tuple[Value, ...], tuple[Any, ...]]:
        """The word that a value is made by, with its operands and parameters; an input has no word."""
        return value.word, tuple(self.values[i] for i in value.args), value.params

    def turned(self, value: Value) -> Value | None:
        """The transpose of a matrix where it costs nothing: of what is symmetric, a transpose, or made of such."""
        word, args, params = self.made_of(value)
        if value.type.symmetric or word is None or value.type.sampled:
            return value if value.type.symmetric else None
        if word.turns:
            return self("transpose", value)
        if not (word.composes or word.passes_transpose) or any(a.type.rank == 1 for a in args):
            return None
        parts = [turned for a in args if (turned := self.turned(a) if a.type.rank else a) is not None]
        if len(parts) < len(args):
            return None
        return self(value.op, *parts[:: -1 if word.composes else 1], params=params)

    def coefficient(self, tree: scalars.Tree, known: Mapping[str, Value]) -> Value:
        """A scalar (one per row where a norm is) computed from named scalars."""
        return self("coefficient", *(known[name] for name in scalars.names(tree)), params=(tree,))

    def call_it(self, value: Value, name: str) -> Value:
        """Give a value the name it is printed under; the first name stays."""
        if value.name is None:
            self.values[value.index] = Value(value.index, value.op, value.args, value.params, value.type, name)
        return self.values[value.index]

    def fit(self, value: Value, kind: Type) -> Value:
        """A cotangent reduced to the type of the operand it belongs to."""
        if value.type.rank > kind.rank > 0:
            # A vector that met every position, along the last axes, gets the sum over them.
            axes = letters(value.type.rank)
            several = SAMPLES * value.type.sampled
            left = SAMPLES * (value.type.sampled and kind.sampled) + axes[value.type.rank - kind.rank :]
            return self("einsum", value, params=(f"{several}{axes}->{left}",))
        if value.type.rank > kind.rank == 0:
            value = self("total", value)
        return self("contract", value) if value.type.sampled and not kind.sampled else value

    def finish(self, rates: Mapping[tuple[str, str], Value], marks: Mapping[str, Value]) -> Program:
        """The program, without the lines nothing needs."""
        wanted = {v.index for v in rates.values()} | {v.index for v in marks.values()}
        for value in reversed(self.values):
            if value.index in wanted:
                wanted.update(value.args)
        kept = [v for v in self.values if v.index in wanted]
        new = {v.index: i for i, v in enumerate(kept)}
        lines = tuple(Value(new[v.index], v.op, tuple(new[a] for a in v.args), v.params, v.type, v.name) for v in kept)
        return Program(
            lines,
            tuple((key, new[v.index]) for key, v in rates.items()),
            tuple((k, new[v.index]) for k, v in sorted(marks.items())),
        )
