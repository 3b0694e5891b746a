"""Derivations as text and LaTeX: the steps in order, then the equations of every block, then the program."""

import re
from typing import TYPE_CHECKING, Any

from flowlab.language.operations import Piece, operations
from flowlab.language.operations.base import PRODUCT, SUM
from flowlab.symbolic import scalars
from flowlab.symbolic.book import Book, Vec, scalar_text
from flowlab.symbolic.names import index, symbol
from flowlab.symbolic.program import INPUTS, Program, Value

if TYPE_CHECKING:
    from flowlab.symbolic.assemble import Equation
    from flowlab.symbolic.equations import FlowEquations

_GREEK = {"rho": r"\rho", "nu": r"\nu", "omega": r"\omega", "D": r"\Delta", "Psi": r"\Psi"}


def document(flow: "FlowEquations", depth: str, *, tex: bool, steps: bool) -> str:
    """The whole derivation at one depth."""
    parts: list[str] = []
    problem = flow.problem
    if not tex:
        words = f"loss: {problem.loss.name}, scheme: {problem.scheme.name}, per {problem.per}"
        words += f", {problem.coordinates} coordinates, {problem.reduction} over samples"
        parts.append(f"{problem.network.text}   [{problem.network.symmetry.kind}]\n{words}")
    if steps and flow.steps:
        parts.append(_steps(flow, tex))
    if depth == "structural":
        parts.append(_structural(flow, tex))
    elif depth == "matrix":
        parts.append(_program(flow.program, tex))
    else:
        small = flow.component(2, 2, None)
        parts.append(small.latex() if tex else small.text())
    if flow.conserved and flow.residual is not None:
        parts.append(_conserved(flow, tex))
    if flow.residual is not None and not tex:
        parts.append(f"checked against reverse-mode autodiff: largest relative residual {flow.residual:.1e}")
    return "\n\n".join(parts) + "\n"


def _steps(flow: "FlowEquations", tex: bool) -> str:
    if not tex:
        return "\n".join(f"({i}) {s.rule}: {s.reason}.\n      {s.text}" for i, s in enumerate(flow.steps, 1))
    lines = []
    for step in flow.steps:
        lines.append(rf"\textbf{{{step.rule[0].upper()}{step.rule[1:]}.}} {_sentence(step.prose)}.")
        lines.append("\\begin{equation}\n  " + step.latex + "\n\\end{equation}")
    return "\n".join(lines)


def _sentence(text: str) -> str:
    """Begins with a capital, unless it begins with a formula."""
    return text if text.startswith("$") else text[0].upper() + text[1:]


def _book(flow: "FlowEquations") -> Book:
    return Book(flow.problem.coordinates == "polar" and flow.problem.is_homogeneous, True, flow.problem.loss.labels == "binary", False)


def _structural(flow: "FlowEquations", tex: bool) -> str:
    book = _book(flow)
    lines: list[tuple[str, str]] = []
    for e in flow.equations:
        lines += _equation_lines(flow, e, book, tex)
    if tex:
        return "\\begin{align}\n" + " \\\\\n".join(f"  {a} &= {b}" for a, b in lines) + "\n\\end{align}"
    return "\n".join(f"{a} = {b}" for a, b in lines)


def _equation_lines(flow: "FlowEquations", e: "Equation", book: Book, tex: bool) -> list[tuple[str, str]]:
    polar = flow.problem.coordinates == "polar"
    kappa = {} if e.kappa is None else {scalars.SYMBOLS["kappa_k"]: scalars.from_tree(e.kappa)}

    def at_degree(expr: Any) -> Any:
        return expr.xreplace(kappa)

    rate = book.show(Vec(at_degree(e.G), at_degree(e.V)), tex)
    if not polar:
        shown = rate if not tex else rate.replace("V_k", "W_k")
        return [(_dot(e.block, tex), _for_block(shown.replace("V_k", "W_k"), e, tex))]
    letter = "v" if flow.problem.scheme.normalises else "V"
    rho = scalar_text(at_degree(e.rho if e.rho is not None else scalars.from_tree(e.kappa or "s")), tex)
    left_rho = rf"\dot\rho_{{{index(e.block)}}}" if tex else f"d rho_{e.block}/dt"
    left_v = rf"\dot {letter}_{{{index(e.block)}}}" if tex else f"d {letter}_{e.block}/dt"
    return [(left_rho, _for_block(rho, e, tex)), (left_v, _for_block(rate, e, tex))]


def _dot(block: str, tex: bool) -> str:
    return rf"\dot {{{symbol(block)}}}" if tex else f"d {block}/dt"


def _for_block(text: str, e: "Equation", tex: bool) -> str:
    """The generic index k replaced by the block's name, all at once: a block may itself be called `a_k`."""
    if tex:
        becomes = {r"\rho_{k}": rf"\rho_{{{index(e.norm_of)}}}", "W_k": f"{{{symbol(e.block)}}}"}
        return re.sub(r"\\rho_\{k\}|W_k|_(?:\{k\}|k)(?![A-Za-z])", lambda m: becomes.get(m.group(), f"_{{{index(e.block)}}}"), text)
    becomes = {"rho_k": f"rho_{e.norm_of}", "W_k": e.block}
    return re.sub(r"rho_k|W_k|_k(?![A-Za-z])", lambda m: becomes.get(m.group(), f"_{e.block}"), text)


