"""Reasons of steps: one text, read plainly or as LaTeX.

What stands between dollar signs is a formula in plain notation.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flowlab.language.expr import Expr
from flowlab.language.operations import Operation, Piece
from flowlab.language.traversal import fold
from flowlab.symbolic.names import labels, symbol

if TYPE_CHECKING:
    from flowlab.language.problem import Problem

_ESCAPES = {
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": "'",
    "·": " ",
    "{": r"\{",
    "}": r"\}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "@": r"$\cdot$",
}

_IN_CODE = {c: _ESCAPES[c] for c in "_&%#{}^~\\"}
"""What must be escaped in typewriter type too; the rest stands as it is typed."""

_WORDS = {
    "rho": r"\rho",
    "kappa": r"\kappa",
    "fb": r"\bar f",
    "nu": r"\nu",
    "lambda": r"\lambda",
    "omega": r"\omega",
    "eta": r"\eta",
    "psi": r"\psi",
    "theta": r"\theta",
    "exp": r"\exp",
    "softmax": r"\operatorname{softmax}",
}

LONGEST = 20_000
"""Characters of a part of a network in print; what is longer is left out."""

_MARKED = re.compile(r"(\$[^$]*\$|`[^`]+`)")
"""Formulas and code within a reason."""

_RULES = (
    (r"\.\.\.", r"\\dots"),
    (r"\+-", r"\\pm "),
    (r"\bsum_k\b", r"\\sum_k"),
    (r"\bd\|V_k\|\^2/dt", r"\\tfrac{d}{dt}\\lVert V_k\\rVert^2"),
    (r"\bd(\w+)_k/dt", r"\\dot \1_k"),
    (r"\bd (\w+)_k/d (\w+)_k", r"d\1_k/d\2_k"),
    (r"\bd(fb_n|q_n|f_n|f|L)/d ?(\w)", r"\\partial \1/\\partial \2"),
    (r"<([^<>]*)>", r"\\langle \1\\rangle"),
    (r"\|([^|]*)\|", r"\\lVert \1\\rVert"),
    (r"\^([A-Za-z]\w*)", r"^{\1}"),
    (r"\^\{T\}", r"^{\\top}"),
)


def plain(reason: str) -> str:
    """A reason without its marks."""
    return reason.replace("$", "")


def prose(reason: str) -> str:
    """A reason as LaTeX; what stands between backticks is code."""
    return "".join(
        _piece(part[0], part[1:-1]) if i % 2 else _escaped(part, _ESCAPES)
        for i, part in enumerate(_MARKED.split(reason))
    )


def _piece(mark: str, text: str) -> str:
    """A formula or code as LaTeX."""
    return f"${formula(text)}$" if mark == "$" else rf"\texttt{{{_escaped(text, _IN_CODE)}}}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(c, c) for c in text)


def formula(text: str) -> str:
    """A formula in plain notation as LaTeX: `<V_k, dW_k/dt>`, `c^kappa_k`, `W1^T`."""
    for pattern, becomes in _RULES:
        text = re.sub(pattern, becomes, text)
    # Block names keep their number as an index; Greek letters and the sample's output have names of their own.
    text = re.sub(r"(?<![\\A-Za-z])(?!d[A-Z])([A-Za-z]+\d+)", lambda m: symbol(m.group()), text)
    return re.sub(r"(?<![\\A-Za-z])(d?)([a-z]+)(?![A-Za-z])", _greek, text).replace(" _", "_").replace(" (", "(")


def _greek(match: re.Match[str]) -> str:
    """A Greek letter or a function of its own name, also after the d of a differential; other words stay."""
    head, word = match.groups()
    if head + word in _WORDS:
        return _WORDS[head + word] + " "
    return f"d{_WORDS[word]} " if head and word in _WORDS else match.group()


def network_tex(problem: "Problem") -> str:
    """The problem's network as a LaTeX formula for one sample."""
    return _network(problem, True)


def network_text(problem: "Problem") -> str:
    """The problem's network as text, with blocks called as the equations call them."""
    return _network(problem, False) if labels(problem).changed else problem.network.text


def node_tex(problem: "Problem", node: Expr) -> str:
    """A part of the problem's network as a LaTeX formula."""
    return _network(problem, True, node)


def _network(problem: "Problem", tex: bool, part: Expr | None = None) -> str:
    network, known = problem.network, labels(problem).tex if tex else labels(problem).text

    def apply(word: Operation, parts: Sequence[Piece], node: Expr) -> Piece:
        made = word.render(tex, parts, [network.type_of(arg) for arg in node.args], node.params)
        # Shared parts can make the text exponentially longer than the network.
        return made if len(made.text) <= LONGEST else Piece(r"\dots" if tex else "...")

    def given(node: Expr) -> Piece:
        return Piece(known.get(node.params[0], node.params[0]))

    return fold(network.nodes, given, lambda name: Piece(known[name]), apply)[id(part or network.nodes[-1])].text
