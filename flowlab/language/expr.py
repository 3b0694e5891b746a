"""What a user writes: an immutable expression graph built with Python operators.

    W1, W2 = weight("W1"), weight("W2")
    f = W2 @ relu(W1 @ x)

Nothing is computed or checked here beyond the kind of the operands; shapes, degrees and numbers come from the
operation words (`flowlab.language.operations`) once a `Network` is made of the expression.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flowlab.core.arguments import guarded, short, shown
from flowlab.core.errors import LanguageError
from flowlab.core.typing import Params
from flowlab.language.exact_numbers import Number, exact
from flowlab.language.operations import is_function, operations

MOST_LETTERS = 32
"""Of a block's name: enough for any word, and few enough for a message that quotes several."""
NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{MOST_LETTERS - 1}}}\Z")


ROLES = ("weight", "input", "constant")
"""What a leaf may be: moved by the flow, given for every sample, or given once."""

COMPOSING: ContextVar[str | None] = ContextVar("COMPOSING", default=None)
"""The call of a composed function that is under way, as a user wrote it, its expressions left out."""


@dataclass(frozen=True, eq=False)
class Expr:
    """One node: the word `op`, its operands and its parameters.

    `op` is the role of a leaf, `"input"`, `"constant"` or `"weight"` (params: name, declared shape or None), or the
    name of a registered operation.

    Examples:
        >>> z = fl.weight("W") @ fl.x
        >>> z.op, [part.op for part in z.args]
        ('matmul', ['weight', 'input'])
    """

    op: str
    args: tuple["Expr", ...] = ()
    params: Params = ()
    within: str | None = field(default_factory=lambda: COMPOSING.get(), repr=False)
    """The call that it was composed for, `max_pool(…, 2)`, which errors name; None for what is written itself."""

    # numpy scalars must not swallow `2.0 * expr` into an object array.
    __array_ufunc__ = None

    def __matmul__(self, other: "Expr") -> "Expr":
        for one, rest in ((self, _operand(other, "@")), (other, self)):
            if one.is_eye:
                return _times(_eye_size(one), rest)
        return Expr("matmul", (self, other))

    def __add__(self, other: "Expr | Number") -> "Expr":
        if isinstance(other, Expr) and (self.is_eye or other.is_eye):
            return _plus_eye(other, self) if other.is_eye else _plus_eye(self, other)
        return Expr("add", (self, other)) if isinstance(other, Expr) else _shifted(self, other)

    def __radd__(self, other: Number) -> "Expr":
        return _shifted(self, other)

    def __sub__(self, other: "Expr | Number") -> "Expr":
        if isinstance(other, Expr) and (self.is_eye or other.is_eye):
            return self + -other
        return Expr("sub", (self, other)) if isinstance(other, Expr) else _shifted(self, -exact(other))

    def __rsub__(self, other: Number) -> "Expr":
        return _shifted(-self, other)

    def __mul__(self, other: "Expr | Number") -> "Expr":
        if self.is_eye or (isinstance(other, Expr) and other.is_eye):
            return _eye_of(_times(_eye_size(self), _eye_size(other)))
        if isinstance(other, Expr):
            return Expr("hadamard", (self, other))
        return Expr("scale", (self,), (exact(other),))

    __rmul__ = __mul__

    def __truediv__(self, other: "Expr | Number") -> "Expr":
        if isinstance(other, Expr):
            return Expr("hadamard", (self, other**-1))
        if exact(other) == 0:
            raise LanguageError("an expression must be divided by a number other than 0, got 0; leave it out.")
        return self * (1 / exact(other))

    def __rtruediv__(self, other: Number) -> "Expr":
        return exact(other) * self**-1

    def __neg__(self) -> "Expr":
        return self * Fraction(-1)

    def __pow__(self, exponent: Number) -> "Expr":
        return Expr("power", (self,), (exact(exponent),))

    def __getitem__(self, place: "int | slice | tuple[int | slice, ...]") -> "Expr":
        return Expr("take", (self,), (positions(place),))

    def __iter__(self) -> "Iterator[Expr]":
        # Without this Python would try `self[0]`, `self[1]`, … for ever.
        raise LanguageError("an expression must be indexed, got a loop over it; write `z[0]`, `z[1:3]`.")

    def _refuse(self, other: object) -> "Expr":
        raise LanguageError("only `number * expression` has a number on its left; write a weight block for a constant.")

    __rmatmul__ = __rpow__ = _refuse

    def __repr__(self) -> str:
        # Not the operands: a shared expression can be exponentially longer in print than in memory.
        told = f"{self.op} {self.params[0]}" if self.params else self.op
        return f"<Expr {told}, {len(self.args)} operands>"

    def __reduce__(self) -> tuple[Any, ...]:
        # A list of nodes that point back, so that copies of long chains need no deep recursion and keep what is shared.
        place: dict[int, int] = {}
        listed = []
        for node in self.nodes():
            place[id(node)] = len(place)
            listed.append((node.op, tuple(place[id(arg)] for arg in node.args), node.params))
        return _joined, (listed,)

    @property
    def is_input(self) -> bool:
        """Whether it is an input: one value per sample, which the data have."""
        return self.op == "input"

    @property
    def is_constant(self) -> bool:
        """Whether it is a constant: one value for all samples, which the data have and no flow moves."""
        return self.op == "constant"

    @property
    def is_eye(self) -> bool:
        """Whether it is a multiple of the identity matrix, whose size a sum or a product around it has."""
        return self.op == "eye"

    @property
    def role(self) -> str | None:
        """What kind of leaf it is, one of `ROLES`; None for what is computed."""
        return self.op if self.op in ROLES else None

    @property
    def leaf(self) -> str | None:
        """The name of a leaf of whatever role; None for what is computed."""
        return self.params[0] if self.op in ROLES else None

    @property
    def block(self) -> str | None:
        """The name of the weight block that it is; None for anything else."""
        return self.params[0] if self.op == "weight" else None

    @property
    def T(self) -> "Expr":
        """The transpose of a matrix."""
        return self if self.is_eye else Expr("transpose", (self,))

    def nodes(self) -> Iterator["Expr"]:
        """Every node once, operands before the nodes that use them."""
        seen: set[int] = set()
        stack: list[tuple[Expr, bool]] = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                yield node
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                # What is applied to a value is met after it: in `W2 @ relu(W1 @ x)` the inner layer is first.
                last_first = node.args if node.args and operations[node.op].composes else node.args[::-1]
                stack.extend((arg, False) for arg in last_first if id(arg) not in seen)


