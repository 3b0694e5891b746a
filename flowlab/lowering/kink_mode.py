"""On which side of its kink every pre-activation is, as numbers that a compiled program takes.

In one mode the field is smooth: each kinked activation multiplies by a slope that is given, not read off a sign, and
pairs of a unit and a sample that slide have the slope, between those of both sides, at which they stay on their kink
(the Filippov velocity; for gradient flow the element of least norm of the Clarke subdifferential: Davis, Drusvyatskiy,
Kakade and Lee, Found. Comput. Math. 20, 2020).

Pairs are numbered slot by slot, samples first, units within a sample; of a kink of weights themselves the entries, row
by row. A pair of the first layer slides along a hyperplane that does not move in the integrated coordinates, so its
slope need not be known to step: what the slope would add is the normal part of the rate, which is taken away. Of deeper
pairs the slopes are solved for at every state.
"""

import dataclasses
from collections.abc import Callable
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Array, Coordinates

_RIDGE = 1e-13
_ROUNDS = 2
"""Newton iterations for deep slopes before the one that is differentiated;
they enter linearly unless several layers slide at once.
"""


class Mode(eqx.Module):
    """A mode of P pairs, in n integrated coordinates.

    Attributes:
        slopes: (P,); of pairs that slide in the first layer that on the left, of deeper ones zero.
        side: (P,); -1 or 1, and 0 for pairs that slide.
        jump: (P,); by how much the slope of a pair grows with the multiplier of its kink, else 0.
        kink: (P,); which of the K kinks that is.
        support: (K, m) places among the coordinates that the normals of a kink of the first layer and of those it is
            coupled with have, padded with zeros; usually the weights of one unit.
        basis: (K, m) orthonormal rows there, or zero ones, that span the normals of the pairs that slide in the first
            layer.
        dual: (K, m); its rows applied to a rate there give the coefficients of its normal part by the normals.
        normal: (K,) whether a row of `dual` is one.
        deep: (D,) one of the deeper pairs that slide for each kink they slide on, padded.
        deep_live: (D,) whether an entry of `deep` is one.
        deep_start: (D,) multipliers to start from.
        echo: (M,) all deeper pairs that slide, those of `deep` among them, padded.
        echo_of: (M,) whose multiplier each of them has.
        echo_left, echo_jump: (M,) its slope at multiplier 0, and what it grows by to 1; zero for padding.
        shapes: of the pre-activations, slot by slot; None for a slot that is not tracked (static).
    """

    slopes: Array
    side: Array
    jump: Array
    kink: Array
    support: Array
    basis: Array
    dual: Array
    normal: Array
    deep: Array
    deep_live: Array
    deep_start: Array
    echo: Array
    echo_of: Array
    echo_left: Array
    echo_jump: Array
    shapes: tuple[tuple[int, ...] | None, ...] = eqx.field(static=True)

    def pieces(self, slopes: Array) -> list[Array | None]:
        """Slopes of all pairs (P,) as the network takes them, slot by slot."""
        out: list[Array | None] = []
        at = 0
        for shape in self.shapes:
            if shape is None:
                out.append(None)
                continue
            out.append(slopes[at : at + prod(shape)].reshape(shape))
            at += prod(shape)
        return out

    def with_deep(self, multipliers: Array) -> jax.Array:
        """Slopes of all pairs (P,) at multipliers (D,) of the deeper ones that slide."""
        if not self.deep.size:
            return jnp.asarray(self.slopes)
        return jnp.asarray(self.slopes).at[self.echo].add(self.echo_left + multipliers[self.echo_of] * self.echo_jump)

    def flipped(self, pair: Array, side: Array, slope: Array) -> "Mode":
        """The mode in which a pair that does not slide is on another side, with the slope there."""
        return self.sided(jnp.asarray(self.side).at[pair].set(side), jnp.asarray(self.slopes).at[pair].set(slope))

    def sided(self, side: Array, slopes: Array) -> "Mode":
        """The mode with other sides and slopes, (P,), of pairs that do not slide."""
        return dataclasses.replace(self, side=side, slopes=slopes)

    @property
    def slides(self) -> jax.Array:
        """Whether any pair slides; scalar."""
        return jnp.any(self.normal) | jnp.any(self.deep_live)

    def tangent(self, rate: Coordinates) -> Coordinates:
        """A rate without its part normal to the hyperplanes that pairs of the first layer slide on."""
        if not self.basis.size:
            return rate
        flat, restore = ravel_pytree(rate)
        return restore(self._tangent(flat))

    def _tangent(self, flat: jax.Array) -> jax.Array:
        """The same of a rate in one row, (n,)."""
        along = jnp.sum(self.basis * flat[self.support], axis=1, keepdims=True)
        return flat.at[self.support].add(-along * self.basis)

    def by_normals(self, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Coefficients (K,) of the normal part of a rate (n,) by the normals, and the sizes of their terms (K,)."""
        terms = self.dual * flat[self.support]
        return jnp.sum(terms, axis=1), jnp.sum(jnp.abs(terms), axis=1)

    def deep_multipliers(self, drift: Callable[[Array], Array]) -> jax.Array:
        """Multipliers (D,) at which deeper pairs stay on their kinks, differentiable.

        Args:
            drift: rate of change of their pre-activations (D,) at multipliers (D,).
        """
        residual = self._live(drift)
        moved, at = jax.closure_convert(residual, self.deep_start)
        # Held fixed, because the root moves with the residual alone; so a Jacobian of the rate costs one residual per
        # column, and iterations are compiled once.
        found, slope = _iterated(lambda found: moved(found, *map(jax.lax.stop_gradient, at)), self.deep_start)
        return found - _solved(slope, residual(found))

    def deep_answer(self, drift: Callable[[Array], Array]) -> tuple[jax.Array, jax.Array]:
        """The same multipliers (D,), not to be differentiated; and how each drift answers to its own, (D,)."""
        residual = self._live(drift)
        found, slope = _iterated(residual, self.deep_start)
        return found - _solved(slope, residual(found)), jnp.diag(slope)

    def _live(self, drift: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda multipliers: jnp.where(self.deep_live, drift(multipliers), multipliers)

    def without_normals(self, rate: Coordinates, y: Coordinates, deep: Callable[[Any], jax.Array]) -> Coordinates:
        """A rate without its part normal to the kinks that deeper pairs slide on.

        Args:
            rate: tangent to those of the first layer.
            y: the state.
            deep: pre-activations of deeper pairs (D,) as a function of the state.
        """
        flat, restore = ravel_pytree(y)

        def masked(v: jax.Array) -> jax.Array:
            return jnp.where(self.deep_live, deep(restore(v)), 0.0)

        _, pull = jax.vjp(masked, flat)

        def without(push: jax.Array) -> Coordinates:
            return self.tangent(restore(ravel_pytree(rate)[0] - pull(push)[0]))

        def residual(push: jax.Array) -> jax.Array:
            moving = jax.jvp(masked, (flat,), (ravel_pytree(without(push))[0],))[1]
            return jnp.where(self.deep_live, moving, push)

        rows = jax.lax.stop_gradient(jax.jacrev(masked)(flat))
        along = jax.vmap(self._tangent)(rows) if self.basis.size else rows
        # As above, the matrix is held fixed and the root moves with the residual.
        gram = jnp.where(self.deep_live[:, None] & self.deep_live[None, :], -along @ along.T, jnp.eye(self.deep.size))
        push = jnp.zeros_like(self.deep_start)
        push = push - jax.lax.stop_gradient(_solved(gram, residual(push)))
        push = jax.lax.stop_gradient(push)
        return without(push - _solved(gram, residual(push)))


def _iterated(residual: Callable[[Array], Array], start: Array) -> tuple[jax.Array, jax.Array]:
    """Where `_ROUNDS` Newton iterations lead (D,), and the derivative there (D, D)."""

    def newton(_: Any, now: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        _, found, _ = now
        slope, value = jax.jacfwd(lambda v: (residual(v),) * 2, has_aux=True)(found)
        return found, found - _solved(slope, value), slope

    begin = jnp.asarray(start)
    found, _, slope = jax.lax.fori_loop(0, _ROUNDS + 1, newton, (begin, begin, jnp.zeros((len(begin),) * 2)))
    return found, slope


def _solved(matrix: jax.Array, b: Array) -> jax.Array:
    """A solution also where normals are dependent, so that the matrix is singular: one of many multipliers, and the one
    velocity.

    What is added is of the size of round-off, on the side of kinks that attract; the next iteration takes back what it
    does.
    """
    return jnp.linalg.solve(matrix - _RIDGE * jnp.max(jnp.abs(jnp.diag(matrix))) * jnp.eye(len(b)), b)
