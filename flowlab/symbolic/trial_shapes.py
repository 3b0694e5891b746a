"""Shapes of all that the program of a flow is given, at sizes that are asked for."""

from collections.abc import Mapping
from typing import TypeAlias

from flowlab.language.norm_groups import has_rows
from flowlab.language.problem import Problem

MOVED = {"rho": "norm", "V": "direction", "W": "weight"}
"""The input that each kind of rate moves."""
Sizes: TypeAlias = int | Mapping[str, tuple[int, ...]]
"""The length of the input `x`, or the shapes of inputs (of one sample) and constants by name: `data.shapes`."""


def input_shapes(
    problem: Problem, d: Sizes, samples: int, widths: Mapping[str, int] | None, outputs: int
) -> dict[tuple[str, str], tuple[int, ...]]:
    """Shapes by (kind, block), with the kinds of `flowlab.symbolic.program.INPUTS`; what is not settled has length 2.

    Raises:
        ShapeMismatch, UnknownName, DataError: for sizes that the network does not have.
    """
    network = problem.network
    given = d if isinstance(d, Mapping) else network.sample_shapes(d, outputs, 2, widths)
    blocks = network.resolve(given, outputs, widths, default_width=2)
    # One target per output, where there are several and they are real numbers.
    several = outputs > 1 and not (problem.loss.compares_outputs or problem.loss.has_one_output)
    found: dict[tuple[str, str], tuple[int, ...]] = {("y", ""): (samples, outputs) if several else (samples,)}
    for name, shape in given.items():
        found["x", name] = tuple(shape) if name in network.constants else (samples, *shape)
    for w, shape in blocks.items():
        found |= {(kind, w): shape for kind in ("direction", "weight")} | {("decay", w): (), ("rate", w): ()}
        if w in problem.charts:
            found["chart", w] = shape
    for group in problem.groups:
        shape = blocks.get(group, ())
        found["norm", group] = shape[:1] if has_rows(shape, problem.per) else ()
    return found
