"""Directions in a plane that touches the sphere, for implicit steps.

On the sphere V' = -∂L + ⟨V, ∂L⟩ V with multipliers λ = ⟨V, ∂L⟩; off it lengths obey u' = 2λu, u = |V|² - 1. Where
λ > 0, as while samples are on their wrong side, that grows however firmly the flow on the sphere comes to rest: it
holds steps of an implicit method to 1/λ, or makes longer ones end anywhere. Within a step directions are therefore
taken as y = V/⟨V, V_0⟩ in the plane through the first one, V_0 (the gnomonic chart): y' = |y| (V' - y ⟨V', V_0⟩), which
has no part along V_0 at all.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Blocks, PyTree
from flowlab.language.norm_groups import inner, scaled


class Chart(NamedTuple):
    """A plane that touches the sphere of every norm; states are (ρ, V).

    Attributes:
        base: the directions V_0 where it touches, by block.
        per: what a norm belongs to.
    """

    base: Any
    per: str

    def rate(self, field: Callable[[PyTree], PyTree], y: PyTree) -> PyTree:
        """The rate of (ρ, y) of a field of (ρ, V)."""
        rho, V = y
        lengths = self._lengths(V)
        d_rho, d_V = field((rho, scaled({k: 1.0 / n for k, n in lengths.items()}, V, self.per)))
        lost = scaled(inner(d_V, self.base, self.per), V, self.per)
        return d_rho, scaled(lengths, {w: d_V[w] - lost[w] for w in d_V}, self.per)

    def left(self, y: PyTree, rate: PyTree) -> PyTree:
        """The rate of (ρ, V) of a rate of (ρ, y) at y."""
        V, d_V = y[1], rate[1]
        lengths = self._lengths(V)
        along = {k: a / lengths[k] ** 2 for k, a in inner(V, d_V, self.per).items()}
        radial = scaled(along, V, self.per)
        return rate[0], scaled({k: 1.0 / n for k, n in lengths.items()}, {w: d_V[w] - radial[w] for w in d_V}, self.per)

    def within(self, rate: PyTree) -> PyTree:
        """What of a change of (ρ, y) is in the plane."""
        squares = inner(self.base, self.base, self.per)
        out = {k: a / squares[k] for k, a in inner(self.base, rate[1], self.per).items()}
        lost = scaled(out, self.base, self.per)
        return rate[0], {w: rate[1][w] - lost[w] for w in rate[1]}

    def _lengths(self, V: Blocks) -> PyTree:
        return {k: jnp.sqrt(n) for k, n in inner(V, V, self.per).items()}


class Flat(NamedTuple):
    """A rate as implicit steps see it, on flat states (n,), in the plane or as it stands.

    Attributes:
        rate: of the flat state.
        within: the part of a change (n,) that is one of the flat state. What round-off puts outside of the plane would
            be damped by nothing, and grow with the step; so solutions of linear systems, and their right-hand sides, go
            through this.
        left: from a state and the rate there to the rate of the state that it stands for.
    """

    rate: Callable[[PyTree], PyTree]
    within: Callable[[PyTree], PyTree]
    left: Callable[[Any, Any], Any]

    @classmethod
    def of(cls, args: PyTree, field: Callable[[PyTree], PyTree], y0: PyTree) -> "Flat":
        """For a step that begins at y0; `args.chart` says whether there is a plane."""
        restore = ravel_pytree(y0)[1]
        chart = args.chart(y0)
        if chart is None:
            return cls(lambda y: ravel_pytree(field(restore(y)))[0], lambda v: v, lambda _, rate: rate)
        return cls(
            lambda y: ravel_pytree(chart.rate(field, restore(y)))[0],
            lambda v: ravel_pytree(chart.within(restore(v)))[0],
            lambda y, rate: ravel_pytree(chart.left(restore(y), restore(rate)))[0],
        )
