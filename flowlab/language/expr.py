"""What a user writes: an immutable expression graph built with Python operators.

    W1, W2 = weight("W1"), weight("W2")
    f = W2 @ relu(W1 @ x)

Nothing is computed or checked here beyond the kind of the operands; shapes, degrees and numbers come from the
operation words (`flowlab.language.operations`) once a `Network` is made of the expression.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
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
LARGEST_OF = "maximum"
"""The function of several expressions: maxout, or max-pooling over them.

It is no operation of its own but b + relu(a - b).
"""


@dataclass(frozen=True, eq=False)
class Expr:
    """One node: the word `op`, its operands and its parameters.

    `op` is `"input"`, `"weight"` (params: name, declared shape or None) or the name of a registered operation.
    """

    op: str
    args: tuple["Expr", ...] = ()
    params: Params = ()

    # numpy scalars must not swallow `2.0 * expr` into an object array.
    __array_ufunc__ = None

    def __matmul__(self, other: "Expr") -> "Expr":
        return Expr("matmul", (self, _operand(other, "@")))

    def __add__(self, other: "Expr") -> "Expr":
        return Expr("add", (self, _operand(other, "+")))

    def __sub__(self, other: "Expr") -> "Expr":
        return Expr("sub", (self, _operand(other, "-")))

    def __mul__(self, other: "Expr | Number") -> "Expr":
        if isinstance(other, Expr):
            return Expr("hadamard", (self, other))
        return Expr("scale", (self,), (exact(other),))

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> "Expr":
        if isinstance(other, Expr) or exact(other) == 0:
            raise LanguageError(
                "only division by a non-zero number is part of the language; write `0.5 * z` or a ratio."
            )
        return Expr("scale", (self,), (1 / exact(other),))

    def __neg__(self) -> "Expr":
        return Expr("scale", (self,), (Fraction(-1),))

    def __pow__(self, exponent: Number) -> "Expr":
        return Expr("power", (self,), (exact(exponent),))

    def _refuse(self, other: object) -> "Expr":
        raise LanguageError("only `number * expression` has a number on its left; write a weight block for a constant.")

    __radd__ = __rsub__ = __rmatmul__ = __rtruediv__ = __rpow__ = _refuse

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
        """Whether it is the input `x`."""
        return self.op == "input"

    @property
    def block(self) -> str | None:
        """The name of the weight block that it is; None for anything else."""
        return self.params[0] if self.op == "weight" else None

    @property
    def T(self) -> "Expr":
        """The transpose of a matrix."""
        return Expr("transpose", (self,))

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


def _operand(value: object, sign: str) -> Expr:
    if not isinstance(value, Expr):
        told = f"`{sign}` needs an expression on both sides, not `{short(value)}`"
        raise LanguageError(f"{told}; write a weight block in its place.")
    return value


@guarded
def weight(name: str, shape: tuple[int | str, ...] | None = None) -> Expr:
    """A weight block. Without `shape`, a capital first letter means a matrix and a small one a vector.

    Raises:
        LanguageError: if the name is not a plain identifier of at most 32 characters, or is `x` or a function's.
    """
    if not isinstance(name, str) or not NAME.match(name) or name in ("x", "True", "False", "None"):
        remedy = f"use letters, digits and `_`, at most {MOST_LETTERS}, and not `x`, `True`, `False` or `None`"
        raise LanguageError(f"`{shown(name)}` cannot name a weight; {remedy}.")
    if is_function(name) or name == LARGEST_OF:
        # Its print would be read as the function.
        raise LanguageError(f"`{name}` is a function and cannot name a weight; choose another name.")
    return Expr("weight", (), (name, shape))


x = Expr("input")
"""The input of one sample, a vector of length `d`."""
