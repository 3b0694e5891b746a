"""When a run ends: horizons, limits and events, one class each.

An event has a value that is positive once it has happened; the run is stopped where the value crosses zero.
"""

import math
from collections.abc import Callable
from numbers import Real
from typing import ClassVar, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import finite, guarded, must_be
from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Blocks, Record

conditions: Registry[type["Condition"]] = Registry("condition")

LONGEST_LOG_TIME = 690.0
"""Ordinary time is a float64 number, and e^690 is close to the largest."""
SMALLEST_GAP = 1e-7
"""A gap closes like 1/log t and is known to some ε log t, so no run certifies much less than the root of ε."""


class Condition(eqx.Module):
    """Base of all conditions.

    Attributes:
        takes: the JSON schema of the number that a specification gives it; `"boolean"` where it takes none, and empty
            where specifications have a key of their own for it.
    """

    name: ClassVar[str]
    takes: ClassVar[Record] = {"type": "number"}

    @classmethod
    def told(cls, value: float | bool) -> "Condition":
        """The condition of a specification, by the value of its key."""
        make = cast(Callable[..., Condition], cls)
        return make() if cls.takes["type"] == "boolean" else make(value)


class Event(Condition):
    """A condition on what is observed at a state.

    Attributes:
        needs: methods of the field that are observed for this event besides what always is.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    level: Array

    def __init__(self, level: float) -> None:
        self.level = np.asarray(_finite(self.name, level))

    def value(self, seen: Blocks) -> Array:
        """Positive once the event has happened; scalar."""
        raise TypeError(f"the event `{self.name}` gives no value; define `value` in its class.")


@conditions.register("time")
class Time(Condition):
    """Ordinary time t reaches a value."""

    takes: ClassVar[Record] = {"type": "number", "exclusiveMinimum": 0}
    t: float = eqx.field(static=True)

    def __init__(self, t: float) -> None:
        self.t = _finite(self.name, t)
        if self.t <= 0:
            raise must_be("time", t, "above 0", "for example 1.0")

    @property
    def log_t(self) -> float:
        """Its logarithm."""
        return math.log(self.t)

    @property
    def phrase(self) -> str:
        """The horizon in words."""
        return f"t = {self.t:.6g}"


@conditions.register("log_time")
class LogTime(Condition):
    """log t reaches a value."""

    log_t: float = eqx.field(static=True)

    def __init__(self, log_t: float) -> None:
        self.log_t = _finite(self.name, log_t)

    @property
    def t(self) -> float:
        """The time itself, or the longest that ordinary time can hold."""
        return math.exp(min(self.log_t, LONGEST_LOG_TIME))

    @property
    def phrase(self) -> str:
        """The horizon in words."""
        return f"t = {self.t:.6g}" if self.log_t <= LONGEST_LOG_TIME else f"log t = {self.log_t:.6g}"


@conditions.register("log_loss_below")
class LogLossBelow(Event):
    """The logarithm of the data loss falls below a level."""

    def value(self, seen: Blocks) -> Array:
        return self.level - seen["log_loss"]


@conditions.register("value_below")
class ValueBelow(Event):
    """The objective of a problem without samples falls below a level."""

    def value(self, seen: Blocks) -> Array:
        return self.level - seen["objective"]


@conditions.register("norm_above")
class NormAbove(Event):
    """The product of norms R rises above a level."""

    takes: ClassVar[Record] = {"type": "number", "exclusiveMinimum": 0}

    def __init__(self, level: float) -> None:
        if _finite(self.name, level) <= 0:
            raise must_be("norm_above", level, "a norm above 0", "for example 10.0")
        self.level = np.asarray(float(level))

    def value(self, seen: Blocks) -> Array:
        return seen["log_R"] - jnp.log(self.level)


@conditions.register("log_loss")
class LogLoss(LogLossBelow):
    """The logarithm of the data loss falls to a level."""


@conditions.register("log_norm")
class LogNorm(Event):
    """log R rises to a level."""

    def value(self, seen: Blocks) -> Array:
        return seen["log_R"] - self.level


@conditions.register("separated")
class Separated(Event):
    """Every sample is on its right side."""

    takes: ClassVar[Record] = {"type": "boolean"}

    def __init__(self) -> None:
        self.level = np.asarray(0.0)

    def value(self, seen: Blocks) -> Array:
        return seen["raw_margin"] - self.level


@conditions.register("margin_gap")
class MarginGap(Event):
    """The relative gap between the margin and its bound from duality falls to a level (see
    `VectorField.margin_gap`).
    """

    needs = ("margin_gap",)
    takes: ClassVar[Record] = {"type": "number", "minimum": SMALLEST_GAP, "exclusiveMaximum": 1}

    def __init__(self, level: float) -> None:
        if not SMALLEST_GAP <= _finite(self.name, level) < 1.0:
            raise must_be(
                "margin_gap",
                level,
                f"from {SMALLEST_GAP:g}, the least that float64 can certify, to 1",
                "for example 1e-3",
            )
        self.level = np.asarray(float(level))

    def value(self, seen: Blocks) -> Array:
        return jnp.where(seen["raw_margin"] > 0, self.level - seen["margin_gap"], -1.0)


@conditions.register("wall")
class Wall(Condition):
    """A limit on wall-clock seconds."""

    takes: ClassVar[Record] = {}
    seconds: float = eqx.field(static=True)

    def __init__(self, seconds: float) -> None:
        self.seconds = _finite(self.name, seconds)
        if self.seconds < 0:
            raise must_be("wall", seconds, "a number of seconds from 0 on", "for example 60.0")


def _finite(name: str, value: float) -> float:
    # numpy's numbers are `Real` too.
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_) or not finite(value):
        raise must_be(name, value, "a finite number", "for example 1.0")
    return float(value)


@guarded
def time(t: float) -> Time:
    """Run until ordinary time t (dimensionless; steps times step size of gradient descent).

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.time(10.0))
        >>> path.outcome.kind
        'done'
        >>> round(float(np.exp(path.dataset.log_t[-1])), 6)
        10.0
    """
    return Time(t)


@guarded
def log_time(log_t: float) -> LogTime:
    """Run until log t reaches a value; beyond 690, where t leaves float64, only late clocks can.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e3))
        >>> path.outcome.kind
        'done'
        >>> round(path.dataset.log_t[-1].item(), 6)
        1000.0
    """
    return LogTime(log_t)


@guarded
def log_loss_below(level: float) -> LogLossBelow:
    """Run until the logarithm of the data loss is below a level.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_loss_below(-2.0))
        >>> path.outcome.kind
        'event'
        >>> bool(path.dataset.log_loss[-1] <= -2.0)
        True
    """
    return LogLossBelow(level)


@guarded
def value_below(level: float) -> ValueBelow:
    """Run until the objective is below a level (dimensionless), for the loss `"value"`.

    Examples:
        >>> problem = fl.Problem(fl.Network("(u - 1)**2 + u*v + v**2", shapes={"u": (), "v": ()}), "value")
        >>> start = fl.State.from_weights({"u": 0.0, "v": 1.0})
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, until=fl.value_below(0.1))
        >>> path.outcome.kind
        'event'
    """
    return ValueBelow(level)


@guarded
def log_loss(level: float) -> LogLoss:
    """Run until the logarithm of the data loss reaches a level.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_loss(-2.0))
        >>> path.outcome.kind
        'event'
        >>> round(path.dataset.log_loss[-1].item(), 6)
        -2.0
    """
    return LogLoss(level)


@guarded
def log_norm(level: float) -> LogNorm:
    """Run until log R, R the product of norms, reaches a level.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_norm(1.5))
        >>> path.outcome.kind
        'event'
        >>> round(path.dataset.log_R[-1].item(), 6)
        1.5
    """
    return LogNorm(level)


@guarded
def norm_above(level: float) -> NormAbove:
    """Run until the product of norms R is above a level.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.norm_above(4.0))
        >>> path.outcome.kind
        'event'
    """
    return NormAbove(level)


@guarded
def separated() -> Separated:
    """Run until every sample is classified correctly.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=[fl.separated(), fl.log_time(5.0)])
        >>> path.outcome.kind
        'event'
        >>> bool(path.dataset.min_margin[-1] > 0)
        True
    """
    return Separated()


@guarded
def margin_gap(level: float) -> MarginGap:
    """Run until the normalised margin is within a relative gap of its bound from duality; for networks linear in their
    weights that certifies the distance.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.margin_gap(1e-3))
        >>> path.outcome.kind
        'event'
    """
    return MarginGap(level)


@guarded
def wall(seconds: float) -> Wall:
    """Stop after some seconds of wall-clock time.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=[fl.log_time(3.0), fl.wall(60.0)])
        >>> path.outcome.kind
        'done'
    """
    return Wall(seconds)
