"""The curl of a flow: the part of the Jacobian of its velocity that no gradient has.

A velocity -G of the weights is a gradient flow exactly where the Jacobian of G is symmetric. The antisymmetric part
has a matrix for every pair of blocks, C_ab = ∂G_a/∂W_b - (∂G_b/∂W_a)^T, which is zero for every pair of a gradient and
not of a coarse one (Yin et al. 2019).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.pickling import fields_only
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, Blocks
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.symbolic.component import Component
from flowlab.symbolic.names import labels
from flowlab.symbolic.program import Program
from flowlab.symbolic.states import drawn_width, random_state

_STATES = 3
"""At which pairs are looked at: a pair that vanishes at all of them vanishes."""
_SEEN = 1e-9
"""Size of a pair, relative to the Jacobian, above which it is more than roundings."""

Pair = tuple[str, str]
"""Two weight blocks, in the order of the network; a block and itself among them."""


@dataclass(frozen=True)
@displayed
class Curl:
    """The curl of a flow in weight coordinates.

    Attributes:
        problem: what was derived, in weight coordinates.
        program: its equations at matrix depth.

    Examples:
        >>> net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
        >>> pop = fl.population(net, teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]})
        >>> str(fl.derive(pop).curl()).partition(";")[0]
        'curl of the blocks v-w'
    """

    problem: Problem
    program: Program

    __getstate__ = fields_only

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of blocks whose curl does not vanish, as random states tell; none for a gradient flow."""
        require_x64("curl")
        seen: dict[Pair, None] = {}
        for seed in range(_STATES):
            state = random_state(self.problem, seed, width=drawn_width(self.problem.network))
            jacobian = self.jacobian(state.weights, state.samples.by_name, state.samples.y)
            size = max(float(np.abs(block).max(initial=0.0)) for block in jacobian.values())
            for pair, block in self._folded(jacobian, -1.0).items():
                if np.abs(block).max(initial=0.0) > _SEEN * size:
                    seen[pair] = None
        return tuple(pair for pair in self._all if pair in seen)

    def at(self, state: State, data: Data) -> dict[Pair, np.ndarray]:
        """Every pair that does not vanish, at a state: C_ab = ∂G_a/∂W_b - (∂G_b/∂W_a)^T, G being minus the velocity.

        Args:
            state: norms and directions.
            data: samples and constants.

        Returns:
            Arrays in the shape of block a followed by that of block b.
        """
        folded = self._folded(self.jacobian(state.weights(), data.given, data.y), -1.0)
        return {pair: folded[pair] for pair in self.pairs}

    def share(self, state: State, data: Data) -> float:
        """The Frobenius norm of the antisymmetric part of the Jacobian over that of the symmetric one, at a state."""
        jacobian = self.jacobian(state.weights(), data.given, data.y)
        sizes = []
        for sign in (-1.0, 1.0):
            folded = self._folded(jacobian, sign)
            sizes.append(np.sqrt(sum((1 if a == b else 2) * np.sum(c**2) for (a, b), c in folded.items())))
        return float(sizes[0] / sizes[1])

    def jacobian(self, weights: Blocks, given: Mapping[str, Array], y: Array) -> dict[Pair, np.ndarray]:
        """∂G_a/∂W_b by forward differentiation of the equations, for every ordered pair of blocks.

        Args:
            weights: arrays by block.
            given: inputs and constants by name.
            y: labels.
        """
        import jax.numpy as jnp

        fixed: dict[tuple[str, str], Any] = {("x", name): value for name, value in given.items()} | {("y", ""): y}
        fixed |= {("decay", w): jnp.asarray(c) for w, c in self.problem.decay.items()}
        fixed |= {("rate", w): jnp.asarray(c) for w, c in self.problem.rates.items()}
        found = self._slopes({w: jnp.asarray(v) for w, v in weights.items()}, fixed)
        return {(a, b): np.asarray(found[a][b]) for a in found for b in found[a]}

    @cached_property
    def _slopes(self) -> Callable[[dict[str, Array], dict[tuple[str, str], Any]], dict[str, dict[str, Array]]]:
        """∂G_a/∂W_b as a function of weights, inputs and constants, compiled once per shape."""
        import jax
        import jax.numpy as jnp

        def gradient(moved: dict[str, Array], fixed: dict[tuple[str, str], Any]) -> dict[str, Array]:
            rates = self.program.evaluate(jnp, fixed | {("weight", w): v for w, v in moved.items()})
            return {w: -rates["W", w] for w in moved}

        return jax.jit(jax.jacfwd(gradient))

    def written(self, component: Component) -> dict[Pair, sp.Matrix]:
        """Every pair that does not vanish, entry by entry: the equations at component depth, differentiated.

        Args:
            component: `flow.component(…)` of the same flow in weight coordinates.

        Returns:
            Matrices with a row for every entry of block a and a column for every entry of block b.

        Raises:
            LanguageError: for equations in polar coordinates.
        """
        if any(kind != "W" for kind, _ in component.rates):
            raise LanguageError('`component` must be in weight coordinates, got polar; use `coordinates="weights"`.')
        rates = {w: -np.ravel(component.rates["W", w]) for w in self.problem.network.weights}
        symbols = {w: np.ravel(component.symbols["weight", w]) for w in rates}

        def slopes(a: str, b: str) -> sp.Matrix:
            return sp.Matrix(len(rates[a]), len(symbols[b]), lambda i, j: sp.diff(rates[a][i], symbols[b][j]))

        return {(a, b): slopes(a, b) - slopes(b, a).T for a, b in self.pairs}

    @property
    def _all(self) -> tuple[Pair, ...]:
        names = self.problem.network.weights
        return tuple((a, b) for i, a in enumerate(names) for b in names[i:])

    def _folded(self, jacobian: Mapping[Pair, np.ndarray], sign: float) -> dict[Pair, np.ndarray]:
        """J + sign J^T, by pairs."""
        out = {}
        for a, b in self._all:
            block, other = jacobian[a, b], jacobian[b, a]
            rank = len(self.problem.network.shapes[b])
            turned = np.moveaxis(other, range(rank), range(other.ndim - rank, other.ndim))
            out[a, b] = np.asarray(block + sign * turned)
        return out

    def __str__(self) -> str:
        if not self.pairs:
            return "no curl: the Jacobian of the velocity is symmetric, as that of a gradient flow is."
        known = labels(self.problem).text
        named = ", ".join(f"{known.get(a, a)}-{known.get(b, b)}" for a, b in self.pairs)
        count = len(self._all) - len(self.pairs)
        others = f"; {count} other pair{'s have' if count > 1 else ' has'} none" if count else ""
        return (
            f"curl of the blocks {named}{others}; C_ab = dG_a/dW_b - (dG_b/dW_a)^T with dW/dt = -G, so that no "
            "function has G as its gradient."
        )
