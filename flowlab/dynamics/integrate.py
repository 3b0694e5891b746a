"""`integrate`: from a vector field, a state and data to a trajectory."""

import math
import time as watch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import LanguageError, UnknownName
from flowlab.core.precision import require_x64
from flowlab.core.registry import nearest
from flowlab.dynamics import stepping
from flowlab.dynamics.clocks import Clock, OrdinaryTime
from flowlab.dynamics.conditions import Condition, Event, LogTime, Time, Wall
from flowlab.dynamics.progress import Progress
from flowlab.dynamics.start import check, unit
from flowlab.dynamics.store import Store
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome, Trajectory
from flowlab.lowering.field import VectorField

SOLVERS = {"tsit5": diffrax.Tsit5(), "dopri8": diffrax.Dopri8()}
_ROWS, _ROW_BYTES, _CHUNK_BYTES = 2_000, 256e6, 64e6
ORDINARY = OrdinaryTime()
_PATIENCE = 0.5
"""Seconds a chunk should take, so that limits, progress and Ctrl-C are heard."""


def integrate(
    field: VectorField,
    start: State,
    data: Data,
    *,
    until: Condition | Sequence[Condition],
    events: Sequence[Event] = (),
    solver: str = "tsit5",
    rtol: float = 1e-8,
    atol: float = 1e-10,
    max_steps: int = 100_000,
    wall_seconds: float | None = None,
    progress: bool = False,
    seed: int | None = None,
) -> Trajectory:
    """Integrate a flow in ordinary time with an adaptive explicit solver.

    Directions are brought back to unit length after every accepted step and the first stage of the next one is computed
    anew, which keeps the order of the solver. The result does not depend on how fast the machine is: it is the same to the last bit.

    Args:
        field: what `lower` returns.
        start: the state at t = 0.
        data: samples; their labels must suit the loss.
        until: where to stop: `time(t)`, `log_time(u)`, an event, or several of them; the first one ends the run.
        events: more events that end the run.
        solver: `"tsit5"` or `"dopri8"`.
        rtol: relative tolerance of the local error, in the integrated coordinates.
        atol: absolute tolerance of the local error.
        max_steps: limit on attempted steps; reaching it gives the outcome `"budget"`.
        wall_seconds: limit on wall-clock time, compilation included.
        progress: show a progress bar on stderr.
        seed: recorded with the result, if the start was drawn from one.

    Returns:
        The trajectory up to where the run ended; `outcome` says how. Numerical failure is an outcome, never an
        exception, and keeps what was computed. Every accepted step is stored, thinned to at most 2,000 rows.

    Raises:
        PrecisionTooLow, ShapeMismatch, DataError, UnknownName, LanguageError: for bad input, before anything is computed.
    """
    require_x64("integrate")
    run = _Run(field, data, _solver(solver), rtol, atol, max_steps)
    run.plan([until] if isinstance(until, Condition) else list(until), list(events), wall_seconds)
    check(field, start, data, rtol, atol, max_steps, run.events)
    return run.go(start, progress, {"solver": solver, "rtol": rtol, "atol": atol, "max_steps": max_steps, "seed": seed, "equations_signature": field.signature})


def _solver(name: str) -> diffrax.AbstractSolver:
    if name not in SOLVERS:
        guess = nearest(str(name), list(SOLVERS))
        raise UnknownName(f"`solver={name!r}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known: {', '.join(SOLVERS)}.")
    return SOLVERS[name]


