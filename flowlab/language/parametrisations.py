"""How a network's blocks are scaled with its width, so that the flow has a limit as the width grows.

A parametrisation divides every block by a power of one of its sizes, and draws its entries with a standard deviation
that is one. The dimensions that a block joins say where it
stands: the first ones read an input, the last ones make the output, the others are hidden.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

from flowlab.core.registry import Registry
from flowlab.language.calls import apply
from flowlab.language.expr import Expr, rebuilt
from flowlab.language.types import Dim

parametrisations: Registry[type["Parametrisation"]] = Registry("parametrisation")

HALF = Fraction(1, 2)
Power = tuple[int, Fraction]
"""An axis, and the power of its size that a block is divided by."""


class Parametrisation(ABC):
    """Powers of sizes, for the blocks that read an input, hidden ones and those that make the output.

    Attributes:
        limit: what the flow tends to as the width grows, in one sentence.
    """

    name: ClassVar[str]
    limit: ClassVar[str]

    @abstractmethod
    def divided(self, place: str) -> Power | None:
        """By what a block is divided in the network; None where it is not.

        Args:
            place: `"first"`, `"hidden"` or `"last"`.
        """

    @abstractmethod
    def deviation(self, place: str) -> Power | None:
        """By what the standard deviation of its entries, 1, is divided at the start."""


@parametrisations.register("ntk")
class TangentKernel(Parametrisation):
    """Every block over the root of its fan-in, entries of size 1 (Jacot, Gabriel and Hongler 2018)."""

    limit = "the tangent kernel stays what it is at the start, and outputs follow the flow of the linearised network"

    def divided(self, place: str) -> Power | None:
        return (-1, HALF)

    def deviation(self, place: str) -> Power | None:
        return None


@parametrisations.register("mean_field")
class MeanField(Parametrisation):
    """Outer blocks over their fan-in, entries of size 1 (Mei, Montanari and Nguyen 2018; Chizat and Bach 2018).

    The time of the limit is t over the width: each unit has a share 1/m of the gradient.
    """

    limit = "the distribution of units follows a Wasserstein gradient flow, in the time t / width"

    def divided(self, place: str) -> Power | None:
        return None if place == "first" else (-1, Fraction(1))

    def deviation(self, place: str) -> Power | None:
        return None


@parametrisations.register("mup")
class MaximalUpdate(Parametrisation):
    """First blocks times the root of the width, last ones over it; all have variance 1/width (Yang and Hu 2021)."""

    limit = "every layer learns features at a rate that does not depend on the width (maximal update)"

    def divided(self, place: str) -> Power | None:
        return {"first": (0, -HALF), "hidden": None, "last": (-1, HALF)}[place]

    def deviation(self, place: str) -> Power | None:
        return (0, HALF) if place == "first" else (-1, HALF)


def places(
    shapes: Mapping[str, Sequence[Dim]], inputs: Mapping[str, Sequence[Dim]], outputs: Sequence[Dim]
) -> dict[str, str]:
    """Where every block stands: `"first"` where it reads an input, `"last"` where it makes the output, or `"hidden"`.

    Args:
        shapes: dimensions of blocks.
        inputs: dimensions of the inputs.
        outputs: dimensions of the output.
    """
    read = {dim for shape in inputs.values() for dim in shape}
    found = {}
    for name, shape in shapes.items():
        first = bool(shape) and shape[-1] in read
        last = all(dim in outputs for dim in shape[:-1])
        found[name] = "first" if first else "last" if last else "hidden"
    return found


def divided(expression: Expr, powers: Mapping[str, Power]) -> Expr:
    """An expression with blocks divided by powers of their sizes."""

    def instead(node: Expr, _: tuple[Expr, ...]) -> Expr | None:
        power = powers.get(node.block or "")
        return None if power is None else apply("per_size", node, *power)

    return rebuilt(expression, instead)
