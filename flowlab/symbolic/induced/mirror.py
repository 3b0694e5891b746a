"""The mirror coordinate of one entry: θ' = ∇g(θ) in the clock z, solved symbolically.

Where every entry of β has weights of its own, the gradient fields of the entries commute, and the weights are functions
of z with z' = -∂L/∂β alone: dθ/dz = ∇g(θ) from the start. Then β(z) = g(θ(z)) is the gradient of the conjugate
potential, and K = dβ/dz (Li, Wang, Lee and Arora 2022).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import sympy as sp

from flowlab.core.display import displayed
from flowlab.symbolic.induced.closed_forms import hyperbolic

Z, BETA = sp.Symbol("z", real=True), sp.Symbol("beta", real=True)


@dataclass(frozen=True)
@displayed
class Mirror:
    """One entry of β as a function of its mirror coordinate z.

    Attributes:
        theta: the weights, θ(z), by block.
        beta: β(z), increasing.
        metric: K = dβ/dz.
        conjugate: Φ*(z), the integral of β from 0.
        inverse: z(β), or None where it has no closed form that is found.
        ends: places where θ(z) ceases to exist; z stays between the two that are nearest to 0.
    """

    theta: tuple[tuple[str, sp.Expr], ...]
    beta: sp.Expr
    metric: sp.Expr
    conjugate: sp.Expr
    inverse: sp.Expr | None
    ends: tuple[sp.Expr, ...]

    @property
    def potential(self) -> sp.Expr | None:
        """Φ(β) = β z - Φ*(z) at z = z(β); None where z(β) has no closed form."""
        if self.inverse is None:
            return None
        return sp.simplify((BETA * Z - self.conjugate).subs(Z, self.inverse))


def mirror(g: sp.Expr, start: Mapping[sp.Symbol, sp.Expr]) -> Mirror | None:
    """The mirror coordinate of an entry; None where θ(z) has no closed form that is found.

    Args:
        g: the entry, in the symbols of its weights.
        start: the weights at z = 0.
    """
    solved: dict[sp.Symbol, sp.Expr] = {}
    ends: list[sp.Expr] = []
    g = sp.expand(g)
    for part in _parts(g, start):
        found = _linear(g, part, start) or _alone(g, part, start)
        if found is None:
            return None
        theta, stops = found
        solved |= theta
        ends += stops
    beta = hyperbolic(g.subs(list(solved.items()), simultaneous=True), Z)
    rise = hyperbolic(sp.diff(beta, Z), Z)
    conjugate = _integral(beta)
    if conjugate is None:
        return None
    theta = tuple((symbol.name, sp.powsimp(value)) for symbol, value in solved.items())
    return Mirror(theta, beta, rise, conjugate, _inverse(beta), tuple(dict.fromkeys(ends)))


def _parts(g: sp.Expr, start: Mapping[sp.Symbol, sp.Expr]) -> Iterator[tuple[sp.Symbol, ...]]:
    """Weights that move each other, in groups."""
    groups = [{symbol} for symbol in start]
    for a, b in combinations(start, 2):
        if sp.expand(sp.diff(g, a, b)) != 0:
            one, other = (next(group for group in groups if s in group) for s in (a, b))
            if one is not other:
                groups.remove(other)
                one |= other
    yield from (tuple(s for s in start if s in group) for group in groups)


_Solved = tuple[dict[sp.Symbol, sp.Expr], list[sp.Expr]]


def _linear(g: sp.Expr, part: tuple[sp.Symbol, ...], start: Mapping[sp.Symbol, sp.Expr]) -> _Solved | None:
    """Weights whose fields are affine: θ(z) from the exponential of a matrix."""
    fields = [sp.diff(g, s) for s in part]
    matrix = sp.Matrix([[sp.diff(h, s) for s in part] for h in fields])
    if matrix.has(*part):
        return None
    rest = [h.subs(dict.fromkeys(part, 0)) for h in fields]
    # One more coordinate, which is 1 throughout, carries what the fields are at 0.
    whole = matrix.row_join(sp.Matrix(rest)).col_join(sp.zeros(1, len(part) + 1))
    flow = (whole * Z).exp() * sp.Matrix([*(start[s] for s in part), 1])
    return {s: hyperbolic(sp.simplify(flow[i]), Z) for i, s in enumerate(part)}, []


def _alone(g: sp.Expr, part: tuple[sp.Symbol, ...], start: Mapping[sp.Symbol, sp.Expr]) -> _Solved | None:
    """Weights that stay equal, because they start so and g does not tell them apart, or a single one: θ' = c θ^q."""
    first = part[0]
    alike = all(
        start[s] == start[first] and sp.expand(g - g.subs({s: first, first: s}, simultaneous=True)) == 0
        for s in part[1:]
    )
    if not alike:
        return None
    h = sp.factor(sp.diff(g, first).subs(dict.fromkeys(part, first)))
    power = sp.simplify(first * sp.diff(h, first) / h)
    if power.has(first) or power == 1 or not power.is_number:
        return None
    factor, begin = sp.simplify(h / first**power), start[first]
    if begin == 0:
        # The flow rests where the field vanishes. It does not exist where the field does not.
        return ({s: sp.Integer(0) for s in part}, []) if power > 0 else None
    if power.is_integer:
        # θ0 (1 + (1 - q) c θ0^{q-1} z)^{1/(1-q)}: real whatever the sign of the start.
        inner = 1 + (1 - power) * factor * begin ** (power - 1) * Z
        value = begin * inner ** (1 / (1 - power))
    elif begin.is_positive:
        inner = begin ** (1 - power) + (1 - power) * factor * Z
        value = inner ** (1 / (1 - power))
    else:
        return None
    (end,) = sp.solve(inner, Z)
    return dict.fromkeys(part, value), [end]


