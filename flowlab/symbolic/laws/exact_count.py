"""The span of fields and brackets of a polynomial network, exactly: in integers modulo a prime.

At random points of a finite field a rank is never above that over the rationals, and below it with a chance of about
one in its size (Schwartz 1980, Zippel 1979). So where found laws and directions fill all dimensions, both are proved.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from flowlab.core.errors import MissingRule
from flowlab.language.expr import Expr
from flowlab.language.operations.base import Operation
from flowlab.language.problem import Problem
from flowlab.language.traversal import fold, word_of
from flowlab.language.types import Type
from flowlab.symbolic.backprop import backward, forward
from flowlab.symbolic.exact_arrays import SymbolArrays, evaluate
from flowlab.symbolic.laws.draws import Small, decay_rates
from flowlab.symbolic.program import Program, Tape

PRIME = 2**61 - 1
"""Mersenne's: a rank is wrong with a chance below 1e-15, and products are of two machine words."""
_MORE = 3
"""Fields and brackets drawn beyond the dimensions that are missing; exact ones hide nothing in roundings."""


class Jet:
    """A number modulo the prime with infinitesimals e_0, e_1, … whose squares vanish: coefficients by the set of them.

    The coefficient of e_k of F(W + e_k A) is the derivative of F along A.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Mapping[int, int]) -> None:
        self.parts = parts

    def __add__(self, other: "Jet | int") -> "Jet":
        out = dict(self.parts)
        for key, value in _parts(other).items():
            out[key] = (out.get(key, 0) + value) % PRIME
        return Jet(out)

    def __mul__(self, other: "Jet | int") -> "Jet":
        out: dict[int, int] = {}
        for p, a in self.parts.items():
            for q, b in _parts(other).items():
                if not p & q:
                    out[p | q] = (out.get(p | q, 0) + a * b) % PRIME
        return Jet(out)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> "Jet":
        return self * -1

    def __sub__(self, other: "Jet | int") -> "Jet":
        return self + other * -1

    def __rsub__(self, other: "Jet | int") -> "Jet":
        return other + self * -1

    def __truediv__(self, count: int) -> "Jet":
        return self * pow(int(count), -1, PRIME)

    def __pow__(self, power: int) -> "Jet":
        out = self
        for _ in range(int(power) - 1):
            out = out * self
        return out

    def along(self, k: int) -> "Jet":
        """The derivative that e_k stands for."""
        return Jet({key ^ 1 << k: value for key, value in self.parts.items() if key >> k & 1})


def _parts(value: "Jet | int | np.integer") -> Mapping[int, int]:
    return value.parts if isinstance(value, Jet) else {0: int(value) % PRIME}


class _ModularArrays(SymbolArrays):
    """What operations get in place of numpy: fractions are numbers modulo the prime."""

    __name__ = "modular"

    @staticmethod
    def ones(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:  # noqa: ARG004 (the signature of numpy.ones)
        return np.full(shape, 1, dtype=object)

    @staticmethod
    def exact(number: Fraction) -> Any:
        return _modular(number)


def _modular(number: Fraction) -> int:
    return number.numerator * pow(number.denominator, -1, PRIME) % PRIME


_along = np.vectorize(Jet.along, otypes=[object])
_number = np.vectorize(lambda jet: _parts(jet).get(0, 0), otypes=[object])


def is_polynomial(problem: Problem) -> bool:
    """Whether rates are polynomials in weights and inputs alike, that is sums of products of them."""
    network = problem.network
    plain = problem.scheme.is_gradient_flow and not problem.moved_by_force and not any(decay_rates(problem).values())
    if network.is_opaque or not plain:
        return False
    if any((word := word_of(node)) is not None and word.function(node.params) is not None for node in network.nodes):
        return False

    def degree(word: Operation, parts: Sequence[int | None], node: Expr) -> int | None:
        known = [part for part in parts if part is not None]
        return word.polynomial_degree(known, node.params) if len(known) == len(parts) else None

    def leaf(_: object) -> int | None:
        return 1

    try:
        return fold(network.nodes, leaf, leaf, degree)[id(network.expression)] is not None
    except MissingRule:
        return False


class ExactSpace:
    """The span of fields and brackets at a random point, deeper and deeper.

    Attributes:
        rank: directions so far.
        moving: weights that samples move.
        depth: nested fields of the last brackets.
    """

    clear, decayed = True, False

    def __init__(self, small: Small, seed: int) -> None:
        self.small, self.depth = small, 1
        network = small.problem.network
        self.rng = np.random.default_rng([seed, 5])
        mixed = any((word := word_of(n)) is not None and word.mixes_samples(n.params) for n in network.nodes)
        # One sample at a time moves the weights in every way that several do, unless they meet in the network.
        self.n = small.n if mixed or not network.has_samples else 1
        self.program = _program(small)
        self.pace = {w: _modular(Fraction(rate)) for w, rate in small.problem.rates.items()}
        self.point = {w: self._random(shape) for w, shape in small.shapes.items()}
        self.rows: dict[int, list[int]] = {}
        self.moving = 0
        found = [self.taken(1) for _ in range(small.count + _MORE)]
        self.moving = sum(any(row[i] for row in found) for i in range(small.count))

    @property
    def rank(self) -> int:
        return len(self.rows)

    def deepen(self, count: int) -> None:
        """Take in so many brackets of one more field, [F1, [F2, …]]."""
        self.depth += 1
        for _ in range(count):
            self.taken(self.depth)

    def taken(self, depth: int) -> list[int]:
        """The direction of a random bracket, added to the span."""
        fields = [self._drawn() for _ in range(depth)]
        moved = self._nested(fields, self.point, 0)
        row = [int(v) for w in self.small.shapes for v in np.ravel(_number(moved[w]))]
        left = list(row)
        # Rows of the span start with 1, where no other one has an entry.
        for pivot, other in self.rows.items():
            if left[pivot]:
                factor = left[pivot]
                left = [(a - factor * b) % PRIME for a, b in zip(left, other, strict=True)]
        first = next((i for i, v in enumerate(left) if v), None)
        if first is not None:
            inverse = pow(left[first], -1, PRIME)
            fresh = [v * inverse % PRIME for v in left]
            for pivot, other in self.rows.items():
                if other[first]:
                    factor = other[first]
                    self.rows[pivot] = [(a - factor * b) % PRIME for a, b in zip(other, fresh, strict=True)]
            self.rows[first] = fresh
        return row

    def _random(self, shape: Sequence[int]) -> np.ndarray:
        values = self.rng.integers(1, PRIME, size=tuple(shape)).astype(object)
        return np.vectorize(lambda v: Jet({0: int(v)}), otypes=[object])(values)

    def _drawn(self) -> dict[tuple[str, str], np.ndarray]:
        """Inputs, constants and the pull of one field."""
        network = self.small.problem.network
        given: dict[tuple[str, str], np.ndarray] = {}
        for name, value in self.small.like.samples.by_name.items():
            shape = np.shape(value)
            given["x", name] = self._random(shape if name in network.constants else (self.n, *shape[1:]))
        outputs = self.small.outputs
        pull = self._random((self.n, *outputs))
        if self.small.problem.loss.compares_outputs:
            # Pulls on outputs that are compared add up to nothing.
            pull[:, -1] = pull[:, -1] - pull.sum(axis=1)
        kind = network.type_of(network.expression)
        pull = pull if kind.rank else pull[:, 0]
        given["y", "pull"] = pull if kind.sampled else pull[0]
        return given

    def _nested(
        self, fields: Sequence[dict[tuple[str, str], np.ndarray]], at: dict[str, np.ndarray], level: int
    ) -> dict[str, np.ndarray]:
        if len(fields) == 1:
            return self._field(fields[0], at)
        first, rest = fields[:1], fields[1:]

        def derivative(some: Sequence[Any], move: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            step = {w: at[w] + move[w] * Jet({1 << level: 1}) for w in at}
            return {
                w: _along(np.asarray(v, dtype=object), level) for w, v in self._nested(some, step, level + 1).items()
            }

        a, b = (self._nested(some, at, level + 1) for some in (first, rest))
        forth, back = derivative(rest, a), derivative(first, b)
        return {w: forth[w] - back[w] for w in at}

    def _field(self, given: dict[tuple[str, str], np.ndarray], at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = evaluate(self.program, given | {("weight", w): v for w, v in at.items()}, _ModularArrays())
        found = {name: np.asarray(values[i], dtype=object) * self.pace[name] for (_, name), i in self.program.rates}
        return {w: found[w] if w in found else np.zeros_like(at[w]) for w in at}


def _program(small: Small) -> Program:
    """The pull-back of any pull on the outputs to the weights."""
    network, tape = small.problem.network, Tape()
    given = {name: tape.given("x", name, Type(shape, True)) for name, shape in network.inputs.items()}
    given |= {name: tape.given("x", name, Type(shape)) for name, shape in network.constants.items()}
    blocks = {w: tape.given("weight", w, Type(network.shapes[w])) for w in network.weights}
    values = forward(tape, network, blocks, given)
    pull = tape.given("y", "pull", network.type_of(network.expression))
    pulls = backward(tape, network, values, pull)
    return tape.finish({("W", w): g for w, g in pulls.items()}, {})
