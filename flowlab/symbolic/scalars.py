"""Scalar coefficients: SymPy in the derivation, plain nested tuples in programs and files.

A tree is a name, an exact fraction, or (`"+"`, `"*"`, …). Trees are written and read here alone, so no text ever
reaches SymPy and no digit is lost on the way to numbers.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy as sp

from flowlab.core.errors import LanguageError, UnloweredNode
from flowlab.core.typing import Namespace

Tree = str | Fraction | tuple

SYMBOLS: dict[str, sp.Symbol] = {
    name: sp.Symbol(name, positive=name in ("rho_k", "nu_k", "kappa_k", "eta_k", "R"), real=True)
    for name in ("rho_k", "nu_k", "kappa_k", "omega_k", "eta_k", "R", "s", "p_k", "lambda_k", "t")
}
"""The scalars of one generic block k, made once so that a name has one set of assumptions."""


def to_tree(expr: sp.Expr) -> Tree:
    """An expression as a tree.

    Raises:
        UnloweredNode: for anything but symbols, exact rationals, sums, products and powers.
    """
    if isinstance(expr, sp.Symbol):
        return expr.name
    if isinstance(expr, sp.Rational):
        return Fraction(int(expr.p), int(expr.q))
    if isinstance(expr, sp.Add):
        terms: Any = expr.as_ordered_terms()
        return ("+", *(to_tree(term) for term in terms))
    if isinstance(expr, sp.Mul):
        factors: Any = expr.as_ordered_factors()
        return ("*", *(to_tree(factor) for factor in factors))
    if isinstance(expr, sp.Pow):
        return ("^", to_tree(expr.base), to_tree(expr.exp))
    raise UnloweredNode(
        f"`{expr}` ({type(expr).__name__}) has no place in a coefficient; write it with +, *, powers and fractions."
    )


def from_tree(tree: Tree) -> sp.Expr:
    """The expression of a tree."""
    if isinstance(tree, str):
        if tree not in SYMBOLS:
            raise LanguageError(f"`{tree}` is not a scalar of the flow equations; known: {', '.join(SYMBOLS)}.")
        return SYMBOLS[tree]
    if isinstance(tree, Fraction):
        return sp.Rational(tree.numerator, tree.denominator)
    head, *rest = tree
    parts = [from_tree(part) for part in rest]
    return sp.Add(*parts) if head == "+" else sp.Mul(*parts) if head == "*" else sp.Pow(*parts)


def to_json(tree: Tree) -> Any:
    """A tree with fractions as strings `"p/q"` in a one-element list."""
    if isinstance(tree, Fraction):
        return [f"{tree.numerator}/{tree.denominator}"]
    return tree if isinstance(tree, str) else [tree[0], *(to_json(part) for part in tree[1:])]


def from_json(obj: Any) -> Tree:
    """The inverse of `to_json`."""
    if isinstance(obj, str):
        return obj
    if not isinstance(obj, list) or not obj or not isinstance(obj[0], str):
        raise LanguageError(f"`{obj!r}` is no stored coefficient.")
    if len(obj) == 1:
        p, _, q = obj[0].partition("/")
        if not (p.lstrip("-").isdigit() and q.isdigit() and int(q)):
            raise LanguageError(f"`{obj[0]}` is no stored fraction.")
        return Fraction(int(p), int(q))
    if obj[0] not in ("+", "*", "^"):
        raise LanguageError(f"`{obj[0]}` is no stored operation.")
    return (obj[0], *(from_json(part) for part in obj[1:]))


def names(tree: Tree) -> tuple[str, ...]:
    """The scalars a tree needs, sorted."""
    if isinstance(tree, str):
        return (tree,)
    if isinstance(tree, Fraction):
        return ()
    return tuple(sorted({name for part in tree[1:] for name in names(part)}))


def evaluate(xp: Namespace, tree: Tree, values: Mapping[str, Any]) -> Any:
    """The value of a tree; constants are correctly rounded fractions."""
    if isinstance(tree, str):
        return values[tree]
    if isinstance(tree, Fraction):
        return float(tree)
    if tree[0] == "^":
        base, power = evaluate(xp, tree[1], values), tree[2]
        if not isinstance(power, Fraction):
            raise UnloweredNode(f"the exponent {power!r} is not a number.")
        if power.denominator == 1:
            return base ** int(power) if power > 0 else 1.0 / base ** int(-power)
        return base ** float(power)
    total = evaluate(xp, tree[1], values)
    for part in tree[2:]:
        value = evaluate(xp, part, values)
        total = total + value if tree[0] == "+" else total * value
    return total


@lru_cache(maxsize=1024)
def bind(expr: sp.Expr, kappa: Fraction | None) -> Tree:
    """A generic coefficient with the degree of one block put in for κ_k."""
    if kappa is not None:
        expr = expr.subs(SYMBOLS["kappa_k"], sp.Rational(kappa.numerator, kappa.denominator))
    return to_tree(expr)
