"""A stretch of a run with one clock, one solver and one kink mode: what its compiled steps take, and what they say of a
place.
"""

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.typing import PyTree, Record, Scalar
from flowlab.dynamics.clocks import ENDLESS, Clock
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.clock_switch import watched
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.observations import recorded
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.wording import beyond, moment, still
from flowlab.dynamics.steppers.solver_self_test import self_test
from flowlab.dynamics.steppers.solvers import SOLVERS, is_explicit
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome
from flowlab.lowering.vector_field import VectorField

PATIENCE = 0.5
"""Seconds a chunk should take, so that limits, progress and Ctrl-C are heard."""
_VOTES, _NEVER = 25, 1 << 60
"""Accepted steps, net of others, that must look stiff before an implicit method takes over."""
FIRST_EVALUATIONS = 3
"""Evaluations of the rate that choose the first step."""
_COMPILED: set[tuple[object, ...]] = set()
"""Programs that this process has compiled; without it every run would have to ask."""


@dataclass(frozen=True)
class Segment:
    """One clock, one solver and one kink mode of a run.

    Attributes:
        setup: the run.
        clock, solver, field: what steps are made of; the field is in its kink mode.
        solver_name: of `solver`.
        s_end: value of the clock at which steps end.
        watched: events that end a chunk.
        votes: votes for stiffness that end an explicit chunk.
        lands: whether the end of steps is the horizon itself.
    """

    setup: Setup
    clock: Clock
    solver: diffrax.AbstractSolver
    solver_name: str
    field: VectorField
    s_end: float
    watched: tuple[Event, ...]
    votes: int
    lands: bool

    @classmethod
    def of(cls, setup: Setup, cursor: Cursor, events: tuple[Event, ...] | None = None) -> "Segment":
        """The segment that begins at a cursor; `events` are those that it watches, where they are known."""
        clock, plan, ordinary = cursor.clock, setup.plan, not cursor.clock.scales_loss
        name, solver = setup.solver(clock, cursor.stiff)
        field = setup.field if cursor.kinks is None else cursor.kinks.tracker.field
        leaving = ordinary and plan.late is not None and not cursor.handed_over
        votes = _VOTES if ordinary and setup.may_turn_stiff(cursor.stiff) else _NEVER
        if events is None:
            events = watched(field, plan.events, clock, plan.log_end, leaving)
        end = clock.end(plan.log_end, ENDLESS if leaving else plan.t_end)
        return cls(setup, clock, solver, name, field, end, events, votes, clock.lands_at(end))

    @property
    def args(self) -> tuple[diffrax.AbstractSolver, Clock, VectorField, Data]:
        """What every compiled program takes first."""
        return self.solver, self.clock, self.field, self.setup.data

    @cached_property
    def evaluations(self) -> int:
        """Evaluations of the rate in one attempted step."""
        return compiled_steps.evaluations(self.solver, self.field)

    def begin(self, cursor: Cursor, leaves: list[np.ndarray] | None) -> Cursor | Outcome:
        """The cursor with what compiled steps go on with; an outcome where no step can be taken.

        Args:
            cursor: where the segment begins.
            leaves: the arrays of a carry that was written down, which goes on instead.
        """
        if not is_explicit(self.solver):
            self_test(self.solver_name, SOLVERS[self.solver_name])
        carry, still_everywhere = compiled_steps.begin(
            *self.args, cursor.z, cursor.s, np.asarray(self.s_end), *self.setup.tolerance, np.asarray(cursor.first_step)
        )
        if leaves is not None:
            carry = jax.tree.unflatten(jax.tree.structure(carry), [jnp.asarray(leaf) for leaf in leaves])
            cursor = replace(cursor, log_t=self.log_t(carry.t, carry.y))
        else:
            cursor = cursor.counted(FIRST_EVALUATIONS)
        after = self.begun(cursor, carry, bool(still_everywhere))
        if isinstance(after, Outcome):
            return after
        cursor, key = after, self.program(carry)
        if key not in _COMPILED:
            # A chunk of no attempts compiles and does nothing else.
            jax.block_until_ready(self.advance(cursor, 0)[1].accepted)
            _COMPILED.add(key)
        return cursor

    def begun(self, cursor: Cursor, carry: compiled_steps.Carry, still_everywhere: bool) -> Cursor | Outcome:
        """The cursor with a carry; an outcome where no step can be taken from it."""
        if not math.isfinite(float(carry.t_next)):
            where = self.words(self.log_t(cursor.s, cursor.z))
            return Outcome("nonfinite", f"the rate at {where} is not finite; {beyond(self.state(cursor.z))}.")
        if still_everywhere and not self.clock.scales_loss:
            why = still(self.field.problem, self.state(cursor.z), self.observed(cursor.s, cursor.z)[0])
            return Outcome("stalled", f"every rate is exactly zero at {self.words(cursor.log_t)}: {why}.")
        return replace(cursor, carry=carry)

    def advance(self, cursor: Cursor, attempts: int) -> tuple[Cursor, compiled_steps.Chunk]:
        """Attempt up to so many steps; the cursor after them, and the rows they leave."""
        rest = (
            np.asarray(self.s_end),
            *self.setup.tolerance,
            np.asarray(attempts),
            self.watched,
            self.setup.chunk_rows,
            np.asarray(self.votes),
        )
        assert cursor.carry is not None
        chunk = compiled_steps.advance(*self.args, cursor.carry, *rest)
        count = int(chunk.accepted)
        log_t = float(self.clock.log_times(np.asarray(chunk.times)[count - 1])) if count else cursor.log_t
        return replace(cursor, carry=chunk.carry, log_t=log_t), chunk

    def observed(self, s: Scalar, z: PyTree, events: tuple[Event, ...] = ()) -> tuple[Record, np.ndarray]:
        """Observations and values of events at a place."""
        seen, values = compiled_steps.observe(self.clock, self.field, self.setup.data, s, z, events)
        return {k: np.asarray(v) for k, v in seen.items()}, np.asarray(values)

    def log_t(self, s: Scalar, z: PyTree) -> float:
        """Log t at a value of the clock."""
        told = self.clock.log_time_of(np.asarray(s))
        return float(self.observed(s, z)[0]["log_t"]) if told is None else told

    def state(self, z: PyTree) -> State:
        """Norms and directions of what is integrated."""
        return self.field.unpack(self.clock.coordinates(self.field, z))

    def row(self, log_t: float, s: Scalar, z: PyTree) -> list[np.ndarray]:
        """A row as the recorder takes it."""
        return row(self.field.problem, log_t, self.clock, self.state(z), self.observed(s, z)[0])

    def words(self, log_t: float, digits: int = 6) -> str:
        """A time in the words of the clock."""
        return moment(self.clock, log_t, digits)

    def program(self, carry: compiled_steps.Carry) -> tuple[object, ...]:
        """What the compiled chunk depends on, for telling seconds of compilation from seconds of stepping."""
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves((self.args, carry)) if hasattr(leaf, "shape"))
        kinds = tuple(map(type, self.watched))
        return (
            type(self.solver),
            self.solver_name,
            self.clock.name,
            self.field.signature,
            shapes,
            kinds,
            self.setup.chunk_rows,
        )

    def pace(self) -> int:
        """Attempts of the first chunk, by a guess at what they cost."""
        work = 1e-8 * self.setup.data.n * self.setup.unknowns * (1 if is_explicit(self.solver) else self.setup.unknowns)
        return int(max(4, min(4096, PATIENCE / (2 * work))))


def row(problem: Problem, log_t: float, clock: Clock, state: State, seen: Record) -> list[np.ndarray]:
    """One row: log t, the name of the clock, what is kept of an observation, norms and directions."""
    head = [np.float64(log_t), clock.name, *(seen[name] for name in recorded(problem))]
    return [np.asarray(value)[None] for value in [*head, *jax.tree.leaves(state)]]


def faster_or_slower(pace: int, seconds: float) -> int:
    """Attempts of the next chunk, after one that took so long."""
    if seconds > 2 * PATIENCE:
        return max(1, pace // 2)
    return min(2 * pace, 1 << 16) if seconds < PATIENCE else pace


def now() -> float:
    """Seconds on the clock that limits and costs go by."""
    return time.monotonic()
