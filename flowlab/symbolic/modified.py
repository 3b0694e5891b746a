"""The modified equation of a descent rule: the flow that its steps follow to second order in the step size.

A step of size η of a rule on a field F stays within O(η³) of the flow z' = a F + η c DF F, whatever F is: to this order
F and DF F are the only terms that a rule of forces can have. So a and c are read off where F is linear and has one
entry, F(z) = q z. There a step multiplies z by λ(ηq), the root that is 1 at ηq = 0 of the matrix that takes memory and
place to the next ones, and log λ(h) = a h + c h² + O(h³).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp

from flowlab.core.arguments import guarded, positive
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.language.optax_rule import GradientTransformation, word_of
from flowlab.language.problem import Problem
from flowlab.language.rules import Momentum, Rule, checked_momentum, rules
from flowlab.symbolic.derivation_record import DerivationRecord

_BETA = sp.Symbol("beta", positive=True)


@dataclass(frozen=True)
@displayed
class ModifiedFlow:
    """The flow z' = a F + η c DF F of a rule on the field F of a flow.

    Attributes:
        flow: whose field F is.
        rule: name of the rule.
        step: η (above zero; in units of flow time).
        momentum: β of the heavy ball, or 0.
        nesterov: whether the ball looks ahead.

    Examples:
        >>> net = fl.Network("p @ (A @ q)", constants=("A",))
        >>> game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
        >>> data = fl.Data(A=[[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
        >>> modified = fl.derive(game).modified("optimistic", step=0.1)
        >>> modified.rule, modified.step
        ('optimistic', 0.1)
        >>> print(modified.text().splitlines()[0])
        dz/dt = F + 1/2 eta DF F,  eta = 0.1, F the field of:
    """

    flow: DerivationRecord
    rule: str
    step: float
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def problem(self) -> Problem:
        """The problem of the flow."""
        return self.flow.problem

    @cached_property
    def coefficients(self) -> tuple[sp.Expr, sp.Expr]:
        """The factors a of F and c of η DF F, exact; with the symbol β where there is momentum."""
        return coefficients(rules[self.rule](), Momentum(self.nesterov) if self.momentum else None)

    @cached_property
    def numbers(self) -> tuple[float, float]:
        """The same as numbers."""
        a, c = (float(e.subs(_BETA, sp.nsimplify(self.momentum))) for e in self.coefficients)
        return a, c

    def text(self) -> str:
        """The equation as text, behind those of its field."""
        (_, a), (sign, c) = (_written(e, False) for e in self.coefficients)
        lead, second = ("F" if a == "1" else f"{a} F"), f"{c} eta DF F"
        where = f"eta = {self.step:g}" + (f", beta = {self.momentum:g}" if self.momentum else "")
        return f"dz/dt = {lead} {sign} {second},  {where}, F the field of:\n\n{_body(self.flow, False)}"

    def latex(self) -> str:
        """The equation as LaTeX, behind those of its field."""
        (_, a), (sign, c) = (_written(e, True) for e in self.coefficients)
        lead, second = ("F" if a == "1" else rf"{a}\, F"), rf"{c}\,\eta\, DF\, F"
        return f"\\begin{{equation}}\n  \\dot z = {lead} {sign} {second}\n\\end{{equation}}\n" + _body(self.flow, True)

    def __str__(self) -> str:
        return self.text()


def _written(number: sp.Expr, tex: bool) -> tuple[str, str]:
    """The sign of a coefficient, and its size with powers of 1 - β, which is above zero, below the line."""
    sign = 1 if number.subs(_BETA, 0) > 0 else -1
    left = sp.Symbol("left")
    _, below = sp.fraction(sp.factor(number.subs(_BETA, 1 - left)))
    above = sp.expand(sp.cancel(sign * number * below.subs(left, 1 - _BETA)))
    below = below.subs(left, sp.UnevaluatedExpr(1 - _BETA))
    if tex:
        size = sp.latex(above) if below == 1 else rf"\frac{{{sp.latex(above)}}}{{{sp.latex(below)}}}"
    else:
        size = "/".join(str(e) if e.is_Atom else f"({e})" for e in ([above] if below == 1 else [above, below]))
    return "-+"[sign > 0], size


def _body(flow: Any, tex: bool) -> str:
    # What the flow keeps, its modified flow need not keep.
    bare = replace(flow, matched=(), stored=())
    return bare.latex(steps=False) if tex else bare.text(steps=False)


def step_matrix(rule: Rule, heavy: Momentum | None = None) -> tuple[sp.Matrix, sp.Symbol]:
    """The matrix that takes memory and place to the next ones on F(z) = q z, and its symbol h = ηq.

    Raises:
        LanguageError: for a rule that is not linear in its memory and the force.
    """
    h, place = sp.Symbol("h"), sp.Symbol("z")

    def field(z: Any) -> Any:
        # With the step size 1 the field h z has the step h on z.
        return {"z": h * z["z"]}

    memory, once = _step(rule, heavy, field, place)
    unknown = sp.symbols(f"m:{len(memory)}")
    matrix = sp.Matrix([[sp.diff(line, v) for v in (*unknown, place)] for line in once(unknown)])
    if matrix.free_symbols - {h, _BETA}:
        raise LanguageError(
            f'the rule "{rule.name}" must be linear in its memory and the force to have a modified flow.'
        )
    return matrix, h


def coefficients(rule: Rule, heavy: Momentum | None = None) -> tuple[sp.Expr, sp.Expr]:
    """The factors a and c of a rule on weights, from its own step on F(z) = q z.

    Raises:
        LanguageError: for a rule whose memory does not follow its place linearly, or leads to no first-order flow.
    """
    matrix, h = step_matrix(rule, heavy)
    a, b = sp.symbols("a b")
    grown = sp.expand((matrix - (1 + a * h + b * h**2) * sp.eye(matrix.rows)).det())
    # The root 1 is simple where there is one flow, so that a and b come out of the first two orders that have them.
    powers: list[Any] = [grown.coeff(h, k) for k in range(4)]
    orders = [order for power in powers if (order := sp.simplify(power)) != 0]
    first = sp.solve(orders[0], a) if orders else []
    if len(first) != 1:
        raise LanguageError(
            f'the rule "{rule.name}" must follow one flow as its step shrinks; it has no modified flow.'
        )
    (second,) = sp.solve(orders[1].subs(a, first[0]), b)
    return sp.simplify(first[0]), sp.simplify(second - first[0] ** 2 / 2)


def _step(
    rule: Any, heavy: Any, field: Callable[[Any], Any], place: sp.Symbol
) -> tuple[list[Any], Callable[[Any], list[Any]]]:
    """The entries of a rule's memory on one place, and one step from a memory: the next memory and place."""
    # Rules are written for arrays; here they step symbols.
    at = {"z": place}
    if heavy is not None:

        def pushed(m: Any) -> list[Any]:
            u, moved = heavy.update({"z": m[0]}, {"z": -field(at)["z"]}, sp.Integer(1), _BETA)
            return [u["z"], place + moved["z"]]

        return [sp.Integer(0)], pushed
    fresh: Any = rule.fresh(field(at))
    size = 0 if fresh is None else 1
    if size and not (isinstance(fresh, dict) and set(fresh) == {"z"}):
        raise LanguageError(f'the memory of the rule "{rule.name}" must be a force per block to have a modified flow.')

    def once(m: Any) -> list[Any]:
        memory, after = rule.advance({"z": m[0]} if size else None, at, field(at), field, sp.Integer(1))
        return [memory["z"], after["z"]] if size else [after["z"]]

    return [0] * size, once


@guarded
def modified(
    flow: DerivationRecord,
    rule: str | GradientTransformation = "gradient",
    *,
    step: float,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> ModifiedFlow:
    """The modified equation of a descent rule on the field of a flow, of second order in the step size.

    Args:
        flow: derived equations, in weight coordinates or in the charts of their geometries.
        rule: a rule on weights, as for `descend`.
        step: η (above zero; in units of flow time).
        momentum: β of the heavy ball, with `rule="gradient"`.
        nesterov: whether the ball looks ahead.

    Returns:
        A flow that `lower` takes, in the time η per step. The `log_t` of a descent with momentum counts η/(1 - β) per
        step, so that t of this flow stands beside t/(1 - β) there.

    Raises:
        LanguageError: for directions on spheres, where a chart jumps, for a rule without one, and for a transformation
            of optax.

    Example:
        >>> print(fl.derive(game).modified("optimistic", step=0.1))
    """
    rule = word_of(rule, "a modified flow")
    how = rules[rule]()
    if not how.on_weights or flow.problem.coordinates != "weights":
        raise LanguageError(
            f'the modified flow must be of a rule on weights and a flow with `coordinates="weights"`, got "{rule}"'
            f' and "{flow.problem.coordinates}"; derive the problem in weight coordinates.'
        )
    found = ModifiedFlow(flow, rule, positive("step", step), checked_momentum(how, momentum), nesterov)
    _ = found.coefficients
    return found
