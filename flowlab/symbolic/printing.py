"""Derivations as text and LaTeX: the steps in order, then the equations of every block, then the program."""

import re
from collections.abc import Iterable
from typing import Any

from flowlab.language.operations import Piece, operations
from flowlab.language.problem import Problem
from flowlab.symbolic import scalars
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.book import Book, Vec, scalar_text
from flowlab.symbolic.component import expand
from flowlab.symbolic.derivation_record import DerivationRecord
from flowlab.symbolic.index_notation import READING, READING_TEX, Entries
from flowlab.symbolic.names import Labels, called_x, index, label_all, labels, symbol
from flowlab.symbolic.players import space_lines
from flowlab.symbolic.program import Program, Value

_GREEK = {"rho": r"\rho", "nu": r"\nu", "omega": r"\omega", "eta": r"\eta", "D": r"\Delta", "Psi": r"\Psi"}

_READING = (
    (r"[^'(]'\s*=", "a prime on the left is the rate of change"),
    (r"\bsum_n\(", "sum_n(A) adds up the columns of A"),
    (r"\b(?:sum|mean)\(", "sum(A) and mean(A) go down every column of A"),
    (r"\bones\(", "ones(A) is a column of ones with as many rows as A"),
    (r"\brows\(", "rows(A) is the number of rows of A"),
    ("<", "<A, B> adds up all entries of A * B"),
    (r">_row", "<A, B>_row adds up every row of A * B, to a column"),
    (r"\|(?!_row)", "|A, B| is the square root of all squared entries together"),
    (r"\|_row", "|A|_row has the length of every row of A, as a column"),
    (r"/ N\b", "N is the number of samples"),
)
"""How notation beyond matrix algebra is read, where it occurs."""
_READING_TEX = (
    (
        r"\\operatorname\{(?:sum|mean)\}",
        r"$\operatorname{sum}(A)$ and $\operatorname{mean}(A)$ go down every column of $A$",
    ),
    (r"\\operatorname\{ones\}", r"$\operatorname{ones}(A)$ is a column of ones with as many rows as $A$"),
    (r"\\operatorname\{rows\}", r"$\operatorname{rows}(A)$ is the number of rows of $A$"),
    (r"\\langle", r"$\langle A, B\rangle$ adds up all entries of $A \odot B$"),
    (r"rangle_", r"$\langle A, B\rangle_{\text{row}}$ adds up every row of $A \odot B$, to a column"),
    (r"rVert(?!_)", r"$\lVert A, B\rVert$ is the square root of all squared entries together"),
    (r"rVert_", r"$\lVert A\rVert_{\text{row}}$ has the length of every row of $A$, as a column"),
    (r"\{N\}", "$N$ is the number of samples"),
)


_REPEATED = 5
"""Operations in a short formula, such as `2 * A`, up to which it is repeated where it is used several times."""


def document(flow: DerivationRecord, depth: str, *, tex: bool, steps: bool) -> str:
    """The whole derivation at one depth."""
    parts: list[str] = []
    problem = flow.problem
    if not tex:
        words = f"loss: {problem.loss.name}, scheme: {problem.scheme.name}, per {problem.per}"
        words += f", {problem.coordinates} coordinates"
        words += "" if problem.loss.is_value else f", {problem.reduction} over samples"
        parametrised = problem.network.parametrisation
        if parametrised is not None:
            words += f"\nparametrisation {parametrised.name}: as the width grows, {parametrised.limit}"
        parts.append(f"{problem.network.text}   [{problem.network.symmetry.kind}]\n{words}")
    known = labels(problem)
    if known.changed and tex:
        parts.append(f"S{_renamed(known, tex)}.")
    elif known.changed:
        parts[0] += f"\ns{_renamed(known, tex)}"
    if steps and flow.steps:
        parts.append(_steps(flow, tex))
    if depth == "structural":
        parts.append(_structural(flow, tex))
    elif depth == "matrix":
        lines = _program(flow.program, tex)
        if tex:
            parts.append(_reading(flow, lines, tex))
        else:
            parts[0] += "\n" + _reading(flow, lines, tex)
        parts.append(lines)
    else:
        small = expand(flow, 2, 2, None, 1)
        parts.append(small.latex() if tex else small.text())
    if flow.residual is not None and flow.laws:
        parts.append(_conserved(flow, tex))
    if flow.residual is not None and not tex:
        also = ", and that against finite differences" if problem.network.is_opaque else ""
        parts.append(f"checked against reverse-mode autodiff{also}: largest relative residual {flow.residual:.1e}")
    return "\n\n".join(parts) + "\n"


