"""Wrong equations on purpose: a check that lets one of these pass has no power."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy as sp

from flowlab.core.arguments import guarded
from flowlab.core.display import displayed
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.scalars import SYMBOLS

KINDS = (
    "coefficient",
    "sign",
    "norm-exponent",
    "dropped-projection",
    "weak-projection",
    "dropped-sample",
    "wrong-layer",
    "wrong-degree",
)


@dataclass(frozen=True)
@displayed
class Mutant:
    """A wrong variant of flow equations: what was done, to which block, and the result."""

    kind: str
    block: str
    flow: FlowEquations


@guarded
def mutants(flow: FlowEquations) -> list[Mutant]:
    """Every mutation of every block that changes the equations.

    1 % on a coefficient, a flipped sign, one more power of ρ_k, the projection dropped or 1 % off, one sample left out,
    the norm of another layer, the degree off by one. Variants equal to the original (a projection that is not there, a
    degree that does not occur) are not made.

    Examples:
        >>> flow = fl.derive(fl.Problem("W2 @ W1 @ x"))
        >>> wrong = fl.mutants(flow)
        >>> len(wrong) > 10
        True
        >>> try:
        ...     fl.certify(wrong[0].flow)
        ... except fl.DerivationMismatch as error:
        ...     error.residual > 1e-3
        True
    """
    made = [Mutant("dropped-sample", "", flow.with_equations(flow.equations, omit=0))]
    for i, equation in enumerate(flow.equations):
        for kind, changed in _variants(flow, equation):
            if _same(changed, equation):
                continue
            others = (*flow.equations[:i], changed, *flow.equations[i + 1 :])
            made.append(Mutant(kind, equation.block, flow.with_equations(others)))
    return made


def _variants(flow: FlowEquations, e: Equation) -> Iterator[tuple[str, Equation]]:
    percent, rho = sp.Rational(101, 100), SYMBOLS["rho_k"]
    if e.rho is not None:
        yield "coefficient", replace(e, rho=e.rho * percent)
        yield "sign", replace(e, rho=-e.rho)
        yield "norm-exponent", replace(e, rho=e.rho * rho)
        yield "norm-exponent", replace(e, G=e.G * rho, V=e.V * rho)
        yield "dropped-projection", replace(e, V=sp.Integer(0))
        yield "weak-projection", replace(e, V=e.V * percent)
        shapes = flow.problem.network.shapes
        # Norms of neurons can stand in for one another only where there are as many of them.
        blocks = [
            o.block
            for o in flow.equations
            if flow.problem.per != "neuron" or shapes.get(o.block, ())[:1] == shapes.get(e.block, ())[:1]
        ]
        if len(blocks) > 1:
            yield "wrong-layer", replace(e, norm_of=blocks[(blocks.index(e.block) + 1) % len(blocks)])
        if e.kappa is not None:
            yield "wrong-degree", replace(e, kappa=e.kappa + Fraction(1))
    yield "coefficient", replace(e, G=e.G * percent)
    yield "sign", replace(e, G=-e.G)
    yield "sign", replace(e, V=-e.V)


def _same(a: Equation, b: Equation) -> bool:
    def bound(e: Equation, expr: sp.Expr | None) -> sp.Expr | None:
        if expr is None or e.kappa is None:
            return expr
        return sp.expand(expr.subs(SYMBOLS["kappa_k"], sp.Rational(e.kappa.numerator, e.kappa.denominator)))

    def uses_norm(e: Equation) -> bool:
        return any(expr is not None and expr.has(SYMBOLS["rho_k"]) for expr in (e.rho, e.G, e.V))

    rates = all(bound(a, p) == bound(b, q) for p, q in ((a.rho, b.rho), (a.G, b.G), (a.V, b.V)))
    return rates and (a.norm_of == b.norm_of or not uses_norm(b))
