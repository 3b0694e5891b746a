"""Values of different shapes that meet entry by entry: along which axes, and the cotangent of the smaller one."""

from collections.abc import Sequence
from dataclasses import replace

from flowlab.core.typing import Array
from flowlab.language.operations.base import Handle, Tape, lift
from flowlab.language.operations.index_sums import SAMPLES, letters
from flowlab.language.types import Shapes, Type


def met(small: Type, large: Type) -> slice:
    """The axes of a larger value that a smaller one of axes meets: a vector the channels, where these stand first and
    are as many, and anything else the last axes.
    """
    if large.channels_first and small.rank == 1 and small.shape[0] == large.shape[0]:
        return slice(0, 1)
    return slice(large.rank - small.rank, large.rank)


def aligned(shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str]) -> Type:
    """The type of two values that meet entry by entry: of one shape, or one of them a vector for every position.

    A vector meets what has several axes for every sample along its last one, as the bias of a layer on a sequence does;
    along the first one where that has the channels of a convolution, and they can be as many.
    """
    a, b = args
    small, large = (a, b) if a.rank < b.rank else (b, a)
    if not (0 < small.rank < large.rank and (large.sampled or large.rank > 2)):
        shapes.match(a, b, f"`{told}` needs equal shapes", operands)
        first = a.channels_first or b.channels_first
        return Type(a.shape, a.sampled or b.sampled, channels_first=first)
    channels = large.channels_first and small.rank == 1
    if channels and shapes.unify(small.shape[0], large.shape[0]):
        return replace(large, sampled=a.sampled or b.sampled)
    if not all(shapes.unify(p, q) for p, q in zip(small.shape, large.shape[-small.rank :], strict=True)):
        where = "along the channels, nor along the last axes" if channels else "along the last axes"
        shapes.clash(a, b, f"`{told}` does not fit {where}", operands)
    return replace(large, sampled=a.sampled or b.sampled)


def lifted(value: Array, kind: Type, out: Type) -> Array:
    """A value with the axes that it needs to meet a larger one: numbers and channels in front, others along the last
    axes.
    """
    if kind.rank in (0, out.rank) or met(kind, out).start == 0:
        return lift(value, kind, out.sampled, out.rank)
    if kind.sampled:
        return value.reshape(value.shape[:1] + (1,) * (out.rank - kind.rank) + value.shape[1:])
    return value


def of_channels(tape: Tape, cot: Handle, kind: Type, out: Type) -> Handle:
    """The cotangent of one number per channel, summed over positions; any other is fitted by where it goes."""
    if not 0 < kind.rank < out.rank or met(kind, out).start:
        return cot
    axes, several = letters(out.rank), SAMPLES * out.sampled
    return tape("einsum", cot, params=(f"{several}{axes}->{SAMPLES * kind.sampled}{axes[0]}",))
