"""Directions on a product of unit spheres: one per layer, per neuron, or one for the whole network."""

from collections.abc import Mapping
from copy import copy

import jax.numpy as jnp
import numpy as np

from flowlab.core.typing import Array, ArrayLike, Record
from flowlab.language.norm_groups import NETWORK, has_rows, scaled
from flowlab.language.state import State

Layout = tuple[tuple[str, tuple[int, ...]], ...]


class Spheres:
    """Rows of all weights, (P,), with unit norm on each of K spheres, and the norms that turn them into weights.

    Attributes:
        layout: blocks and their shapes, in the order of a row.
        per: `"layer"`, `"neuron"` or `"network"`.
        owner: the sphere each coordinate lies on, (P,).
        radii: ρ of the sphere of each coordinate, (P,).
    """

    def __init__(self, state: State) -> None:
        self.per = state.per
        self.layout: Layout = tuple((name, tuple(int(n) for n in np.shape(v))) for name, v in state.V.items())
        owner, first = [], 0
        for _, shape in self.layout:
            size = int(np.prod(shape))
            rows = shape[0] if has_rows(shape, self.per) else 1
            owner.append(first + np.repeat(np.arange(rows), size // rows))
            first += 0 if self.per == NETWORK else rows
        self.owner = np.concatenate(owner)
        self.count = int(self.owner[-1]) + 1
        # Coordinates of a sphere lie together, in the order of a row.
        self._sizes = np.bincount(self.owner)
        self._starts = np.r_[0, np.cumsum(self._sizes)[:-1]]
        self.rho = {name: np.asarray(r, dtype=np.float64) for name, r in state.rho.items()}
        ones = {name: np.ones(shape) for name, shape in self.layout}
        self.radii = _row(self.layout, scaled(self.rho, ones, self.per))

    def scaled(self, factor: float) -> "Spheres":
        """The same spheres with all norms multiplied."""
        other = copy(self)
        other.rho = {name: factor * r for name, r in self.rho.items()}
        other.radii = factor * self.radii
        return other

    def row(self, V: Mapping[str, ArrayLike]) -> np.ndarray:
        """Directions as one row of unit norm per sphere, (P,)."""
        return self.project(_row(self.layout, V))

    def state(self, theta: np.ndarray) -> State:
        """A row as a state with the norms of these spheres."""
        V = {name: jnp.asarray(v) for name, v in blocks(self.layout, theta).items()}
        return State(rho={k: jnp.asarray(r) for k, r in self.rho.items()}, V=V, per=self.per)

    def squares(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """⟨a, b⟩ on every sphere, (..., K)."""
        return np.add.reduceat(a * b, self._starts, axis=-1)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A value per sphere, (..., K), as a value per coordinate, (..., P)."""
        return np.repeat(values, self._sizes, axis=-1)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """The nearest row of unit norm on every sphere."""
        return theta / self.spread(np.sqrt(self.squares(theta, theta)))

    def tangent(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The part of v along the spheres at θ."""
        return v - self.spread(self.squares(theta, v)) * theta

    def normals(self, theta: np.ndarray) -> np.ndarray:
        """Unit normals at θ, (K, P)."""
        rows = np.zeros((self.count, len(theta)))
        rows[self.owner, np.arange(len(theta))] = theta
        return rows

    def basis(self, theta: np.ndarray) -> np.ndarray:
        """An orthonormal basis of the tangent space at θ, (P, P - K), by one Householder reflection per sphere; of many
        rows (..., P) at once too.
        """
        found = np.zeros((*theta.shape, theta.shape[-1] - self.count))
        at = 0
        for first, size in zip(self._starts, self._sizes, strict=True):
            u = theta[..., first : first + size].copy()
            u[..., 0] += np.copysign(1.0, u[..., 0])
            scale = 2.0 / (u * u).sum(axis=-1)
            part = np.eye(size) - scale[..., None, None] * u[..., :, None] * u[..., None, :]
            found[..., first : first + size, at : at + size - 1] = part[..., 1:]
            at += size - 1
        return found


def blocks(layout: Layout, theta: Array) -> Record:
    """A row as arrays by block; for numpy and jax.numpy alike."""
    out, at = {}, 0
    for name, shape in layout:
        size = int(np.prod(shape))
        out[name], at = theta[at : at + size].reshape(shape), at + size
    return out


def along(layout: Layout, per: str, a: Array, b: Array) -> Array:
    """⟨a, b⟩ of the sphere of every coordinate, (P,); traced."""
    parts, total = [], jnp.zeros(())
    for (_, shape), product in zip(layout, blocks(layout, a * b).values(), strict=True):
        rows = product.reshape(shape[0] if has_rows(shape, per) else 1, -1)
        sums = rows.sum(axis=1, keepdims=True)
        total = total + sums.sum()
        parts.append(jnp.broadcast_to(sums, rows.shape).ravel())
    return jnp.broadcast_to(total, a.shape) if per == NETWORK else jnp.concatenate(parts)


def tangent(layout: Layout, per: str, theta: Array, v: Array) -> Array:
    """`Spheres.tangent`, traced."""
    return v - along(layout, per, theta, v) * theta


def project(layout: Layout, per: str, theta: Array) -> Array:
    """`Spheres.project`, traced."""
    return theta / jnp.sqrt(along(layout, per, theta, theta))


def _row(layout: Layout, arrays: Mapping[str, ArrayLike]) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(arrays[name], dtype=np.float64)) for name, _ in layout])
