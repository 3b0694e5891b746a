"""Types, scaling exponents, signs and text of every node of an expression, from those of its operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from flowlab.core.arguments import shown
from flowlab.core.errors import ShapeMismatch
from flowlab.language.degrees import Form, Relations
from flowlab.language.expr import Expr
from flowlab.language.operations import Operation, Piece
from flowlab.language.operations.base import Sign
from flowlab.language.operations.matrix_rules import Products
from flowlab.language.traversal import fold
from flowlab.language.types import Dim, Shapes, Type

LONG = 200
"""Characters of a node where it is named in print."""
_OPERAND = 40
"""Characters of an operand in a message, which names up to three of them with their shapes."""


class Inferred(NamedTuple):
    """What is known of a node: text, type (None for a leaf that its users settle), scaling exponent and signs."""

    text: Piece
    type: Type | None
    degree: Form
    sign: Sign = (True, True)


def brief(text: str) -> str:
    """An operand as messages have it."""
    return shown(text, _OPERAND)


@dataclass
class Inference:
    """One pass over the nodes of an expression.

    Attributes:
        nodes: operands before the nodes that use them.
        declared: shapes of leaves, by name.
        shapes: the dimensions met.
        relations: what ties the scaling exponents of weight blocks.
        known: types of leaves, by name.
        symmetric: constants that are symmetric matrices.
    """

    nodes: Sequence[Expr]
    declared: Mapping[str, tuple[Dim, ...]]
    shapes: Shapes = field(default_factory=Shapes)
    relations: Relations = field(default_factory=Relations)
    known: dict[str, Type] = field(default_factory=dict)
    symmetric: frozenset[str] = frozenset()
    _products: Products = field(default_factory=Products)
    _equal: dict[object, object] = field(default_factory=dict)
    """One name for all nodes that are written alike, as text writes what is shared twice."""

    def run(self) -> dict[int, Inferred]:
        """Everything that is known, by the identity of nodes; types are not settled yet.

        Raises:
            ShapeMismatch: if operands do not fit; both are named with their shapes.
            LanguageError: if an operation does not take what its operands may be.
        """
        self.shapes.find("d")
        found = fold(self.nodes, self.read, self.weigh, self.apply)
        for node in self.nodes:
            name = node.leaf
            if name is not None:
                kind = self.known.setdefault(name, Type(self.declared.get(name, ()), node.is_input))
                found[id(node)] = found[id(node)]._replace(type=kind)
        return found

    def read(self, node: Expr) -> Inferred:
        """An input, whose shape is known by its name, or a constant, which is read as a weight is."""
        name = node.params[0]
        if node.is_input and name not in self.known:
            axes = self.declared.get(name)
            if axes is None:
                axes = ("d",) if name == "x" else tuple(self.fresh(name, 2 if name[0].isupper() else 1))
            self.known[name] = Type(axes, True)
        return Inferred(Piece(name), self.known.get(name), {})

    def weigh(self, name: str) -> Inferred:
        """A weight block."""
        return Inferred(Piece(name), None, {name: Fraction(1)})

    def apply(self, word: Operation, parts: Sequence[Inferred], node: Expr) -> Inferred:
        """An operation on what is known of its operands."""
        texts = [part.text for part in parts]
        told = [arg.within or brief(t.text) for arg, t in zip(node.args, texts, strict=True)]
        types = self.operand_types(word, parts, node)
        made = word.render(False, texts, types, node.params)
        signs = [part.sign for part in parts]
        whole = node.within or brief(made.text)
        word.admit(whole, signs, node.params)
        kind = word.shape(self.shapes, types, whole, told, node.params)
        names = tuple(self._equal.get(id(arg), arg.leaf) for arg in node.args)
        name = self._equal[id(node)] = self._equal.setdefault((node.op, names, node.params), id(node))
        if kind.rank == 2 and not kind.sampled:
            symmetric = self._products.symmetric(name, word, list(zip(names, types, strict=True)))
            kind = Type(kind.shape, symmetric=symmetric)
        self.relations.node = shown(made.text, LONG)
        degree = word.degree(self.relations, [part.degree for part in parts], node.params)
        # Texts of shared sub-expressions can grow exponentially; an abbreviation keeps them bounded.
        text = made if len(made.text) <= 20_000 else Piece(made.text[:100] + "...")
        square = word.squares and node.args[0] is node.args[1]
        sign = (any(signs[0]), False) if square else word.signs(signs, node.params)
        return Inferred(text, kind, degree, sign)

    def kind_of(self, name: str, shape: tuple[Dim, ...]) -> Type:
        """The type of a weight or a constant."""
        return Type(shape, symmetric=name in self.symmetric)

    def fresh(self, name: str, rank: int) -> list[Dim]:
        """New dimensions for a leaf that nothing is declared of: rows h, then columns n, then others."""
        hints = {1: ("n",), 2: ("h", "n")}.get(rank) or tuple(f"a{i}" for i in range(rank))
        return [self.shapes.fresh(f"{hint}_{name}") for hint in hints]

    def operand_types(self, word: Operation, parts: Sequence[Inferred], node: Expr) -> list[Type]:
        """Operand types, settling the shape of weights and constants that are met for the first time."""
        types = [
            part.type if arg.leaf is None else self.known.get(arg.leaf)
            for arg, part in zip(node.args, parts, strict=True)
        ]
        for i, arg in enumerate(node.args):
            name = arg.leaf
            if types[i] is None and name is not None and name in self.declared:
                types[i] = self.known[name] = self.kind_of(name, self.declared[name])
        ranks = word.ranks(types, node.params)
        for i, (arg, rank) in enumerate(zip(node.args, ranks, strict=True)):
            name = arg.leaf
            if types[i] is not None or name is None:
                continue
            if name in self.known:
                types[i] = self.known[name]
            elif rank is not None:
                types[i] = self.known[name] = self.kind_of(name, tuple(self.fresh(name, rank)))
            elif name[0].isupper():
                types[i] = self.known[name] = self.kind_of(name, tuple(self.fresh(name, 2)))
            elif not word.alike:
                types[i] = self.known[name] = Type(tuple(self.fresh(name, 1)))
        if None in types:
            partner = next((t for t in types if t is not None), Type((self.shapes.fresh("n"),)))
            for i, arg in enumerate(node.args):
                if types[i] is None and arg.leaf is not None:
                    # A vector next to a matrix is a clash the operation will tell; here it stays a vector.
                    shape = partner.shape if partner.rank < 2 else (self.shapes.fresh(f"n_{arg.leaf}"),)
                    types[i] = self.known.setdefault(arg.leaf, Type(shape))
        return [t for t in types if t is not None]


def output_type(found: Mapping[int, Inferred], shapes: Shapes, last: Expr) -> Type:
    """The settled type of the output.

    Raises:
        ShapeMismatch: unless it is a scalar or a vector for every sample, or one scalar.
    """
    kind = found[id(last)].type
    out = shapes.settle(kind) if kind is not None else Type(())
    if out.rank > out.sampled:
        remedy = "; `flatten` it" if out.sampled else "; `sum` it"
        raise ShapeMismatch(
            f"`{brief(found[id(last)].text.text)}` has shape {out}; a network's output is a scalar or a vector per"
            f" sample, or one scalar{remedy}."
        )
    return out
