"""Conservation laws that follow from the derived equations: equal growth of the norms, balance of neighbouring layers.

A law is found by matching; whether it holds is measured: its rate, worked out from the quantity itself and the rates of
autodiff, is zero or it is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import sympy as sp

from flowlab.core.arguments import fitting, named_blocks
from flowlab.core.display import displayed
from flowlab.core.typing import Array, Blocks, Record
from flowlab.language.problem import Problem
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.book import Book, scalar_text
from flowlab.symbolic.names import index, labels
from flowlab.symbolic.neighbours import Neighbours, adjacent
from flowlab.symbolic.scalars import SYMBOLS

_ONE, _NONE = (Fraction(1), Fraction(1)), (Fraction(0), Fraction(0))
_STEP = 1e-100
"""Imaginary step of a derivative: any number whose square is nothing beside 1."""


@dataclass(frozen=True)
@displayed
class Conserved:
    """A quantity that the flow keeps: a difference of two terms, times a factor μ(ρ) of the first block's norm for a
    balance of directions.

    Attributes:
        has_parts: whether it is a sum of parts, as a `Law` is.
        kind: `"norm-square"`, `"norm-log"`, `"balance"` (a matrix) or `"balance-diagonal"`.
        blocks: the blocks it ties.
        text, latex: the quantity.
        degree: of the function between the layers of a balance law.
        where: the condition it holds under, text and LaTeX; empty where there is none.
        shares: what each of the two terms is divided by.
        growth: (c, p) with d log μ/dρ = c ρ^p; (0, 0) where there is no factor.
        of_weights: whether a balance is one of weights, not of directions.
    """

    has_parts: ClassVar[bool] = False
    kind: str
    blocks: tuple[str, str]
    text: str
    latex: str
    degree: Fraction = Fraction(1)
    where: tuple[str, str] = ("", "")
    shares: tuple[Fraction, Fraction] = _ONE
    growth: tuple[Fraction, Fraction] = _NONE
    of_weights: bool = True

    def __str__(self) -> str:
        return f"{self.text} = const{self.where[0]}"

    def _repr_latex_(self) -> str:
        return f"${self.latex}$"

    def to_json(self) -> Record:
        """Fields as JSON has them, fractions as text."""
        return asdict(self) | {
            "degree": str(self.degree),
            "shares": [str(f) for f in self.shares],
            "growth": [str(f) for f in self.growth],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Conserved":
        """The inverse of `to_json`; KeyError, TypeError or ValueError for anything else."""
        pairs = {}
        for key in ("shares", "growth"):
            first, second = stored[key]
            pairs[key] = (Fraction(first), Fraction(second))
        rest = {key: stored[key] for key in ("kind", "text", "latex", "of_weights")}
        return cls(
            blocks=tuple(stored["blocks"]),
            degree=Fraction(stored["degree"]),
            where=tuple(stored["where"]),
            **rest,
            **pairs,
        )

    def terms(self, rho: Blocks, V: Blocks, W: Blocks) -> tuple[Array, Array]:
        """The two terms whose difference it is, of norms (scalars), directions and weights (in their shapes); complex
        numbers are allowed.

        Returns:
            Scalars for norms, (h, h) matrices for a balance, (h,) for its diagonal.
        """
        first, second = self.blocks
        if self.kind.startswith("norm"):
            parts = [
                np.asarray(rho[k]) ** 2 if self.kind == "norm-square" else np.log(np.asarray(rho[k]))
                for k in self.blocks
            ]
        else:
            source = W if self.of_weights else V
            into, out = np.asarray(source[first]), np.atleast_2d(source[second])
            parts = [into @ into.T, out.T @ out]
            if self.kind == "balance-diagonal":
                parts = [np.diagonal(part) for part in parts]
        return parts[0] / float(self.shares[0]), parts[1] / float(self.shares[1])

    def value(self, W: Blocks) -> np.ndarray:
        """The quantity at weights by block: a scalar, a matrix (h, h) or its diagonal (h,).

        Raises:
            LanguageError: if a block is missing or no array of numbers; ShapeMismatch: if blocks do not fit each other.
        """
        first, second = self._terms_at(W)
        return np.asarray(first - second)

    def scale(self, W: Blocks) -> float:
        """The size of the larger of the two terms, which a change of the quantity is held against.

        Raises:
            LanguageError, ShapeMismatch: as `value`.
        """
        return max(float(np.linalg.norm(term)) for term in self._terms_at(W))

    def fits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether it is known for blocks of these shapes: it is for all, other than a `Law` written out by entries."""
        return set(self.blocks) <= set(shapes)

    def _terms_at(self, W: Blocks) -> tuple[Array, Array]:
        W = named_blocks("W", W, self.blocks)
        rho = {w: np.asarray(np.linalg.norm(np.ravel(W[w]))) for w in self.blocks}
        V = {w: np.asarray(W[w]) / (float(rho[w]) or 1.0) for w in self.blocks}
        with fitting(W):
            first, second = self.terms(rho, V, W)
            np.broadcast_shapes(np.shape(first), np.shape(second))
            return first, second

    def drift(self, point: tuple[Mapping[str, Any], ...], rate: tuple[Mapping[str, Any], ...]) -> tuple[float, float]:
        """Size of the rate of the quantity, divided by μ, and of the terms that make it up; both zero where nothing
        moves.

        Args:
            point: norms, directions and weights.
            rate: their rates, in the same order.
        """
        # The derivative along the flow by a complex step, exact to roundings.
        along = tuple(
            {k: p[k] + _STEP * 1j * np.asarray(d[k]) for k in self.blocks} for p, d in zip(point, rate, strict=True)
        )
        at, moved = self.terms(*point), [np.imag(part) / _STEP for part in self.terms(*along)]
        parts = [moved[0], -moved[1]]
        c, p = self.growth
        if c:
            k = self.blocks[0]
            speed = float(c) * point[0][k] ** float(p) * rate[0][k]
            parts += [speed * at[0], -speed * at[1]]
        return float(np.linalg.norm(sum(parts))), float(sum(np.linalg.norm(part) for part in parts))


