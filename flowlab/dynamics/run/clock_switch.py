"""When a run leaves ordinary time, and where it goes."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from flowlab.core.typing import Array, Blocks
from flowlab.dynamics.clocks import CLOCKS, ORDINARY, Clock, OrdinaryTime
from flowlab.dynamics.conditions import Event
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField


class Reached(Event):
    """The horizon, in a clock that does not know t beforehand."""

    name = "log_time"

    def __init__(self, log_t: float) -> None:
        self.level = np.asarray(float(log_t))

    def value(self, seen: Blocks) -> Array:
        return seen["log_t"] - self.level


class Separation(Event):
    """Every sample is on its right side and the summed loss is below one: from here on norms grow (Lyu and Li 2020)."""

    name = "separation"

    def __init__(self) -> None:
        self.level = np.asarray(0.0)

    def value(self, seen: Blocks) -> Array:
        return jnp.minimum(seen["raw_margin"], -seen["log_loss"])


class Vanished(Event):
    """A norm falls to zero, where its direction is not defined; schemes other than gradient flow get there in finite
    time.
    """

    name = "vanished"
    needs = ("smallest_norm",)

    def __init__(self) -> None:
        self.level = np.asarray(0.0)

    def value(self, seen: Blocks) -> Array:
        low = seen["smallest_norm"]
        # A norm must not be zero.
        return jnp.where(low > 0, -low, 1.0)


def watched(
    field: VectorField, events: Sequence[Event], clock: Clock, log_end: float, leaving: bool
) -> tuple[Event, ...]:
    """What is watched besides the events of a run: the horizon of a clock that does not know t, the hand-over to come,
    and norms that may vanish.
    """
    found = list(events)
    if leaving:
        found.append(Separation())
    elif clock.scales_loss and math.isfinite(log_end):
        found.append(Reached(log_end))
    # The clock log R integrates logarithms of norms.
    if (
        field.problem.coordinates == "polar"
        and field.problem.scheme.moves_norms
        and not clock.logs_norms
        and hasattr(field, "smallest_norm")
    ):
        found.append(Vanished())
    return tuple(found)


def vanished(problem: Problem, state: State, where: str) -> str:
    """A sentence on the norm that vanishes beyond a state."""
    lowest = min(state.rho, key=lambda k: float(np.min(np.asarray(state.rho[k]))))
    way = 'use `coordinates="weights"`' if problem.scheme.is_gradient_flow else "start from other weights"
    return (
        f"the norm of {lowest} falls to zero at {where}, where its direction is not defined; the states up to there are"
        f" kept; {way}."
    )


def tailed(field: VectorField) -> bool:
    """Whether all of the rate has the scale of the loss, which may be any number."""
    problem = field.problem
    return problem.loss.classifies and not any(problem.decay.values()) and hasattr(field, "scaled_rate")


def own_time(field: VectorField, seen: Blocks) -> OrdinaryTime:
    """Ordinary time; in units of 1/L where the samples of a start are separated, because its rates are of the size of
    L.
    """
    # On the host: this is looked at once, and each operation on arrays is a program.
    if float(seen["raw_margin"]) > 0 > float(seen["log_loss"]) and tailed(field):
        return OrdinaryTime(np.asarray(-float(seen["log_loss"])))
    return ORDINARY


def late_clock(field: VectorField) -> Clock | None:
    """The clock of late times for a problem; None where there is none (a loss without tail, weight decay,
    fixed norms).
    """
    problem = field.problem
    if not problem.scheme.moves_norms or not tailed(field):
        return None
    symmetry = problem.network.symmetry
    homogeneous = symmetry.is_multihomogeneous or symmetry.joint_degree is not None
    return CLOCKS["norm"] if homogeneous else CLOCKS["loss"]
