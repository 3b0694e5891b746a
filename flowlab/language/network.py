"""A network: an expression with its shapes inferred and its scaling degrees solved for."""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

from flowlab.core.arguments import shown
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, LanguageError, NotHomogeneous, ShapeMismatch
from flowlab.core.typing import Array, Blocks, Given, Json, Namespace, Outputs, Pieces, Record
from flowlab.language.declarations import Shapes, declared_roles, declared_shapes, known_names, roles_of, without_input
from flowlab.language.degrees import Symmetry, solve
from flowlab.language.expr import Expr
from flowlab.language.inference import LONG, Inference, brief, output_type
from flowlab.language.kink_slots import Slot, jumping, kinked
from flowlab.language.network_html import network_parts
from flowlab.language.operations import Operation, operations
from flowlab.language.parametrisations import Parametrisation, divided, parametrisations, places
from flowlab.language.parser import parse
from flowlab.language.remembered import remembered
from flowlab.language.sizes import Sizes, given_shape, shapes_of, widths_given
from flowlab.language.traversal import fold, symmetric_constants
from flowlab.language.types import Dim, Type


@displayed
class Network:
    """A function f(W; x) of weight blocks, inputs and constants.

    Args:
        expression: text such as `"W2 @ relu(W1 @ x)"`, or an expression built with operators.
        shapes: declared shapes, with integers or names as dimensions. Undeclared blocks are matrices when their name
            starts with a capital letter, else vectors; or scalars where they meet a scalar in a sum or a product, like
            `c` in `a @ x + c`; or what the word needs that takes them, as `einsum` does.
        inputs: names of what the data have for every sample, `("A",)`, or their shapes, `{"X": ("t", "d")}`. The input
            `x` is a vector unless its shape is given here.
        constants: names of what the data have once, `("M",)`, or their shapes; no flow moves them.
        frozen: weight blocks that no flow moves; another word for `constants`.
        parametrisation: the powers of widths that blocks are divided by and drawn with, `"ntk"`, `"mean_field"` or
            `"mup"`.
        symmetric: weights and constants that are symmetric matrices.

    Raises:
        LanguageError: if the text is outside the language, or no weight occurs in it.
        ShapeMismatch: if operands do not fit; both are named with their shapes.
        UnknownName: if an unknown function or a shape for an unknown block is given.

    Examples:
        >>> fl.Network("O @ V @ X @ softmax(X.T @ K.T @ Q @ x)", inputs={"X": ("d", "t"), "x": ("d",)}).weights
        ('Q', 'K', 'V', 'O')
    """

    _html_parts = network_parts
    is_opaque: ClassVar[bool] = False
    """Whether the output is a call that is known by trial alone; then there is structural depth alone."""
    symmetric: frozenset[str] = frozenset()
    """Leaves that must be symmetric matrices, as constants below a root must."""
    jumps: bool = False
    """Whether slopes jump where no slot says so."""

    def __init__(
        self,
        expression: "str | Expr",
        *,
        shapes: Shapes | None = None,
        inputs: Shapes | Sequence[str] = (),
        constants: Shapes | Sequence[str] = (),
        frozen: Shapes | Sequence[str] = (),
        parametrisation: str | None = None,
        symmetric: Sequence[str] = (),
    ) -> None:
        declared = declared_shapes(shapes)
        roles = declared_roles(inputs, constants, frozen, declared)
        if not isinstance(expression, str | Expr):
            remedy = "wrap it, `fl.opaque(…)`" if callable(expression) else "write 'W2 @ relu(W1 @ x)'"
            raise LanguageError(f"`{shown(expression)}` is neither text nor an expression; {remedy}.")
        self.expression = parse(expression, declared, roles) if isinstance(expression, str) else expression
        self.nodes = tuple(self.expression.nodes())
        self.jumps = jumping(self.nodes)  # slopes or values, where no slot says so
        self._declare(declared, roles)
        self.told_symmetric = known_names("symmetric", symmetric, self.roles)
        self._infer()
        self.written, self.parametrisation = self.expression, None
        if parametrisation is not None:
            self.parametrisation = parametrisations[parametrisation]()
            self._divide(self.parametrisation)

    def _declare(self, declared: dict[str, tuple[int | str, ...]], roles: Mapping[str, str]) -> None:
        self.roles = roles_of(self.nodes, declared, roles)
        self.weights = tuple(name for name, role in self.roles.items() if role == "weight")
        self.declared = declared

    def _infer(self) -> None:
        self.symmetric = symmetric_constants(self.nodes).union(self.told_symmetric)
        inference = Inference(self.nodes, self.declared, symmetric=self.symmetric)
        found = inference.run()
        shapes = inference.shapes
        self._texts = {key: part.text for key, part in found.items()}
        self._signs = {key: part.sign for key, part in found.items()}
        self._types = {key: shapes.settle(part.type) for key, part in found.items() if part.type is not None}
        leaves = {name: shapes.settle(kind).shape for name, kind in inference.known.items()}
        self.shapes: dict[str, tuple[Dim, ...]] = {w: leaves[w] for w in self.weights}
        self.inputs: dict[str, tuple[Dim, ...]] = {k: leaves[k] for k in leaves if self.roles.get(k) == "input"}
        self.constants: dict[str, tuple[Dim, ...]] = {k: leaves[k] for k in leaves if self.roles.get(k) == "constant"}
        self.input_dim: Dim = shapes.find("d")
        self._derived = shapes.derived
        parts = {str(part) for rule in shapes.derived.values() for part in rule.parts}
        self._called = {name: shapes.find(name) for name in {*shapes.derived, *parts} if not name.isdigit()}
        last = found[id(self.expression)].type
        if not self.inputs and last is not None and shapes.settle(last).rank:
            raise LanguageError(without_input(tuple(self.roles)))
        self.output_shape = output_type(found, shapes, self.expression).shape
        relations = inference.relations
        self.symmetry: Symmetry = solve(self.weights, found[id(self.expression)].degree, relations.breaks)

    def _divide(self, how: Parametrisation) -> None:
        """Divide blocks by powers of their sizes."""
        self.places = places(self.shapes, self.inputs, self.output_shape)
        powers = {name: power for name, place in self.places.items() if (power := how.divided(place)) is not None}
        self._plain = self.text
        self.expression = divided(self.expression, powers)
        self.nodes = tuple(self.expression.nodes())
        self.__dict__.pop("text", None)
        self._infer()

    def divisor(self, name: str, shape: tuple[int, ...]) -> float:
        """What divides the entries of a block at the start: the root of the fan-in unless it is parametrised."""
        if self.parametrisation is None:
            return math.sqrt(shape[-1] if shape else 1)
        power = self.parametrisation.deviation(self.places[name])
        return 1.0 if power is None or not shape else float(shape[power[0]]) ** float(power[1])

    def type_of(self, node: Expr) -> Type:
        """The inferred type of a node of this network."""
        return self._types[id(node)]

    @cached_property
    def text(self) -> str:
        """The network as text that parses back to it."""
        return self._texts[id(self.expression)].text

    def text_of(self, node: Expr) -> str:
        """A node as text, abbreviated."""
        return shown(self._texts[id(node)].text, LONG)

    @property
    def degrees(self) -> dict[str, Fraction]:
        """κ_k of every block: f(…, c W_k, …) = c^{κ_k} f(…) for c > 0.

        Raises:
            NotHomogeneous: naming the node that ties or forbids the scalings.
        """
        if not self.symmetry.is_multihomogeneous:
            raise NotHomogeneous(
                f"`{brief(self.text)}` is {self.symmetry.kind}, broken at {shown(str(self.symmetry.breaks[0]), 120)}; "
                f'use `coordinates="weights"`, or a polar scheme without degrees.'
            )
        return {w: self.symmetry.degree(w) or Fraction(0) for w in self.weights}

    def resolve(
        self,
        d: int | Mapping[str, tuple[int, ...]],
        outputs: int,
        widths: Mapping[str, int] | None = None,
        *,
        default_width: int | None = None,
    ) -> dict[str, tuple[int, ...]]:
        """Concrete shapes of all blocks.

        Args:
            d: length of the input `x`, or the shapes of inputs (of one sample) and constants by name: `data.shapes`.
            outputs: number of outputs the data and the loss ask for.
            widths: number of rows of blocks, `{"W1": 16}`; a named dimension may be given as well, `{"r": 2}`.
            default_width: used for hidden dimensions not named; without it they are an error.

        Raises:
            ShapeMismatch: if a width contradicts the input, the output or another width, or one is missing.
            UnknownName: if a width is given for what the network does not have.
            DataError: if the data lack an input or a constant.
        """
        return shapes_of(self._sizes(d, outputs, widths), self.shapes, self.weights, default_width)

    def _sizes(self, d: int | Mapping[str, tuple[int, ...]], outputs: int, widths: Mapping[str, int] | None) -> Sizes:
        """The dimensions that data, labels and widths settle."""
        sizes = Sizes(self.text, self._derived, self._called)
        if isinstance(d, Mapping):
            moved = next((name for name in d if name in self.weights), None)
            if moved is not None:
                told = f"`{moved}` must be a weight of the network or a constant of the data, got both"
                raise DataError(f"{told}; pass `fl.Network(…, frozen=[{moved!r}])`, or leave it out of the data.")
            for name, shape in {**self.inputs, **self.constants}.items():
                given = given_shape(self.text, name, shape, d, constant=name in self.constants)
                for axis, (dim, size) in enumerate(zip(shape, given, strict=True)):
                    reason = (
                        "the data have that many features"
                        if shape == ("d",) or name == "x"
                        else f"axis {axis} of `{name}`"
                    )
                    sizes.settle(dim, size, reason)
        else:
            sizes.settle(self.input_dim, d, "the data have that many features")
        if self.output_shape:
            sizes.follow()
            sizes.settle(self.output_shape[0], outputs, "the labels ask for that many outputs")
        elif outputs != 1:
            raise ShapeMismatch(
                f"`{brief(self.text)}` has one output but the labels ask for {outputs}; make its last factor a matrix."
            )
        widths_given(sizes, self.shapes, self.weights, widths)
        sizes.follow()
        return sizes

    def is_free(self, dim: Dim) -> bool:
        """Whether nothing that stands below determines a dimension."""
        return Sizes(self.text, self._derived, self._called).is_free(dim)

    @property
    def has_derived_dims(self) -> bool:
        """Whether some dimension follows from others."""
        return bool(self._derived)

    def sample_shapes(
        self, d: int, outputs: int, width: int, widths: Mapping[str, int] | None = None
    ) -> dict[str, tuple[int, ...]]:
        """Shapes of inputs and constants to try a network at: declared integers stand, the others are made up.

        Args:
            d: length of the input `x`.
            outputs: number of outputs.
            width: of every other dimension; those that follow from others do.
            widths: of blocks or named dimensions, where they are settled before.
        """
        sizes = Sizes(self.text, self._derived, self._called)
        if isinstance(self.input_dim, str):
            sizes.settle(self.input_dim, d, "it is tried there")
        if self.output_shape and isinstance(self.output_shape[0], str) and self.output_shape[0] not in sizes.sizes:
            sizes.settle(self.output_shape[0], outputs, "the labels ask for that many outputs")
        widths_given(sizes, self.shapes, self.weights, widths)
        given = {**self.inputs, **self.constants}
        for dim in sorted({str(dim) for shape in given.values() for dim in shape if sizes.is_free(dim)}):
            sizes.settle(dim, width, "it is tried there")
        sizes.follow()
        return {name: tuple(sizes.of(dim) or width for dim in shape) for name, shape in given.items()}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The activations with a kink, in the order of evaluation; none where slopes are not those of values."""
        return kinked(self.nodes, self.type_of) if self.is_gradient else ()

    @cached_property
    def is_gradient(self) -> bool:
        """Whether pull-backs are gradients: no node has a slope that is not the one of its value, as `coarse` has."""
        return not any(operations[node.op].own_slope for node in self.nodes if node.args)

    def require_slots(self, what: str) -> None:
        """Refuse a network that has kinks which no slot tells.

        Raises:
            LanguageError: with what needs them.
        """
        if self.jumps:
            raise LanguageError(
                f"{what} must know where kinks are, got `{brief(self.text)}`, which jumps, or has slopes that do; "
                "write it in the language, without functions of steps."
            )

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

    def require_given(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse data that lack an input or a constant, or have one of another number of axes.

        Raises:
            DataError: naming it.
        """
        for name, shape in {**self.inputs, **self.constants}.items():
            given_shape(self.text, name, shape, shapes, constant=name in self.constants)

    @property
    def has_samples(self) -> bool:
        """Whether there is one output for every sample."""
        return self.type_of(self.expression).sampled

    @cached_property
    def mixes_samples(self) -> bool:
        """Whether the output of one sample depends on others, as behind a normalisation over a batch."""
        return any(operations[node.op]().mixes_samples(node.params) for node in self.nodes if node.args)

    def given(self, inputs: Given) -> Callable[[Expr], Array]:
        """What inputs and constants are worth, by name or as the only input: a lookup for `fold`."""
        if isinstance(inputs, Mapping):
            return lambda node: inputs[node.params[0]]
        return lambda _: inputs

    def outputs(self, weights: Blocks, x: Given, xp: Namespace | None = None, pieces: Pieces | None = None) -> Outputs:
        """f(W; x_n) for every sample, by the operations' numeric meanings (differentiable by jax).

        Args:
            weights: arrays by block name, in the shapes of `resolve`.
            x: the input, (N, d), or inputs and constants by name: `data.inputs`.
            xp: numpy or jax.numpy (the default).
            pieces: a slope per unit and sample for every slot, in place of what the sign of the pre-activation says; or
                a function of the pre-activation in place of the activation; None for a slot leaves it.

        Returns:
            Outputs, (N, C); a scalar output gives (N, 1), and what no sample enters alone stands for one sample.
        """
        out = self.node_values(weights, x, xp, pieces)[id(self.expression)]
        out = out if self.has_samples else out[None]
        return out if self.output_shape else out[:, None]

    def node_values(
        self, weights: Blocks, x: Given, xp: Namespace | None = None, pieces: Pieces | None = None
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

        return fold(self.nodes, self.given(x), weights.__getitem__, apply)

    def meaning(self, xp: Namespace) -> Callable[[Operation, Sequence[Any], Expr], Any]:
        """What `fold` applies to evaluate nodes of this network, with `xp` numpy or jax.numpy."""

        def apply(word: Operation, args: Sequence[Any], node: Expr) -> Any:
            types = [self._types[id(arg)] for arg in node.args]
            return word.numeric(xp, args, types, self._types[id(node)], node.params)

        return apply

    def describe(self) -> Record:
        """What rebuilds this network: text, declared shapes, and the roles of leaves beside weights and `x`."""
        text = self.text if self.parametrisation is None else self._plain
        made: Record = {"expression": text, "shapes": {k: list(v) for k, v in sorted(self.declared.items())}}
        for what, role in (("inputs", "input"), ("constants", "constant")):
            names = sorted(name for name, own in self.roles.items() if own == role and name != "x")
            if names:
                made[what] = names
        if self.parametrisation is not None:
            made["parametrisation"] = self.parametrisation.name
        if self.told_symmetric:
            made["symmetric"] = list(self.told_symmetric)
        return made

    @classmethod
    def from_description(cls, description: Mapping[str, Json]) -> "Network":
        """The network of a `describe()`.

        Raises:
            OutputError: for an opaque network that this process has not made.
        """
        # What stands under a name is known to those who wrote it, and checked by what is made of it.
        told: Any = description
        if "opaque" in told:
            return remembered(told)
        shapes = {name: tuple(shape) for name, shape in told["shapes"].items()}
        more = {key: told[key] for key in ("inputs", "constants", "parametrisation", "symmetric") if key in told}
        return cls(told["expression"], shapes=shapes, **more)

    def __reduce__(self) -> tuple[Any, ...]:
        # Types and texts are kept by the identity of nodes, which copies do not have.
        how = self.parametrisation and self.parametrisation.name
        return _rebuilt, (self.written, self.declared, how, self.told_symmetric)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Network({shown(self.text, LONG)!r})"


def _rebuilt(expression: Expr, declared: Shapes, how: str | None, symmetric: Sequence[str] = ()) -> Network:
    return Network(expression, shapes=declared, parametrisation=how, symmetric=symmetric)
