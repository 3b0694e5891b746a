"""Functions of two pieces that meet at zero."""

from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar

import sympy as sp

from flowlab.core.typing import Array, Namespace
from flowlab.language.activations.base import Activation, activations


@activations.register("identity")
class Identity(Activation):
    """z.

    Examples:
        >>> net = fl.Network("identity(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-1.0, 0.0, 2.0]]
    """

    parity = -1
    symbol = r"\operatorname{id}"
    parts = MappingProxyType({"linear": Fraction(1)})
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
    """max(z, 0), with slope 0 at z = 0.

    Examples:
        >>> net = fl.Network("relu(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.0, 0.0, 2.0]]
    """

    kinks = (0.0,)
    symbol = r"\operatorname{relu}"
    parts = MappingProxyType({"linear": Fraction(1, 2), "abs": Fraction(1, 2)})

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
    """z for z > 0 and a z otherwise (a = 0.01 unless given), with slope a at z = 0.

    Examples:
        >>> net = fl.Network("leaky_relu(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.01, 0.0, 2.0]]
    """

    kinks = (0.0,)
    symbol = r"\operatorname{lrelu}"
    parameters = 1

    @property
    def leak(self) -> Fraction:
        """The slope on the left."""
        return self.params[0] if self.params else Fraction(1, 100)

    def __init__(self, *params: Fraction) -> None:
        super().__init__(*params)
        self.parts = {"linear": (1 + self.leak) / 2, "abs": (1 - self.leak) / 2}

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
    """|z|, with slope -1 at z = 0.

    Examples:
        >>> net = fl.Network("abs(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.5, 2.0]]))).round(4).tolist()
        [[1.0, 0.5, 2.0]]
    """

    kinks = (0.0,)
    parity = 1
    symbol = r"\operatorname{abs}"
    parts = MappingProxyType({"abs": Fraction(1)})

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


@activations.register("elu")
class Elu(Activation):
    """z for z > 0 and a (e^z - 1) otherwise (a = 1 unless given), with slope a at z = 0; not homogeneous.

    The slope is continuous for a = 1 and jumps at z = 0 for any other a (Clevert et al. 2016). Runs step over that
    jump; written as `a * elu(z) + (1 - a) * relu(z)`, the same function has a kink that they follow.

    Examples:
        >>> net = fl.Network("elu(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.6321, 0.0, 2.0]]
    """

    degree = None
    symbol = r"\operatorname{elu}"
    parameters = 1
    scale: ClassVar[Fraction | float] = Fraction(1)
    alpha: Fraction | float = Fraction(1)

    def __init__(self, *params: Fraction) -> None:
        super().__init__(*params)
        if params:
            self.alpha = params[0]
        self.kinks = () if self.alpha == 1 else (0.0,)

    @property
    def sides(self) -> tuple[tuple[float, float], ...]:
        return tuple((float(self.scale * self.alpha), float(self.scale)) for _ in self.kinks)

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive or (negative and self.alpha < 0), negative and self.alpha > 0

    def reaches(self, positive: bool, negative: bool) -> bool:
        return positive or self.alpha != 0

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        left, right = (
            sp.Float(number) if isinstance(number, float) else sp.Rational(number.numerator, number.denominator)
            for number in (self.scale * self.alpha, self.scale)
        )
        return sp.Piecewise((right * z, z > 0), (left * (sp.exp(z) - 1), True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        # expm1 of the left side alone: autodiff would multiply an infinite e^z by the zero of the piece not taken.
        left = xp.expm1(xp.where(z > 0, xp.zeros_like(z), z))
        return float(self.scale) * xp.where(z > 0, z, float(self.alpha) * left)

    def slope(self, xp: Namespace, z: Array) -> Array:
        left = xp.exp(xp.where(z > 0, xp.zeros_like(z), z))
        return float(self.scale) * xp.where(z > 0, xp.ones_like(z), float(self.alpha) * left)


@activations.register("selu")
class Selu(Elu):
    """1.0507 z for z > 0 and 1.7581 (e^z - 1) otherwise, with slope 1.7581 at z = 0, where the slope jumps.

    The two numbers keep mean 0 and variance 1 of a standard normal argument (Klambauer et al. 2017).

    Examples:
        >>> net = fl.Network("selu(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-1.1113, 0.0, 2.1014]]
    """

    symbol = r"\operatorname{selu}"
    parameters = 0
    # The solution of ∫ σ φ = 0 and ∫ σ² φ = 1 with φ the standard normal density, to float64; a test solves them again.
    scale = 1.0507009873554805
    alpha = 1.6732632423543772
