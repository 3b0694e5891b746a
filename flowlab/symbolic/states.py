"""Random float64 states at which a derivation is tested.

They are drawn so that a wrong equation cannot hide: norms differ from one another and from 1. Where plain draws leave
nothing to be tested, because a long product underflows or a saturated unit has no slope, blocks are scaled one by one
until every pre-activation is a number of ordinary size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from flowlab.core.errors import ShapeMismatch
from flowlab.core.typing import Array, Blocks, Given
from flowlab.language.expr import Expr
from flowlab.language.network import Network
from flowlab.language.norm_groups import inner, scaled
from flowlab.language.problem import Problem
from flowlab.language.traversal import fold, function_of, word_of

_LARGEST_OUTPUT = 20.0
_DOUBLINGS = 5
"""Of the input of a network with windows, at most: room for a few filters one after another."""
_STRETCH = 2.0
"""Factor by which blocks are stretched on trial, to see how the value that they make grows with them."""


class Samples(NamedTuple):
    """Inputs (N, d), or inputs and constants by name, and labels, as the witness needs them."""

    x: Given
    y: np.ndarray

    @property
    def inputs(self) -> Given:
        """What the network takes."""
        return self.x

    @property
    def by_name(self) -> Mapping[str, Array]:
        """Inputs and constants by name."""
        return self.x if isinstance(self.x, Mapping) else {"x": self.x}

    def changed(self, change: Callable[[Array], np.ndarray]) -> "Samples":
        """The same with every input and constant changed."""
        if isinstance(self.x, Mapping):
            return Samples({name: change(value) for name, value in self.x.items()}, self.y)
        return Samples(change(self.x), self.y)


@dataclass(frozen=True)
class TestState:
    """A random state with its data."""

    rho: Blocks
    V: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    samples: Samples


def drawn_width(network: Network) -> int:
    """The hidden width at which a network is tested."""
    # Narrow deep nets with kinks die; every doubling of the depth asks for one more unit per layer.
    functions = (function_of(node) for node in network.nodes if network.type_of(node).sampled)
    kinked = sum(function is not None and bool(function.kinks) for function in functions)
    return 4 + kinked.bit_length() + (2 if kinked > 8 else 0)


def random_state(
    problem: Problem,
    seed: int,
    *,
    d: int = 3,
    width: int = 4,
    widths: Mapping[str, int] | None = None,
    n: int = 9,
    lengths: bool = False,
    levelled: bool = False,
) -> TestState:
    """A random float64 state and data set for a problem.

    Args:
        problem: gives shapes and labels.
        seed: of the draw.
        d: input dimension to try for; declared integers win.
        width: hidden width to try for.
        widths: of some blocks or dimensions, by name.
        n: number of samples.
        lengths: draw directions of length other than 1 too (only where the scheme allows them).
        levelled: scale block by block, so that no pre-activation is large, small or dead.
    """
    rng = np.random.default_rng(seed)
    network = problem.network
    if problem.loss.has_one_output and network.output_shape == (network.input_dim,):
        # One output per input feature: a binary loss has one output, so the input is one number.
        d = 1
    outputs = _output_count(problem, d)
    given, shapes = _fitting(network, d, outputs, width, widths)
    weights = {}
    for w, shape in shapes.items():
        weights[w] = rng.normal(size=shape) * np.sqrt(2.0 / (shape[-1] if shape else 1))
        # Factors that differ between blocks: at equal norms many wrong equations are right.
        weights[w] = weights[w] * np.exp(rng.uniform(-0.5, 0.5))
    arrays = {
        name: admissible(network, name, _drawn(rng, n, shape, name in network.constants))
        for name, shape in given.items()
    }
    x: Given = arrays["x"] if set(arrays) == {"x"} else arrays
    if levelled:
        weights = _Levels(network, weights, x, np.random.default_rng([seed, 1])).weights
    weights = {w: admissible(network, w, np.asarray(v)) for w, v in _tamed(network, weights, x).items()}
    weights |= {w: space.drawn(np, weights[w]) for w, space in problem.geometry.items()}
    if problem.loss.is_value:
        y = np.zeros(n)
    elif problem.loss.compares_outputs:
        y = np.concatenate([np.arange(outputs), rng.integers(0, outputs, size=n - min(n, outputs))])[:n]
    elif problem.loss.has_one_output:
        y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    else:
        y = rng.normal(size=(n,) if outputs == 1 else (n, outputs))
    with np.errstate(all="ignore"):
        lengths_of = {k: np.sqrt(v) for k, v in inner(weights, weights, problem.per).items()}
        V = scaled({k: 1.0 / v for k, v in lengths_of.items()}, weights, problem.per)
        if lengths and (problem.scheme.normalises or problem.scheme.any_length):
            V = scaled({k: np.exp(rng.uniform(-0.4, 0.4, size=v.shape)) for k, v in lengths_of.items()}, V, problem.per)
        seen = problem.scheme.weights(np, lengths_of, V, problem.per)
    # Blocks of one weight have become numbers on the way.
    V, seen = ({k: np.asarray(v) for k, v in blocks.items()} for blocks in (V, seen))
    return TestState(lengths_of, V, seen, Samples(x, y))


def inputs_of(problem: Problem, state: TestState) -> dict[tuple[str, str], Any]:
    """What the program is given at a state."""
    given: dict[tuple[str, str], Any] = {("y", ""): state.samples.y}
    given |= {("x", name): value for name, value in state.samples.by_name.items()}
    given |= {("norm", k): v for k, v in state.rho.items()}
    given |= {("direction", w): v for w, v in state.V.items()}
    given |= {("weight", w): v for w, v in state.weights.items()}
    given |= {("chart", w): v for w, v in problem.dual(state.weights, np).items() if w in problem.geometry}
    given |= {("decay", w): np.float64(c) for w, c in problem.decay.items()}
    given |= {("rate", w): np.float64(eta) for w, eta in problem.rates.items()}
    return given


def in_space(problem: Problem, state: TestState, rates: dict[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
    """Rates of places in charts as rates of the weights themselves, by the derivative of the lift."""
    import jax

    out = dict(rates)
    for w, space in problem.charts.items():
        place, rate = space.dual(np, state.weights[w]), np.asarray(rates["W", w])
        _, moved = jax.jvp(lambda z, space=space: space.lift(jax.numpy, z), (place,), (rate,))
        out["W", w] = np.asarray(moved)
    return out


def _fitting(
    network: Network, d: int, outputs: int, width: int, widths: Mapping[str, int] | None
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Shapes of inputs, and of weights; inputs grow until the filters of convolutions fit into them."""
    for grown in range(_DOUBLINGS):
        try:
            given = network.sample_shapes(d << grown, outputs, width << grown, widths)
            return given, network.resolve(given, outputs, widths, default_width=width)
        except ShapeMismatch:
            if not network.has_derived_dims or grown == _DOUBLINGS - 1:
                raise
    raise AssertionError


