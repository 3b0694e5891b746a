"""Functions that jump or are flat, as quantised networks have them, and the slope that stands in for theirs.

The slope of a function of steps is zero wherever there is one, so that nothing is learnt through it; `coarse` gives it
another (Yin et al. 2019).
"""

from fractions import Fraction
from types import MappingProxyType

import sympy as sp

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Array, Namespace
from flowlab.language.activations.base import Activation, activations

MOST_BITS = 8
"""Of a quantised ReLU: 255 steps, which print at component depth as as many pieces."""


class Steps(Activation):
    """A function that is constant between the places where it jumps, so that its slope is zero."""

    degree = 0

    def slope(self, xp: Namespace, z: Array) -> Array:
        return xp.zeros_like(z)


@activations.register("step")
class Step(Steps):
    """1 for z > 0 and 0 otherwise, with slope 0 everywhere.

    Examples:
        >>> net = fl.Network("step(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.0, 0.0, 1.0]]
    """

    jumps = (0.0,)
    symbol = r"\operatorname{step}"
    parts = MappingProxyType({"one": Fraction(1, 2), "sign": Fraction(1, 2)})

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, False

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.Piecewise((1, z > 0), (0, True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return (z > 0).astype(z.dtype)


@activations.register("sign")
class Sign(Steps):
    """1 for z > 0, -1 for z < 0 and 0 at z = 0, with slope 0 everywhere.

    Examples:
        >>> net = fl.Network("sign(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-1.0, 0.0, 1.0]]
    """

    jumps = (0.0,)
    parity = -1
    symbol = r"\operatorname{sign}"
    parts = MappingProxyType({"sign": Fraction(1)})

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return sp.Piecewise((1, z > 0), (-1, z < 0), (0, True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return xp.sign(z)


@activations.register("quantised_relu")
class QuantisedRelu(Steps):
    """A ReLU of b bits and resolution a (2 and 1 unless given): the multiples of a up to (2^b - 1) a, rounded up, with
    slope 0 everywhere (Yin et al. 2018).

    Examples:
        >>> net = fl.Network("quantised_relu(W @ x, 2, 0.5)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.3, 2.0]]))).round(4).tolist()
        [[0.0, 0.5, 1.5]]
    """

    degree = None
    symbol = r"\operatorname{qrelu}"
    parameters = 2

    def __init__(self, *params: Fraction) -> None:
        super().__init__(*params)
        bits = params[0] if params else Fraction(2)
        size = params[1] if len(params) > 1 else Fraction(1)
        if bits.denominator != 1 or not 1 <= bits <= MOST_BITS:
            raise LanguageError(f"`quantised_relu` must have 1 to {MOST_BITS} bits, got {float(bits):g}; write 2.")
        if size <= 0:
            raise LanguageError(f"`quantised_relu` must have a resolution above 0, got {float(size):g}; write 1.")
        self.size, self.levels = size, 2 ** int(bits) - 1
        self.jumps = tuple(float(k * size) for k in range(self.levels))

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, False

    def reaches(self, positive: bool, negative: bool) -> bool:
        return False

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        size = sp.Rational(self.size.numerator, self.size.denominator)
        pieces = [(k * size, z <= k * size) for k in range(self.levels)]
        return sp.Piecewise(*pieces, (self.levels * size, True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return float(self.size) * xp.clip(xp.ceil(z / float(self.size)), 0.0, float(self.levels))


@activations.register("clipped_relu")
class ClippedRelu(Activation):
    """A ReLU that stays at c (1 unless given) above c, with slope 0 at z = 0 and 1 at z = c.

    Examples:
        >>> net = fl.Network("clipped_relu(W @ x, 1.5)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.0, 0.0, 1.5]]
    """

    degree = None
    symbol = r"\operatorname{crelu}"
    parameters = 1

    def __init__(self, *params: Fraction) -> None:
        super().__init__(*params)
        self.top = params[0] if params else Fraction(1)
        if self.top <= 0:
            raise LanguageError(f"`clipped_relu` must have a ceiling above 0, got {float(self.top):g}; write 1.")
        self.kinks = (0.0, float(self.top))

    @property
    def sides(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 1.0), (1.0, 0.0))

    @property
    def piecewise_linear(self) -> bool:
        return True

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, False

    def reaches(self, positive: bool, negative: bool) -> bool:
        return positive

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        top = sp.Rational(self.top.numerator, self.top.denominator)
        return sp.Piecewise((0, z <= 0), (z, z <= top), (top, True))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        # where, not clip: the gradient of jnp.clip at both ends is 1/2.
        top = float(self.top)
        return xp.where(z > top, xp.full_like(z, top), xp.where(z > 0, z, xp.zeros_like(z)))

    def slope(self, xp: Namespace, z: Array) -> Array:
        return ((z > 0) & (z <= float(self.top))).astype(z.dtype)
