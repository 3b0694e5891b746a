"""The model on the road of the package: population loss, coarse field and true gradient of v^T step(Z w), batched."""

from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.typing import Array
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.lowering.lower import lower
from flowlab.lowering.vector_field import VectorField
from flowlab.symbolic.derive import derive
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.gaussian import Population, population

SLOPES = ("relu", "identity")


@dataclass(frozen=True)
class Model:
    """Problem, equations and fields with one surrogate; a teacher is data, so that all share one compilation."""

    problem: Population
    flow: FlowEquations
    exact: FlowEquations

    def value(self, v: Array, w: Array, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
        """The loss, (B,), of rows v, w."""
        return np.asarray(_values(self.problem, v, w, teacher(vs, ws)))

    def gradient(self, v: Array, w: Array, vs: np.ndarray, ws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minus the velocity of the coarse flow, (B, m) and (B, n)."""
        return _split(_rates(lower(self.flow), v, w, teacher(vs, ws)))

    def true(self, v: Array, w: Array, vs: np.ndarray, ws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minus the velocity of the gradient flow, (B, m) and (B, n)."""
        return _split(_rates(lower(self.exact), v, w, teacher(vs, ws)))


@cache
def model(slope: str, m: int, n: int) -> Model:
    """The model with m patches of n numbers and a surrogate."""
    net = Network(f"v @ coarse(step, {slope})(X @ w)", inputs={"X": ("m", "n")})
    problem = population(net, teacher={"v": np.ones(m), "w": np.ones(n)})
    return Model(problem, derive(problem), derive(problem.exact))


def teacher(vs: np.ndarray, ws: np.ndarray) -> Data:
    """A teacher as data."""
    return Data(constants={"v_star": vs, "w_star": ws})


def draws(seed: int, count: int, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian rows v, (B, m), and w, (B, n)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, m)), rng.normal(size=(count, n))


def _split(rates: dict[str, jax.Array]) -> tuple[np.ndarray, np.ndarray]:
    return -np.asarray(rates["v"]), -np.asarray(rates["w"])


@partial(jax.jit, static_argnums=0)
def _values(problem: Population, v: Array, w: Array, data: Data) -> Array:
    def one(a: Array, b: Array) -> Array:
        return problem.objective({"v": a, "w": b}, data)

    return jax.vmap(one)(jnp.asarray(v), jnp.asarray(w))


@jax.jit
def _rates(field: VectorField, v: Array, w: Array, data: Data) -> dict[str, jax.Array]:
    return jax.vmap(lambda a, b: field.rate(0.0, {"v": a, "w": b}, data))(jnp.asarray(v), jnp.asarray(w))
