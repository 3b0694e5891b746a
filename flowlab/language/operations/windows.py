"""The windows of an input that a filter meets: where they are, margins and their adjoint, and products of matrices."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from flowlab.core.errors import ShapeMismatch, several
from flowlab.core.typing import Array, Namespace
from flowlab.language.operations.axes import whole
from flowlab.language.operations.base import Option

CIRCULAR, SAME = "circular", "same"

# When products of matrices beat the compiler's convolution, measured at 70 shapes on a processor, in float64:
_FEW, _MANY = 16, 96
"""With at most 16 channels on both sides and more than 96 entries of a filter, the compiler's convolution is three
times slower; at other sizes it is the faster one while a sample's windows are small.
"""
_LARGE = 2**19
"""Bytes of a sample's windows: above them products of matrices are up to twice as fast at any number of channels."""
_CHUNK = 2**22
"""Bytes of windows that are gathered at a time: more leave the cache, and all of them cost more than the product."""


class Settings(NamedTuple):
    """Stride and padding of a convolution."""

    stride: int
    padding: Option

    def margins(self, size: int, length: int) -> tuple[int, int]:
        """Positions added before and behind an axis for a filter of `size` places."""
        if self.padding == CIRCULAR:
            return 0, size - 1
        if self.padding == SAME:
            missing = max((self.positions("conv", size, length) - 1) * self.stride + size - length, 0)
            return missing // 2, missing - missing // 2
        return whole(self.padding), whole(self.padding)

    def positions(self, told: str, size: int, length: int) -> int:
        """How many positions the filter takes.

        Raises:
            ShapeMismatch: if it does not fit.
        """
        if isinstance(self.padding, str):
            if self.padding == CIRCULAR and size > length:
                raise _too_long(told, size, length, "shorten it")
            return -(-length // self.stride)
        room = length + 2 * whole(self.padding)
        if size > room:
            raise _too_long(told, size, room, "shorten it or pad")
        return (room - size) // self.stride + 1

    def counts(self, sizes: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """How many positions the filter takes along each axis."""
        return [self.positions("conv", k, n) for k, n in zip(sizes, lengths, strict=True)]


def products_are_faster(w: Array, counts: Sequence[int]) -> bool:
    """Whether products of matrices beat the compiler's convolution for a filter (o, c, places…), from shapes alone."""
    entries = math.prod(w.shape[1:])
    return _sample_bytes(w, counts) > _LARGE or (max(w.shape[:2]) <= _FEW and entries > _MANY)


def _sample_bytes(w: Array, counts: Sequence[int]) -> int:
    return w.dtype.itemsize * math.prod((*w.shape[1:], *counts))


def by_products(w: Array, x: Array, counts: Sequence[int], settings: Settings) -> Array:
    """The convolution of a filter (o, c, places…) with padded samples (N, c, lengths…), some samples at a time."""
    from jax import checkpoint, lax

    fit = max(1, _CHUNK // _sample_bytes(w, counts))
    at_once = max(b for b in range(1, min(fit, len(x)) + 1) if len(x) % b == 0)
    # Windows are gathered again on the way back, not kept.
    step = checkpoint(lambda part: _gathered(w, part, counts, settings))
    made = lax.map(step, x.reshape(-1, at_once, *x.shape[1:]))
    return made.reshape(len(x), *made.shape[2:])


def _gathered(w: Array, x: Array, counts: Sequence[int], settings: Settings) -> Array:
    """The convolution of a filter (o, c, places…) with padded samples (n, c, lengths…): one product of two matrices."""
    import jax.numpy as jnp

    last = jnp.moveaxis(x, 1, -1)
    rows = jnp.concatenate([last[(slice(None), *cut)] for cut in cuts_of(w.shape[2:], counts, settings)], axis=-1)
    flat = jnp.moveaxis(w, (0, 1), (-1, -2)).reshape(-1, w.shape[0])
    return jnp.moveaxis((rows.reshape(-1, len(flat)) @ flat).reshape(len(x), *counts, -1), -1, 1)


def padded(xp: Namespace, x: Array, sizes: Sequence[int], settings: Settings) -> Array:
    """The input with its margins: zeros, or the other end where it is circular."""
    margins = [settings.margins(k, n) for k, n in zip(sizes, x.shape[x.ndim - len(sizes) :], strict=True)]
    if not any(map(any, margins)):
        return x
    still = [(0, 0)] * (x.ndim - len(sizes))
    if settings.padding == CIRCULAR:
        return xp.pad(x, [*still, *margins], mode="wrap")
    return xp.pad(x, [*still, *margins])


def cuts_of(sizes: Sequence[int], counts: Sequence[int], settings: Settings) -> Iterator[tuple[slice, ...]]:
    """For every place of the filter the positions of the padded input that it meets."""
    for place in product(*map(range, sizes)):
        yield tuple(
            slice(at, at + settings.stride * (count - 1) + 1, settings.stride)
            for at, count in zip(place, counts, strict=True)
        )


def unpadded(
    xp: Namespace, made: Array, lengths: Sequence[int], margins: Sequence[tuple[int, int]], settings: Settings
) -> Array:
    """The adjoint of padding: margins fall away, or are added at the other end where the input is circular."""
    for i, (length, (before, behind)) in enumerate(zip(lengths, margins, strict=True)):
        axis = made.ndim - len(lengths) + i
        inner = (slice(None),) * axis
        kept = made[(*inner, slice(before, before + length))]
        if settings.padding == CIRCULAR and behind:
            ends = made[(*inner, slice(length, length + behind))]
            still = [(0, 0)] * made.ndim
            still[axis] = (0, length - behind)
            kept = kept + xp.pad(ends, still)
        made = kept
    return made


def _too_long(told: str, size: int, room: int, remedy: str) -> ShapeMismatch:
    return ShapeMismatch(f"`{told}` must have a filter of at most {several(room, 'place')}, got {size}; {remedy}.")