def _drawn(rng: np.random.Generator, n: int, shape: tuple[int, ...], fixed: bool) -> np.ndarray:
    """An input or a constant: entries of size about 1 in the last axis together, samples of different sizes."""
    size = np.sqrt(shape[-1] if shape else 1)
    if fixed:
        return np.asarray(rng.normal(size=shape) / size)
    return rng.normal(size=(n, *shape)) / size * np.exp(rng.uniform(-0.3, 0.3, size=(n, *[1] * len(shape))))


def admissible(network: Network, name: str, drawn: np.ndarray) -> np.ndarray:
    """Random numbers as a value that an input or a constant may have: what must be a symmetric matrix becomes a
    positive definite one with a condition of some tens.
    """
    if name not in network.symmetric:
        return drawn
    made = drawn @ drawn.swapaxes(-1, -2)
    size = np.trace(made, axis1=-2, axis2=-1)[..., None, None] / made.shape[-1]
    return made + 0.25 * size * np.eye(made.shape[-1])


def _tamed(network: Network, weights: Mapping[str, Array], x: Given) -> Mapping[str, Array]:
    """Weights shrunk together until no output is large: a high degree makes numbers whose exponential is none.

    Unchanged where that does not help.
    """
    given = weights
    for _ in range(200):
        with np.errstate(all="ignore"):
            size = np.abs(network.outputs(weights, x, np)).max()
        if size <= _LARGEST_OUTPUT:
            return weights
        weights = {w: 0.7 * v for w, v in weights.items()}
    return given


