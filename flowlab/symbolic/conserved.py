"""Conservation laws that follow from the derived equations: equal growth of the norms, balance of neighbouring layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sympy as sp

from flowlab.language.activations import activations
from flowlab.language.expr import Expr
from flowlab.language.problem import Problem
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.book import Book, scalar_text
from flowlab.symbolic.names import index, symbol
from flowlab.symbolic.scalars import SYMBOLS


@dataclass(frozen=True)
class Conserved:
    """A quantity that the flow keeps.

    Attributes:
        kind: `"norm-square"`, `"norm-log"`, `"balance"` (a matrix) or `"balance-diagonal"`.
        blocks: the blocks it ties.
        text, latex: the quantity.
    """

    kind: str
    blocks: tuple[str, str]
    text: str
    latex: str


def equal_growth(problem: Problem, book: Book, equations: Sequence[Equation]) -> bool:
    """Derive d/dt of the norm quantity and record it; True if it is the same for every block (eq. 1.8)."""
    kind, rho, kappa = problem.scheme.conserved_norm, SYMBOLS["rho_k"], SYMBOLS["kappa_k"]
    if kind is None or not book.homogeneous or problem.coordinates != "polar" or equations[0].rho is None:
        return False
    quantity = rho**2 / kappa if kind == "square" else sp.log(rho) / kappa
    growth = sp.simplify(sp.diff(quantity, rho) * equations[0].rho)
    tied = not growth.free_symbols & {rho, kappa, SYMBOLS["omega_k"], SYMBOLS["nu_k"]}
    name = ("rho_k^2/kappa_k", r"\frac{\rho_k^2}{\kappa_k}") if kind == "square" else ("log(rho_k)/kappa_k", r"\frac{\log\rho_k}{\kappa_k}")
    reason = "weight decay makes the growth depend on the block"
    if tied:
        reason = "the right-hand side is the same for every block, so differences between blocks are conserved"
    book.record("equal growth", reason, f"d/dt ({name[0]}) = {scalar_text(growth, False)}", rf"\frac{{d}}{{dt}}\,{name[1]} = {sp.latex(growth)}")
    return tied


def conservation_laws(problem: Problem, book: Book, equations: Sequence[Equation]) -> tuple[Conserved, ...]:
    """All laws found, recorded on the book."""
    laws: list[Conserved] = []
    tied = equal_growth(problem, book, equations)
    scheme = problem.scheme
    if tied:
        named = [e for e in equations if e.kappa]
        for first, second in pairwise(named):
            laws.append(_norm_law(scheme.conserved_norm or "", first, second))
    if any(problem.decay.values()) or problem.per != "layer":
        return tuple(laws)
    factor = _balance_factor(problem, book, equations)
    if factor is None:
        return tuple(laws)
    for inner, outer, diagonal in adjacent(problem):
        laws.append(_balance_law(problem, inner, outer, diagonal, factor))
    if any(law.kind.startswith("balance") for law in laws):
        book.record("balance of layers",
                    "where $W_b$ follows $W_a$, $G_a W_a^T = W_b^T G_b$ (its diagonal, behind a homogeneous activation); "
                    "the imbalance then obeys a scalar equation",
                    "; ".join(f"{law.text} = const" for law in laws if law.kind.startswith("balance")),
                    r", \quad ".join(f"{law.latex} = \\text{{const}}" for law in laws if law.kind.startswith("balance")))  # fmt: skip
    return tuple(laws)


def _norm_law(kind: str, a: Equation, b: Equation) -> Conserved:
    def part(e: Equation, tex: bool) -> str:
        if kind == "square":
            head = rf"\rho_{{{index(e.block)}}}^2" if tex else f"rho_{e.block}^2"
        else:
            head = rf"\log\rho_{{{index(e.block)}}}" if tex else f"log rho_{e.block}"
        return head if e.kappa == 1 else f"{head}/{e.kappa}"

    return Conserved(f"norm-{kind}", (a.block, b.block), f"{part(a, False)} - {part(b, False)}", f"{part(a, True)} - {part(b, True)}")


def _balance_factor(problem: Problem, book: Book, equations: Sequence[Equation]) -> sp.Expr | None:
    """μ(ρ) with μ(ρ_k) (V_k V_k^T - V_{k+1}^T V_{k+1}) constant; 1 with W in place of V for gradient flow."""
    if problem.scheme.name == "gradient_flow":
        return sp.Integer(1)
    if not book.homogeneous or problem.scheme.conserved_norm is None or equations[0].rho is None:
        return None
    # M' = 2 v M with v the coefficient of V in V'; μ'ρ'/μ = -2 v is integrated in ρ, at κ = 1 and |v| = 1.
    rho = SYMBOLS["rho_k"]
    ratio: Any = -2 * equations[0].V / equations[0].rho
    slope = sp.simplify(ratio.xreplace({SYMBOLS["kappa_k"]: sp.Integer(1), SYMBOLS["nu_k"]: sp.Integer(1)}))
    if slope.free_symbols - {rho}:
        return None
    return sp.exp(sp.integrate(slope, rho))


def adjacent(problem: Problem) -> list[tuple[str, str, bool]]:
    """Pairs (inner, outer, diagonal) of blocks used once, of degree 1, where outer acts on (an activation of) inner's product."""
    network = problem.network
    uses: dict[str, int] = {}
    for node in network.nodes:
        for arg in node.args:
            if arg.op == "weight":
                uses[arg.params[0]] = uses.get(arg.params[0], 0) + 1
    parents: dict[int, int] = {}
    for node in network.nodes:
        for arg in node.args:
            parents[id(arg)] = parents.get(id(arg), 0) + 1
    found = []
    for node in network.nodes:
        if node.op != "matmul" or node.args[0].op != "weight":
            continue
        below, diagonal = node.args[1], False
        if below.op == "activation" and parents[id(below)] == 1:
            if activations[below.params[0]].degree != 1:
                continue
            below, diagonal = below.args[0], below.params[0] != "identity"
        if _is_layer(below) and parents[id(below)] == 1:
            inner, outer = below.args[0].params[0], node.args[0].params[0]
            if uses[inner] == uses[outer] == 1 and len(network.shapes[inner]) == 2:
                found.append((inner, outer, diagonal))
    return found


