"""Elementwise functions: one class carries the symbolic meaning, the numeric meaning, the slope, the kinks and the
print.

Every activation states its slope at its kinks; both meanings and autodiff of the numeric meaning agree there.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import pi, sqrt
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
        parity: 1 where σ is even, -1 where it is odd, None where it is neither or that is not known.
    """

    name: ClassVar[str]
    degree: ClassVar[int | float | Fraction | None] = 1
    linear: ClassVar[bool] = False
    kinks: ClassVar[tuple[float, ...]] = ()
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


@activations.register("identity")
class Identity(Activation):
    """z."""

    parity = -1
    symbol = r"\operatorname{id}"
    linear = True

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return z

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return z

    def slope(self, xp: Namespace, z: Array) -> Array:
        return xp.ones_like(z)


@activations.register("relu")
class Relu(Activation):
    """max(z, 0), with slope 0 at z = 0."""

    kinks = (0.0,)
    symbol = r"\operatorname{relu}"

    @property
    def sides(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 1.0),)

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, False

    def reaches(self, positive: bool, negative: bool) -> bool:
        return positive

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        # Piecewise, not Max: Max differentiates to Heaviside, whose value at 0 is 1/2.
        return sp.Piecewise((z, z > 0), (0, True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        # where, not maximum: the gradient of jnp.maximum(z, 0) at 0 is 1/2.
        return xp.where(z > 0, z, xp.zeros_like(z))

    def slope(self, xp: Namespace, z: Array) -> Array:
        return (z > 0).astype(z.dtype)


@activations.register("leaky_relu")
class LeakyRelu(Activation):
    """z for z > 0 and a z otherwise (a = 0.01 unless given), with slope a at z = 0."""

    kinks = (0.0,)
    symbol = r"\operatorname{lrelu}"
    parameters = 1

    @property
    def leak(self) -> Fraction:
        """The slope on the left."""
        return self.params[0] if self.params else Fraction(1, 100)

    @property
    def sides(self) -> tuple[tuple[float, float], ...]:
        return ((float(self.leak), 1.0),)

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive or (negative and self.leak < 0), negative and self.leak > 0

    def reaches(self, positive: bool, negative: bool) -> bool:
        return positive or self.leak != 0

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.Piecewise((z, z > 0), (sp.Rational(self.leak.numerator, self.leak.denominator) * z, True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return xp.where(z > 0, z, float(self.leak) * z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return xp.where(z > 0, xp.ones_like(z), xp.full_like(z, float(self.leak)))


@activations.register("abs")
class Abs(Activation):
    """|z|, with slope -1 at z = 0."""

    kinks = (0.0,)
    parity = 1
    symbol = r"\operatorname{abs}"

    @property
    def sides(self) -> tuple[tuple[float, float], ...]:
        return ((-1.0, 1.0),)

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive or negative, False

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.Piecewise((z, z > 0), (-z, True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return xp.where(z > 0, z, -z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return xp.where(z > 0, xp.ones_like(z), xp.full_like(z, -1.0))


@activations.register("tanh")
class Tanh(Activation):
    """The hyperbolic tangent; not homogeneous."""

    degree = None
    parity = -1
    symbol = r"\tanh"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.tanh(z)

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return xp.tanh(z) if xp.__name__ == "numpy" else _tanh_of_jax()(z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        # sech², not 1 - tanh²: the difference loses all digits once tanh rounds to 1.
        e = xp.exp(-2.0 * xp.abs(z))
        return 4.0 * e / (1.0 + e) ** 2


@cache
def _tanh_of_jax() -> Callable[[Array], Array]:
    """The hyperbolic tangent for compiled programs: jax differentiates it to 1 - tanh²,
    which is roundings once tanh rounds to 1.
    """
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def tanh(z: Array) -> Array:
        return jnp.tanh(z)

    @tanh.defjvp
    def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        (z,), (dz,) = primals, tangents
        return tanh(z), Tanh().slope(jnp, z) * dz

    return tanh


@activations.register("sigmoid")
class Sigmoid(Activation):
    """1/(1 + e^-z); not homogeneous."""

    degree = None
    symbol = r"\operatorname{sigmoid}"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return True, False

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-z))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        e = xp.exp(-xp.abs(z))
        return xp.where(z >= 0, 1.0 / (1.0 + e), e / (1.0 + e))

    def slope(self, xp: Namespace, z: Array) -> Array:
        e = xp.exp(-xp.abs(z))
        return e / (1.0 + e) ** 2


@activations.register("softplus")
class Softplus(Activation):
    """log(1 + e^z); not homogeneous."""

    degree = None
    symbol = r"\operatorname{softplus}"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return True, False

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.log(1 + sp.exp(z))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        if xp.__name__ == "numpy":
            return xp.maximum(z, xp.zeros_like(z)) + xp.log1p(xp.exp(-xp.abs(z)))
        return _softplus_of_jax()(z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return Sigmoid().numeric(xp, z)


@cache
def _softplus_of_jax() -> Callable[[Array], Array]:
    """Softplus for compiled programs, where log1p takes six times as long as e^z; jax is imported when it is needed."""
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def softplus(z: Array) -> Array:
        # log(1 + u) = 2 artanh(s) with s = u/(2 + u) ≤ 1/3: 18 terms of the series are 1e-18 exact,
        # and e^{-|z|} is shared with the slope.
        u = jnp.exp(-jnp.abs(z))
        s = u / (2.0 + u)
        series = jnp.zeros_like(s)
        for k in range(17, -1, -1):
            series = series * (s * s) + 1.0 / (2 * k + 1)
        return jnp.maximum(z, jnp.zeros_like(z)) + 2.0 * s * series

    @softplus.defjvp
    def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        (z,), (dz,) = primals, tangents
        return softplus(z), Sigmoid().numeric(jnp, z) * dz

    return softplus


@activations.register("gelu")
class Gelu(Activation):
    """z Φ(z) with Φ the standard normal distribution function (the exact form); not homogeneous."""

    degree = None
    symbol = r"\operatorname{gelu}"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return z * (1 + sp.erf(z / sp.sqrt(2))) / 2

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return z * _normal_cdf(xp, z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return _normal_cdf(xp, z) + z * xp.exp(-z * z / 2.0) / sqrt(2.0 * pi)


def _normal_cdf(xp: Namespace, z: Array) -> Array:
    # Neither numpy nor jax.numpy has erf; each namespace has its own special functions beside it.
    if xp.__name__ == "numpy":
        from scipy.special import erfc
    else:
        from jax.scipy.special import erfc
    return erfc(-z / sqrt(2.0)) / 2.0
