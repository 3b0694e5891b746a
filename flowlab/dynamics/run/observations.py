"""What is observed of a state as a clock sees it, and monitors over every accepted step."""

from typing import NamedTuple

import jax.numpy as jnp

from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.dynamics import residuals
from flowlab.dynamics.clocks import Clock
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.run.monitors import log_smoothed_margin
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.lowering.vector_field import VectorField

_BLURS = 4.0
"""A step has errors of round-off at both ends, and on the way."""
RECORDED: tuple[str, ...] = ("log_loss", "min_margin", "log_R")
"""What is kept of an observation beside the row."""


def recorded(problem: Problem) -> tuple[str, ...]:
    """What is kept of an observation of a problem: of an objective without samples, its value too."""
    return (*RECORDED, "objective") if problem.loss.is_value else RECORDED


class Watch(NamedTuple):
    """Monitors over every accepted step, whether or not its row is kept."""

    falling: Array
    log_margin: Array
    rise: Array
    fall: Array
    kept: Array
    slip: Scalar = 0.0


def observed(
    clock: Clock, field: VectorField, data: Data, s: Scalar, z: PyTree, events: tuple[Event, ...] = ()
) -> dict[str, Array]:
    """Everything that is observed of what a clock integrates, with what events need."""
    y = clock.coordinates(field, z)
    seen = field.observe(y, data)
    more = {name: getattr(field, name)(y, data) for name in sorted({name for event in events for name in event.needs})}
    # The rise of a loss that is below round-off says nothing.
    blur = {"blur": residuals.unresolved(field, y, data)} if residuals.has_residual(field) else {}
    return seen | more | blur | {"log_t": clock.log_t(s, z, seen["log_loss"])}


def watched(
    field: VectorField, data: Data, before: Watch, seen: dict[str, Array], kept: Scalar = 0.0, slip: Scalar = 0.0
) -> Watch:
    """Largest rise so far of what falls along a flow (log L, or the objective where it has no samples), largest fall of
    the logarithm of the smoothed margin after separation, what was put right of units so far, and by how much errors so
    far move the place of an event.
    """
    log_margin = log_smoothed_margin(jnp, field.problem, seen["log_loss"], seen["log_R"], data.n)
    log_margin = jnp.where(seen["raw_margin"] > 0, log_margin, -jnp.inf)
    falling = seen["objective"] if field.problem.loss.is_value else seen["log_loss"]
    rise = jnp.maximum(before.rise, falling - before.falling - _BLURS * seen.get("blur", 0.0))
    fall = jnp.where(jnp.isfinite(before.log_margin) & jnp.isfinite(log_margin), before.log_margin - log_margin, 0.0)
    rise, fall = jnp.where(jnp.isnan(rise), before.rise, rise), jnp.maximum(before.fall, fall)
    return Watch(falling, log_margin, rise, fall, before.kept + kept, before.slip + slip)


def event_values(events: tuple[Event, ...], seen: dict[str, Array]) -> Array:
    """Values of events, (E,), from what is observed."""
    return jnp.stack([event.value(seen) for event in events]) if events else jnp.zeros((0,))