def _is_layer(node: Expr) -> bool:
    return node.op == "matmul" and node.args[0].op == "weight" and node.args[1].op != "weight"


def _balance_law(problem: Problem, a: str, b: str, diagonal: bool, factor: sp.Expr) -> Conserved:
    rho = SYMBOLS["rho_k"]
    letter = "" if problem.scheme.name == "gradient_flow" else "V_"
    text, tex = f"{letter}{a} {letter}{a}^T - {letter}{b}^T {letter}{b}", _outer_tex(letter, a, b, len(problem.network.shapes[b]) == 1)
    if len(problem.network.shapes[b]) == 1:
        text = f"{letter}{a} {letter}{a}^T - {letter}{b} {letter}{b}^T"
    if diagonal:
        text, tex = f"diag({text})", rf"\operatorname{{diag}}\bigl({tex}\bigr)"
    if factor != 1:
        shown = factor.subs(rho, sp.Symbol(f"rho_{a}"))
        text = f"({text}) {shown}".replace("**", "^")
        named = sp.latex(factor).replace("rho_{k}", f"rho_{{{index(a)}}}")
        tex = rf"\bigl({tex}\bigr)\, {named}"
    return Conserved("balance-diagonal" if diagonal else "balance", (a, b), text, tex)


def _outer_tex(letter: str, a: str, b: str, vector: bool) -> str:
    first, second = (f"V_{{{index(a)}}}", f"V_{{{index(b)}}}") if letter else (symbol(a), symbol(b))
    right = rf"{second} {second}^{{\top}}" if vector else rf"{second}^{{\top}} {second}"
    return rf"{first} {first}^{{\top}} - {right}"
