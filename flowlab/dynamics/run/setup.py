"""What a run is asked for: everything that stays as it is from the start of a run to its end."""

import math
import time
from dataclasses import dataclass
from functools import cached_property

import diffrax
import jax
import numpy as np

from flowlab.core.memory import ALL_ROW_BYTES, CHUNK_BYTES, ROW_BYTES, ROWS, rows_within
from flowlab.dynamics.clocks import Clock, late_clock_called
from flowlab.dynamics.kinks.cost import OutOfTime
from flowlab.dynamics.kinks.event_log import Kinks
from flowlab.dynamics.run.stopping_plan import Plan
from flowlab.dynamics.run.validation import unit
from flowlab.dynamics.steppers.solvers import DENSE, chosen
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField

_CHUNK_ROWS = 512
_FIRST = math.log(1e-6)
"""Log t at which a late clock begins that a user names: log t = -inf has no place on it."""


@dataclass(frozen=True)
class Setup:
    """A run as it was asked for.

    Attributes:
        field: without a kink mode.
        data: samples.
        start: with unit directions where the scheme has them; float64 numpy arrays.
        plan: when the run ends.
        solver_name, clock_name: as the user gave them, `"auto"` included.
        rtol, atol: tolerances of the local error.
        max_steps: limit on attempted steps.
        kinks: what the run follows them with, without sides; None where it does not.
        began: `time.monotonic()` at the start of the run.
        lanes: runs that share the memory.
    """

    field: VectorField
    data: Data
    start: State
    plan: Plan
    solver_name: str
    clock_name: str
    rtol: float
    atol: float
    max_steps: int
    kinks: Kinks | None
    began: float
    lanes: int = 1

    @classmethod
    def of(
        cls,
        field: VectorField,
        data: Data,
        start: State,
        plan: Plan,
        solver: str,
        clock: str,
        rtol: float,
        atol: float,
        max_steps: int,
        kinks: Kinks | None,
    ) -> "Setup":
        """A setup that begins now."""
        # Strongly typed leaves: a start built from Python numbers must not cost a compilation of its own.
        start = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), unit(field, start))
        return cls(field, data, start, plan, solver, clock, rtol, atol, max_steps, kinks, time.monotonic())

    @cached_property
    def unknowns(self) -> int:
        """Numbers of a state."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.start))

    @cached_property
    def tolerance(self) -> tuple[np.ndarray, np.ndarray]:
        """Tolerances as arguments of compiled programs."""
        return np.asarray(self.rtol), np.asarray(self.atol)

    @property
    def kept_rows(self) -> int:
        """Rows that a run keeps in memory, at most."""
        return rows_within(min(ROW_BYTES, ALL_ROW_BYTES / self.lanes), self.unknowns, ROWS, 4)

    @property
    def chunk_rows(self) -> int:
        """Rows that a chunk keeps, at most."""
        return rows_within(CHUNK_BYTES, self.unknowns, _CHUNK_ROWS, 4)

    @property
    def named_clock(self) -> Clock | None:
        """The late clock that the user names, if any."""
        return late_clock_called(self.clock_name)

    def first_log(self, ordinary: Clock) -> float:
        """Log t at which a late clock begins that the user names; `ordinary` is the clock of the start, whose unit
        counts.
        """
        return _FIRST + ordinary.log_scale

    def solver(self, clock: Clock, stiff: bool) -> tuple[str, diffrax.AbstractSolver]:
        """The solver in a clock, and its name."""
        return chosen(self.solver_name, clock.scales_loss, stiff, self.unknowns)

    def may_turn_stiff(self, stiff: bool) -> bool:
        """Whether an implicit method may take over: the slope must not jump, and the Jacobian must be small enough to
        be factorised.
        """
        network = self.field.problem.network
        smooth = self.kinks is not None or not (network.slots or network.jumps)
        return self.solver_name == "auto" and not stiff and self.unknowns <= DENSE and smooth

    def is_over_time(self) -> bool:
        """Whether the limit on wall-clock time has passed."""
        return time.monotonic() - self.began > self.plan.wall

    def tick(self) -> None:
        """Stop what takes a while once the limit on wall-clock time has passed.

        Raises:
            OutOfTime: if it has.
        """
        if self.is_over_time():
            raise OutOfTime
