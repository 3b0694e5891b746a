"""The axis that an option names: a number counted without the samples, or the samples themselves."""

from fractions import Fraction

from flowlab.core.errors import ShapeMismatch
from flowlab.language.operations.pieces import Option, option_text
from flowlab.language.types import Shapes, Type

OVER_SAMPLES = "samples"
"""The name of the axis of the samples."""


def axis_of(kind: Type, axis: Option, shapes: Shapes, told: str, operand: str) -> int | None:
    """The place of an axis among those of one sample; None for the samples.

    Raises:
        ShapeMismatch: for an axis that the value does not have.
    """
    if axis == OVER_SAMPLES and kind.sampled:
        return None
    if not isinstance(axis, str) and axis is not None and int(axis) == axis and -kind.rank <= axis < kind.rank:
        return int(axis) % kind.rank
    last = f"0 to {kind.rank - 1}" if kind.rank else "none"
    ways = f"{last} or '{OVER_SAMPLES}'" if kind.sampled else last
    raise ShapeMismatch(
        f"`{told}` must go over an axis of `{operand}` of shape {shapes.told(kind)} ({ways}), got"
        f" {option_text(axis)}; axes of one sample are counted from 0."
    )


def whole(value: Option) -> int:
    """An option that must be an integer."""
    return int(value) if isinstance(value, int | Fraction) else -1


def array_axis(axis: Option, kind: Type) -> int:
    """An axis of an array, whose samples stand first."""
    return 0 if isinstance(axis, str) or axis is None else int(axis) % kind.rank + int(kind.sampled)


def counted(axis: Option, kind: Type) -> Option:
    """An axis of a value counted from 0, as in print, where the samples stand last; or the samples."""
    return axis if isinstance(axis, str) or axis is None else int(axis) % kind.rank
