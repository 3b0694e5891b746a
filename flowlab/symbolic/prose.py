"""Reasons of steps: one text, read plainly or as LaTeX. What stands between dollar signs is a formula in plain notation."""

import re
from typing import TYPE_CHECKING

from flowlab.symbolic.names import symbol

if TYPE_CHECKING:
    from flowlab.language.network import Network

_ESCAPES = {
    "_": r"\_", "^": r"\textasciicircum{}", "&": r"\&", "%": r"\%", "#": r"\#", "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "`": "'", "·": " ", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "@": r"$\cdot$",
}  # fmt: skip

_WORDS = {"rho": r"\rho", "kappa": r"\kappa", "fb": r"\bar f", "nu": r"\nu", "lambda": r"\lambda", "omega": r"\omega", "psi": r"\psi", "exp": r"\exp"}

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
)  # fmt: skip


def plain(reason: str) -> str:
    """A reason without its marks."""
    return reason.replace("$", "")


def prose(reason: str) -> str:
    """A reason as LaTeX."""
    parts = reason.split("$")
    return "".join(f"${formula(part)}$" if i % 2 else "".join(_ESCAPES.get(c, c) for c in part) for i, part in enumerate(parts))


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


def network_tex(network: "Network") -> str:
    """The network's expression as a LaTeX formula."""
    from flowlab.language.operations import Piece, operations

    pieces: dict[int, Piece] = {}
    for node in network.nodes:
        if node.op == "input":
            pieces[id(node)] = Piece("x")
        elif node.op == "weight":
            pieces[id(node)] = Piece(symbol(node.params[0]))
        else:
            types = [network.type_of(arg) for arg in node.args]
            pieces[id(node)] = operations[node.op]().render(True, [pieces[id(arg)] for arg in node.args], types, node.params)
    return pieces[id(network.nodes[-1])].text