def _renamed(known: Labels, tex: bool) -> str:
    """Which leaves are not called by their names, behind the first letter of the sentence."""
    told = ", ".join(
        f"${known.tex[leaf]}$ is the {known.kind(leaf)} {_verbatim(leaf)}"
        if tex
        else f"{label} is the {known.kind(leaf)} {leaf}"
        for leaf, label in known.changed.items()
    )
    what = "blocks" if all(known.roles[leaf] == "weight" for leaf in known.changed) else "blocks, inputs or constants"
    return f"ome {what} have the name of another symbol: {told}"


def _steps(flow: DerivationRecord, tex: bool) -> str:
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


def _book(flow: DerivationRecord) -> Book:
    return Book(
        flow.problem.coordinates == "polar" and flow.problem.is_homogeneous,
        True,
        flow.problem.loss.has_one_output,
        False,
        flow.problem.loss.is_value,
    )


def _structural(flow: DerivationRecord, tex: bool) -> str:
    book = _book(flow)
    lines: list[tuple[str, str]] = []
    for e in flow.equations:
        lines += _equation_lines(flow, e, book, tex)
    if tex:
        return "\\begin{align}\n" + " \\\\\n".join(f"  {a} &= {b}" for a, b in lines) + "\n\\end{align}"
    return "\n".join(f"{a} = {b}" for a, b in lines)


def _reading(flow: DerivationRecord, lines: str, tex: bool) -> str:
    """How the lines of matrix depth are read, so that they can be evaluated."""
    problem = flow.problem
    loss = problem.loss
    told = [_samples(problem, tex)]
    if tex:
        told.append(r"$\odot$ is entrywise, $\mathbf 1$ is a column of ones of fitting length")
        if not loss.is_value:
            told.append(rf"$\ell_{{\text{{{loss.name.replace('_', ' ')}}}}}(f, y) = {loss.latex()}$")
    else:
        told.append(
            "@ is the matrix product; * and / go entry by entry, where a single row or column is repeated to fit"
        )
        if not loss.is_value:
            meaning = (loss.__doc__ or "").partition("\n")[0].partition(";")[0].rstrip(".")
            told.append(f"grad_f {loss.name}(F, y) has the gradients in f of {meaning}")
    if problem.coordinates == "polar":
        direction = ("v_k/|v_k|", r"v_k/\lVert v_k\rVert") if problem.scheme.normalises else ("V_k", "V_k")
        told.append(rf"weights are $W_k = \rho_k {direction[1]}$" if tex else f"weights are W_k = rho_k {direction[0]}")
    if tex and problem.per == "neuron":
        told.append(r"fractions, powers and $\odot$ of columns are entrywise")
    if problem.per == "neuron" and any(len(shape) > 2 for shape in problem.network.shapes.values()):
        told.append("a row of a tensor is all that has one first index")
    if any(problem.decay.values()):
        of = {group: problem.decay[members[0]] for group, members in problem.groups.items()}
        values = ", ".join(rf"$\omega_{{{index(g)}}} = {c!r}$" if tex else f"omega_{g} = {c!r}" for g, c in of.items())
        penalty = r"$\omega_k \lVert W_k\rVert^2$" if tex else "omega_k |W_k|^2"
        told.append(f"{penalty} belongs to the loss with {values}")
    if problem.is_rated:
        of = {group: problem.rates[members[0]] for group, members in problem.groups.items()}
        values = ", ".join(rf"$\eta_{{{index(g)}}} = {c!r}$" if tex else f"eta_{g} = {c!r}" for g, c in of.items())
        told.append(f"the learning rates are {values}")
    made = flow.program.values
    sums = (v for v in made if v.word is not None and v.word.repeats and all(made[i].type.is_matrix for i in v.args))
    if any(len({made[i].type.sampled for i in value.args}) > 1 for value in sums):
        told.append(
            r"a column times $\mathbf 1^{\top}$ is repeated for every sample"
            if tex
            else "+ and - repeat a single column for every sample"
        )
    notation = (*_READING_TEX, *READING_TEX) if tex else (*_READING, *READING)
    told += [sentence for mark, sentence in notation if re.search(mark, lines)]
    words = (operations[value.op] for value in made if value.word is not None)
    told += dict.fromkeys(word.reading[tex] for word in words if word.reading[tex])
    return "; ".join(told) + "." if tex else "\n".join(told)


