"""What the structure of a network says of its outputs as functions of the input, whatever the weights are."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from flowlab.language.expr import Expr
from flowlab.language.operations.nonlinear import activation_of


@dataclass(frozen=True)
class AsFunction:
    """Properties of f(x) that hold for all weights; None where none is known.

    Attributes:
        monomials: the lowest and the highest degree of f as a polynomial in x.
        degree: k with f(c x) = c^k f(x) for c > 0.
        parity: 1 where f(-x) = f(x), -1 where f(-x) = -f(x).
        vanishes: whether f(0) = 0.
    """

    monomials: tuple[int, int] | None = None
    degree: Fraction | None = None
    parity: int | None = None
    vanishes: bool = False

    @property
    def constant(self) -> bool:
        """Whether f does not depend on x."""
        return self.monomials == (0, 0)


_CONSTANT = AsFunction((0, 0), Fraction(0), 1)
_INPUT = AsFunction((1, 1), Fraction(1), -1, True)


def as_function(nodes: Sequence[Expr]) -> AsFunction:
    """Of the last node.

    Args:
        nodes: operands before the nodes that use them.
    """
    known: dict[int, AsFunction] = {}
    for node in nodes:
        known[id(node)] = _of(node, [known[id(arg)] for arg in node.args])
    return known[id(nodes[-1])]


def _of(node: Expr, parts: list[AsFunction]) -> AsFunction:
    if node.op in ("input", "weight"):
        return _INPUT if node.op == "input" else _CONSTANT
    if all(part.constant for part in parts):
        return _CONSTANT
    if node.op in ("matmul", "hadamard"):
        return _product(*parts)
    if node.op in ("add", "sub"):
        return _sum(*parts)
    if node.op in ("scale", "transpose", "sum", "mean") or (node.op == "activation" and node.params[0] == "identity"):
        return parts[0]
    if node.op == "power":
        return _power(parts[0], node.params[0])
    if node.op == "activation":
        return _bent(parts[0], node)
    return AsFunction()


def _product(a: AsFunction, b: AsFunction) -> AsFunction:
    monomials = (
        (a.monomials[0] + b.monomials[0], a.monomials[1] + b.monomials[1]) if a.monomials and b.monomials else None
    )
    degree = a.degree + b.degree if a.degree is not None and b.degree is not None else None
    return AsFunction(
        monomials, degree, a.parity * b.parity if a.parity and b.parity else None, a.vanishes or b.vanishes
    )


def _sum(a: AsFunction, b: AsFunction) -> AsFunction:
    monomials = (
        (min(a.monomials[0], b.monomials[0]), max(a.monomials[1], b.monomials[1]))
        if a.monomials and b.monomials
        else None
    )
    return AsFunction(
        monomials,
        a.degree if a.degree == b.degree else None,
        a.parity if a.parity == b.parity else None,
        a.vanishes and b.vanishes,
    )


def _power(a: AsFunction, exponent: Fraction) -> AsFunction:
    whole = exponent.denominator == 1
    monomials = (
        (a.monomials[0] * int(exponent), a.monomials[1] * int(exponent))
        if a.monomials and whole and exponent > 0
        else None
    )
    parity = 1 if a.parity == 1 or (a.parity and whole and exponent % 2 == 0) else a.parity if whole else None
    return AsFunction(monomials, None if a.degree is None else a.degree * exponent, parity, a.vanishes and exponent > 0)


def _bent(a: AsFunction, node: Expr) -> AsFunction:
    word = activation_of(node.params)
    # A function of degree 0 is that through any activation.
    degree = a.degree if a.degree == 0 else None
    if a.degree and word.degree is not None:
        degree = a.degree * Fraction(word.degree)
    parity = 1 if a.parity == 1 else word.parity if a.parity == -1 else None
    return AsFunction(None, degree, parity, a.vanishes and float(word.numeric(np, np.zeros(()))) == 0.0)