def equal_growth(problem: Problem, book: Book, equations: Sequence[Equation]) -> bool:
    """Derive d/dt of the norm quantity and record it; True if it is the same for every block (eq. 1.8)."""
    kind, rho, kappa = problem.scheme.conserved_norm, SYMBOLS["rho_k"], SYMBOLS["kappa_k"]
    if kind is None or not book.homogeneous or problem.coordinates != "polar" or equations[0].rho is None:
        return False
    # A norm that moves eta_k times as fast counts for as much less.
    share = kappa * SYMBOLS["eta_k"] if book.rated else kappa
    quantity = rho**2 / share if kind == "square" else sp.log(rho) / share
    growth = sp.simplify(sp.diff(quantity, rho) * equations[0].rho)
    tied = not growth.free_symbols & {rho, kappa, *(SYMBOLS[name] for name in ("omega_k", "nu_k", "eta_k"))}
    below = ("(eta_k kappa_k)", r"\eta_k\kappa_k") if book.rated else ("kappa_k", r"\kappa_k")
    name = (
        (f"rho_k^2/{below[0]}", rf"\frac{{\rho_k^2}}{{{below[1]}}}")
        if kind == "square"
        else (f"log(rho_k)/{below[0]}", rf"\frac{{\log\rho_k}}{{{below[1]}}}")
    )
    reason = "weight decay makes the growth depend on the block"
    if tied:
        reason = "the right-hand side is the same for every block, so differences between blocks are conserved"
    book.record(
        "equal growth",
        reason,
        f"d/dt ({name[0]}) = {scalar_text(growth, False)}",
        rf"\frac{{d}}{{dt}}\,{name[1]} = {sp.latex(growth)}",
    )
    return tied


def conservation_laws(problem: Problem, book: Book, equations: Sequence[Equation]) -> tuple[Conserved, ...]:
    """All laws found; that norms grow alike is recorded on the book."""
    laws: list[Conserved] = []
    if not problem.network.is_gradient:
        return ()
    tied = equal_growth(problem, book, equations)
    scheme = problem.scheme
    if tied:
        named = [e for e in equations if e.kappa]
        for first, second in pairwise(named):
            laws.append(_norm_law(problem, scheme.conserved_norm or "", first, second))
    if any(problem.decay.values()) or problem.per != "layer":
        return tuple(laws)
    growth = _balance_growth(problem, book, equations)
    if growth is None:
        return tuple(laws)
    # Behind a function of another degree the imbalance of directions has no equation of its own.
    laws += [
        _balance_law(problem, pair, growth) for pair in adjacent(problem) if pair.degree == 1 or scheme.is_gradient_flow
    ]
    return tuple(laws)


def record_balance(book: Book, laws: Sequence[Conserved]) -> None:
    """Write the balance laws among some down as a step."""
    balances = [law for law in laws if law.kind.startswith("balance")]
    if balances:
        book.record(
            "balance of layers",
            "where $W_b$ follows $W_a$, $(dL/dW_a) W_a^T = W_b^T (dL/dW_b)$ (behind a function of degree $m$ the"
            " diagonals, with a factor $m$); the imbalance then obeys a scalar equation",
            "; ".join(f"{law.text} = const{law.where[0]}" for law in balances),
            r", \quad ".join(f"{law.latex} = \\text{{const}}{law.where[1]}" for law in balances),
        )


def _over(text: str, divisor: Fraction, tex: bool, rate: str = "") -> str:
    """A quantity divided by a fraction p/q, and by a learning rate: q times it, over p."""
    sign, p, q = "-" if divisor < 0 else "", abs(divisor.numerator), divisor.denominator
    times = "" if q == 1 else f"{q}\\, " if tex else f"{q} "
    below = rate if p == 1 else f"({p} {rate})" if rate else str(p)
    return f"{sign}{times}{text}" + (f"/{below}" if below else "")


def rate_name(problem: Problem, block: str, tex: bool) -> str:
    """What the learning rate of a block is called; nothing where all are 1."""
    if not problem.is_rated:
        return ""
    return rf"\eta_{{{index(block)}}}" if tex else f"eta_{block}"