def _output_count(problem: Problem, d: int) -> int:
    shape = problem.network.output_shape
    if not shape or problem.loss.has_one_output:
        return 1
    if isinstance(shape[0], int):
        return shape[0]
    return d if shape[0] == problem.network.input_dim else 3


class _Levels:
    """One pass through a network that scales every block where it is met first.

    A product with a new block has entries of size 1, so that long products stay numbers. What goes into an activation
    or a power, or out of the network, gets a size about 1 by a common factor on the blocks that are new in it; a unit
    that is off for all samples is turned round.
    """

    def __init__(self, network: Network, weights: Blocks, x: Given, rng: np.random.Generator) -> None:
        self.network, self.weights, self.x = network, {w: np.asarray(v) for w, v in weights.items()}, x
        self.values: dict[int, Array] = {}
        self.met: dict[str, int] = {}
        self.places: dict[str, list[int]] = {}
        for node in network.nodes:
            if node.block is not None:
                self.places.setdefault(node.block, []).append(id(node))
        new: dict[int, tuple[str, ...]] = {}
        """Blocks below a node that no activation above them has seen yet."""
        with np.errstate(all="ignore"):
            for i, node in enumerate(network.nodes):
                self.evaluate((node,))
                blocks = [arg.block for arg in node.args if arg.block is not None]
                first = tuple(name for name in blocks if self.met.setdefault(name, i) == i)
                word = word_of(node)
                if first and word is not None and word.multiplies:
                    self.stretch(first, self.size(node) ** (-1.0 / len(first)), i, i)
                # Each once: where paths meet again and again, as in residual nets, their number doubles every time.
                below = tuple(dict.fromkeys(name for arg in node.args for name in new.get(id(arg), ())))
                new[id(node)] = below + first
                bends = word is not None and word.bends
                if bends or node is network.expression:
                    target = np.exp(rng.uniform(-0.5, 0.5))
                    self.level(node.args[0] if bends else node, below + first, i, target)
                    new[id(node)] = ()

    def evaluate(self, nodes: Sequence[Expr]) -> None:
        """Work out the values of some nodes from those below them."""
        fold(nodes, self.network.given(self.x), self.weights.__getitem__, self.network.meaning(np), self.values)

    def size(self, node: Expr) -> np.float64:
        """Of the largest entry; a numpy number, whose quotients may be infinite."""
        return np.float64(np.abs(self.values[id(node)]).max())

    def stretch(self, blocks: tuple[str, ...], factor: float | np.floating, start: int, end: int) -> None:
        """Multiply blocks, and work out again the nodes from `start` to `end`."""
        if not (np.isfinite(factor) and factor):
            return
        for w in set(blocks):
            self.weights[w] = self.weights[w] * factor
            self.values |= dict.fromkeys(self.places[w], self.weights[w])
        self.evaluate(self.network.nodes[start : end + 1])

    def level(self, argument: Expr, blocks: tuple[str, ...], end: int, target: float) -> None:
        """Bring an argument to a size by its new blocks."""
        if not blocks:
            return
        start = min(self.met[w] for w in blocks)
        for _ in range(3):
            before = self.size(argument)
            self.stretch(blocks, _STRETCH, start, end)
            growth = np.log(self.size(argument) / before) / np.log(_STRETCH)
            # What the trial has changed is taken back with the step;
            # where the size does not answer there is nothing to scale.
            step = (target / before) ** (1.0 / growth) if growth > 0.1 else 1.0
            self.stretch(blocks, float(step) / _STRETCH if np.isfinite(step) else 1.0 / _STRETCH, start, end)
            if abs(np.log(self.size(argument) / target)) < 0.1:
                break
        last = self.network.nodes[end]
        for turned in ((blocks[-1],), (blocks[0],), blocks):
            if function_of(last) is None or self.values[id(last)].any():
                break
            self.stretch(turned, -1.0, start, end)