def _integral(beta: sp.Expr) -> sp.Expr | None:
    """The integral of a closed form from 0, term by term."""
    whole = sp.Integer(0)
    for term in sp.Add.make_args(beta):
        found = _primitive(term)
        if found is None:
            return None
        whole += found - found.subs(Z, 0)
    return whole


def _primitive(term: sp.Expr) -> sp.Expr | None:
    factor, rest = term.as_independent(Z, as_Add=False)
    if rest.func in (sp.exp, sp.sinh, sp.cosh) and not (speed := sp.diff(rest.args[0], Z)).has(Z):
        up = {sp.exp: sp.exp, sp.sinh: sp.cosh, sp.cosh: sp.sinh}[rest.func]
        return factor * up(rest.args[0]) / speed
    base, power = rest.as_base_exp()
    if power.is_number and not (speed := sp.diff(base, Z)).has(Z):
        if speed == 0:
            return factor * Z
        return factor * (sp.log(sp.Abs(base)) if power == -1 else base ** (power + 1) / (power + 1)) / speed
    return sp.integrate(term, Z) if term.is_polynomial(Z) else None


def _inverse(beta: sp.Expr) -> sp.Expr | None:
    """z(β) where z stands in one place of β(z)."""
    still, moving = beta.as_independent(Z, as_Add=True)
    rest: Any
    factor, rest = moving.as_independent(Z, as_Add=False)
    target = (BETA - still) / factor
    undo = {sp.exp: sp.log, sp.sinh: sp.asinh, sp.tanh: sp.atanh}
    if rest.func in undo:
        target, rest = undo[rest.func](target), rest.args[0]
    base, power = rest.as_base_exp()
    if power != 1 and power.is_number:
        # Right where β has the sign that it starts with.
        target, rest = target ** (1 / power), base
    if sp.diff(rest, Z).has(Z) or not rest.has(Z):
        return None
    return sp.expand((target - rest.subs(Z, 0)) / sp.diff(rest, Z))
