"""Random float64 states of small networks with everything autodiff can say about them; what the steps are held against.

Nothing here comes from a derivation: outputs are the network's own, derivatives are those of `jax`, and the losses are
written once more as functions of the margin q.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from flowlab.core.precision import require_x64
from flowlab.core.typing import Blocks
from flowlab.language.problem import Problem
from flowlab.symbolic.certificate import Samples, TestState, inputs_of, random_state
from flowlab.symbolic.derive import derive

Arrays = dict[str, np.ndarray]

NETS = (
    ("W3 @ W2 @ W1 @ x", "exponential"),
    ("W2 @ relu(W1 @ x)", "logistic"),
    ("W2 @ relu(W1 @ x)**2", "exponential"),
    ("a @ relu(W @ relu(W @ x))", "square"),
    ("W4 @ relu(W3 @ leaky_relu(W2 @ abs(W1 @ x), 0.2))", "logistic"),
)
"""Depths 2 to 4; linear and kinked; degrees 1, 2 (a power) and 2 (a shared block); three losses."""

SOME = NETS[:3]
"""Enough for identities that use homogeneity and nothing else of a network."""

FIVE, THREE = (f"three random states of each of {count} networks" for count in ("five", "three"))

PSI: dict[str, Callable[[Any], Any]] = {
    "exponential": lambda q: np.exp(-q),
    "logistic": lambda q: expit(-q),
    "square": lambda q: 1.0 - q,
}
"""ψ = -ℓ'(q) of each loss."""


@dataclass(frozen=True, eq=False)
class Point:
    """A state of a network with data.

    Attributes:
        problem: network and loss.
        rho, V: norms and directions by block; `V` may be of any length where a step asks for it.
        x, y: inputs (N, d) and labels ±1 (N,).
    """

    problem: Problem
    rho: Arrays
    V: Arrays
    x: np.ndarray
    y: np.ndarray

    def each(self, value: Callable[[str], Any]) -> dict[str, Any]:
        """A value for every block."""
        return {k: value(k) for k in self.rho}

    def stretched(self, length: float) -> "Point":
        """The same norms with directions `length` times as long."""
        return Point(self.problem, self.rho, self.each(lambda k: length * self.V[k]), self.x, self.y)

    @cached_property
    def W(self) -> Arrays:
        """The weights ρ V."""
        return {k: self.rho[k] * v for k, v in self.V.items()}

    @cached_property
    def kappa(self) -> dict[str, float]:
        """The degrees of the blocks."""
        return {k: float(d) for k, d in self.problem.network.degrees.items()}

    def margins(self, weights: Mapping[str, Any]) -> np.ndarray:
        """y_n f(weights; x_n), (N,)."""
        return self.y * self.problem.network.outputs(weights, self.x, np)[:, 0]

    @cached_property
    def R(self) -> float:
        """The product of the norms with their degrees."""
        return float(np.prod([self.rho[k] ** d for k, d in self.kappa.items()]))

    @cached_property
    def fb(self) -> np.ndarray:
        """Margins at the directions, (N,)."""
        return self.margins(self.V)

    @cached_property
    def psi(self) -> np.ndarray:
        """-ℓ'(q_n) at the margins of the weights, (N,)."""
        return PSI[self.problem.loss.name](self.margins(self.W))

    @cached_property
    def s(self) -> float:
        """Σ ψ_n f̄_n."""
        return float(self.psi @ self.fb)

    @cached_property
    def autodiff(self) -> dict[str, Any]:
        """Derivatives by `jax`: of every margin at W and at V, of the objective,
        and of norm and direction along -∂L/∂W.
        """
        return jax.tree.map(np.asarray, _autodiff(self.problem, self.W, self.V, self.x, self.y))

    @cached_property
    def bracket(self) -> Arrays:
        """G_k - κ_k s V_k, the part of the pull across the direction."""
        return self.each(lambda k: self.G[k] - self.kappa[k] * self.s * self.V[k])

    @property
    def rates(self) -> tuple[Arrays, Arrays]:
        """(ρ̇, V̇) of gradient flow by forward autodiff of ‖W‖ and W/‖W‖ along -∂L/∂W."""
        return self.autodiff["rho_rate"], self.autodiff["V_rate"]

    @cached_property
    def g(self) -> Arrays:
        """-∂L/∂W by reverse autodiff of the objective."""
        return self.autodiff["velocity"]

    @cached_property
    def G(self) -> Arrays:
        """The pull of the samples on every direction, Σ ψ_n ∂f̄_n/∂V_k."""
        return {k: np.tensordot(self.psi, d, 1) for k, d in self.autodiff["slopes_V"].items()}

    @cached_property
    def test_state(self) -> TestState:
        """This state as flowlab's programs take it."""
        return TestState(
            self.rho, self.V, self.problem.scheme.weights(np, self.rho, self.V, "layer"), Samples(self.x, self.y)
        )

    def derived(self, scheme: str) -> tuple[Arrays, Arrays]:
        """(ρ̇, V̇) by the equations that `flowlab.derive` finds for a scheme, evaluated line by line in numpy."""
        flow = flow_of(self.problem.network.text, self.problem.loss.name, scheme)
        rates = flow.program.evaluate(np, inputs_of(flow.problem, replace(self, problem=flow.problem).test_state))
        return {k: rates["rho", k] for k in self.rho}, {k: rates["V", k] for k in self.V}


