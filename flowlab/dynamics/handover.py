"""When a run leaves ordinary time, and where it goes."""

import jax
import jax.numpy as jnp

from flowlab.dynamics.clocks import CLOCKS, Clock
from flowlab.dynamics.conditions import Event
from flowlab.lowering.field import VectorField


class Reached(Event):
    """The horizon, in a clock that does not know t beforehand."""

    name = "log_time"

    def __init__(self, log_t: float) -> None:
        self.level = jnp.asarray(float(log_t))

    def value(self, seen: dict[str, jax.Array]) -> jax.Array:
        return seen["log_t"] - self.level


class Separation(Event):
    """Every sample is on its right side and the summed loss is below one: from here on norms grow (Lyu and Li 2020)."""

    name = "separation"

    def __init__(self) -> None:
        self.level = jnp.asarray(0.0)

    def value(self, seen: dict[str, jax.Array]) -> jax.Array:
        return jnp.minimum(seen["raw_margin"], -seen["log_loss"])


def late_clock(field: VectorField) -> Clock | None:
    """The clock of late times for a problem; None where there is none (a loss without tail, weight decay, fixed norms)."""
    problem = field.problem
    if problem.loss.labels == "targets" or any(problem.decay.values()) or problem.scheme.name == "fixed_norm" or not hasattr(field, "scaled_rate"):
        return None
    symmetry = problem.network.symmetry
    homogeneous = symmetry.is_multihomogeneous or symmetry.joint_degree is not None
    return CLOCKS["norm"] if homogeneous else CLOCKS["loss"]
