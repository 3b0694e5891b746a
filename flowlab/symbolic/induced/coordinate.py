"""A mirror coordinate in numbers: β(z), its inverse, and both potentials, entry by entry."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
import sympy as sp

from flowlab.core.typing import Array, Namespace
from flowlab.symbolic.induced.closed_forms import numbers
from flowlab.symbolic.induced.mirror import Mirror, Z

_EXPONENTS = np.arange(-1000, 200)
"""Of powers of two between which |z| is looked for: from nothing to what no exponential holds."""
_EXPONENT_HALVINGS = int(np.ptp(_EXPONENTS)).bit_length()
"""Until one power of two is left."""
_HALVINGS, _POLISH = 64, 3
"""Halvings of an interval with ends in the ratio 2, and Newton steps from there: all digits of z."""


class Coordinate(eqx.Module):
    """β(z) of every entry, with numbers for its symbols.

    Attributes:
        chart: the closed forms (static).
        values: arrays by symbol, in the shape of β.
        shape: of β (static).
        low, high: between these z stays; infinite where θ(z) exists for all z.
        noise: relative error of Φ* (static).
    """

    noise: ClassVar[float] = 1e-15
    chart: Mirror = eqx.field(static=True)
    values: dict[str, Array]
    shape: tuple[int, ...] = eqx.field(static=True)
    low: Array
    high: Array

    @classmethod
    def of(cls, chart: Mirror, values: dict[str, Array], shape: tuple[int, ...]) -> "Coordinate":
        """The coordinate with these numbers; its ends are those nearest to 0."""
        low, high = np.asarray(-np.inf), np.asarray(np.inf)
        for end in chart.ends:
            place = np.asarray(numbers(np, end, values), dtype=np.float64)
            high = np.minimum(high, np.where(place > 0, place, np.inf))
            low = np.maximum(low, np.where(place < 0, place, -np.inf))
        return cls(chart, dict(values), shape, low, high)

    def _at(self, xp: Namespace, expr: sp.Expr, z: Array) -> Array:
        return numbers(xp, expr, {**self.values, Z.name: z}) + xp.zeros_like(z)

    def beta(self, xp: Namespace, z: Array) -> Array:
        """β(z), in the shape of z."""
        return self._at(xp, self.chart.beta, z)

    def metric(self, xp: Namespace, z: Array) -> Array:
        """K = dβ/dz, above zero."""
        return self._at(xp, self.chart.metric, z)

    def conjugate(self, xp: Namespace, z: Array) -> Array:
        """Φ*(z) of every entry; infinite outside of where θ(z) exists."""
        inside = (z > self.low) & (z < self.high)
        value = self._at(xp, self.chart.conjugate, xp.where(inside, z, 0.0))
        return xp.where(inside, value, np.inf)

    def potential(self, xp: Namespace, beta: Array) -> Array:
        """Φ(β) = z β - Φ*(z) of every entry."""
        z = self.inverse(xp, beta)
        return z * beta - self.conjugate(xp, z)

    def theta(self, xp: Namespace, z: Array) -> dict[str, Array]:
        """The weights at z, by block."""
        return {w: self._at(xp, value, z) for w, value in self.chart.theta}

    def inverse(self, xp: Namespace, beta: Array) -> Array:
        """z(β): the interval between powers of two, halved, and Newton steps at the end."""
        start = self.beta(xp, xp.zeros_like(beta))
        up = beta >= start
        far = xp.where(up, self.high, -self.low)
        sign = xp.where(up, 1.0, -1.0)

        def above(size: Array) -> Array:
            """Whether β at distance `size` from 0 is beyond what is looked for."""
            z = xp.where(size < far, sign * size, 0.0)
            value = self.beta(xp, z)
            return (size >= far) | xp.isnan(value) | (sign * (value - beta) >= 0)

        def halve(ends: tuple[Array, Array]) -> tuple[Array, Array]:
            a, b = ends
            middle = 0.5 * (a + b)
            beyond = above(middle)
            return xp.where(beyond, a, middle), xp.where(beyond, middle, b)

        def between(ends: tuple[Array, Array]) -> tuple[Array, Array]:
            # Exponents first: z may be of any size.
            a, b = ends
            middle = xp.floor(0.5 * (a + b))
            beyond = above(xp.exp2(middle))
            return xp.where(beyond, a, middle), xp.where(beyond, middle, b)

        low, high = (xp.full_like(beta, float(e)) for e in (_EXPONENTS[0], _EXPONENTS[-1]))
        low, high = _repeated(xp, _EXPONENT_HALVINGS, between, (low, high))
        low, high = _repeated(xp, _HALVINGS, halve, (xp.exp2(low), xp.exp2(high)))
        z = sign * low

        def newton(z: Array) -> Array:
            slope = self.metric(xp, z)
            step = xp.where(slope > 0, (self.beta(xp, z) - beta) / xp.where(slope > 0, slope, 1.0), 0.0)
            # From the wrong side of a small slope a step may leave the interval that is known.
            return xp.where(xp.abs(step) <= 1e-6 * (xp.abs(z) + 1e-300), z - step, z)

        z = _repeated(xp, _POLISH, newton, z)
        return xp.where(beta == start, 0.0, z)


def _repeated(xp: Namespace, count: int, step: Callable[[Any], Any], value: Any) -> Any:
    """The value after so many steps; one compiled loop under jax."""
    if xp is not np:
        return jax.lax.fori_loop(0, count, lambda _, v: step(v), value)
    for _ in range(count):
        with np.errstate(all="ignore"):
            value = step(value)
    return value