def _samples(problem: Problem, tex: bool) -> str:
    """Where the samples are, and what is given beside them."""
    network, known = problem.network, labels(problem).tex if tex else labels(problem).text

    def listed(names: Iterable[str]) -> str:
        shown = [known.get(name) or called_x(network) for name in names]
        return ", ".join(f"${name}$" if tex else name for name in shown)

    where = f"the last axis of {listed(network.inputs)} and of what depends on them, of matrices the columns"
    if [len(shape) for shape in network.inputs.values()] == [1]:
        where = f"the columns of {listed(network.inputs)} and of what depends on it"
    y, start = ("$y$", "S") if tex else ("y", "s")
    told = f"{start}amples are {where}, {y} holds the labels, vectors are columns"
    if not network.inputs:
        told = "Vectors are columns" if tex else "vectors are columns"
    if not network.constants:
        return told
    return f"{told}; {listed(network.constants)} {'is' if len(network.constants) == 1 else 'are'} constant"


def _verbatim(name: str) -> str:
    """A name as it was typed, as a formula."""
    return r"$\mathrm{" + name.replace("_", r"\_") + "}$"


def _equation_lines(flow: DerivationRecord, e: Equation, book: Book, tex: bool) -> list[tuple[str, str]]:
    polar = flow.problem.coordinates == "polar"
    kappa = {} if e.kappa is None else {scalars.SYMBOLS["kappa_k"]: scalars.from_tree(e.kappa)}

    def at_degree(expr: Any) -> Any:
        return expr.xreplace(kappa)

    rate = book.show(Vec(at_degree(e.G), at_degree(e.V)), tex)
    if not polar:
        shown = rate if not tex else rate.replace("V_k", "W_k")
        force = _for_block(shown.replace("V_k", "W_k"), flow, e, tex)
        if e.block in flow.problem.geometry:
            return space_lines(flow.problem, e.block, force, _dot(flow, e.block, tex), tex)
        return [(_dot(flow, e.block, tex), force)]
    letter = "v" if flow.problem.scheme.normalises else "V"
    rho = scalar_text(at_degree(e.rho if e.rho is not None else scalars.from_tree(e.kappa or "s")), tex)
    left_rho = rf"\dot\rho_{{{index(e.block)}}}" if tex else f"d rho_{e.block}/dt"
    left_v = rf"\dot {letter}_{{{index(e.block)}}}" if tex else f"d {letter}_{e.block}/dt"
    return [(left_rho, _for_block(rho, flow, e, tex)), (left_v, _for_block(rate, flow, e, tex))]


def _dot(flow: DerivationRecord, block: str, tex: bool) -> str:
    known = labels(flow.problem)
    return rf"\dot {{{known.tex.get(block, symbol(block))}}}" if tex else f"d {known.text.get(block, block)}/dt"


def _for_block(text: str, flow: DerivationRecord, e: Equation, tex: bool) -> str:
    """The generic index k replaced by the block's name, all at once: a block may itself be called `a_k`."""
    named = labels(flow.problem)
    if tex:
        becomes = {
            r"\rho_{k}": rf"\rho_{{{index(e.norm_of)}}}",
            "W_k": f"{{{named.tex.get(e.block, symbol(e.block))}}}",
        }
        return re.sub(
            r"\\rho_\{k\}|W_k|_(?:\{k\}|k)(?![A-Za-z])",
            lambda m: becomes.get(m.group(), f"_{{{index(e.block)}}}"),
            text,
        )
    becomes = {"rho_k": f"rho_{e.norm_of}", "W_k": named.text.get(e.block, e.block)}
    return re.sub(r"rho_k|W_k|_k(?![A-Za-z])", lambda m: becomes.get(m.group(), f"_{e.block}"), text)


def named(name: str) -> str:
    """A program value's name as LaTeX."""
    prime = name.endswith("'")
    name = name.rstrip("'")
    head, _, tail = name.partition("_")
    if head in _GREEK and (tail or not name.endswith("_")):
        shown = _GREEK[head] + (f"_{{{index(tail)}}}" if tail else "")
    elif tail and head in ("Z", "A", "G", "V", "v", "p", "T", "z"):
        shown = f"{head}_{{{index(tail)}}}"
    else:
        shown = symbol(name)
    return _dotted(shown) if prime else shown


