"""Elementwise functions: one class carries the symbolic meaning, the numeric meaning, the slope, the kinks and the
print.

Every activation states its slope at its kinks; both meanings and autodiff of the numeric meaning agree there.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar

import sympy as sp

from flowlab.core.errors import LanguageError
from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Namespace

activations: Registry[type["Activation"]] = Registry("activation")


class Activation(ABC):
    """An elementwise function σ.

    Attributes:
        degree: k with σ(c z) = c^k σ(z) for c > 0, or None when there is none.
        linear: whether σ is the identity.
        kinks: points where the slope jumps; the slope *at* a kink is part of each docstring.
        jumps: points where σ itself jumps; there is no slope there.
        parts: σ as a sum of functions whose Gaussian means have closed forms, by their names (see
            `symbolic/gaussian.py`); empty where it is none.
        parity: 1 where σ is even, -1 where it is odd, None where it is neither or that is not known.
    """

    name: ClassVar[str]
    degree: ClassVar[int | float | Fraction | None] = 1
    linear: ClassVar[bool] = False
    kinks: tuple[float, ...] = ()
    jumps: tuple[float, ...] = ()
    parts: Mapping[str, Fraction] = MappingProxyType({})
    parity: ClassVar[int | None] = None
    symbol: ClassVar[str] = r"\sigma"
    parameters: ClassVar[int] = 0

    def __init__(self, *params: Fraction) -> None:
        if len(params) > self.parameters:
            most = "at most one number" if self.parameters else "no number"
            raise LanguageError(
                f"`{self.name}` takes {most} besides its argument, got {len(params)}; leave the others out."
            )
        self.params = params

    @property
    def sides(self) -> tuple[tuple[float, float], ...]:
        """The slopes on the left and on the right of every kink;
        an activation that declares kinks declares these with them.
        """
        return ()

    @abstractmethod
    def symbolic(self, z: sp.Expr) -> sp.Expr:
        """σ(z) as a SymPy expression; its derivative is the symbolic slope."""

    @abstractmethod
    def numeric(self, xp: Namespace, z: Array) -> Array:
        """σ(z), elementwise, any shape."""

    @abstractmethod
    def slope(self, xp: Namespace, z: Array) -> Array:
        """σ'(z), elementwise, any shape."""

    @property
    def piecewise_linear(self) -> bool:
        """Whether σ is linear between its kinks, as functions of degree one are; others say so themselves."""
        return self.degree == 1

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        """Whether a value may be positive, and whether it may be negative, where the argument may be."""
        return True, True

    def reaches(self, positive: bool, negative: bool) -> bool:
        """Whether the slope may differ from zero where the argument may be positive, or negative;
        a function of degree zero has none.
        """
        return self.degree != 0

    def latex(self, prime: bool = False) -> str:
        """The function's symbol, primed for its slope."""
        return self.symbol + ("'" if prime else "")