@eqx.filter_jit
def _autodiff(problem: Problem, W: Any, V: Any, x: Any, y: Any) -> dict[str, Any]:
    def margins(weights: Any) -> Any:
        return y * problem.network.outputs(weights, x, jnp)[:, 0]

    def split(weights: Any) -> Any:
        norms = {k: jnp.sqrt(jnp.sum(w * w)) for k, w in weights.items()}
        return norms, {k: w / norms[k] for k, w in weights.items()}

    velocity = jax.tree.map(jnp.negative, jax.grad(lambda w: problem.objective(w, Samples(x, y), jnp))(W))
    rho_rate, V_rate = jax.jvp(split, (W,), (velocity,))[1]
    slopes = jax.jacrev(margins)
    return {"velocity": velocity, "slopes_W": slopes(W), "slopes_V": slopes(V), "rho_rate": rho_rate, "V_rate": V_rate}


@cache
def flow_of(net: str, loss: str, scheme: str) -> Any:
    """The equations `flowlab.derive` finds; its own certificate is left out because the steps here are the check."""
    return derive(Problem(net, loss, scheme), verify=False)


@cache
def points(net: str, loss: str, count: int = 3, n: int = 9, d: int = 3) -> tuple[Point, ...]:
    """Random states whose norms differ from one another and from 1, with labels ±1."""
    require_x64("derivations")
    problem = Problem(net, loss)
    drawn = [random_state(problem, seed, d=d, n=n) for seed in range(count)]
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    return tuple(Point(problem, _arrays(s.rho), _arrays(s.V), np.asarray(s.samples.x), y) for s in drawn)


def _arrays(blocks: Blocks) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in blocks.items()}


def below(p: Point, loss: float = 0.5) -> Point:
    """The same directions with labels that they all meet, and norms scaled together until the loss has a value below
    that at zero.
    """
    # An input that no unit sees has output zero, which no label meets; turned around it is seen.
    x = np.where(p.fb[:, None] == 0, -p.x, p.x)
    p = replace(p, x=x, y=np.where(p.problem.network.outputs(p.V, x, np)[:, 0] > 0, 1.0, -1.0))

    def scaled(log_c: float) -> Point:
        return replace(p, rho=p.each(lambda k: np.exp(log_c) * p.rho[k]))

    def excess(log_c: float) -> float:
        return float(p.problem.objective(scaled(log_c).W, Samples(x, p.y), np)) - loss

    root: Any = brentq(excess, -20.0, 20.0, xtol=1e-12)
    return scaled(root)


def everywhere(size: Callable[[Point], float], nets: tuple[tuple[str, str], ...] = NETS) -> Callable[[], float]:
    """The largest size over all states of some nets; NaN if one of them is."""
    return lambda: float(np.max([size(point) for net, loss in nets for point in points(net, loss)]))


def dot(a: Any, b: Any) -> float:
    """⟨a, b⟩ of two arrays of one shape."""
    return float(np.sum(a * b))


def gap(a: Any, b: Any) -> float:
    """‖a - b‖/‖b‖, the largest over the parts of tuples and over the blocks of dictionaries."""
    if isinstance(b, Mapping):
        return max(gap(a[k], b[k]) for k in b)
    if isinstance(b, tuple):
        return max(gap(p, q) for p, q in zip(a, b, strict=True))
    return float(np.linalg.norm(np.ravel(np.asarray(a) - b)) / np.linalg.norm(np.ravel(b)))
