"""Fields written by hand, so that the integrator is tested without the derivation."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

TRACES: list[str] = []


class HandField(eqx.Module):
    """Exponential loss, f = w x, on the samples (1, 0) and (-1, 0): w_1' = 2 e^{-w_1}, w_2' = 0."""

    problem: Problem = eqx.field(static=True)
    rule: Callable[..., Any] | None = eqx.field(static=True, default=None)
    signature: str = eqx.field(static=True, default="by hand")

    def _pull(self, w: Any, data: Data) -> Any:
        margins = data.y * (data.x @ w)
        return data.x.T @ (data.y * jnp.exp(-margins))

    def pack(self, state: State) -> Any:
        return (dict(state.rho), dict(state.V)) if self.problem.coordinates == "polar" else state.weights()

    def unpack(self, y: Any) -> State:
        if self.problem.coordinates == "polar":
            return State(rho=y[0], V=y[1], per="layer")
        rho = jnp.sqrt(jnp.sum(y["w"] ** 2))
        return State(rho={"w": rho}, V={"w": y["w"] / rho}, per="layer")

    def rate(self, t: Any, y: Any, data: Data) -> Any:
        TRACES.append("rate")
        if self.rule is not None:
            return self.rule(t, y, data)
        if self.problem.coordinates == "weights":
            return {"w": self._pull(y["w"], data)}
        rho, V = y[0]["w"], y[1]["w"]
        g = self._pull(rho * V, data)
        return {"w": V @ g}, {"w": (g - (V @ g) * V) / rho}

    def constrain(self, y: Any) -> Any:
        if self.problem.coordinates == "weights":
            return y
        return y[0], {"w": y[1]["w"] / jnp.sqrt(jnp.sum(y[1]["w"] ** 2))}

    def observe(self, y: Any, data: Data) -> dict[str, Any]:
        w = y["w"] if self.problem.coordinates == "weights" else y[0]["w"] * y[1]["w"]
        margins = data.y * (data.x @ w)
        log_R = 0.5 * jnp.log(jnp.sum(w**2))
        low = jnp.min(margins)
        return {
            "log_loss": jax.nn.logsumexp(-margins),
            "min_margin": low * jnp.exp(-log_R),
            "raw_margin": low,
            "log_R": log_R,
        }


@pytest.fixture
def data() -> Data:
    return Data(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, -1.0]))


@pytest.fixture
def field_of() -> Callable[..., HandField]:
    """Makes a field by hand, in polar or weight coordinates, or with a rate of one's own."""

    def make(
        coordinates: str = "weights", rule: Callable[..., Any] | None = None, signature: str = "by hand"
    ) -> HandField:
        return HandField(problem=Problem("w @ x", coordinates=coordinates), rule=rule, signature=signature)

    return make


@pytest.fixture
def exact() -> Callable[[float, float], float]:
    """w_1(t) from w_1(0)."""
    return lambda a0, t: float(np.logaddexp(a0, np.log(2.0 * t))) if t > 0 else a0


@pytest.fixture
def traces() -> list[str]:
    """Grows by one whenever a rate is traced."""
    TRACES.clear()
    return TRACES


def make_start(a: float, b: float = 0.5) -> State:
    return State.from_weights({"w": np.array([a, b])})


@pytest.fixture
def start_at() -> Callable[..., State]:
    return make_start
