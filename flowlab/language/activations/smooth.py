"""Smooth functions made of e^z or of the normal distribution; none is homogeneous."""

from collections.abc import Callable
from functools import cache
from math import pi, sqrt

import sympy as sp

from flowlab.core.typing import Array, Namespace
from flowlab.language.activations.base import Activation, activations


def _decay(xp: Namespace, z: Array) -> Array:
    """e^-|z|, which never overflows."""
    # where, not abs: autodiff gives abs the slope 0 at 0, and the sigmoid with it.
    return xp.exp(-xp.where(z >= 0, z, -z))


@activations.register("tanh")
class Tanh(Activation):
    """The hyperbolic tangent; not homogeneous.

    Examples:
        >>> net = fl.Network("tanh(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.7616, 0.0, 0.964]]
    """

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
        e = _decay(xp, 2.0 * z)
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
    """1/(1 + e^-z); not homogeneous.

    Examples:
        >>> net = fl.Network("sigmoid(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.2689, 0.5, 0.8808]]
    """

    degree = None
    symbol = r"\operatorname{sigmoid}"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return True, False

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-z))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        e = _decay(xp, z)
        return xp.where(z >= 0, 1.0 / (1.0 + e), e / (1.0 + e))

    def slope(self, xp: Namespace, z: Array) -> Array:
        e = _decay(xp, z)
        return e / (1.0 + e) ** 2


@activations.register("softplus")
class Softplus(Activation):
    """log(1 + e^z); not homogeneous.

    Examples:
        >>> net = fl.Network("softplus(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[0.3133, 0.6931, 2.1269]]
    """

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


@activations.register("silu")
class Silu(Activation):
    """z/(1 + e^-z), also called swish.

    Examples:
        >>> net = fl.Network("silu(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.2689, 0.0, 1.7616]]
    """

    degree = None
    symbol = r"\operatorname{silu}"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        return z / (1 + sp.exp(-z))

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return z * Sigmoid().numeric(xp, z)

    def slope(self, xp: Namespace, z: Array) -> Array:
        return Sigmoid().numeric(xp, z) + z * Sigmoid().slope(xp, z)


@activations.register("mish")
class Mish(Activation):
    """z tanh(log(1 + e^z)).

    Examples:
        >>> net = fl.Network("mish(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.3034, 0.0, 1.944]]
    """

    degree = None
    symbol = r"\operatorname{mish}"

    def signs(self, positive: bool, negative: bool) -> tuple[bool, bool]:
        return positive, negative

    def symbolic(self, z: sp.Expr) -> sp.Expr:
        # tanh(log(1 + u)) as a fraction of u = e^z.
        u = sp.exp(z)
        return z * u * (u + 2) / (u * (u + 2) + 2)

    def numeric(self, xp: Namespace, z: Array) -> Array:
        return z * self._gate(xp, _decay(xp, z), z >= 0)

    def slope(self, xp: Namespace, z: Array) -> Array:
        # d/dz tanh(log(1 + u)) = 4 u (1 + u) / (u² + 2 u + 2)².
        e, right = _decay(xp, z), z >= 0
        bend = xp.where(right, e / (1.0 + 2.0 * e * (1.0 + e)) ** 2, 1.0 / (e * (e + 2.0) + 2.0) ** 2)
        return self._gate(xp, e, right) + 4.0 * z * e * (1.0 + e) * bend

    @staticmethod
    def _gate(xp: Namespace, e: Array, right: Array) -> Array:
        """tanh(log(1 + u)) from e = 1/u on the right and e = u on the left; 1 - … keeps the digits of its slope."""
        below = e * (e + 2.0)
        return xp.where(right, 1.0 - 2.0 * e * e / (1.0 + 2.0 * e * (1.0 + e)), below / (below + 2.0))


@activations.register("gelu")
class Gelu(Activation):
    """z Φ(z) with Φ the standard normal distribution function (the exact form); not homogeneous.

    Examples:
        >>> net = fl.Network("gelu(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-0.1587, 0.0, 1.9545]]
    """

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
