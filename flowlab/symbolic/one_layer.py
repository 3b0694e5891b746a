"""A network of one hidden layer, read off its expression, with what Gaussian means need of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import pi, sqrt

from flowlab.core.arguments import shown
from flowlab.core.errors import LanguageError
from flowlab.language.calls import apply
from flowlab.language.exact_numbers import exact
from flowlab.language.expr import Expr, alike
from flowlab.language.network import Network
from flowlab.language.operations import operations
from flowlab.language.operations.algebra import Scale
from flowlab.language.operations.reductions import SumFeatures
from flowlab.language.traversal import word_of

EVEN, ODD = ("one", "abs", "square"), ("linear", "sign", "erf")
NOISE = {"sign": Fraction(0), "erf": Fraction(1, 2)}
"""Variance of what is added under the sign that a part is the mean of."""
MEAN_ABS, ARC = exact(sqrt(2 / pi)), exact(2 / pi)
"""The mean of |z|, and the slope of the mean of a product of signs in the angle."""
Parts = Mapping[str, Fraction]
Value = Expr | Fraction
"""An expression, or a number where nothing depends on weights."""
Change = Callable[[Expr], Expr]


@dataclass(frozen=True)
class Layer:
    """A network of one hidden layer, or one unit.

    Attributes:
        head: what weighs the units, (h,), (c, h) or a number; None where they are added up.
        rows: what meets the input, (h, d), or (d,) of a single unit or filter.
        parts: the unit's function, in parts.
        slopes: the parts of the function whose slope stands for that of the unit.
        many: whether `rows` is a matrix.
        outputs: axes of the output, 0 or 1.
        patches: whether the unit sees several inputs, independent of one another, with one filter.
        factor: of the whole.
    """

    head: Expr | None
    rows: Expr
    parts: Parts
    slopes: Parts
    many: bool
    outputs: int
    patches: bool
    factor: Fraction

    def through(self, change: Change) -> "Layer":
        """The same with changed weights."""
        return replace(self, head=None if self.head is None else change(self.head), rows=change(self.rows))

    @cached_property
    def squares(self) -> Expr:
        """|w|² of every unit."""
        own = self.rows * self.rows
        return apply("sum", own, axis=1) if self.many else apply("sum", own)

    @cached_property
    def sizes(self) -> Expr:
        """|w| of every unit."""
        return apply("magnitude", self.rows)

    def is_same_vector(self, other: "Layer") -> bool:
        """Whether both are one unit of the same weights."""
        return self.rows is other.rows and not self.many

    def ones(self) -> Value:
        """The heads of all units added up."""
        if not self.many:
            return Fraction(1) if self.head is None else self.head
        if self.head is None:
            return apply("sum", 0 * self.squares + 1)
        return apply("sum", self.head, axis=1) if self.outputs else apply("sum", self.head)

    def means(self, part: str) -> Expr:
        """The mean of an even part that is not constant, of every unit."""
        return MEAN_ABS * self.sizes if part == "abs" else self.squares

    def total(self, part: str) -> Value:
        """The mean of an even part, added up by the head."""
        return self.ones() if part == "one" else self.weigh(self.means(part))

    def weigh(self, values: Expr, matrix: bool = False) -> Expr:
        """Values of all units, numbers or (`matrix`) rows, added up by the head."""
        if not self.many:
            return values if self.head is None else self.head * values
        if self.head is None:
            return apply("sum", values, axis=0) if matrix else apply("sum", values)
        return self.head @ values

    def divided(self, noise: Fraction) -> Expr:
        """Rows over √(|w|² + e)."""
        inverse = (self.squares + noise) ** Fraction(-1, 2) if noise else self.sizes**-1
        return apply("einsum", "ij,i->ij", self.rows, inverse) if self.many else inverse * self.rows


def read(network: Network) -> Layer:
    """A network as one layer with weights behind it.

    Raises:
        LanguageError: for a network of another form.
    """
    node, factor = _unscaled(network.expression)
    head, many = None, False

    def fixed(part: Expr) -> bool:
        return not network.type_of(part).sampled

    inner, found = node, _projection(network, node)
    word = word_of(node)
    if found is None and isinstance(word, SumFeatures) and not node.params:
        inner, many = node.args[0], True
    elif (
        found is None and len(node.args) == 2 and sum(map(fixed, node.args)) == 1 and not operations[node.op].own_slope
    ):
        head, inner = node.args if fixed(node.args[0]) else node.args[::-1]
        many = word is not None and word.composes
        if not many and (not (word is not None and word.squares) or network.type_of(head).rank):
            raise no_form(network)
    inner, own = _unscaled(inner)
    coarse = len(inner.args) == 2 and operations[inner.op].own_slope
    units = [_unit(network, part) for part in (inner.args if coarse else (inner,))]
    (parts, rows, rank, patches), (slopes, others, _, _) = units[0], units[-1]
    if not alike(rows, others):
        raise LanguageError(
            f"`{shown(network.text_of(inner))}` must have a value and a slope of one argument to have a mean; "
            "write `coarse(step, relu)(W @ x)`."
        )
    outputs = len(network.output_shape)
    if rank != 1 + (many and not patches) or (patches and head is None) or (outputs and not many):
        raise no_form(network)
    return Layer(head, rows, parts, slopes, many and not patches, outputs, patches, factor * own)


def _unit(network: Network, node: Expr) -> tuple[Parts, Expr, int, bool]:
    """The parts of a unit, the rows that meet the input and their axes, and whether it meets several inputs."""
    found = _projection(network, node)
    if found is not None:
        return {"linear": Fraction(1)}, *found
    parts = operations[node.op]().parts(node.params) if node.args else {}
    found = _projection(network, node.args[0]) if parts else None
    if found is None:
        raise no_form(network)
    return parts, *found


def _projection(network: Network, node: Expr) -> tuple[Expr, int, bool] | None:
    """The rows of `W @ x` times a number, how many axes they have, and whether the input has several rows itself; None
    for anything else.
    """
    node, factor = _unscaled(node)
    word = word_of(node)
    if word is None or not word.composes or sum(arg.is_input for arg in node.args) != 1:
        return None
    rows, given = node.args[::-1] if node.args[0].is_input else node.args
    patches, kind, turned = network.type_of(given).rank == 2, network.type_of(rows), rows is node.args[1]
    if kind.sampled or network.type_of(given).rank > 2 or (patches and not turned):
        return None
    rows = rows.T if turned and kind.rank == 2 else rows
    return (rows if factor == 1 else rows * factor), kind.rank, patches


def _unscaled(node: Expr) -> tuple[Expr, Fraction]:
    """An expression without the numbers in front of it, and these."""
    factor = Fraction(1)
    while isinstance(word_of(node), Scale):
        node, factor = node.args[0], factor * node.params[0]
    return node, factor


def no_form(network: Network) -> LanguageError:
    """The error of a network without a closed mean."""
    return LanguageError(
        f"`population` must have a network of one or two layers whose units have closed means, got "
        f"`{shown(network.text, 100)}`; write for example `a @ relu(W @ x)`."
    )
