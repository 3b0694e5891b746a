"""A node of weights inside a network: found by structure, replaced by a block of its own, and evaluated alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import sympy as sp

from flowlab.core.arguments import shown
from flowlab.core.errors import FlowlabError, LanguageError, ShapeMismatch, UnknownName, several
from flowlab.core.registry import nearest
from flowlab.core.typing import ArrayLike, Blocks, Namespace
from flowlab.language.expr import Expr, numbered, rebuilt
from flowlab.language.network import Network
from flowlab.language.operations import Operation
from flowlab.language.parser import parse
from flowlab.language.problem import Problem
from flowlab.language.traversal import fold
from flowlab.symbolic.component import SYMBOLIC

_NAMES = ("beta", "beta_of_weights", "induced_beta")
_KEPT_AXIS = 4
"""Declared lengths up to this one are kept at small sizes; positions such as `z[3]` need them."""
_AXES = {1: 3}
"""Length of every other axis, by the number of axes of the node: the least at which entries show what they share."""


@dataclass(frozen=True)
class Node:
    """A node of weights and constants, through which all weights reach the output.

    Attributes:
        problem: the problem in the weights.
        expression: the node, as it stands in the network.
        outer: the same problem as a function of the node, whose block is `name`.
        name: what the block is called.
    """

    problem: Problem
    expression: Expr
    outer: Problem
    name: str

    def __reduce__(self) -> tuple[Any, ...]:
        # The node is one of the network's own, which a copy of it would not be.
        place = next(i for i, node in enumerate(self.problem.network.nodes) if node is self.expression)
        return _node, (self.problem, place, self.outer, self.name)

    @property
    def text(self) -> str:
        """The node as text."""
        return self.problem.network.text_of(self.expression)

    @property
    def weights(self) -> tuple[str, ...]:
        """The blocks that it is made of."""
        return tuple(dict.fromkeys(n.block for n in self.expression.nodes() if n.block is not None))

    @property
    def constants(self) -> tuple[str, ...]:
        """The constants that it is made of."""
        return tuple(dict.fromkeys(str(n.leaf) for n in self.expression.nodes() if n.is_constant))

    def small_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of weights and constants at small sizes, at which the node is looked at entry by entry."""
        network = self.problem.network
        known = {**network.shapes, **network.constants}
        free = _AXES.get(len(network.type_of(self.expression).shape), 2)
        return {
            name: tuple(dim if isinstance(dim, int) and dim <= _KEPT_AXIS else free for dim in known[name])
            for name in (*self.weights, *self.constants)
        }

    def value(self, xp: Namespace, weights: Blocks, constants: Blocks) -> Any:
        """The node at concrete weights, with the numeric meanings of its operations."""
        network = self.problem.network

        def apply(word: Operation, args: Any, node: Expr) -> Any:
            kinds = [network.type_of(arg) for arg in node.args]
            return word.numeric(xp, args, kinds, network.type_of(node), node.params)

        return self._folded(weights, constants, apply)

    def entries(self) -> tuple[np.ndarray, dict[sp.Symbol, tuple[str, tuple[int, ...]]]]:
        """The node at small sizes as an array of symbolic entries, and block and place of every symbol in it.

        Raises:
            LanguageError: if one of its operations has no symbolic meaning.
        """
        places: dict[sp.Symbol, tuple[str, tuple[int, ...]]] = {}
        arrays = {}
        for name, shape in self.small_shapes().items():
            arrays[name] = np.empty(shape, dtype=object)
            for place in np.ndindex(shape):
                symbol = sp.Symbol(f"{name}{list(place) if place else ''}", real=True)
                arrays[name][place], places[symbol] = symbol, (name, place)
        network = self.problem.network

        def apply(word: Operation, args: Any, node: Expr) -> Any:
            kinds = [network.type_of(arg) for arg in node.args]
            arrays = [np.asarray(arg, dtype=object) for arg in args]
            return word.symbolic(cast(Namespace, SYMBOLIC), arrays, kinds, network.type_of(node), node.params)

        return np.asarray(self._folded(arrays, arrays, apply), dtype=object), places

    def _folded(self, weights: Blocks, constants: Blocks, apply: Any) -> Any:
        found = fold(self.expression, lambda node: constants[str(node.leaf)], weights.__getitem__, apply)
        return found[id(self.expression)]


def _node(problem: Problem, place: int, outer: Problem, name: str) -> Node:
    return Node(problem, problem.network.nodes[place], outer, name)


