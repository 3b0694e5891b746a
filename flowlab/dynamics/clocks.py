"""What a run steps in. A clock ties the independent variable s of the stepping loop to the time t of the flow."""

import math
from abc import abstractmethod
from typing import Any

import equinox as eqx

from flowlab.dynamics.conditions import LogTime, Time
from flowlab.language.data import Data
from flowlab.lowering.field import VectorField


class Clock(eqx.Module):
    """Base of all clocks. The stepping loop knows of time only what is said here."""

    @abstractmethod
    def rate(self, field: VectorField, s: Any, y: Any, data: Data) -> Any:
        """dy/ds, in the integrated coordinates."""

    @abstractmethod
    def log_t(self, s: float) -> float:
        """Log t at a value of the clock; -inf at the start."""

    @abstractmethod
    def end(self, horizon: Time | LogTime) -> float:
        """The value of the clock at a horizon."""


class OrdinaryTime(Clock):
    """s = t: exact and cheap early; late in a run ever more steps are needed per unit of log t."""

    def rate(self, field: VectorField, s: Any, y: Any, data: Data) -> Any:
        return field.rate(s, y, data)

    def log_t(self, s: float) -> float:
        return math.log(s) if s > 0 else -math.inf

    def end(self, horizon: Time | LogTime) -> float:
        return horizon.t