def _joined(listed: list[tuple[str, tuple[int, ...], tuple[Any, ...]]]) -> Expr:
    """The last of the nodes that `Expr.__reduce__` listed."""
    nodes: list[Expr] = []
    for op, places, params in listed:
        nodes.append(Expr(op, tuple(nodes[i] for i in places), params))
    return nodes[-1]


def _eye_size(value: "Expr | Number") -> "Expr | Number":
    """The number, or the scalar, that the identity is multiplied by; anything else is one itself."""
    if not isinstance(value, Expr):
        return exact(value)
    if not value.is_eye:
        return value
    return value.args[0] if value.args else value.params[0]


def _times(a: "Expr | Number", b: "Expr | Number") -> Any:
    """The product of numbers and expressions, without factors of one."""
    return b if a == 1 else a if b == 1 else a * b


def _eye_of(size: "Expr | Number") -> Expr:
    """The identity times a number or a scalar."""
    return Expr("eye", (size,), (Fraction(1),)) if isinstance(size, Expr) else Expr("eye", (), (exact(size),))


def _plus_eye(eye: Expr, value: Expr) -> Expr:
    """The sum of a multiple of the identity and a matrix."""
    size = _eye_size(eye)
    if value.is_eye:
        return _eye_of(size + _eye_size(value))
    return (
        Expr("add_eye", (value, size), (Fraction(1),)) if isinstance(size, Expr) else Expr("add_eye", (value,), (size,))
    )


def _operand(value: object, sign: str) -> Expr:
    if not isinstance(value, Expr):
        told = f"`{sign}` needs an expression on both sides, not `{short(value)}`"
        raise LanguageError(f"{told}; write a weight block in its place.")
    return value


def _shifted(z: Expr, number: Number) -> Expr:
    """Z + c; the number must be one."""
    return Expr("shift", (z,), (exact(number),))


def alike(a: Expr, b: Expr) -> bool:
    """Whether two expressions are written alike, as text writes what is shared twice."""
    numbers: dict[object, int] = {}
    return a is b or numbered(a.nodes(), numbers)[id(a)] == numbered(b.nodes(), numbers)[id(b)]


def numbered(nodes: Iterable[Expr], numbers: dict[object, int] | None = None) -> dict[int, int]:
    """One number per way to write a node, by the identity of nodes: nodes that are written alike share it.

    Args:
        nodes: operands before the nodes that use them.
        numbers: those given before, by what is written; new ones are entered, so that several expressions compare.
    """
    numbers = {} if numbers is None else numbers
    found: dict[int, int] = {}
    for node in nodes:
        # A leaf is told by its name alone: its shape may be declared at one of its places.
        what = node.params if node.leaf is None else node.leaf
        key = (node.op, what, *(found[id(arg)] for arg in node.args))
        found[id(node)] = numbers.setdefault(key, len(numbers))
    return found


