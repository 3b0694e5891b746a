"""The derivation book: a small algebra of structural vectors, and the steps written down while it is used.

At structural depth the velocity of a block is a combination of two vectors: G_k, the pull of the samples on the block,
and the direction V_k itself. Inner products of the two are all that polar splits, projections and multipliers need;
they come from the unit norm and from Euler's identity, which is derived here where a scaling degree exists.
"""

import re
from dataclasses import asdict, dataclass, field

import sympy as sp

from flowlab.core.display import displayed
from flowlab.symbolic.prose import plain, prose
from flowlab.symbolic.scalars import SYMBOLS


@dataclass(frozen=True)
@displayed
class Step:
    """One recorded step: the rule used, why it applies, and the statement, each in text and LaTeX."""

    rule: str
    reason: str
    text: str
    latex: str
    prose: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Vec:
    """g G_k + v V_k."""

    G: sp.Expr
    V: sp.Expr

    def __add__(self, other: "Vec") -> "Vec":
        return Vec(sp.expand(self.G + other.G), sp.expand(self.V + other.V))

    def __sub__(self, other: "Vec") -> "Vec":
        return self + (-1) * other

    def __rmul__(self, factor: "sp.Expr | int") -> "Vec":
        return Vec(sp.expand(factor * self.G), sp.expand(factor * self.V))


@dataclass
class Book:
    """Steps and identities of one generic block k.

    Attributes:
        homogeneous: whether f(W; x) = R f(V; x) holds, so that G_k is taken at V and ⟨V_k, G_k⟩ = κ_k s.
        unit: whether ⟨V_k, V_k⟩ = 1 (else ν_k²).
        binary: whether the label is folded into the output of a sample, q_n = y_n f(W; x_n).
        value: whether the output is the objective itself, without samples.
        decayed: whether there is weight decay.
        rated: whether blocks have learning rates: from then on, -dL/dW_k stands in every step with its factor eta_k.
    """

    homogeneous: bool
    unit: bool
    binary: bool
    decayed: bool
    value: bool = False
    rated: bool = False
    steps: list[Step] = field(default_factory=list)

    rho: sp.Symbol = SYMBOLS["rho_k"]
    nu: sp.Symbol = SYMBOLS["nu_k"]
    V: Vec = field(default_factory=lambda: Vec(sp.Integer(0), sp.Integer(1)))
    velocity: Vec = field(default_factory=lambda: Vec(sp.Integer(1), sp.Integer(0)))
    euler: sp.Expr = field(default_factory=lambda: SYMBOLS["p_k"])

    def record(self, rule: str, reason: str, text: str, latex: str, told: str | None = None) -> None:
        """Write a step down; formulas in the reason stand between dollar signs, `told` replaces its LaTeX form."""
        if self.rated:
            reason, text = (re.sub(r"-d(?=L/d)", "-eta_k d", part) for part in (reason, text))
            latex = re.sub(r"-(?=\\frac\{\\partial L\}|\\partial L/)", lambda _: r"-\eta_k", latex)
        self.steps.append(Step(rule, plain(reason), text, latex, told if told is not None else prose(reason)))

    def inner(self, a: Vec, b: Vec) -> sp.Expr:
        """⟨a, b⟩ where at most one of them contains G_k (no scheme needs ⟨G_k, G_k⟩)."""
        if sp.expand(a.G * b.G) != 0:
            raise ArithmeticError("the product of two sample pulls has no identity")
        unit = sp.Integer(1) if self.unit else self.nu**2
        return sp.expand((a.G * b.V + a.V * b.G) * self.euler + a.V * b.V * unit)

    @property
    def sample(self) -> tuple[str, str]:
        """The output of sample n, text and LaTeX: with a bar where it is taken at V, without one at W."""
        if self.value:
            return ("fb", r"\bar f") if self.homogeneous else ("f", "f")
        if self.homogeneous:
            return "fb_n", r"\bar f_n"
        return ("q_n", "q_n") if self.binary else ("f_n", "f_n")

    def show(self, value: "Vec | sp.Expr", tex: bool) -> str:
        """A rate as it is printed: sums over samples gathered, common factors in front."""
        return show_vec(self, value, tex) if isinstance(value, Vec) else scalar_text(sp.expand(value), tex)


def _sum(book: Book, tex: bool, inside: str) -> str:
    if book.value:
        # The sign of the pull, -1, is in the factor in front.
        return inside
    if book.binary:
        return rf"\sum_n \psi_n {inside}" if tex else f"sum_n psi_n {inside}"
    return rf"\sum_n {inside}" if tex else f"sum_n {inside}"


def s_text(book: Book, tex: bool) -> str:
    """S = Σ_n ψ_n f̄_n as it is printed."""
    f = book.sample[tex]
    if book.value:
        return f"-{f}"
    if book.binary:
        return rf"\sum_n \psi_n {f}" if tex else f"sum_n psi_n {f}"
    return rf"\sum_n \langle\psi_n, {f}\rangle" if tex else f"sum_n <psi_n, {f}>"


def scalar_text(expr: sp.Expr, tex: bool) -> str:
    """A scalar coefficient in text or LaTeX."""
    if tex:
        return sp.latex(expr).replace("p_{k}", r"\langle V_k, G_k\rangle")
    return str(expr).replace("**", "^").replace("p_k", "<V_k, G_k>")


def show_vec(book: Book, value: Vec, tex: bool) -> str:
    """C Σ_n ψ_n (∂f̄_n/∂V_k - a f̄_n V_k) where the coefficients allow it, else g G_k + v V_k."""
    s, f = SYMBOLS["s"], book.sample[tex]
    at = "V" if book.homogeneous else "W"
    derivative = rf"\frac{{\partial {f}}}{{\partial {at}_k}}" if tex else f"d{f}/d{at}_k"
    g, v = value.G, sp.expand(value.V)
    with_s = sp.expand(v.coeff(s, 1) * s)
    rest = sp.expand(v - with_s)
    own = -g if book.value else g
    front = "" if own == 1 else "-" if own == -1 else scalar_text(own, tex) + (r"\," if tex else " ")
    share = sp.simplify(-with_s / (g * s)) if g != 0 else sp.Integer(0)
    tail = "" if rest == 0 else f" + ({scalar_text(rest, tex)}) V_k"
    if not (book.binary or book.value):
        turned = rf"\bigl(\partial {f}/\partial {at}_k\bigr)^{{\top}}\psi_n" if tex else f"(d{f}/d{at}_k)^T psi_n"
        if share == 0:
            return (f"{front}{_sum(book, tex, turned)}" if g != 0 else "0") + tail
        part = f"{scalar_text(share, tex)} V_k" if share != 1 else "V_k"
        inner_f = rf"\langle\psi_n, {f}\rangle {part}" if tex else f"<psi_n, {f}> {part}"
        bracket = rf"\Bigl({turned} - {inner_f}\Bigr)" if tex else f"({turned} - {inner_f})"
        return f"{front}{_sum(book, tex, bracket)}{tail}"
    if share == 0:
        return (f"{front}{_sum(book, tex, derivative)}" if g != 0 else "0") + tail
    factor = "" if share == 1 else scalar_text(share, tex) + (r"\," if tex else " ")
    bracket = rf"\Bigl({derivative} - {factor}{f} V_k\Bigr)" if tex else f"({derivative} - {factor}{f} V_k)"
    return f"{front}{_sum(book, tex, bracket)}{tail}"