def node_of(problem: Problem, node: str | Expr) -> Node:
    """The node of a problem's network that a text or an expression means.

    Raises:
        UnknownName: if it names what the network does not have.
        LanguageError: if the network is opaque or does not contain it, if it depends on samples or on no weight, or if
            weights reach the output beside it.
    """
    network = problem.network
    if network.is_opaque:
        raise LanguageError(
            f"`node` must be part of a network of the language, got the opaque `{shown(network.text, 40)}`; write it "
            "in the language."
        )
    meant = parse(node, network.declared, network.roles) if isinstance(node, str) else node
    told = shown(node if isinstance(node, str) else _text(network, meant), 60)
    for leaf in meant.nodes():
        if leaf.leaf is not None and leaf.leaf not in network.roles:
            guess = nearest(leaf.leaf, list(network.roles)) or network.weights[0]
            raise UnknownName(f"`node` names `{leaf.leaf}`, which the network does not have; did you mean `{guess}`?")
    numbers: dict[object, int] = {}
    known = numbered(network.nodes, numbers)
    wanted = numbered(meant.nodes(), numbers)[id(meant)]
    places = [n for n in network.nodes if known[id(n)] == wanted]
    if not places:
        raise LanguageError(
            f"`node` must be a part of `{shown(network.text, 80)}`, got `{told}`; write it with the parentheses of the "
            "network."
        )
    if network.type_of(places[0]).sampled or not any(n.block for n in places[0].nodes()):
        raise LanguageError(
            f"`node` must be made of weights and constants alone, got `{told}`; leave out what has samples in it."
        )
    name = next(each for each in _NAMES if each not in network.roles)
    shape = tuple(
        dim if isinstance(dim, int) else f"{name}_{i}" for i, dim in enumerate(network.type_of(places[0]).shape)
    )
    outer = _replaced(network, {id(n) for n in places}, name, shape)
    beside = [w for w in outer.weights if w != name]
    if beside:
        raise LanguageError(
            f"all weights must reach the output through `{told}`, got `{beside[0]}` beside it; take a node that holds "
            "them all."
        )
    block = Problem(outer, problem.loss.name, coordinates="weights", reduction=problem.reduction)
    return Node(problem, places[0], block, name)


def _text(network: Network, node: Expr) -> str:
    try:
        return Network(node, shapes=network.declared).text
    except FlowlabError:
        return repr(node)


def _replaced(network: Network, places: set[int], name: str, shape: tuple[int | str, ...]) -> Network:
    """The network with a block in place of some of its nodes."""
    block = Expr("weight", (), (name, shape))
    expression = rebuilt(network.expression, lambda node, _: block if id(node) in places else None)
    left = {n.leaf for n in expression.nodes() if n.leaf is not None}
    declared = {k: v for k, v in network.declared.items() if k in left} | {name: shape}
    roles: Mapping[str, str] = network.roles
    inputs = [k for k, role in roles.items() if role == "input" and k in left and k != "x"]
    constants = [k for k, role in roles.items() if role == "constant" and k in left]
    return Network(expression, shapes=declared, inputs=inputs, constants=constants)


def fitting(node: Node, arrays: Blocks) -> None:
    """Refuse arrays whose shapes are not those of the network's leaves.

    Raises:
        ShapeMismatch: naming one.
    """
    network = node.problem.network
    sizes: dict[str, tuple[str, int]] = {}
    for name, array in arrays.items():
        dims = {**network.shapes, **network.constants}[name]
        if len(dims) != np.ndim(array):
            wanted = several(len(dims), "axis")
            raise ShapeMismatch(f"`{name}` must have {wanted}, got the shape {np.shape(array)}; reshape it.")
        for dim, size in zip(dims, np.shape(array), strict=True):
            known = (name, dim) if isinstance(dim, int) else sizes.setdefault(dim, (name, size))
            if known[1] != size:
                told = f"`{name}` must have the length {known[1]} of `{known[0]}`, got the shape {np.shape(array)}"
                raise ShapeMismatch(f"{told}; use equal lengths.")


def numbers_of_constants(node: Node, given: Mapping[str, ArrayLike], weights: Blocks | None) -> dict[str, np.ndarray]:
    """Numbers of the node's constants.

    Raises:
        LanguageError, UnknownName, ShapeMismatch: for missing, unknown or unfit ones.
    """
    odd = next((name for name in given if name not in node.constants), None)
    if odd is not None:
        raise UnknownName(f"`constants` names `{shown(odd)}`, which is no constant of the node; leave it out.")
    missing = next((c for c in node.constants if c not in given), None)
    if missing is not None:
        raise LanguageError(f"`constants` must have `{missing}`, got none; pass for example `constants={{...}}`.")
    arrays = {c: np.asarray(value, dtype=np.float64) for c, value in given.items()}
    for c, array in arrays.items():
        if not np.isfinite(array).all():
            raise ShapeMismatch(f"the constant `{c}` must be finite, got {array[~np.isfinite(array)].flat[0]:g}.")
    fitting(node, {**(weights or {}), **arrays})
    return arrays
