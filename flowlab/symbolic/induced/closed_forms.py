"""Closed forms of one mirror coordinate: hyperbolic functions collected, and numbers put in without any text."""

from collections.abc import Mapping
from typing import Any

import sympy as sp

from flowlab.core.errors import UnloweredNode
from flowlab.core.typing import Array, Namespace

_MEANING = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.tanh: "tanh",
    sp.asinh: "arcsinh",
    sp.sin: "sin",
    sp.cos: "cos",
    sp.Abs: "abs",
}
"""Functions of closed forms, by their names in numpy and jax.numpy."""


def numbers(xp: Namespace, expr: Any, values: Mapping[str, Array]) -> Any:
    """The value of a closed form, entry by entry.

    Args:
        xp: numpy or jax.numpy.
        expr: sums, products, powers and the functions of one variable above.
        values: arrays of one shape by the names of symbols.

    Raises:
        UnloweredNode: for any other function.
    """
    if isinstance(expr, sp.Symbol):
        return values[expr.name]
    if expr.is_number:
        return float(expr)
    parts = [numbers(xp, part, values) for part in expr.args]
    if isinstance(expr, sp.Add):
        return sum(parts[1:], parts[0])
    if isinstance(expr, sp.Mul):
        out = parts[0]
        for part in parts[1:]:
            out = out * part
        return out
    if isinstance(expr, sp.Pow):
        power = expr.exp
        return parts[0] ** (int(power) if power.is_Integer else parts[1])
    if expr.func in _MEANING:
        return getattr(xp, _MEANING[expr.func])(parts[0])
    raise UnloweredNode(f"`{expr.func.__name__}` has no numeric meaning in a closed form; use powers and exponentials.")


def hyperbolic(expr: sp.Expr, z: sp.Symbol) -> sp.Expr:
    """The same with a e^{kz} - a e^{-kz} written as 2 a sinh kz, and a e^{kz} + a e^{-kz} as 2 a cosh kz."""
    waves: dict[sp.Expr, sp.Expr] = {}
    whole: Any = sp.expand_mul(expr)
    parts: Any = sp.Add.make_args(whole)
    # Powers of sums are left as they are.
    rest: list[Any] = [part for part in parts if not part.has(sp.exp, sp.sinh, sp.cosh)]
    moving: Any = sp.Add(*[part for part in parts if part.has(sp.exp, sp.sinh, sp.cosh)])
    terms: Any = sp.Add.make_args(sp.expand(sp.powsimp(sp.expand(moving.rewrite(sp.exp)))))
    for term in terms:
        factors: Any = sp.Mul.make_args(term)
        powers: list[Any] = [f.exp for f in factors if isinstance(f, sp.exp)]
        power = sp.Add(*powers)
        factor = sp.Mul(*[f for f in factors if not isinstance(f, sp.exp)])
        speed = sp.diff(power, z)
        if power.has(z) and not speed.has(z) and not factor.has(z):
            waves[speed] = waves.get(speed, sp.Integer(0)) + factor * sp.exp(sp.expand(power - speed * z))
        else:
            rest.append(term)
    for speed in sorted(waves, key=sp.default_sort_key):
        here, there = waves.get(speed, sp.Integer(0)), waves.get(-speed, sp.Integer(0))
        if here != 0 and there != 0:
            up = speed if not speed.could_extract_minus_sign() else -speed
            a, b = (sp.expand(waves[up]), sp.expand(waves[-up]))
            if sp.expand(a - b) == 0:
                rest.append(2 * a * sp.cosh(up * z))
            elif sp.expand(a + b) == 0:
                rest.append(2 * a * sp.sinh(up * z))
            else:
                rest += [sp.factor(a) * sp.exp(up * z), sp.factor(b) * sp.exp(-up * z)]
            waves[speed] = waves[-speed] = sp.Integer(0)
        elif here != 0:
            rest.append(sp.factor(here) * sp.exp(speed * z))
    return sp.Add(*rest)
