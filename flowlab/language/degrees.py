"""Scaling degrees, solved for: unknown exponents per weight block, one linear relation per node, the null space.

Give every weight block W_k an unknown exponent e_k and scale W_k by c^{e_k}. Each node of the network then scales by
some c^{e}, with e linear in the unknowns, provided the relations collected on the way hold. The solutions are the
scaling symmetries of the network (Poggio, Banburski and Liao 2020 use the special case where every block scales alone,
claim P1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

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
            shown = {
                k: "" if abs(c) == 1 else f"{abs(c)} " if c.denominator == 1 else f"({abs(c)}) "
                for k, c in self.relation
            }
            return " + ".join(f"{shown[k]}e({k})" for k, c in self.relation if c * sign > 0) or "0"

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
        return {k: factor * c for k, c in a.items() if factor}

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
        scalings: basis of the exponent vectors that leave the network covariant, as {block: exponent}; blocks that stay
            are left out.
    """

    weights: tuple[str, ...]
    output: tuple[tuple[str, Fraction], ...]
    breaks: tuple[Break, ...]
    scalings: tuple[dict[str, Fraction], ...]

    @cached_property
    def basis(self) -> tuple[dict[str, Fraction], ...]:
        """The scalings with an exponent for every block."""
        none = dict.fromkeys(self.weights, Fraction(0))
        return tuple(none | v for v in self.scalings)

    @cached_property
    def _tied(self) -> frozenset[str]:
        """Blocks that some relation does not let scale alone."""
        return frozenset(k for b in self.breaks for k, c in b.relation if c)

    @cached_property
    def _output(self) -> Form:
        return dict(self.output)

    def allows(self, exponents: dict[str, Fraction]) -> bool:
        """Whether scaling block k by c^{exponents[k]} scales the output by a power of c."""
        return all(sum(c * exponents[k] for k, c in b.relation if k in exponents) == 0 for b in self.breaks)

    def degree(self, block: str) -> Fraction | None:
        """κ_k with f(…, c W_k, …) = c^{κ_k} f, or None if block k has no scaling of its own."""
        return None if block in self._tied else self._output.get(block, Fraction(0))

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
        moving = any(sum(self._output.get(k, Fraction(0)) * e for k, e in v.items()) for v in self.scalings)
        return "quasi-homogeneous" if moving else "non-homogeneous"

    def __str__(self) -> str:
        lines = [self.kind]
        if self.is_multihomogeneous:
            lines.append("degrees: " + ", ".join(f"{k}: {self.degree(k)}" for k in self.weights))
        else:
            lines += [f"broken at {b}" for b in self.breaks]
            for v in self.scalings:
                lines.append(
                    "scaling: "
                    + ", ".join(f"{k} by c^{e}" if e.denominator == 1 else f"{k} by c^({e})" for k, e in v.items() if e)
                )
        return "\n".join(lines)


def solve(weights: Sequence[str], output: Form, breaks: Sequence[Break]) -> Symmetry:
    """The null space of the relations, by exact elimination over the rationals.

    A relation is solved for its last block. A sum of n terms ties all of them to the first, and no row is ever
    rewritten then, so that its length counts once.
    """
    place = {w: i for i, w in enumerate(weights)}
    solved: dict[str, Form] = {}
    for b in breaks:
        row = _without(dict(b.relation), solved)
        if row:
            lead = max(row, key=place.__getitem__)
            solved[lead] = {k: -c / row[lead] for k, c in row.items() if k != lead}
    free = [w for w in weights if w not in solved]
    basis: dict[str, Form] = {w: {w: Fraction(1)} for w in free}
    for lead in sorted(solved, key=place.__getitem__):
        # What stands on the right comes earlier, so it is in terms of free blocks by now.
        solved[lead] = _without(solved[lead], solved)
        for name, c in solved[lead].items():
            basis[name][lead] = c
    return Symmetry(tuple(weights), tuple(sorted(output.items())), tuple(breaks), _reduced(list(basis.values()), place))


def _without(row: Form, solved: dict[str, Form]) -> Form:
    """A linear form with every solved block replaced by what it equals."""
    while known := [k for k in row if k in solved]:
        out = {k: c for k, c in row.items() if k not in solved}
        for k in known:
            for name, c in solved[k].items():
                out[name] = out.get(name, Fraction(0)) + row[k] * c
        row = {k: c for k, c in out.items() if c}
    return row


def _reduced(vectors: Sequence[Form], place: dict[str, int]) -> tuple[dict[str, Fraction], ...]:
    """The one basis of their span in which the last block of every vector has exponent 1 there and 0 in all others;
    zeros are left out.
    """
    done: dict[str, Form] = {}
    for vector in vectors:
        for name in [k for k in vector if k in done]:
            vector = _plus(vector, -vector[name], done[name])
        last = max(vector, key=place.__getitem__)
        vector = {k: c / vector[last] for k, c in vector.items()}
        for name, other in done.items():
            if last in other:
                done[name] = _plus(other, -other[last], vector)
        done[last] = vector
    return tuple(
        {k: done[w][k] for k in sorted(done[w], key=place.__getitem__)} for w in sorted(done, key=place.__getitem__)
    )


def _plus(a: Form, factor: Fraction, b: Form) -> Form:
    out = dict(a)
    for name, c in b.items():
        out[name] = out.get(name, Fraction(0)) + factor * c
    return {k: c for k, c in out.items() if c}
