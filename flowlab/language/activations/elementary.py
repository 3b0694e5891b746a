"""Functions of a calculus book: exponential, sine, cosine, error function; none is homogeneous."""

from fractions import Fraction
from math import pi, sqrt
from types import MappingProxyType

import sympy as sp

from flowlab.core.typing import Array, Namespace
from flowlab.language.activations.base import Activation, activations


@activations.register("exp")
class Exp(Activation):
    """e^z, which is infinite in float64 from z = 710 on.

    Examples:
        >>> net = fl.Network("exp(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.3679, 1.0, 7.3891]]
    """

    degree = None
    symbol = r"\exp"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return True, False

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.exp(z)

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return xp.exp(z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return xp.exp(z)


@activations.register("sin")
class Sin(Activation):
    """The sine of z in radians.

    Examples:
        >>> net = fl.Network("sin(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.8415, 0.0, 0.9093]]
    """

    degree = None
    parity = -1
    symbol = r"\sin"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive or negative, positive or negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.sin(z)

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return xp.sin(z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return xp.cos(z)


@activations.register("cos")
class Cos(Activation):
    """The cosine of z in radians.

    Examples:
        >>> net = fl.Network("cos(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.5403, 1.0, -0.4161]]
    """

    degree = None
    parity = 1
    symbol = r"\cos"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return True, positive or negative

    def reaches(self, positive: bool, negative: bool) -> bool:
        return positive or negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.cos(z)

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return xp.cos(z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return -xp.sin(z)


@activations.register("erf")
class Erf(Activation):
    """The error function, 2/√π times the integral of e^(-u²) from 0 to z.

    Examples:
        >>> net = fl.Network("erf(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.8427, 0.0, 0.9953]]
    """

    degree = None
    parity = -1
    symbol = r"\operatorname{erf}"
    parts = MappingProxyType({"erf": Fraction(1)})

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.erf(z)

    def numeric(self, xp: Namespace, z: Array) -> Array:
        # Neither numpy nor jax.numpy has erf; each namespace has its own special functions beside it.
        if xp.__name__ == "numpy":
            from scipy.special import erf
        else:
            from jax.scipy.special import erf
        return erf(z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return 2.0 / sqrt(pi) * xp.exp(-z * z)
