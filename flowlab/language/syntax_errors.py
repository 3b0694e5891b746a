"""What is wrong with a text that the language does not read, and what to write instead."""

import ast
import re

from flowlab.core.arguments import shown

_FOREIGN = re.compile(r"[^\w \t.@+\-*/(),^]")
_INSTEAD = {
    "\n": "write it on one line",
    "=": "leave it and what stands left of it out",
    "|": "write |z| as `abs(z)`",
    "'": "write names without quotes, and `W.T` for the transpose",
    '"': "write names without quotes",
    ";": "write one expression",
    "[": "write round brackets",
    "]": "write round brackets",
    "{": "write round brackets",
    "}": "write round brackets",
}
"""Characters in the order in which they are looked for, and what says the same in the language."""
_TOKEN = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+|\w+|\*\*|\S")

_FOR = {
    ast.Subscript: "write round brackets around arguments, and parts of blocks as blocks of their own",
    ast.Attribute: "write `.T` for the transpose, and no other attribute",
    ast.Tuple: "write one expression, and decimals with a point",
    ast.List: "write round brackets",
    ast.Set: "write round brackets",
    ast.JoinedStr: "write names without quotes",
    ast.Compare: "write one side alone",
    ast.NamedExpr: "write what stands right of `:=` alone",
    ast.Lambda: "write what stands right of `:` alone",
}
_ALLOWED = "use only the operators @ + - * / **, functions, names, numbers and .T"


def unreadable(text: str, error: Exception) -> str:
    """Why a text cannot be taken apart, as the rest of a sentence."""
    if not isinstance(error, SyntaxError | ValueError):
        return "is nested too deeply; write it with fewer brackets and signs"
    char = next((c for c in _INSTEAD if c in text), None) or next(iter(_FOREIGN.findall(text)), None)
    if char is not None:
        told = "a line break" if char == "\n" else f"`{shown(char)}`"
        return f"has {told}, which is not part of the language; {_INSTEAD.get(char, 'leave it out')}"
    balance = 0
    for c in text:
        balance += (c == "(") - (c == ")")
        if balance < 0:
            return "has a `)` without its `(`; close every bracket once"
    if balance:
        return f"has a `(` that is not closed; add `{')' * min(balance, 3)}`"
    return _between(_TOKEN.findall(text))


def _between(tokens: list[str]) -> str:
    """What is missing between two neighbours."""
    ended = False
    before = ""
    for token in [*tokens, ""]:
        word = token[:1].isalnum() or (token[:1] in ("_", ".") and token != ".")
        if ended and (word or (token == "(" and not before.isidentifier())):
            return (
                f"has no operator between `{shown(before, 40)}` and `{shown(token, 40)}`; write one such as `@` or `*`"
                " there"
            )
        if not ended and not word and token not in ("(", "+", "-") and not (token == ")" and before == "("):
            place = (
                f"between `{before}` and `{token}`"
                if before and token
                else f"after `{before}`"
                if before
                else f"before `{token}`"
            )
            return f"has nothing {place}; write a block, `x` or a number there"
        if word and re.fullmatch(r"0+\d+", token):
            return f"has the number `{shown(token, 40)}`; write it without zeros in front"
        ended, before = word or token == ")", token
    return "is not an expression; write for example 'W2 @ relu(W1 @ x)'"


def foreign(node: ast.AST) -> str:
    """Why a part of the text has no meaning, as the rest of a sentence."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        return (
            "uses `^`, which is not an operator of the language; write powers with `**`, as in `W**2`, and the"
            " transpose as `W.T`"
        )
    remedy = _FOR.get(type(node), _ALLOWED)
    if isinstance(node, ast.Call):
        remedy = "write an operator such as `@` or `*` in front of the bracket"
        if isinstance(node.func, ast.Attribute):
            remedy = "write the function's name alone, as in `tanh(z)`"
        elif node.keywords:
            remedy = "give numbers by their place, as in `leaky_relu(z, 0.1)`"
        elif isinstance(node.func, ast.Name):
            remedy = "give one expression"
    return f"is not part of the language; {remedy}"
