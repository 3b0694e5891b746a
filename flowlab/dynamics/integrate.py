"""`integrate`: from a vector field, a state and data to a trajectory."""

import math
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import LanguageError, ShapeMismatch, UnknownName
from flowlab.core.precision import require_x64
from flowlab.core.registry import nearest
from flowlab.dynamics import stepping
from flowlab.dynamics.conditions import Condition, Event, LogTime, Time, Wall
from flowlab.dynamics.progress import Progress
from flowlab.language.data import Data
from flowlab.language.state import State, names_match
from flowlab.language.trajectory import Outcome, Trajectory
from flowlab.lowering.field import VectorField

SOLVERS = {"tsit5": diffrax.Tsit5(), "dopri8": diffrax.Dopri8()}
_ROWS, _ROW_BYTES, _CHUNK_BYTES = 2_000, 256e6, 64e6


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

    Main arguments:
        field: what `lower` returns.
        start: the state at t = 0.
        data: samples; their labels must suit the loss.
        until: where to stop: `time(t)`, `log_time(u)`, an event, or several of them; the first one ends the run.

    Other arguments:
        events: more events that end the run.
        solver: `"tsit5"` or `"dopri8"`.
        rtol, atol: tolerances of the local error, in the integrated coordinates.
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
    _check(field, start, data, rtol, atol)
    return run.go(start, progress, {"solver": solver, "rtol": rtol, "atol": atol, "max_steps": max_steps, "seed": seed, "equations_signature": field.signature})


def _solver(name: str) -> diffrax.AbstractSolver:
    if name not in SOLVERS:
        guess = nearest(str(name), list(SOLVERS))
        raise UnknownName(f"`solver={name!r}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known: {', '.join(SOLVERS)}.")
    return SOLVERS[name]


def _check(field: VectorField, start: State, data: Data, rtol: float, atol: float) -> None:
    problem = field.problem
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not 0 < value < 1:
            raise LanguageError(f"`{name}={value!r}` is no tolerance; use a number between 0 and 1.")
    names_match(start, problem.network)
    if start.per != problem.per:
        raise ShapeMismatch(f"the state has norms per {start.per} but the problem per {problem.per}; make it with `initial_state(…, per={problem.per!r})`.")
    for leaf in jax.tree.leaves(start):
        if leaf.dtype != jnp.float64:
            raise ShapeMismatch(f"the state has {leaf.dtype} numbers; make it from float64 weights.")
    problem.loss.check_labels(data)
    shapes = problem.network.resolve(data.d, data.outputs, {name: int(V.shape[0]) for name, V in start.V.items() if V.ndim})
    for name, shape in shapes.items():
        if start.V[name].shape != shape:
            raise ShapeMismatch(f"the block `{name}` of the state has shape {start.V[name].shape} but network and data need {shape}.")