def named(name: str) -> str:
    """A program value's name as LaTeX."""
    prime = name.endswith("'")
    name = name.rstrip("'")
    head, _, tail = name.partition("_")
    if head in _GREEK and (tail or not name.endswith("_")):
        shown = _GREEK[head] + (f"_{{{index(tail)}}}" if tail else "")
    elif tail and head in ("Z", "A", "G", "V", "v", "p", "T"):
        shown = f"{head}_{{{index(tail)}}}"
    else:
        shown = symbol(name)
    if not prime:
        return shown
    # The dot belongs to the letter, not to its index.
    letter, found, below = shown.partition("_{")
    return rf"\dot {{{letter}}}{found}{below}"


def _program(program: Program, tex: bool) -> str:
    lines = list(program_lines(program, tex))
    if tex:
        return "\\begin{align}\n" + " \\\\\n".join(f"  {a} &= {b}" for a, b in lines) + "\n\\end{align}"
    width = max(len(a) for a, _ in lines)
    return "\n".join(f"{a:>{width}} = {b}" for a, b in lines)


def program_lines(program: Program, tex: bool) -> list[tuple[str, str]]:
    """(name, expression) of every named value; unnamed values used once are written where they are used."""
    uses: dict[int, int] = {}
    for value in program.values:
        for arg in value.args:
            uses[arg] = uses.get(arg, 0) + 1
    called = _called(program, tex)
    pieces: dict[int, Piece] = {}
    lines: list[tuple[str, str]] = []
    extra = 0
    for value in program.values:
        name = value.name
        if value.op in INPUTS:
            pieces[value.index] = Piece(called.get(value.index, value.op))
            continue
        piece = _render(program, value, pieces, tex)
        simple = value.op in ("transpose", "slope", "scale", "coefficient")
        if name is None and uses.get(value.index, 0) > 1 and not simple:
            extra += 1
            while (named(f"T_{extra}") if tex else f"T_{extra}") in called.values():
                extra += 1
            name = f"T_{extra}"
        if name is None:
            pieces[value.index] = piece
            continue
        shown = called.get(value.index) or (named(name) if tex else name)
        lines.append((shown, piece.text))
        pieces[value.index] = Piece(shown)
    # A rate that is another named value has no line of its own yet.
    return lines


def _called(program: Program, tex: bool) -> dict[int, str]:
    """The printed names of named values, by index; a name that is taken (by a block called `y`, or `G_W1`) gets a mark."""
    out: dict[int, str] = {}
    bases: dict[str, str] = {}
    taken: set[str] = set()

    def shown(name: str) -> str:
        return named(name) if tex else name

    for value in program.values:
        if value.name is None:
            continue
        if value.name.endswith("'"):
            # A rate is called like what it moves, mark included.
            base = value.name.rstrip("'")
            out[value.index] = shown(bases.get(base, base) + "'")
            continue
        name = value.name
        while shown(name) in taken:
            name += "_"
        if value.op in INPUTS:
            bases[value.name] = name
        taken.add(shown(name))
        out[value.index] = shown(name)
    return out


def _render(program: Program, value: Value, pieces: dict[int, Piece], tex: bool) -> Piece:
    parts = [pieces[i] for i in value.args]
    if value.op == "coefficient":
        tree = value.params[0]
        return coefficient_piece(tree, dict(zip(scalars.names(tree), parts, strict=True)), tex)
    types = [program.values[i].type for i in value.args]
    return operations[value.op]().render(tex, parts, types, value.params)


def coefficient_piece(tree: Any, parts: dict[str, Piece], tex: bool) -> Piece:
    """A scalar coefficient with the names of its values put in."""
    if isinstance(tree, str):
        return parts[tree]
    if not isinstance(tree, tuple):
        from flowlab.language.operations.algebra import fraction_text

        return Piece(fraction_text(tree, tex), SUM if tree < 0 else PRODUCT if tree.denominator != 1 else 4)
    head, *rest = tree
    if head == "+":
        return Piece(" + ".join(coefficient_piece(t, parts, tex).text for t in rest).replace("+ -", "- "), SUM)
    if head == "^":
        base = coefficient_piece(rest[0], parts, tex).within(4, tex)
        return Piece(rf"{base}^{{{rest[1]}}}" if tex else f"{base}^{rest[1]}", 3)
    sign = ""
    if rest and rest[0] == -1:
        sign, rest = "-", rest[1:]
    above = [t for t in rest if not _is_inverse(t)]
    below = [("^", t[1], -t[2]) if t[2] != -1 else t[1] for t in rest if _is_inverse(t)]
    top = (r" " if tex else " * ").join(coefficient_piece(t, parts, tex).within(PRODUCT, tex) for t in above) or "1"
    if not below:
        return Piece(sign + top, SUM if sign else PRODUCT)
    bottom = (r" " if tex else " * ").join(coefficient_piece(t, parts, tex).within(3, tex) for t in below)
    if tex:
        return Piece(rf"{sign}\frac{{{top}}}{{{bottom}}}", SUM if sign else PRODUCT)
    return Piece(f"{sign}{top} / {bottom if len(below) == 1 else f'({bottom})'}", SUM if sign else PRODUCT)


def _is_inverse(tree: Any) -> bool:
    return isinstance(tree, tuple) and tree[0] == "^" and not isinstance(tree[2], str) and tree[2] < 0


def _conserved(flow: "FlowEquations", tex: bool) -> str:
    if not tex:
        return "conserved along the flow:\n" + "\n".join(f"  {c.text}{c.where[0]}" for c in flow.conserved)
    lines = " \\\\\n".join(f"  {c.latex} &= \\text{{const}}{c.where[1]}" for c in flow.conserved)
    return "\\begin{align}\n" + lines + "\n\\end{align}"


def standalone(body: str) -> str:
    """A document around a derivation."""
    return "\\documentclass{article}\n\\usepackage{amsmath}\n\\allowdisplaybreaks\n\\begin{document}\n" + body + "\\end{document}\n"
