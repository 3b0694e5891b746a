"""From text to an expression: `ast.parse` and an allow-list. No text is ever evaluated."""

import ast
import keyword
import re
import unicodedata
from collections.abc import Mapping

from flowlab.core.arguments import guarded, short, shown
from flowlab.core.errors import LanguageError, UnknownName
from flowlab.core.registry import nearest
from flowlab.language.activations import activations
from flowlab.language.exact_numbers import Number, exact
from flowlab.language.expr import LARGEST_OF, Expr, weight, x
from flowlab.language.operations import function_words, is_function, operations
from flowlab.language.syntax_errors import foreign, unreadable

LONGEST, DEEPEST, LARGEST = 20_000, 180, 4_000
"""Limits on characters, nested brackets and nodes: far above a 100-layer network, far below trouble."""

_BINARY = {ast.MatMult: "matmul", ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}


def parse(text: str, shapes: Mapping[str, tuple[int | str, ...]] | None = None) -> Expr:
    """The expression a string stands for.

    `x` is the input, every other name is a weight block, calls are activations or `sum`, `mean`, `transpose`, or
    `maximum` of several expressions.

    Raises:
        LanguageError: if the text is not an expression of the language; the message quotes the offending part.
        UnknownName: if an unknown function is called; the nearest known one is offered.
    """
    if not isinstance(text, str) or not text.strip():
        raise LanguageError(f"`{short(text)}` is not an expression; write for example 'W2 @ relu(W1 @ x)'.")
    if len(text) > LONGEST:
        raise LanguageError(f"the expression has {len(text)} characters, more than {LONGEST}; build it with operators.")
    if not text.isascii():
        odd = next(c for c in text if not c.isascii())
        remedy = (
            "write names in plain letters, digits and `_`, Greek ones spelt out (`alpha`), and products with `@` or `*`"
        )
        raise LanguageError(f"the expression has the character {odd!r}; {remedy}.")
    depth = deepest = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise LanguageError(f"the expression nests {deepest} brackets, more than {DEEPEST}; build it with operators.")
    text = text.strip()
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        text, tree = _with_keywords(text)
        if tree is None:
            raise LanguageError(f"`{shown(text, 80)}` {unreadable(text, error)}.") from None
    return _Reader(text, dict(shapes or {})).read(tree.body)


_KEYWORDS = re.compile(rf"\b(?:{'|'.join(k for k in keyword.kwlist if k.islower())})\b")
"""Words that Python keeps for itself and that name blocks here, such as `lambda`."""