@dataclass
class _Run:
    """The host's side of one run."""

    field: VectorField
    data: Data
    solver: diffrax.AbstractSolver
    rtol: float
    atol: float
    max_steps: int
    t_end: float = 1e300
    events: tuple[Event, ...] = ()
    wall: float = math.inf
    horizon: str = ""
    times: list[float] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)

    def plan(self, until: list[Any], events: list[Any], wall_seconds: float | None) -> None:
        """Sort conditions into horizon, events and limits."""
        if not until:
            raise LanguageError("`until` is empty; say where to stop, for example `until=time(100.0)`.")
        found: list[Event] = []
        for condition in [*until, *events, *([Wall(wall_seconds)] if wall_seconds is not None else [])]:
            if isinstance(condition, Time | LogTime):
                if condition.t < self.t_end:
                    self.t_end = condition.t
                    self.horizon = f"t = {condition.t:.6g}"
            elif isinstance(condition, Wall):
                self.wall = min(self.wall, condition.seconds)
            elif isinstance(condition, Event):
                found.append(condition)
            else:
                raise LanguageError(f"`{condition!r}` is no condition; use time, log_time, separated, log_loss_below, norm_above or wall.")
        self.events = tuple(found)

    def go(self, start: State, progress: bool, settings: dict[str, Any]) -> Trajectory:
        began = clock.monotonic()
        y = jax.tree.map(jnp.asarray, self.field.pack(start))
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(y))
        self.limit = int(max(50, min(_ROWS, _ROW_BYTES // max(size, 1))))
        self.stride, self.skipped = 1, 0
        self.keep(0.0, y)
        outcome, carry = self.loop(y, int(max(4, min(128, _CHUNK_BYTES // max(size, 1)))), began, progress)
        steps, rejected = (int(carry.steps), int(carry.rejected)) if carry is not None else (0, 0)
        stats = {
            "steps": steps, "rejected": rejected, "evaluations": (steps + rejected) * int(self.solver.tableau.num_stages),  # type: ignore[attr-defined]
            "wall_seconds": round(clock.monotonic() - began, 3),
        }  # fmt: skip
        states = jax.vmap(self.field.unpack)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *self.rows)) if len(self.rows) > 1 else jax.tree.map(lambda leaf: leaf[None], self.field.unpack(self.rows[0]))
        with np.errstate(divide="ignore"):
            log_t = np.log(np.asarray(self.times))
        return Trajectory.from_states(self.field.problem, self.data, log_t, states, outcome, stats, kind="flow", extra={"settings": settings})

    def loop(self, y: Any, size: int, began: float, progress: bool) -> tuple[Outcome, Any]:
        """Chunks until something ends the run."""
        args = (self.solver, self.field, self.data)
        tolerance = (jnp.asarray(self.t_end), jnp.asarray(self.rtol), jnp.asarray(self.atol))
        seen, values = stepping.observe(self.field, self.data, y, self.events)
        if not bool(jnp.isfinite(seen["log_loss"])) and self.field.problem.loss.labels != "targets":
            return Outcome("nonfinite", f"log loss is {float(seen['log_loss'])} at t = 0; start from smaller weights."), None
        for event, value in zip(self.events, np.asarray(values), strict=True):
            if value > 0:
                return Outcome("event", f"{event.name} holds at the start.", event.name), None
        carry = None
        try:
            carry = stepping.begin(*args, y, *tolerance)
            if not bool(jnp.isfinite(carry.t_next)):
                return Outcome("nonfinite", "the rate at t = 0 is not finite; start from smaller weights."), carry
            with Progress(progress, self.t_end, self.horizon) as bar:
                while True:
                    left = self.max_steps - int(carry.steps) - int(carry.rejected)
                    if left <= 0:
                        return Outcome("budget", f"{self.max_steps} steps were attempted by t = {float(carry.t):.6g}; raise `max_steps` or stop earlier."), carry
                    chunk = stepping.advance(*args, carry, *tolerance, jnp.asarray(left), self.events, size)
                    self.collect(chunk)
                    carry = chunk.carry
                    ended = self.ended(chunk)
                    if ended is not None:
                        return ended, carry
                    if clock.monotonic() - began > self.wall:
                        return Outcome("budget", f"the wall limit of {self.wall:g} s was reached at t = {float(carry.t):.6g}."), carry
                    bar.show(float(carry.t), stepping.observe(self.field, self.data, carry.y, ())[0] if bar.on else None)
        except KeyboardInterrupt:
            return Outcome("budget", f"interrupted at t = {self.times[-1]:.6g}; everything before is kept."), carry

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
        args = (self.solver, self.field, self.data)
        low, high, best = 0.0, 1.0, None
        fired = [i for i, f in enumerate(np.asarray(chunk.fired)) if f]
        # Bisection on "has any event happened": the earliest crossing wins, in order of time.
        for _ in range(60):
            middle = 0.5 * (low + high)
            if middle in (low, high):
                break
            y, values = stepping.restep(*args, t0, jnp.asarray(middle * span), y0, self.events)
            over = [i for i, v in enumerate(np.asarray(values)) if v > 0]
            if over:
                high, best, fired = middle, y, over
            else:
                low = middle
            if (high - low) * span <= 1e-13 * max(float(t0), span):
                break
        if best is None:
            best = chunk.carry.y
        when = float(t0) + high * span
        self.keep(when, best, last=True)
        return self.events[fired[0]].name, when

    def collect(self, chunk: stepping.Chunk) -> None:
        """Store the accepted rows of a chunk."""
        count = int(chunk.count)
        times = np.asarray(chunk.times[:count])
        ended = int(chunk.carry.status) != stepping.RUNNING or float(chunk.carry.t) >= self.t_end
        for i in range(count):
            self.keep(float(times[i]), jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), chunk.rows), last=ended and i == count - 1)

    def keep(self, t: float, y: Any, last: bool = False) -> None:
        """Append a row; when the store is full every other row is dropped and the stride doubles."""
        if self.times and t <= self.times[-1]:
            return
        self.skipped += 1
        if not last and self.times and self.skipped < self.stride:
            self.spare = (t, y)
            return
        self.skipped = 0
        self.times.append(t)
        self.rows.append(jax.tree.map(np.asarray, y))
        if len(self.times) >= self.limit:
            self.times[:] = self.times[:-1:2] + self.times[-1:]
            self.rows[:] = self.rows[:-1:2] + self.rows[-1:]
            self.stride *= 2