def _dotted(shown: str) -> str:
    """A rate: the dot belongs to the letter, not to its index."""
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
    rates = _rates(program, tex)
    called = _called(program, rates, tex)
    entries = Entries(program, called)
    pieces: dict[int, Piece] = {}
    lines: list[tuple[str, str]] = []
    size: dict[int, int] = {}
    extra = 0
    for value in program.values:
        name = called.get(value.index)
        if value.given is not None:
            pieces[value.index] = Piece(name or value.given)
            continue
        by_entries = entries.has(value)
        if by_entries and name is None and value.index not in entries.named:
            # An operand of sums over entries alone, which turn its axes themselves.
            continue
        size[value.index] = 1 + sum(size[i] for i in value.args if i in size and i not in called)
        repeated = operations[value.op].inlined and size[value.index] <= _REPEATED
        if name is None and (value.index in entries.named or (uses.get(value.index, 0) > 1 and not repeated)):
            extra += 1
            name = named(f"T_{extra}") if tex else f"T_{extra}"
            called[value.index] = name
        if by_entries and name is not None:
            lines.append(entries.line(value, name, pieces, tex))
        else:
            pieces[value.index] = _render(program, value, pieces, tex)
            if name is None:
                continue
            lines.append((name, pieces[value.index].text))
        pieces[value.index] = Piece(name)
    # A rate that is another value, such as the pull on a block without decay, has no line of its own yet.
    sides = {name.partition("[")[0] if not tex else re.sub(r"^\[(.*)\]_\{.*\}$", r"\1", name) for name, _ in lines}
    lines += [(name, pieces[i].text) for (name, i) in rates if name not in sides]
    return lines


def _rates(program: Program, tex: bool) -> list[tuple[str, int]]:
    """What every rate is called, a block's own name with a prime or a dot, and its line."""
    known = _labels(program).tex if tex else _labels(program).text
    direction = next((v.name or "V" for v in program.values if v.given == "direction"), "V")[0]
    out = []
    charts = {v.params[0] for v in program.values if v.given == "chart"}
    for (kind, block), i in program.rates:
        name = f"{'rho' if kind == 'rho' else direction}_{block}'"
        if block in charts:
            out.append((named(f"z_{block}'") if tex else f"z_{block}'", i))
        elif kind == "W":
            out.append((_dotted(known[block]) if tex else f"{known[block]}'", i))
        else:
            out.append((named(name) if tex else name, i))
    return out


def _labels(program: Program) -> Labels:
    """What leaves are called beside the program's own names; `x` has a name of its own."""
    roles = {v.params[0]: "weight" for v in program.values if v.given in ("weight", "direction")}
    leaves = (v for v in program.values if v.given == "x" and v.params[0] != "x")
    roles |= {v.params[0]: "input" if v.type.sampled else "constant" for v in leaves}
    given = {v.given for v in program.values}
    polar, homogeneous = "direction" in given, "R" in dict(program.marks)
    return label_all(tuple(roles.items()), polar, homogeneous, "decay" in given, "rate" in given, "y" in given)


def _called(program: Program, rates: list[tuple[str, int]], tex: bool) -> dict[int, str]:
    """The printed names of values, by index; of several that would be called alike only the first one is."""
    known = _labels(program).tex if tex else _labels(program).text
    moved = {i: name for name, i in reversed(rates)}
    out: dict[int, str] = {}
    taken: set[str] = set()
    for value in program.values:
        name = value.name
        if name is None:
            continue
        made = (word := value.word) is not None and word.lengthens and program.values[value.args[0]].given == "norm"
        leaf = value.params[0] if value.given == "x" else name if made or value.given == "weight" else None
        if leaf is not None and leaf in known:
            shown = known[leaf]
        elif name.endswith("'"):
            shown = moved[value.index]
        else:
            shown = named(name) if tex else name
        if shown not in taken:
            out[value.index] = shown
            taken.add(shown)
    return out


def _render(program: Program, value: Value, pieces: dict[int, Piece], tex: bool) -> Piece:
    types = [program.values[i].type for i in value.args]
    return operations[value.op]().columns(tex, [pieces[i] for i in value.args], types, value.params)


def _conserved(flow: DerivationRecord, tex: bool) -> str:
    if not tex:
        return "conserved along the flow:\n" + "\n".join(f"  {c.text}{c.where[0]}" for c in flow.laws)
    lines = " \\\\\n".join(f"  {c.latex} &= \\text{{const}}{c.where[1]}" for c in flow.laws)
    return "\\begin{align}\n" + lines + "\n\\end{align}"


def standalone(body: str) -> str:
    """A document around a derivation."""
    return (
        "\\documentclass{article}\n\\usepackage{amsmath}\n\\allowdisplaybreaks\n\\begin{document}\n"
        + body
        + "\\end{document}\n"
    )
