"""Scaling degrees, solved for: unknown exponents per weight block, one linear relation per node, the null space.

Give every weight block W_k an unknown exponent e_k and scale W_k by c^{e_k}. Each node of the network then scales by some
c^{e}, with e linear in the unknowns, provided the relations collected on the way hold. The solutions are the scaling
symmetries of the network (Poggio, Banburski and Liao 2020 use the special case where every block scales alone, claim P1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

Form = dict[str, Fraction]
"""A linear form in the exponents of the weight blocks."""


@dataclass(frozen=True)
class Break:
    """A node that ties or forbids the scaling of blocks, and why."""

    node: str
    reason: str
    relation: tuple[tuple[str, Fraction], ...]

    def __str__(self) -> str:
        def side(sign: int) -> str:
            return " + ".join(f"e({k})" if abs(c) == 1 else f"{abs(c)} e({k})" for k, c in self.relation if c * sign > 0) or "0"

        return f"`{self.node}`: {self.reason} ({side(1)} = {side(-1)})"


@dataclass
class Relations:
    """The exponent arithmetic handed to the operation words."""

    breaks: list[Break] = field(default_factory=list)
    node: str = ""

    def zero(self) -> Form:
        return {}

    def add(self, a: Form, b: Form) -> Form:
        out = dict(a)
        for name, c in b.items():
            out[name] = out.get(name, Fraction(0)) + c
        return {k: c for k, c in out.items() if c}

    def times(self, factor: Fraction, a: Form) -> Form:
        return {k: factor * c for k, c in a.items()}

    def require_zero(self, a: Form, reason: str) -> None:
        if a:
            self.breaks.append(Break(self.node, reason, tuple(sorted(a.items()))))

    def require_equal(self, a: Form, b: Form, reason: str) -> None:
        self.require_zero(self.add(a, self.times(Fraction(-1), b)), reason)


@dataclass(frozen=True)
class Symmetry:
    """The scaling symmetries of a network.

    Attributes:
        weights: block names.
        output: exponent of the output as a linear form in the block exponents.
        breaks: the nodes whose relations restrict the scalings.
        basis: basis of the exponent vectors that leave the network covariant, as {block: exponent}.
    """

    weights: tuple[str, ...]
    output: tuple[tuple[str, Fraction], ...]
    breaks: tuple[Break, ...]
    basis: tuple[dict[str, Fraction], ...]

    def allows(self, exponents: dict[str, Fraction]) -> bool:
        """Whether scaling block k by c^{exponents[k]} scales the output by a power of c."""
        return all(sum(c * exponents.get(k, Fraction(0)) for k, c in b.relation) == 0 for b in self.breaks)

    def degree(self, block: str) -> Fraction | None:
        """κ_k with f(…, c W_k, …) = c^{κ_k} f, or None if block k has no scaling of its own."""
        return dict(self.output).get(block, Fraction(0)) if self.allows({block: Fraction(1)}) else None

    @property
    def is_multihomogeneous(self) -> bool:
        """Whether every block scales alone."""
        return not self.breaks

    @property
    def joint_degree(self) -> Fraction | None:
        """K with f(c θ) = c^K f for all weights scaled together, or None."""
        ones = {k: Fraction(1) for k in self.weights}
        return sum((c for _, c in self.output), Fraction(0)) if self.allows(ones) else None

    @property
    def kind(self) -> str:
        """`multi-homogeneous`, `quasi-homogeneous` or `non-homogeneous`."""
        if self.is_multihomogeneous:
            return "multi-homogeneous"
        out = dict(self.output)
        moving = any(sum(out.get(k, Fraction(0)) * e for k, e in v.items()) for v in self.basis)
        return "quasi-homogeneous" if moving else "non-homogeneous"

    def __str__(self) -> str:
        lines = [self.kind]
        if self.is_multihomogeneous:
            lines.append("degrees: " + ", ".join(f"{k}: {self.degree(k)}" for k in self.weights))
        else:
            lines += [f"broken at {b}" for b in self.breaks]
            for v in self.basis:
                lines.append("scaling: " + ", ".join(f"{k} by c^{e}" for k, e in v.items() if e))
        return "\n".join(lines)


def solve(weights: Sequence[str], output: Form, breaks: Sequence[Break]) -> Symmetry:
    """The null space of the relations, by exact elimination over the rationals."""
    rows = [dict(b.relation) for b in breaks]
    pivots: dict[str, Form] = {}
    for row in rows:
        for name, pivot in pivots.items():
            if factor := row.get(name):
                row = {k: row.get(k, Fraction(0)) - factor * pivot.get(k, Fraction(0)) for k in {*row, *pivot}}
                row = {k: row[k] for k in sorted(row) if row[k]}
        if not row:
            continue
        lead = min(row, key=list(weights).index)
        row = {k: c / row[lead] for k, c in row.items()}
        for name in list(pivots):
            if factor := pivots[name].get(lead):
                merged = {k: pivots[name].get(k, Fraction(0)) - factor * row.get(k, Fraction(0)) for k in {*row, *pivots[name]}}
                pivots[name] = {k: merged[k] for k in sorted(merged) if merged[k]}
        pivots[lead] = row
    basis = []
    for free in (w for w in weights if w not in pivots):
        vector = {w: Fraction(int(w == free)) for w in weights}
        for lead, row in pivots.items():
            vector[lead] = -row.get(free, Fraction(0))
        basis.append(vector)
    return Symmetry(tuple(weights), tuple(sorted(output.items())), tuple(breaks), tuple(basis))