@dataclass
class _Run:
    """The host's side of one run."""

    field: VectorField
    data: Data
    solver: diffrax.AbstractSolver
    rtol: float
    atol: float
    max_steps: int
    clock: Clock = ORDINARY
    t_end: float = 1e300
    events: tuple[Event, ...] = ()
    wall: float = math.inf
    horizon: str = ""
    extra_evaluations: int = 0
    compile_seconds: float = 0.0

    def plan(self, until: list[Any], events: list[Any], wall_seconds: float | None) -> None:
        """Sort conditions into horizon, events and limits."""
        if not until:
            raise LanguageError("`until` is empty; say where to stop, for example `until=time(100.0)`.")
        found: list[Event] = []
        for condition in [*until, *events, *([Wall(wall_seconds)] if wall_seconds is not None else [])]:
            if isinstance(condition, Time | LogTime):
                if self.clock.end(condition) < self.t_end:
                    self.t_end = self.clock.end(condition)
                    self.horizon = f"t = {condition.t:.6g}"
            elif isinstance(condition, Wall):
                self.wall = min(self.wall, condition.seconds)
            elif isinstance(condition, Event):
                found.append(condition)
            else:
                raise LanguageError(f"`{condition!r}` is no condition; use time, log_time, separated, log_loss_below, norm_above or wall.")
        self.events = tuple(found)

    def go(self, start: State, progress: bool, settings: dict[str, Any]) -> Trajectory:
        """Run and build the trajectory, whatever the outcome."""
        began = watch.monotonic()
        # Strongly typed leaves: a start built from Python numbers must not cost a compilation of its own.
        y = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype=jnp.float64), self.field.pack(unit(self.field, start)))
        y_bytes = max(1, sum(leaf.nbytes for leaf in jax.tree.leaves(y)))
        self.store = Store(int(max(50, min(_ROWS, _ROW_BYTES // y_bytes))))
        self.store.offer(0.0, lambda: jax.tree.map(np.asarray, y))
        self.carry: stepping.Carry | None = None
        try:
            outcome = self.loop(y, int(max(4, min(128, _CHUNK_BYTES // y_bytes))), began, progress)
        except KeyboardInterrupt:
            outcome = Outcome("budget", f"interrupted at t = {self.store.now:.6g}; everything before is kept.")
        self.store.close()
        steps, rejected = (int(self.carry.steps), int(self.carry.rejected)) if self.carry is not None else (0, 0)
        each = stepping.evaluations(self.solver, self.field)
        stats = {
            "steps": steps, "rejected": rejected, "evaluations": (steps + rejected) * each + self.extra_evaluations,
            "wall_seconds": round(watch.monotonic() - began, 3), "compile_seconds": round(self.compile_seconds, 3),
        }  # fmt: skip
        states = jax.vmap(self.field.unpack)(jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *self.store.rows))
        log_t = np.array([self.clock.log_t(t) for t in self.store.times])
        return Trajectory.from_states(self.field.problem, self.data, log_t, states, outcome, stats, kind="flow", extra={"settings": settings})

    def loop(self, y: Any, size: int, began: float, progress: bool) -> Outcome:
        """Chunks until something ends the run."""
        args = (self.solver, self.clock, self.field, self.data)
        tolerance = (jnp.asarray(self.t_end), jnp.asarray(self.rtol), jnp.asarray(self.atol))
        seen, values = stepping.observe(self.field, self.data, y, self.events)
        if not bool(jnp.isfinite(seen["log_loss"])) and self.field.problem.loss.labels != "targets":
            return Outcome("nonfinite", f"log loss is {float(seen['log_loss'])} at t = 0; start from smaller weights.")
        for event, value in zip(self.events, np.asarray(values), strict=True):
            if value > 0:
                return Outcome("event", f"{event.name} holds at the start.", event.name)
        carry = stepping.begin(*args, y, *tolerance)
        self.extra_evaluations += 3
        if not bool(jnp.isfinite(carry.t_next)):
            return Outcome("nonfinite", "the rate at t = 0 is not finite; start from smaller weights.")
        # A chunk of no attempts compiles and does nothing else.
        jax.block_until_ready(stepping.advance(*args, carry, *tolerance, jnp.asarray(0), self.events, size).accepted)
        self.carry, self.compile_seconds, pace = carry, watch.monotonic() - began, 16
        with Progress(progress, self.t_end, self.horizon) as bar:
            while True:
                left = self.max_steps - int(carry.steps) - int(carry.rejected)
                if left <= 0:
                    return Outcome("budget", f"{self.max_steps} steps were attempted by t = {float(carry.t):.6g}; raise `max_steps` or stop earlier.")
                if watch.monotonic() - began > self.wall:
                    return Outcome("budget", f"the wall limit of {self.wall:g} s was reached at t = {float(carry.t):.6g}.")
                asked = watch.monotonic()
                chunk = stepping.advance(*args, carry, *tolerance, jnp.asarray(min(left, pace)), self.events, size)
                self.collect(chunk)
                carry = self.carry = chunk.carry
                took = watch.monotonic() - asked
                pace = max(1, pace // 2) if took > 2 * _PATIENCE else min(2 * pace, 1 << 16) if took < _PATIENCE else pace
                ended = self.ended(chunk)
                if ended is not None:
                    return ended
                bar.show(float(carry.t), stepping.observe(self.field, self.data, carry.y, ())[0] if bar.on else None)

    def ended(self, chunk: stepping.Chunk) -> Outcome | None:
        """The outcome, if this chunk ended the run."""
        t = float(chunk.carry.t)
        status = int(chunk.carry.status)
        if status == stepping.FIRED:
            name, when = self.locate(chunk)
            return Outcome("event", f"{name} at t = {when:.12g}.", name)
        if status == stepping.NONFINITE:
            return Outcome("nonfinite", f"the rate stopped being finite beyond t = {t:.6g}; the states up to there are kept.")
        if status == stepping.STALLED:
            return Outcome("stalled", f"the step size fell below the resolution of time at t = {t:.6g}; a kink or a stiff phase needs another method.")
        if t >= self.t_end:
            return Outcome("done", f"reached {self.horizon or f't = {t:.6g}'}.")
        return None

    def locate(self, chunk: stepping.Chunk) -> tuple[str, float]:
        """Find the first crossing inside the last step by re-stepping from its start, and land on it."""
        t0, y0 = chunk.before_t, chunk.before_y
        span = float(chunk.carry.t) - float(t0)
        low, high, best = 0.0, 1.0, chunk.carry.y
        fired = [i for i, over in enumerate(np.asarray(chunk.fired)) if over]
        # Bisection on "has any event happened": the earliest crossing wins, in order of time and not of the list.
        while (high - low) * span > max(1e-12 * span, 2.0 * math.ulp(float(t0))):
            middle = 0.5 * (low + high)
            y, values = stepping.restep(self.solver, self.clock, self.field, self.data, t0, jnp.asarray(middle * span), y0, self.events)
            self.extra_evaluations += stepping.evaluations(self.solver, self.field) + 1
            over = [i for i, value in enumerate(np.asarray(values)) if value > 0]
            if over:
                high, best, fired = middle, y, over
            else:
                low = middle
        when = float(t0) + high * span
        self.store.land(when, jax.tree.map(np.asarray, best))
        return self.events[fired[0]].name, when

    def collect(self, chunk: stepping.Chunk) -> None:
        """Offer the accepted rows of a chunk to the store."""
        count = int(chunk.accepted)
        times = np.asarray(chunk.times[:count]).tolist()
        rows = jax.tree.map(np.asarray, chunk.rows)
        for i, t in enumerate(times):
            # Copies: a view of one row would keep the whole chunk in memory.
            self.store.offer(t, lambda i=i: jax.tree.map(lambda leaf: leaf[i].copy(), rows))
        self.store.flush()