def rebuilt(expression: Expr, instead: Callable[[Expr, tuple[Expr, ...]], Expr | None]) -> Expr:
    """An expression with other nodes in place of some; shared parts stay shared.

    Args:
        expression: is not changed.
        instead: what stands in place of a node, from it and its operands as they are by then; None leaves it.
    """
    made: dict[int, Expr] = {}
    for node in expression.nodes():
        args = tuple(made[id(arg)] for arg in node.args)
        other = instead(node, args)
        if other is None:
            kept = all(new is old for new, old in zip(args, node.args, strict=True))
            other = node if kept else Expr(node.op, args, node.params, node.within)
        made[id(node)] = other
    return made[id(expression)]


def positions(place: object) -> tuple[int | tuple[int | None, int | None, int | None], ...]:
    """What stands in square brackets, axis by axis: an integer, or the three numbers of a slice.

    Raises:
        LanguageError: for anything else.
    """
    told = []
    for part in place if isinstance(place, tuple) else (place,):
        ends = (part.start, part.stop, part.step) if isinstance(part, slice) else (part,)
        if any(end is not None and (isinstance(end, bool) or not isinstance(end, int)) for end in ends):
            raise LanguageError(
                f"a position must be an integer or a slice such as 1:3, got {short(part)}; count entries from 0."
            )
        if isinstance(part, slice):
            told.append(ends)
        elif part is None:
            raise LanguageError("a position must be an integer or a slice such as 1:3, got None; count entries from 0.")
        else:
            told.append(part)
    return tuple(told)


def _leaf(role: str, name: str, shape: tuple[int | str, ...] | None) -> Expr:
    if not isinstance(name, str) or not NAME.match(name) or name in ("True", "False", "None"):
        remedy = f"use letters, digits and `_`, at most {MOST_LETTERS}, and not `x`, `True`, `False` or `None`"
        raise LanguageError(f"`{shown(name)}` cannot name {_ROLE[role]}; {remedy}.")
    if is_function(name) or name == "eye":
        # Its print would be read as the word.
        raise LanguageError(f"`{name}` is a function and cannot name {_ROLE[role]}; choose another name.")
    return Expr(role, (), (name, shape))


_ROLE = {"weight": "a weight", "input": "an input", "constant": "a constant"}


@guarded
def weight(name: str, shape: tuple[int | str, ...] | None = None) -> Expr:
    """A weight block. Without `shape`, a capital first letter means a matrix and a small one a vector.

    Raises:
        LanguageError: if the name is not a plain identifier of at most 32 characters, or is `x` or a function's.

    Examples:
        >>> W1, W2 = fl.weight("W1", (16, "d")), fl.weight("W2")
        >>> fl.Network(W2 @ fl.relu(W1 @ fl.x))
        Network('W2 @ relu(W1 @ x)')
    """
    if name == "x":
        remedy = f"use letters, digits and `_`, at most {MOST_LETTERS}, and not `x`, `True`, `False` or `None`"
        raise LanguageError(f"`x` cannot name a weight; {remedy}.")
    return _leaf("weight", name, shape)


@guarded
def input(name: str, shape: tuple[int | str, ...] | None = None) -> Expr:  # noqa: A001 (the word of the field)
    """An input: one value per sample, handed over as `fl.Data(x, y, name=values)`.

    Args:
        name: what the data call it.
        shape: of one sample, integers or names; without it a capital first letter means a matrix and a small one a
            vector.

    Raises:
        LanguageError: if the name is not a plain identifier of at most 32 characters, or is a function's.

    Examples:
        >>> X, W = fl.input("X", ("t", "d")), fl.weight("W")
        >>> fl.Network(fl.sum(fl.mean(X @ W, axis=0)))
        Network('sum(mean(X @ W, axis=0))')
    """
    return _leaf("input", name, shape)


@guarded
def constant(name: str, shape: tuple[int | str, ...] | None = None) -> Expr:
    """A constant: one value for all samples that no flow moves, as `fl.Data(x, y, constants={name: values})`.

    Frozen weights, masks and fixed features are constants. Shapes are read as those of weights.

    Raises:
        LanguageError: if the name is not a plain identifier of at most 32 characters, or is `x` or a function's.

    Examples:
        >>> p, q, A = fl.weight("p"), fl.weight("q"), fl.constant("A")
        >>> net = fl.Network(p @ (A @ q))
        >>> net.constants
        {'A': ('h_A', 'n_q')}
    """
    if name == "x":
        raise LanguageError("`x` cannot name a constant; it is the input.")
    return _leaf("constant", name, shape)


x = Expr("input", (), ("x", None))
"""The input of one sample, a vector of length `d`.

Examples:
    >>> fl.Network(fl.weight("a") @ fl.relu(fl.weight("W") @ fl.x))
    Network('a @ relu(W @ x)')
"""
eye = _eye_of(1)
"""The identity matrix, of the size that the sum or the product around it has: `W @ W.T + 0.3 * eye`.

Examples:
    >>> P = fl.weight("P")
    >>> fl.Network(fl.trace(P @ P.T + 0.3 * fl.eye))
    Network('trace(P @ P.T + 3/10 * eye)')
"""
