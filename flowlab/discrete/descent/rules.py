"""Descent rules that keep a direction on the unit sphere (Douglas, Amari and Kung 2000; eq. 1.14), one class each.

All take a unit vector u, the negative gradient g and a step size, and agree to first order: the continuous limit of
every one of them on the sphere is u' = (I - u u^T) g. The coefficient rule is gradient descent projected onto the
sphere. `Momentum` is for weights and keeps a memory, so it is not of this family.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax.numpy as jnp

from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Blocks, Scalar

rules: Registry[type["Rule"]] = Registry("descent rule")


class Rule(ABC):
    """One update rule. `keeps_norm` says whether ‖u‖ = 1 is kept to round-off."""

    name: ClassVar[str]
    keeps_norm: ClassVar[bool] = True
    on_weights: ClassVar[bool] = False

    @abstractmethod
    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        """The next u, any shape."""

    # A rule holds no values: two of one class are the same to the compiler's cache.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b)


@rules.register("gradient")
class Gradient(Rule):
    """Plain gradient descent on the weights: W + η g."""

    on_weights = True

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        return u + step * g


@rules.register("lagrange")
class LagrangeRule(Rule):
    """Rule 1: u + η(g - (u·g) u); leaves the sphere by O(η) in unit time."""

    keeps_norm = False

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        return u + step * (g - _dot(u, g) * u)


@rules.register("coefficient")
class Coefficient(Rule):
    """Rule 2: (u + η g)/‖u + η g‖."""

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        moved = u + step * g
        return moved / jnp.sqrt(_dot(moved, moved))


@rules.register("tangent")
class TangentRule(Rule):
    """Rule 3: u + η S g with S = I - u u^T/‖u‖²; leaves the sphere by O(η) in unit time."""

    keeps_norm = False

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        return u + step * (g - _dot(u, g) / _dot(u, u) * u)


@rules.register("tangent_renormalised")
class TangentRenormalised(Rule):
    """Rule 3 followed by division by the norm."""

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        return Coefficient().update(u, g - _dot(u, g) / _dot(u, u) * u, step)


@rules.register("geodesic")
class Geodesic(Rule):
    """Rule 4, the true gradient: u cos θ + (h/θ) sin θ with h = η(g - (u·g) u), θ = ‖h‖."""

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        h = step * (g - _dot(u, g) * u)
        square = _dot(h, h)
        angle = jnp.sqrt(jnp.where(square > 0, square, 1.0))
        ratio = jnp.where(square > 0, jnp.sin(angle) / angle, 1.0)
        return u * jnp.where(square > 0, jnp.cos(angle), 1.0) + ratio * h


class Momentum:
    """Polyak's heavy ball, or Nesterov's form of it, on all weights at once.

    Args:
        nesterov: whether the step looks ahead: β u⁺ - η g in the place of u⁺.
    """

    def __init__(self, nesterov: bool = False) -> None:
        self.nesterov = nesterov

    def update(self, u: Blocks, gradient: Blocks, step: Scalar, beta: Scalar) -> tuple[Blocks, Blocks]:
        """The next u = β u - η g and what the weights move by, block by block; `gradient` is that of the objective."""
        u = {k: beta * u[k] - step * g for k, g in gradient.items()}
        return u, {k: beta * u[k] - step * g for k, g in gradient.items()} if self.nesterov else u

    # Like a rule, it is compared by what it does, not by which object it is.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Momentum) and other.nesterov == self.nesterov

    def __hash__(self) -> int:
        return hash((type(self), self.nesterov))
