"""Clocks, fields and data of several runs as one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx

from flowlab.core.lanes import is_array, stacked
from flowlab.core.typing import PyTree


class Parts(NamedTuple):
    """Clocks, fields and data of lanes.

    Attributes:
        own: for each of the three the arrays of all lanes, stacked; None where the lanes share one.
        rest: what is left of each, or all of it.
    """

    own: tuple[PyTree, PyTree, PyTree]
    rest: tuple[PyTree, PyTree, PyTree]

    @classmethod
    def of(cls, args: Sequence[tuple[PyTree, PyTree, PyTree]], shared: tuple[bool, bool, bool], width: int) -> "Parts":
        """From the clock, field and data of every lane, and which of the three all lanes share."""
        own, rest = [], []
        for each, same in zip(zip(*args, strict=True), shared, strict=True):
            arrays, static = (None, each[0]) if same else eqx.partition(each[0], is_array)
            own.append(arrays if same else stacked([eqx.filter(one, is_array) for one in each], width))
            rest.append(static)
        return cls(tuple(own), tuple(rest))


def one_lane(own: Sequence[PyTree], rest: Sequence[PyTree]) -> tuple[Any, Any, Any]:
    """Clock, field and data of a lane, from its own arrays and what is left."""
    clock, field, data = (b if a is None else eqx.combine(a, b) for a, b in zip(own, rest, strict=True))
    return clock, field, data
