"""A network: an expression with its shapes inferred and its scaling degrees solved for."""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

from flowlab.core.arguments import expects, short, shown
from flowlab.core.errors import LanguageError, NotHomogeneous, ShapeMismatch, UnknownName
from flowlab.core.memory import require_memory
from flowlab.core.registry import nearest
from flowlab.core.typing import Array, Blocks, Inputs, Namespace, Outputs, Pieces, Record
from flowlab.language.degrees import Form, Relations, Symmetry, solve
from flowlab.language.expr import NAME, Expr
from flowlab.language.kink_slots import Slot, kinked
from flowlab.language.operations import Operation, Piece, operations
from flowlab.language.operations.base import Sign
from flowlab.language.parser import parse
from flowlab.language.traversal import fold
from flowlab.language.types import Dim, Shapes, Type

_LONG = 200
"""Characters of a node where it is named in print."""
_OPERAND = 40
"""Characters of an operand in a message, which names up to three of them with their shapes."""


class _Inferred(NamedTuple):
    """What is known of a node: text, type (None for a weight, which its users settle), scaling exponent and signs."""

    text: Piece
    type: Type | None
    degree: Form
    sign: Sign = (True, True)


class Network:
    """A function f(W; x) of weight blocks and one input vector.

    Args:
        expression: text such as `"W2 @ relu(W1 @ x)"`, or an expression built with operators.
        shapes: declared shapes of weight blocks, with integers or names as dimensions. Undeclared blocks are matrices
            when their name starts with a capital letter, else vectors, or scalars where they meet a scalar in a sum or
            a product: `c` in `a @ x + c`, `u` in `u * (a @ x)`.

    Raises:
        LanguageError: if the text is outside the language, or no weight or no input occurs in it.
        ShapeMismatch: if operands do not fit; both are named with their shapes.
        UnknownName: if an unknown function or a shape for an unknown block is given.
    """

    def __init__(self, expression: "str | Expr", *, shapes: Mapping[str, tuple[int | str, ...]] | None = None) -> None:
        declared = _declared(shapes)
        if not isinstance(expression, str | Expr):
            raise LanguageError(f"`{shown(expression)}` is neither text nor an expression; write 'W2 @ relu(W1 @ x)'.")
        self.expression = parse(expression, declared) if isinstance(expression, str) else expression
        self.nodes = tuple(self.expression.nodes())
        self._declare(declared)
        self._infer()

    def _declare(self, declared: dict[str, tuple[int | str, ...]]) -> None:
        # Blocks in the order in which the network meets them from the input on: W1 before W2.
        order: dict[str, None] = {}
        for node in self.nodes:
            for arg in (*node.args, node):
                if arg.block is not None:
                    order.setdefault(arg.block)
        self.weights: tuple[str, ...] = tuple(order)
        if not order:
            raise LanguageError("a network needs a weight block besides the input `x`; write for example 'W @ x'.")
        if not any(node.is_input for node in self.nodes):
            read = shown(", ".join(f"`{name}`" for name in order), 120)
            told = (
                "a network has one input, which is named `x`, but the expression has only the weight"
                f" block{'s' if len(order) > 1 else ''} {read}"
            )
            raise LanguageError(f"{told}; write `x` for the input.")
        for name in declared:
            if name not in order:
                guess = nearest(name, list(order))
                known = guess or self.weights[0]
                told = f"`shapes` names `{shown(name)}`, which the network does not have"
                raise UnknownName(f"{told}; did you mean `{known}`?")
        for node in self.nodes:
            name = node.block
            if name is not None and node.params[1] is not None:
                given = _declared({name: node.params[1]})[name]
                if declared.setdefault(name, given) != given:
                    told = f"the block `{name}` is declared with the shapes {shown(declared[name])} and {shown(given)}"
                    raise ShapeMismatch(f"{told}; declare it once.")
        for name, shape in declared.items():
            fits = (NAME.match(d) if isinstance(d, str) else type(d) is int and d > 0 for d in shape)
            if len(shape) > 2 or not all(fits):
                told = f"`shapes[{name!r}] = {short(shape)}` is no shape"
                raise LanguageError(f"{told}; use at most two positive integers or names.")
        self.declared = declared

    def _infer(self) -> None:
        shapes, relations = Shapes(), Relations()
        shapes.find("d")
        known: dict[str, Type] = {}

        def apply(word: Operation, parts: Sequence[_Inferred], node: Expr) -> _Inferred:
            texts = [part.text for part in parts]
            told = [_short(t.text) for t in texts]
            types = self._operand_types(word, parts, node, known, shapes)
            made = word.render(False, texts, types, node.params)
            signs = [part.sign for part in parts]
            word.admit(_short(made.text), signs, node.params)
            kind = word.shape(shapes, types, _short(made.text), told, node.params)
            if kind.sampled and kind.rank > 1:
                told = f"`{_short(made.text)}` is a matrix of its own for every sample"
                raise ShapeMismatch(f"{told}; multiply what stands behind it instead, `s * (W @ x)`.")
            relations.node = shown(made.text, _LONG)
            degree = word.degree(relations, [part.degree for part in parts], node.params)
            # Texts of shared sub-expressions can grow exponentially; an abbreviation keeps them bounded.
            text = made if len(made.text) <= 20_000 else Piece(made.text[:100] + "...")
            return _Inferred(text, kind, degree, word.signs(signs, node.params))

        found = fold(
            self.nodes,
            lambda: _Inferred(Piece("x"), Type(("d",), True), {}),
            lambda name: _Inferred(Piece(name), None, {name: Fraction(1)}),
            apply,
        )
        self._texts = {key: part.text for key, part in found.items()}
        self._signs = {key: part.sign for key, part in found.items()}
        types = {key: part.type for key, part in found.items()}
        for node in self.nodes:
            if node.block is not None:
                types[id(node)] = known.get(node.block, Type(self.declared.get(node.block, ())))
        self._types = {key: shapes.settle(kind) for key, kind in types.items() if kind is not None}
        self.input_dim: Dim = shapes.find("d")
        self.shapes: dict[str, tuple[Dim, ...]] = {w: shapes.settle(known[w]).shape for w in self.weights if w in known}
        out = self._types[id(self.expression)]
        if not out.sampled or out.rank > 1:
            raise ShapeMismatch(
                f"`{_short(self.text)}` has shape {out}; a network's output is a scalar or a vector per sample."
            )
        self.output_shape = out.shape
        self.symmetry: Symmetry = solve(self.weights, found[id(self.expression)].degree, relations.breaks)

    def _operand_types(
        self, word: Operation, parts: Sequence[_Inferred], node: Expr, known: dict[str, Type], shapes: Shapes
    ) -> list[Type]:
        """Operand types, settling the shape of weights that are met for the first time."""
        types: list[Type | None] = []
        for arg, part in zip(node.args, parts, strict=True):
            name = arg.block
            if name is None:
                types.append(part.type)
                continue
            if name not in known:
                if name in self.declared:
                    known[name] = Type(self.declared[name])
                elif name[0].isupper():
                    known[name] = Type((shapes.fresh(f"h_{name}"), shapes.fresh(f"n_{name}")))
                elif not word.alike:
                    known[name] = Type((shapes.fresh(f"n_{name}"),))
            types.append(known.get(name))
        if None in types:
            partner = next((t for t in types if t is not None), Type((shapes.fresh("n"),)))
            for i, arg in enumerate(node.args):
                if types[i] is None and arg.block is not None:
                    # A vector next to a matrix is a clash the operation will tell; here it stays a vector.
                    shape = partner.shape if partner.rank < 2 else (shapes.fresh(f"n_{arg.block}"),)
                    types[i] = known.setdefault(arg.block, Type(shape))
        return [t for t in types if t is not None]

    def type_of(self, node: Expr) -> Type:
        """The inferred type of a node of this network."""
        return self._types[id(node)]

    @cached_property
    def text(self) -> str:
        """The network as text that parses back to it."""
        return self._texts[id(self.expression)].text

    def text_of(self, node: Expr) -> str:
        """A node as text, abbreviated."""
        return shown(self._texts[id(node)].text, _LONG)

    @property
    def degrees(self) -> dict[str, Fraction]:
        """κ_k of every block: f(…, c W_k, …) = c^{κ_k} f(…) for c > 0.

        Raises:
            NotHomogeneous: naming the node that ties or forbids the scalings.
        """
        if not self.symmetry.is_multihomogeneous:
            raise NotHomogeneous(
                f"`{_short(self.text)}` is {self.symmetry.kind}, broken at {shown(str(self.symmetry.breaks[0]), 120)}; "
                f'use `coordinates="weights"`, or a polar scheme without degrees.'
            )
        return {w: self.symmetry.degree(w) or Fraction(0) for w in self.weights}

    def resolve(
        self, d: int, outputs: int, widths: Mapping[str, int] | None = None, *, default_width: int | None = None
    ) -> dict[str, tuple[int, ...]]:
        """Concrete shapes of all blocks.

        Args:
            d: input dimension.
            outputs: number of outputs the data and the loss ask for.
            widths: number of rows of blocks, `{"W1": 16}`; a symbolic dimension may be named directly as well.
            default_width: used for hidden dimensions not named; without it they are an error.

        Raises:
            ShapeMismatch: if a width contradicts the input, the output or another width, or one is missing.
            UnknownName: if a width is given for what the network does not have.
        """
        sizes: dict[str, int] = {}
        why: dict[str, str] = {}

        def settle(dim: Dim, size: int, reason: str) -> None:
            have = dim if isinstance(dim, int) else sizes.get(dim)
            if have is not None and have != size:
                before = why.get(str(dim), f"the declared shapes say {have}")
                of = f"the dimension `{shown(dim, 40)}` of `{_short(self.text)}`"
                raise ShapeMismatch(f"{of} cannot be both {have} ({before}) and {size} ({reason}).")
            if isinstance(dim, str):
                sizes[dim], why[dim] = size, reason

        settle(self.input_dim, d, "the data have that many features")
        if self.output_shape:
            settle(self.output_shape[0], outputs, "the labels ask for that many outputs")
        elif outputs != 1:
            raise ShapeMismatch(
                f"`{_short(self.text)}` has one output but the labels ask for {outputs}; make its last factor a matrix."
            )
        names = {str(dim) for shape in self.shapes.values() for dim in shape}
        expects("widths", widths, (Mapping, type(None)), 'rows of hidden blocks such as `{"W1": 16}`')
        for name, size in (widths or {}).items():
            expects("widths", name, str, "names of blocks as keys")
            if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
                raise ShapeMismatch(
                    f"`widths[{short(name)}]` must be a positive integer, got {short(size)}; give the rows of the"
                    " block."
                )
            if self.shapes.get(name):
                settle(self.shapes[name][0], int(size), f"widths[{name!r}]")
            elif name in names:
                settle(name, int(size), f"widths[{name!r}]")
            else:
                known = [*self.weights, *sorted(names)]
                guess = nearest(name, known) or known[0]
                told = f"`widths` names `{shown(name)}`, which `{_short(self.text)}` does not have"
                raise UnknownName(f"{told}; did you mean `{shown(guess)}`?")
        for block, shape in self.shapes.items():
            for dim in shape:
                if isinstance(dim, str) and dim not in sizes:
                    if default_width is None:
                        told = f"the width `{shown(dim)}` of `{block}` is not known"
                        raise ShapeMismatch(f"{told}; give it with `widths={{{block!r}: 16}}`.")
                    sizes[dim] = default_width
        found = {w: tuple(d if isinstance(d, int) else sizes[d] for d in self.shapes[w]) for w in self.weights}
        largest = max(found, key=lambda name: math.prod(found[name]))
        # The draw of a state, the weights, and their directions.
        require_memory(
            24 * sum(map(math.prod, found.values())),
            f"a state whose block `{largest}` has the shape {short(found[largest])}",
        )
        return found

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The activations with a kink, in the order of evaluation."""
        return kinked(self.nodes, self.type_of)

    @cached_property
    def moved(self) -> frozenset[str]:
        """The blocks that the output may depend on: not those behind what is zero for all weights,
        as relu(-relu(z)) is.
        """
        reached = {id(self.expression)}
        for node in reversed(self.nodes):
            if node.args and id(node) in reached:
                through = operations[node.op]().reaches([self._signs[id(arg)] for arg in node.args], node.params)
                reached.update(id(arg) for arg, open_ in zip(node.args, through, strict=True) if open_)
        return frozenset(node.block for node in self.nodes if node.block is not None and id(node) in reached)

    def outputs(self, weights: Blocks, x: Inputs, xp: Namespace | None = None, pieces: Pieces | None = None) -> Outputs:
        """f(W; x_n) for every sample, by the operations' numeric meanings (differentiable by jax).

        Args:
            weights: arrays by block name, in the shapes of `resolve`.
            x: inputs, (N, d).
            xp: numpy or jax.numpy (the default).
            pieces: a slope per unit and sample for every slot, in place of what the sign of the pre-activation says; or
                a function of the pre-activation in place of the activation; None for a slot leaves it.

        Returns:
            Outputs, (N, C); a scalar output gives (N, 1).
        """
        out = self.node_values(weights, x, xp, pieces)[id(self.expression)]
        return out if self.output_shape else out[:, None]

    def node_values(
        self, weights: Blocks, x: Inputs, xp: Namespace | None = None, pieces: Pieces | None = None
    ) -> dict[int, Array]:
        """Every node's value at concrete weights, by the identity of the node; arguments as for `outputs`."""
        if xp is None:
            import jax.numpy as xp
        held = (
            {}
            if pieces is None
            else {
                i: piece
                for slot, piece in zip(self.slots, pieces, strict=True)
                if piece is not None
                for i in slot.nodes
            }
        )
        plain = self.meaning(xp)

        def apply(word: Operation, args: Sequence[Any], node: Expr) -> Any:
            if id(node) not in held:
                return plain(word, args, node)
            piece = held[id(node)]
            return piece(args[0]) if callable(piece) else piece * args[0]

        return fold(self.nodes, lambda: x, weights.__getitem__, apply)

    def meaning(self, xp: Namespace) -> Callable[[Operation, Sequence[Any], Expr], Any]:
        """What `fold` applies to evaluate nodes of this network, with `xp` numpy or jax.numpy."""

        def apply(word: Operation, args: Sequence[Any], node: Expr) -> Any:
            types = [self._types[id(arg)] for arg in node.args]
            return word.numeric(xp, args, types, self._types[id(node)], node.params)

        return apply

    def describe(self) -> Record:
        """What rebuilds this network: text and declared shapes."""
        return {"expression": self.text, "shapes": {k: list(v) for k, v in sorted(self.declared.items())}}

    def __reduce__(self) -> tuple[Any, ...]:
        # Types and texts are kept by the identity of nodes, which copies do not have.
        return _rebuilt, (self.expression, self.declared)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Network({shown(self.text, _LONG)!r})"


def _rebuilt(expression: Expr, declared: Mapping[str, tuple[int | str, ...]]) -> Network:
    return Network(expression, shapes=declared)


def _declared(shapes: Any) -> dict[str, tuple[int | str, ...]]:
    """Declared shapes with plain integers."""
    if shapes is not None and not isinstance(shapes, Mapping):
        raise LanguageError(f"`shapes={short(shapes)}` is no table of shapes; write {{'W1': (16, 4)}}.")
    out: dict[str, tuple[int | str, ...]] = {}
    for name, shape in (shapes or {}).items():
        if not isinstance(shape, tuple | list):
            where = f"`shapes[{short(name)}] = {short(shape)}`"
            raise LanguageError(f"{where} is no shape; use a tuple of at most two positive integers or names.")
        out[name] = tuple(int(d) if isinstance(d, Integral) and not isinstance(d, bool) else d for d in shape)
    return out


def _short(text: str) -> str:
    return shown(text, _OPERAND)