def _with_keywords(text: str) -> tuple[str, ast.Expression | None]:
    """The text read once more with Python's keywords as names; None where it is no expression even so."""
    # Python reads names in their normal form but keywords letter by letter: one wide letter makes a keyword a name.
    marked = _KEYWORDS.sub(lambda word: chr(ord(word.group()[0]) + 0xFEE0) + word.group()[1:], text)
    try:
        return marked, ast.parse(marked, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text, None


def _kept(made: Expr | Number) -> Expr | Number:
    """The result of an operation; a number must not grow beyond what is kept exactly."""
    return made if isinstance(made, Expr) else exact(made)


class _Reader:
    """Builds the expression bottom-up with an explicit stack, so that long sums cannot exhaust Python's."""

    def __init__(self, text: str, shapes: dict[str, tuple[int | str, ...]]) -> None:
        self.text = text
        self.shapes = shapes
        self.weights: dict[str, Expr] = {}

    def quote(self, node: ast.AST) -> str:
        return shown(unicodedata.normalize("NFKC", ast.get_source_segment(self.text, node) or type(node).__name__))

    def read(self, root: ast.expr) -> Expr:
        stack: list[tuple[ast.expr, bool]] = [(root, False)]
        done: dict[int, Expr | Number] = {}
        count = 0
        while stack:
            node, ready = stack.pop()
            children = self.children(node)
            if ready or not children:
                done[id(node)] = self.build(node, [done[id(child)] for child in children])
                continue
            count += 1
            if count > LARGEST:
                raise LanguageError(
                    f"the expression has more than {LARGEST} operations; split it or build it with operators."
                )
            stack.append((node, True))
            stack.extend((child, False) for child in children)
        made = done[id(root)]
        if not isinstance(made, Expr):
            raise LanguageError(f"`{shown(self.text)}` is a number; write a network, for example 'W @ x'.")
        return made

    def children(self, node: ast.expr) -> list[ast.expr]:
        match node:
            case ast.BinOp(left=left, right=right) if not isinstance(node.op, ast.BitXor):
                return [left, right]
            case ast.UnaryOp(operand=operand):
                return [operand]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if not any(
                isinstance(a, ast.Starred) for a in args
            ):
                self.known(node, name)
                return list(args)
            case ast.Attribute(value=value, attr="T"):
                return [value]
            case ast.Name() | ast.Constant():
                return []
        raise LanguageError(f"`{self.quote(node)}` {foreign(node)}.")

    def build(self, node: ast.expr, parts: list[Expr | Number]) -> Expr | Number:
        match node:
            case ast.Constant(value=value):
                return self.number(node, value)
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute():
                return self.expression(node, parts[0], "leave `.T` out").T
            case ast.UnaryOp(op=ast.USub()):
                return -parts[0]
            case ast.UnaryOp(op=ast.UAdd()):
                return parts[0]
            case ast.BinOp(op=op) if type(op) in _BINARY:
                return self.binary(node, _BINARY[type(op)], *parts)
            case ast.Call(func=ast.Name(id=name)):
                return self.call(node, name, parts)
        raise LanguageError(f"`{self.quote(node)}` {foreign(node)}.")

    def name(self, name: str) -> Expr:
        if name == "x":
            return x
        if is_function(name) or name == LARGEST_OF:
            raise LanguageError(f"`{name}` is a function and needs an argument: `{name}(...)`.")
        if name not in self.weights:
            self.weights[name] = weight(name, self.shapes.get(name))
        return self.weights[name]

    def number(self, node: ast.AST, value: object) -> Number:
        if isinstance(value, str | bytes):
            raise LanguageError(f"`{self.quote(node)}` is in quotes; write names without them.")
        if not value and re.search("[1-9]", self.quote(node).lower().partition("e")[0]):
            raise LanguageError(
                f"`{self.quote(node)}` is nearer to zero than float64 tells apart; write a larger number or 0."
            )
        return exact(value)  # type: ignore[arg-type]

    def expression(self, node: ast.AST, part: Expr | Number, remedy: str) -> Expr:
        if not isinstance(part, Expr):
            raise LanguageError(
                f"`{self.quote(node)}` has the number {shown(str(part), 40)} where an expression is needed; {remedy}."
            )
        return part

    def binary(self, node: ast.BinOp, op: str, left: Expr | Number, right: Expr | Number) -> Expr | Number:
        both_numbers = not isinstance(left, Expr) and not isinstance(right, Expr)
        if op == "pow":
            if isinstance(right, Expr):
                raise LanguageError(f"`{self.quote(node)}` has an expression as exponent; write a number there.")
            if not isinstance(left, Expr):
                # A power of numbers could be made arbitrarily large by a short text.
                raise LanguageError(f"`{self.quote(node)}` is a power of a number; write the number itself.")
            return left**right
        if op == "div":
            if isinstance(right, Expr) or right == 0:
                raise LanguageError(
                    f"`{self.quote(node)}` divides by an expression or by zero; divide by another number."
                )
            return _kept(left / right)
        if op == "mul":
            return _kept(left * right)
        if both_numbers and op != "matmul":
            return _kept(left + right if op == "add" else left - right)  # type: ignore[operator]
        remedy = "multiply by numbers with `*`" if op == "matmul" else "write a weight block in its place"
        a, b = self.expression(node, left, remedy), self.expression(node, right, remedy)
        return a @ b if op == "matmul" else a + b if op == "add" else a - b

    def known(self, node: ast.Call, name: str) -> None:
        """Refuse a function that is no word, before its arguments are looked at."""
        if not is_function(name) and name != LARGEST_OF:
            known = sorted([*function_words(), LARGEST_OF])
            guess = nearest(name, known)
            hint = f"did you mean `{guess}`? Known" if guess else "multiply by a block with `@`, or use one of"
            told = f"`{shown(name, 40)}` in `{self.quote(node)}` is not a known function"
            raise UnknownName(f"{told}; {hint}: {shown(', '.join(known), 130)}.")

    def call(self, node: ast.Call, name: str, parts: list[Expr | Number]) -> Expr:
        if not parts:
            raise LanguageError(f"`{self.quote(node)}` has no argument; write for example `{name}(W @ x)`.")
        if name == LARGEST_OF:
            remedy = "write `relu(z)` for the larger of z and 0"
            return maximum(*(self.expression(node, part, remedy) for part in parts))
        for part, arg in zip(parts[1:], node.args[1:], strict=True):
            if isinstance(part, Expr):
                told = f"`{self.quote(arg)}` in `{self.quote(node)}` is not a number"
                raise LanguageError(f"{told}; give `{name}` one expression, in front of its numbers.")
        return apply(name, self.expression(node, parts[0], f"write for example `{name}(W @ x)`"), *parts[1:])


@guarded
def maximum(*parts: Expr) -> Expr:
    """The entrywise largest of several expressions, as a maxout unit or max-pooling has it (Goodfellow et al. 2013).

    It is written with the words there are, max(a, b) = b + relu(a - b), one after another; where two are equal the
    slope is the later one's.

    Raises:
        LanguageError: for fewer than two expressions, or what is none.
    """
    for part in parts:
        if not isinstance(part, Expr):
            raise LanguageError(f"`{LARGEST_OF}` needs expressions, not `{shown(part)}`.")
    if len(parts) < 2:
        raise LanguageError(
            f"`{LARGEST_OF}` compares expressions, got one; write for example `{LARGEST_OF}(W1 @ x, W2 @ x)`."
        )
    largest = parts[0]
    for part in parts[1:]:
        largest = part + Expr("activation", (largest - part,), ("relu",))
    return largest


def apply(name: str, argument: Expr, *numbers: object) -> Expr:
    """Apply a function word to an expression; `numbers` are its parameters (the leak of `leaky_relu`).

    Raises:
        LanguageError: for parameters that are not numbers, or too many of them.
    """
    if not isinstance(argument, Expr):
        raise LanguageError(f"`{name}` needs an expression, not `{shown(argument)}`.")
    exacts = tuple(exact(n) for n in numbers)  # type: ignore[arg-type]
    if name not in activations and is_function(name):
        if len(exacts) != operations[name].parameters:
            count = operations[name].parameters
            wanted = f"an expression and {count} numbers" if count else "one argument"
            raise LanguageError(f"`{name}` takes {wanted}, got {1 + len(exacts)}; leave the others out.")
        return Expr(name, (argument,), exacts)
    activations[name](*exacts)
    return Expr("activation", (argument,), (name, *exacts))
