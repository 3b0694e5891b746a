"""From text to an expression: `ast.parse` and an allow-list. No text is ever evaluated."""

import ast
import keyword
import re
import unicodedata
from collections.abc import Callable, Mapping

from flowlab.core.arguments import short, shown
from flowlab.core.errors import LanguageError, UnknownName
from flowlab.core.registry import nearest
from flowlab.language import composed as _composed
from flowlab.language import penalties as _penalties
from flowlab.language.calls import apply
from flowlab.language.exact_numbers import Number, exact
from flowlab.language.expr import Expr, constant, eye, input, weight, x  # noqa: A004 (the words of the language)
from flowlab.language.operations import function_words, is_function
from flowlab.language.syntax_errors import foreign, unreadable

Shape = tuple[int | str, ...]
Part = Expr | Number | str
"""What a part of the text stands for: a text is an argument of a function."""
LONGEST, DEEPEST, LARGEST = 20_000, 180, 4_000
"""Limits on characters, nested brackets and nodes: far above a 100-layer network, far below trouble."""

Term = Expr | Number
_ARITHMETIC: dict[str, Callable[[Term, Term], Term]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
_BINARY: dict[type[ast.operator], str] = {
    ast.MatMult: "matmul",
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
}


def parse(text: str, shapes: Mapping[str, Shape] | None = None, roles: Mapping[str, str] | None = None) -> Expr:
    """The expression a string stands for.

    `x` is the input, and every other name a weight block unless `roles` says otherwise; calls are function words.

    Args:
        text: such as `"W2 @ relu(W1 @ x)"`.
        shapes: declared shapes of leaves.
        roles: `"input"` or `"constant"` by name.

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
    return _Reader(text, shapes or {}, roles or {}).read(tree.body)


_REGISTERS = (_composed, _penalties)
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


class _Reader:
    """Builds the expression bottom-up with an explicit stack, so that long sums cannot exhaust Python's."""

    def __init__(self, text: str, shapes: Mapping[str, Shape], roles: Mapping[str, str]) -> None:
        self.text = text
        self.shapes = shapes
        self.roles = roles
        self.leaves: dict[str, Expr] = {"x": x, "eye": eye}
        self.texts: set[int] = set()
        """Constants that stand as arguments of a function, where a text may be one."""

    def quote(self, node: ast.AST) -> str:
        return shown(unicodedata.normalize("NFKC", ast.get_source_segment(self.text, node) or type(node).__name__))

    def read(self, root: ast.expr) -> Expr:
        stack: list[tuple[ast.expr, bool]] = [(root, False)]
        done: dict[int, Part] = {}
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
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if not any(
                isinstance(a, ast.Starred) for a in args
            ) and all(k.arg for k in keywords):
                self.known(node, name)
                self.texts.update(id(a) for a in (*args, *(k.value for k in keywords)))
                return [*args, *(k.value for k in keywords)]
            case ast.Call(func=ast.Call(func=ast.Name(id=name), args=words, keywords=[]), args=args, keywords=[]) if (
                words and all(isinstance(word, ast.Name) for word in words)
            ):
                for called in (name, *(word.id for word in words if isinstance(word, ast.Name))):
                    self.known(node, called)
                return args
            case ast.Subscript(value=value):
                return [value]
            case ast.Attribute(value=value, attr="T"):
                return [value]
            case ast.Name() | ast.Constant():
                return []
            case _:
                raise LanguageError(f"`{self.quote(node)}` {foreign(node)}.")

    def build(self, node: ast.expr, parts: list[Part]) -> Part:
        match node:
            case ast.Constant(value=value):
                return value if isinstance(value, str) and id(node) in self.texts else self.number(node, value)
            case ast.Subscript():
                return self.taken(node, self.expression(node, parts[0], "leave the brackets out"))
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute():
                return self.expression(node, parts[0], "leave `.T` out").T
            case ast.UnaryOp(op=ast.USub()):
                return -self.signed(node, parts[0])
            case ast.UnaryOp(op=ast.UAdd()):
                return self.signed(node, parts[0])
            case ast.BinOp(op=op) if type(op) in _BINARY:
                return self.binary(node, _BINARY[type(op)], *parts)
            case ast.Call(func=ast.Name(id=name)):
                return self.call(node, name, parts)
            case ast.Call(func=ast.Call(func=ast.Name(id=name), args=words)):
                # A function of functions: `coarse(step, relu)(z)` is `coarse(step(z), relu(z))`.
                named = [word.id for word in words if isinstance(word, ast.Name)]
                return apply(name, *(apply(word, *parts) for word in named))
            case _:
                raise LanguageError(f"`{self.quote(node)}` {foreign(node)}.")

    def name(self, name: str) -> Expr:
        if is_function(name):
            raise LanguageError(f"`{name}` is a function and needs an argument: `{name}(...)`.")
        if name not in self.leaves:
            make = {"input": input, "constant": constant}.get(self.roles.get(name, ""), weight)
            self.leaves[name] = make(name, self.shapes.get(name))
        return self.leaves[name]

    def number(self, node: ast.AST, value: object) -> Number:
        if isinstance(value, str | bytes):
            raise LanguageError(f"`{self.quote(node)}` is in quotes; write names without them.")
        if not value and re.search("[1-9]", self.quote(node).lower().partition("e")[0]):
            raise LanguageError(
                f"`{self.quote(node)}` is nearer to zero than float64 tells apart; write a larger number or 0."
            )
        return exact(value)  # type: ignore[arg-type]

    def signed(self, node: ast.AST, part: Part) -> Expr | Number:
        if isinstance(part, str):
            raise LanguageError(f"`{self.quote(node)}` is in quotes; write names without them.")
        return part

    def expression(self, node: ast.AST, part: Part, remedy: str) -> Expr:
        if not isinstance(part, Expr):
            raise LanguageError(
                f"`{self.quote(node)}` has the number {shown(str(part), 40)} where an expression is needed; {remedy}."
            )
        return part

    def binary(self, node: ast.BinOp, op: str, left: Part, right: Part) -> Expr | Number:
        if isinstance(left, str) or isinstance(right, str):
            raise LanguageError(f"`{self.quote(node)}` must have expressions or numbers, got a text; write no quotes.")
        if op == "pow":
            if isinstance(right, Expr):
                raise LanguageError(f"`{self.quote(node)}` has an expression as exponent; write a number there.")
            if not isinstance(left, Expr):
                # A power of numbers could be made arbitrarily large by a short text.
                raise LanguageError(f"`{self.quote(node)}` is a power of a number; write the number itself.")
            return left**right
        if op == "matmul":
            remedy = "multiply by numbers with `*`"
            return self.expression(node, left, remedy) @ self.expression(node, right, remedy)
        if op == "div" and not isinstance(right, Expr) and right == 0:
            raise LanguageError(f"`{self.quote(node)}` divides by zero; divide by another number.")
        made = _ARITHMETIC[op](left, right)
        return made if isinstance(made, Expr) else exact(made)

    def known(self, node: ast.Call, name: str) -> None:
        """Refuse a function that is no word, before its arguments are looked at."""
        if not is_function(name):
            known = function_words()
            guess = nearest(name, known)
            hint = f"did you mean `{guess}`? Known" if guess else "multiply by a block with `@`, or use one of"
            told = f"`{shown(name, 40)}` in `{self.quote(node)}` is not a known function"
            raise UnknownName(f"{told}; {hint}: {shown(', '.join(known), 130)}.")

    def call(self, node: ast.Call, name: str, parts: list[Part]) -> Expr:
        if not parts:
            raise LanguageError(f"`{self.quote(node)}` has no argument; write for example `{name}(W @ x)`.")
        count = len(node.args)
        met = False
        for part, arg in zip(parts[:count], node.args, strict=True):
            if isinstance(part, Expr) and met:
                told = f"`{self.quote(arg)}` in `{self.quote(node)}` is not a number"
                raise LanguageError(f"{told}; give `{name}` its expressions in front of its numbers.")
            met |= not isinstance(part, Expr | str)
        options = {str(keyword.arg): part for keyword, part in zip(node.keywords, parts[count:], strict=True)}
        odd = next((key for key, part in options.items() if isinstance(part, Expr)), None)
        if odd is not None:
            raise LanguageError(f"`{odd}` in `{self.quote(node)}` must be a number or a text, got an expression.")
        return apply(name, *parts[:count], **{key: part for key, part in options.items() if not isinstance(part, Expr)})

    def taken(self, node: ast.Subscript, part: Expr) -> Expr:
        """Entries by their place; only whole numbers may stand in the brackets."""
        places = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return part[tuple(self.place(node, place) for place in places)]

    def place(self, node: ast.Subscript, place: ast.expr) -> int | slice:
        if isinstance(place, ast.Slice):
            ends = (place.lower, place.upper, place.step)
            start, stop, step = (None if end is None else self.whole(node, end) for end in ends)
            return slice(start, stop, step)
        return self.whole(node, place)

    def whole(self, node: ast.Subscript, place: ast.expr) -> int:
        sign = 1
        if isinstance(place, ast.UnaryOp) and isinstance(place.op, ast.USub):
            sign, place = -1, place.operand
        if not isinstance(place, ast.Constant) or type(place.value) is not int:
            told = f"`{self.quote(node)}` must have integers or slices such as 1:3 in its brackets"
            raise LanguageError(f"{told}, got `{self.quote(place)}`; count entries from 0.")
        return sign * place.value