def rate_share(problem: Problem, block: str) -> Fraction:
    """The learning rate of a block or of a norm, as the decimal it was written as."""
    return Fraction(repr(problem.rates[problem.groups.get(block, (block,))[0]]))


def _norm_law(problem: Problem, kind: str, a: Equation, b: Equation) -> Conserved:
    degrees = (a.kappa or Fraction(1), b.kappa or Fraction(1))
    shares = (degrees[0] * rate_share(problem, a.block), degrees[1] * rate_share(problem, b.block))

    def difference(tex: bool) -> str:
        def part(e: Equation, share: Fraction) -> str:
            if kind == "square":
                head = rf"\rho_{{{index(e.block)}}}^2" if tex else f"rho_{e.block}^2"
            else:
                head = rf"\log\rho_{{{index(e.block)}}}" if tex else f"log rho_{e.block}"
            return _over(head, share, tex, rate_name(problem, e.block, tex))

        return f"{part(a, degrees[0])} - {part(b, degrees[1])}".replace("- -", "+ ")

    return Conserved(f"norm-{kind}", (a.block, b.block), difference(False), difference(True), shares=shares)


def _balance_growth(problem: Problem, book: Book, equations: Sequence[Equation]) -> tuple[Fraction, Fraction] | None:
    """(c, p) with μ'/μ = c ρ^p and μ(ρ_k) (V_k V_k^T - V_{k+1}^T V_{k+1}) constant;
    c = 0 with W in place of V for gradient flow.
    """
    if problem.scheme.is_gradient_flow:
        return _NONE
    if not book.homogeneous or problem.scheme.conserved_norm is None or equations[0].rho is None:
        return None
    if len(set(problem.rates.values())) > 1:
        return None
    # M' = 2 v M with v the coefficient of V in V'; μ'ρ'/μ = -2 v, at κ = 1 and |v| = 1.
    ratio: Any = -2 * equations[0].V / equations[0].rho
    slope = sp.simplify(ratio.xreplace({SYMBOLS["kappa_k"]: sp.Integer(1), SYMBOLS["nu_k"]: sp.Integer(1)}))
    c, p = slope.as_coeff_exponent(SYMBOLS["rho_k"])
    if not (c.is_Rational and p.is_Rational):
        return None
    return Fraction(int(c.p), int(c.q)), Fraction(int(p.p), int(p.q))


def _factor(growth: tuple[Fraction, Fraction]) -> sp.Expr:
    """μ(ρ) of its logarithmic slope c ρ^p."""
    rho = SYMBOLS["rho_k"]
    c, p = (sp.Rational(part.numerator, part.denominator) for part in growth)
    return sp.exp(sp.integrate(c * rho**p, rho))


def _balance_law(problem: Problem, pair: Neighbours, growth: tuple[Fraction, Fraction]) -> Conserved:
    rho, a, b, factor = SYMBOLS["rho_k"], pair.inner, pair.outer, _factor(growth)
    letter = "" if problem.scheme.is_gradient_flow else "V_"
    vector = len(problem.network.shapes[b]) == 1
    called = labels(problem)
    first, second = (f"V_{a}", f"V_{b}") if letter else (called.text[a], called.text[b])
    right = f"{second} {second}^T" if vector else f"{second}^T {second}"
    names = {
        tex: ("", "") if letter else (rate_name(problem, a, tex), rate_name(problem, b, tex)) for tex in (False, True)
    }
    text = f"{_over(f'{first} {first}^T', pair.degree, False, names[False][0])}"
    text += f" - {_over(right, Fraction(1), False, names[False][1])}"
    first, second = (f"V_{{{index(a)}}}", f"V_{{{index(b)}}}") if letter else (called.tex[a], called.tex[b])
    tex = _outer_tex(first, second, vector, pair.degree, names[True])
    if pair.diagonal:
        text, tex = f"diag({text})", rf"\operatorname{{diag}}\bigl({tex}\bigr)"
    if factor != 1:
        shown = factor.subs(rho, sp.Symbol(f"rho_{a}"))
        text = f"({text}) {shown}".replace("**", "^")
        named = sp.latex(factor).replace("rho_{k}", f"rho_{{{index(a)}}}")
        tex = rf"\bigl({tex}\bigr)\, {named}"
    # The lengths of v enter the law where they are not 1.
    where = (
        ("", "")
        if problem.scheme.unit
        else (" where every |v_k| = 1", r" \quad\text{where every } \lVert v_k\rVert = 1")
    )
    kind = "balance-diagonal" if pair.diagonal else "balance"
    shares = (pair.degree, Fraction(1)) if letter else (pair.degree * rate_share(problem, a), rate_share(problem, b))
    return Conserved(kind, (a, b), text, tex, pair.degree, where, shares, growth, not letter)


def _outer_tex(first: str, second: str, vector: bool, share: Fraction, rates: tuple[str, str]) -> str:
    left = rf"{first} {first}^{{\top}}"
    right = rf"{second} {second}^{{\top}}" if vector else rf"{second}^{{\top}} {second}"
    return f"{_over(left, share, True, rates[0])} - {_over(right, Fraction(1), True, rates[1])}"
