"""Conservation laws that follow from the derived equations: equal growth of the norms, balance of neighbouring layers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp

from flowlab.language.activations import activations
from flowlab.language.expr import Expr
from flowlab.language.problem import Problem
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.book import Book, scalar_text
from flowlab.symbolic.names import index, labels
from flowlab.symbolic.scalars import SYMBOLS


@dataclass(frozen=True)
class Conserved:
    """A quantity that the flow keeps.

    Attributes:
        kind: `"norm-square"`, `"norm-log"`, `"balance"` (a matrix) or `"balance-diagonal"`.
        blocks: the blocks it ties.
        text, latex: the quantity.
        degree: of the function between the layers of a balance law.
        where: the condition it holds under, text and LaTeX; empty where there is none.
    """

    kind: str
    blocks: tuple[str, str]
    text: str
    latex: str
    degree: Fraction = Fraction(1)
    where: tuple[str, str] = ("", "")


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
    # Behind a function of another degree the imbalance of directions has no equation of its own.
    laws += [_balance_law(problem, pair, factor) for pair in adjacent(problem) if pair.degree == 1 or scheme.name == "gradient_flow"]
    if any(law.kind.startswith("balance") for law in laws):
        book.record("balance of layers",
                    "where $W_b$ follows $W_a$, $(dL/dW_a) W_a^T = W_b^T (dL/dW_b)$ (behind a function of degree $m$ the diagonals, with a factor $m$); "
                    "the imbalance then obeys a scalar equation",
                    "; ".join(f"{law.text} = const{law.where[0]}" for law in laws if law.kind.startswith("balance")),
                    r", \quad ".join(f"{law.latex} = \\text{{const}}{law.where[1]}" for law in laws if law.kind.startswith("balance")))  # fmt: skip
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


@dataclass(frozen=True)
class Neighbours:
    """Two blocks of which `outer` acts on `inner`'s product alone, behind an elementwise function of degree `degree` if `diagonal`."""

    inner: str
    outer: str
    diagonal: bool
    degree: Fraction


def adjacent(problem: Problem) -> list[Neighbours]:
    """All neighbouring blocks that are used once each."""
    network = problem.network
    uses = Counter(arg.params[0] for node in network.nodes for arg in node.args if arg.op == "weight")
    parents = Counter(id(arg) for node in network.nodes for arg in node.args)
    above = {id(arg): node.op for node in network.nodes for arg in node.args}

    def factors(node: Expr) -> list[Expr]:
        """A product's factors from left to right, however it was bracketed."""
        out, stack = [], [node]
        while stack:
            here = stack.pop()
            if here.op == "matmul" and (here is node or parents[id(here)] == 1):
                stack += here.args[::-1]
            else:
                out.append(here)
        return out

    found = []
    for node in network.nodes:
        if node.op != "matmul" or (parents[id(node)] == 1 and above[id(node)] == "matmul"):
            continue
        chain = factors(node)
        for place, (outer, below) in enumerate(pairwise(chain), 1):
            inner, diagonal, degree = _behind(below, parents)
            if (inner is below and place == len(chain) - 1) or (inner is not below and inner.op != "matmul"):
                # A weight at the end of a product, or alone behind a function, acts on nothing.
                continue
            inner = factors(inner)[0]
            if degree is not None and outer.op == inner.op == "weight":
                a, b = inner.params[0], outer.params[0]
                if uses[a] == uses[b] == 1 and len(network.shapes[a]) == 2:
                    found.append(Neighbours(a, b, diagonal, degree))
    return sorted(found, key=lambda n: network.weights.index(n.inner))


def _behind(node: Expr, parents: Counter[int]) -> tuple[Expr, bool, Fraction | None]:
    """What stands behind the elementwise functions at a node, whether there are any but the identity, and their joint degree."""
    degree, diagonal = Fraction(1), False
    while node.op in ("activation", "power"):
        step = node.params[0] if node.op == "power" else activations[node.params[0]].degree
        if step is None or parents[id(node)] != 1:
            return node, True, None
        degree, diagonal = degree * step, diagonal or node.params[0] != "identity"
        node = node.args[0]
    return node, diagonal, degree if parents[id(node)] == 1 or node.op == "weight" else None


def _balance_law(problem: Problem, pair: Neighbours, factor: sp.Expr) -> Conserved:
    rho, a, b = SYMBOLS["rho_k"], pair.inner, pair.outer
    letter = "" if problem.scheme.name == "gradient_flow" else "V_"
    vector = len(problem.network.shapes[b]) == 1
    share, share_tex = ("", "") if pair.degree == 1 else (f"/{pair.degree}", f"/{pair.degree}")
    called = labels(problem)
    first, second = (f"V_{a}", f"V_{b}") if letter else (called.text[a], called.text[b])
    right = f"{second} {second}^T" if vector else f"{second}^T {second}"
    text = f"{first} {first}^T{share} - {right}"
    first, second = (f"V_{{{index(a)}}}", f"V_{{{index(b)}}}") if letter else (called.tex[a], called.tex[b])
    tex = _outer_tex(first, second, vector, share_tex)
    if pair.diagonal:
        text, tex = f"diag({text})", rf"\operatorname{{diag}}\bigl({tex}\bigr)"
    if factor != 1:
        shown = factor.subs(rho, sp.Symbol(f"rho_{a}"))
        text = f"({text}) {shown}".replace("**", "^")
        named = sp.latex(factor).replace("rho_{k}", f"rho_{{{index(a)}}}")
        tex = rf"\bigl({tex}\bigr)\, {named}"
    # The lengths of v enter the law where they are not 1.
    where = ("", "") if problem.scheme.unit else (" where every |v_k| = 1", r" \quad\text{where every } \lVert v_k\rVert = 1")
    return Conserved("balance-diagonal" if pair.diagonal else "balance", (a, b), text, tex, pair.degree, where)


def _outer_tex(first: str, second: str, vector: bool, share: str) -> str:
    right = rf"{second} {second}^{{\top}}" if vector else rf"{second}^{{\top}} {second}"
    return rf"{first} {first}^{{\top}}{share} - {right}"
