"""Descent rules, one class each: how a step is made of forces.

An algorithm is a rule in a chart: `gradient` in the chart of the simplex is multiplicative weights, `optimistic` there
is their optimistic form, and `extragradient` the mirror-prox method. A rule on weights takes the place z of all blocks
and the force F there, which is -∂L/∂W in plain arrays, and may remember.

The rules of unit norm keep a direction on the sphere (Douglas, Amari and Kung 2000; eq. 1.14). They take a unit vector
u, the negative gradient g and a step size, and agree to first order: the continuous limit of every one of them on the
sphere is u' = (I - u u^T) g. The coefficient rule is gradient descent projected onto the sphere.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp

from flowlab.core.arguments import must_be
from flowlab.core.errors import LanguageError
from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Blocks, PyTree, Scalar

rules: Registry[type["Rule"]] = Registry("descent rule")


class Rule(ABC):
    """One update rule.

    Attributes:
        keeps_norm: whether ‖u‖ = 1 is kept to round-off.
        on_weights: whether it moves whole weights, not directions on the sphere.
        is_plain: whether a step is the step size times the force where it starts.
        own_rate: whether it has step sizes of its own, so that none is given.
    """

    name: ClassVar[str]
    keeps_norm: ClassVar[bool] = True
    on_weights: ClassVar[bool] = False
    is_plain: ClassVar[bool] = True
    own_rate: ClassVar[bool] = False

    @abstractmethod
    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        """The next u, any shape, from the force g alone."""

    def fresh(self, force: Blocks) -> PyTree:
        """What is remembered at the first step, from the force there."""
        return None

    def begun(self, place: Blocks, force: Blocks) -> PyTree:
        """What is remembered at the first step, from the place and the force there."""
        return self.fresh(force)

    def advance(
        self, memory: PyTree, place: Blocks, force: Blocks, field: Callable[[Blocks], Blocks], step: Scalar
    ) -> tuple[PyTree, Blocks]:
        """The memory and the place after a step; `force` is that at the place, `field` gives it elsewhere."""
        return memory, {w: self.update(place[w], force[w], step) for w in place}

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


def checked_momentum(how: Rule, momentum: float) -> float:
    """A momentum β, which is from 0 up to but not including 1, and above 0 only with a plain rule on weights.

    Raises:
        LanguageError: for anything else.
    """
    if isinstance(momentum, bool) or not isinstance(momentum, int | float) or not 0 <= momentum < 1:
        raise must_be("momentum", momentum, "from 0 up to, but not including, 1", "for example 0.9")
    if momentum and not (how.on_weights and how.is_plain):
        where = "" if how.on_weights else " on directions"
        raise LanguageError(
            f'`momentum` must be 0 for the rule "{how.name}"{where}, got {momentum:g}; use rule="gradient".'
        )
    return float(momentum)


class _Looking(Rule):
    """A rule on weights that takes more than the force where it stands."""

    on_weights = True
    is_plain = False

    def update(self, u: Array, g: Array, step: Scalar) -> Array:
        return u + step * g


@rules.register("optimistic")
class Optimistic(_Looking):
    """z + η(2F - F⁻) with F⁻ the force one step before (Popov 1980; Daskalakis and Panageas 2019)."""

    def fresh(self, force: Blocks) -> PyTree:
        return force

    def advance(
        self, memory: PyTree, place: Blocks, force: Blocks, field: Callable[[Blocks], Blocks], step: Scalar
    ) -> tuple[PyTree, Blocks]:
        return force, {w: place[w] + step * (2 * force[w] - memory[w]) for w in place}


@rules.register("extragradient")
class Extragradient(_Looking):
    """z + η F(z + η F(z)) (Korpelevich 1976); in a dual chart the mirror-prox method (Nemirovski 2004)."""

    def advance(
        self, memory: PyTree, place: Blocks, force: Blocks, field: Callable[[Blocks], Blocks], step: Scalar
    ) -> tuple[PyTree, Blocks]:
        ahead = field({w: place[w] + step * force[w] for w in place})
        return memory, {w: place[w] + step * ahead[w] for w in place}


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
