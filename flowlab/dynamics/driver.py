"""The host's side of a run: one clock after another, chunk by chunk, until something ends it."""

import dataclasses
import math
import time as watch
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.dynamics import stepping
from flowlab.dynamics.clocks import CLOCKS, Clock
from flowlab.dynamics.conditions import Condition, Event, LogTime, Time, Wall, conditions
from flowlab.dynamics.esdirk import Kvaerno5
from flowlab.dynamics.handover import Reached, Separation, late_clock
from flowlab.dynamics.progress import Progress
from flowlab.dynamics.rosenbrock import Rodas5P
from flowlab.dynamics.start import unit
from flowlab.dynamics.store import Store
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome, Trajectory
from flowlab.lowering.field import VectorField

SOLVERS: dict[str, diffrax.AbstractSolver] = {"tsit5": diffrax.Tsit5(), "dopri8": diffrax.Dopri8(), "kvaerno5": Kvaerno5(), "rodas5p": Rodas5P()}
_ROWS, _ROW_BYTES, _CHUNK_BYTES = 2_000, 256e6, 64e6
_PATIENCE = 0.5
"""Seconds a chunk should take, so that limits, progress and Ctrl-C are heard."""
_FAR = 30.0
"""Ordinary time serves to this log t."""
_DENSE = 300
"""Unknowns up to which a whole Jacobian is cheaper than one through the samples."""
_FIRST = math.log(1e-6)
"""Where a late clock begins that is asked for from the start: log t = -inf has no place on it."""


@dataclasses.dataclass
class Run:
    """Where a run stands."""

    field: VectorField
    data: Data
    solver_name: str
    clock_name: str
    rtol: float
    atol: float
    max_steps: int
    log_end: float = math.inf
    t_end: float = 1e300
    events: tuple[Event, ...] = ()
    wall: float = math.inf
    horizon: str = ""
    extra_evaluations: int = 0
    compile_seconds: float = 0.0
    steps: int = 0
    rejected: int = 0
    evaluations: int = 0
    switches: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    clock: Clock = CLOCKS["time"]

    def plan(self, until: list[Any], events: list[Any], wall_seconds: float | None) -> None:
        """Sort conditions into horizon, events and limits."""
        if not until:
            raise LanguageError("`until` is empty; say where to stop, for example `until=time(100.0)`.")
        found: list[Event] = []
        for condition in [*until, *events, *([Wall(wall_seconds)] if wall_seconds is not None else [])]:
            if isinstance(condition, Time | LogTime):
                if condition.log_t < self.log_end:
                    self.log_end, self.t_end, self.horizon = condition.log_t, condition.t, condition.told
            elif isinstance(condition, Wall):
                self.wall = min(self.wall, condition.seconds)
            elif isinstance(condition, Event):
                found.append(condition)
            elif isinstance(condition, Condition):
                raise LanguageError(f"`{condition.name}` cannot end a run.")
            else:
                raise LanguageError(f"`{condition!r}` is no condition; use {', '.join(conditions.names())}.")
        self.events = tuple(found)
        far = self.log_end > _FAR
        self.late = late_clock(self.field) if self.clock_name == "auto" and far else None

    def refuse(self) -> None:
        """Refuse what no clock can do.

        Raises:
            LanguageError: with what to do.
        """
        late = late_clock(self.field)
        if self.clock_name not in ("auto", "time") and (late is None or (self.clock_name == "norm" and late.name != "norm")):
            raise LanguageError(
                f"`clock={self.clock_name!r}` needs a loss with an exponential tail, no weight decay"
                f"{' and growing norms of a homogeneous network' if self.clock_name == 'norm' else ''}; use `clock=\"time\"`."
            )
        if math.isfinite(self.log_end) and self.log_end > 690.0 and self.late is None and self.clock_name in ("auto", "time"):
            raise LanguageError(f"`{self.horizon}` is beyond float64 in ordinary time, the only clock for this problem; use at most log_time(690).")

    @property
    def solver(self) -> diffrax.AbstractSolver:
        """The solver of the clock the run is in."""
        name = self.solver_name
        if name == "auto":
            name = "tsit5" if self.clock.name == "time" else "kvaerno5"
        if name == "kvaerno5" and self.clock.name != "time" and self.unknowns > _DENSE:
            return Kvaerno5(dense=False)
        return SOLVERS[name]

    def go(self, start: State, progress: bool, settings: dict[str, Any]) -> Trajectory:
        """Run and build the trajectory, whatever the outcome."""
        began = watch.monotonic()
        # Strongly typed leaves: a start built from Python numbers must not cost a compilation of its own.
        self.state = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype=jnp.float64), unit(self.field, start))
        self.unknowns = sum(leaf.size for leaf in jax.tree.leaves(self.state))
        row_bytes = max(1, 8 * self.unknowns)
        self.store = Store(int(max(50, min(_ROWS, _ROW_BYTES // row_bytes))))
        first = self.state
        self.store.offer(-math.inf, lambda: ("time", jax.tree.map(np.asarray, self.field.unpack(self.field.pack(first)))))
        self.carry: stepping.Carry | None = None
        try:
            outcome = self.phases(int(max(4, min(128, _CHUNK_BYTES // row_bytes))), began, progress)
        except KeyboardInterrupt:
            outcome = Outcome("budget", f"interrupted at log t = {self.store.now:.6g}; everything before is kept.")
        self.leave()
        self.store.close()
        stats = {
            "steps": self.steps, "rejected": self.rejected, "evaluations": self.evaluations + self.extra_evaluations,
            "wall_seconds": round(watch.monotonic() - began, 3), "compile_seconds": round(self.compile_seconds, 3),
        }  # fmt: skip
        states = jax.tree.map(lambda *leaves: np.stack(leaves), *(row for _, row in self.store.rows))
        clocks = np.array([name for name, _ in self.store.rows])
        extra = {"settings": settings, "switches": self.switches}
        variables = {"clock": (("step",), clocks, "clock the row was stepped in")}
        log_t = np.array(self.store.times)
        return Trajectory.from_states(self.field.problem, self.data, log_t, states, outcome, stats, kind="flow", extra=extra, variables=variables)

    def phases(self, size: int, began: float, progress: bool) -> Outcome:
        """One clock after another."""
        seen, values = self.observed(CLOCKS["time"], jnp.zeros(()), self.field.pack(self.state), self.events)
        if not np.isfinite(seen["log_loss"]) and self.field.problem.loss.labels != "targets":
            return Outcome("nonfinite", f"log loss is {float(seen['log_loss'])} at t = 0; start from smaller weights.")
        for event, value in zip(self.events, values, strict=True):
            if value > 0:
                return Outcome("event", f"{event.name} holds at the start.", event.name)
        log_t = -math.inf
        if self.clock_name not in ("auto", "time"):
            self.clock, log_t = CLOCKS[self.clock_name], _FIRST
        with Progress(progress, self.log_end, self.horizon) as bar:
            while True:
                ended = self.loop(log_t, size, began, bar)
                if ended is not None:
                    return ended
                assert self.late is not None
                log_t = self.store.now
                self.clock, self.late = self.late, None
                self.switches.append({"clock": self.clock.name, "log_t": log_t})

    def observed(self, clock: Clock, s: Any, z: Any, events: tuple[Event, ...]) -> tuple[dict[str, Any], np.ndarray]:
        seen, values = stepping.observe(clock, self.field, self.data, s, z, events)
        return {k: np.asarray(v) for k, v in seen.items()}, np.asarray(values)

    def loop(self, log_t: float, size: int, began: float, bar: Progress) -> Outcome | None:
        """Chunks in one clock until something ends the run, or None to hand over."""
        ordinary = self.clock.name == "time"
        s, z = self.clock.enter(self.field, self.state, jnp.asarray(log_t), self.data)
        self.watched: tuple[Event, ...] = self.events
        if ordinary and self.late is not None:
            self.watched = (*self.events, Separation())
        elif not ordinary and math.isfinite(self.log_end):
            self.watched = (*self.events, Reached(self.log_end))
        s_end = self.t_end if ordinary and self.late is None else 1e300
        args = (self.solver, self.clock, self.field, self.data)
        self.tolerance = (jnp.asarray(self.rtol), jnp.asarray(self.atol))
        compiled = watch.monotonic()
        carry = stepping.begin(*args, z, s, jnp.asarray(s_end), *self.tolerance)
        self.extra_evaluations += 3
        if not bool(jnp.isfinite(carry.t_next)):
            return Outcome("nonfinite", f"the rate at log t = {log_t:.6g} is not finite; start from smaller weights.")
        # A chunk of no attempts compiles and does nothing else.
        jax.block_until_ready(stepping.advance(*args, carry, jnp.asarray(s_end), *self.tolerance, jnp.asarray(0), self.watched, size).accepted)
        self.carry, pace = carry, 16
        self.compile_seconds += watch.monotonic() - compiled
        while True:
            left = self.max_steps - self.steps - self.rejected - int(carry.steps) - int(carry.rejected)
            if left <= 0:
                return Outcome("budget", f"{self.max_steps} steps were attempted by {self.place()}; raise `max_steps` or stop earlier.")
            if watch.monotonic() - began > self.wall:
                return Outcome("budget", f"the wall limit of {self.wall:g} s was reached at {self.place()}.")
            asked = watch.monotonic()
            chunk = stepping.advance(*args, carry, jnp.asarray(s_end), *self.tolerance, jnp.asarray(min(left, pace)), self.watched, size)
            self.collect(chunk)
            carry = self.carry = chunk.carry
            took = watch.monotonic() - asked
            pace = max(1, pace // 2) if took > 2 * _PATIENCE else min(2 * pace, 1 << 16) if took < _PATIENCE else pace
            status = int(carry.status)
            if status == stepping.FIRED and [type(e) for e, f in zip(self.watched, np.asarray(chunk.fired), strict=True) if f] == [Separation]:
                # No crossing is looked for: any step past separation serves, and this one is the same on every machine.
                self.land(carry.t, carry.y)
                self.state = jax.tree.map(jnp.asarray, self.field.unpack(self.clock.coordinates(self.field, carry.y)))
                self.leave()
                return None
            ended = self.ended(chunk, s_end)
            if ended is not None:
                return ended
            bar.show(self.store.now, self.observed(self.clock, carry.t, carry.y, ())[0] if bar.on else None)

    def leave(self) -> None:
        """Add up what the clock that ends has cost."""
        if self.carry is not None:
            steps, rejected = int(self.carry.steps), int(self.carry.rejected)
            self.steps, self.rejected = self.steps + steps, self.rejected + rejected
            self.evaluations += (steps + rejected) * stepping.evaluations(self.solver, self.field)
            self.carry = None

    def place(self) -> str:
        """Where the run is, in its own clock's words."""
        if self.clock.name == "time" and self.carry is not None:
            return f"t = {float(self.carry.t):.6g}"
        return f"log t = {self.store.now:.6g}"

    def ended(self, chunk: stepping.Chunk, s_end: float) -> Outcome | None:
        """The outcome, if this chunk ended the run."""
        status = int(chunk.carry.status)
        if status == stepping.FIRED:
            event, log_t = self.locate(chunk)
            if isinstance(event, Reached):
                return Outcome("done", f"reached {self.horizon}.")
            where = f"t = {math.exp(log_t):.12g}" if self.clock.name == "time" else f"log t = {log_t:.12g}"
            return Outcome("event", f"{event.name} at {where}.", event.name)
        if status == stepping.NONFINITE:
            return Outcome("nonfinite", f"the rate stopped being finite beyond {self.place()}; the states up to there are kept.")
        if status == stepping.STALLED:
            return Outcome("stalled", f"the step size fell below the resolution of time at {self.place()}; a kink or a stiff phase needs another method.")
        if float(chunk.carry.t) >= s_end:
            return Outcome("done", f"reached {self.horizon or self.place()}.")
        return None

    def locate(self, chunk: stepping.Chunk) -> tuple[Event, float]:
        """Find the first crossing inside the last step by re-stepping from its start, and land on it."""
        t0, y0 = chunk.before_t, chunk.before_y
        span = float(chunk.carry.t) - float(t0)
        low, high, best = 0.0, 1.0, chunk.carry.y
        # The hand-over has no place of its own; what else is watched may lie before it in the same step.
        events = tuple(e for e in self.watched if not isinstance(e, Separation))
        fired = [i for i, over in enumerate(np.asarray(chunk.fired)[: len(events)]) if over]
        args = (self.solver, self.clock, self.field, self.data)
        # Bisection on "has any event happened": the earliest crossing wins, in order of time and not of the list.
        while (high - low) * span > max(1e-12 * span, 2.0 * math.ulp(float(t0))):
            middle = 0.5 * (low + high)
            y, values = stepping.restep(*args, t0, jnp.asarray(middle * span), y0, *self.tolerance, events, chunk.before_state)
            self.extra_evaluations += stepping.evaluations(self.solver, self.field) + 1
            over = [i for i, value in enumerate(np.asarray(values)) if value > 0]
            if over:
                high, best, fired = middle, y, over
            else:
                low = middle
        log_t = self.land(jnp.asarray(float(t0) + high * span), best)
        return events[fired[0]], log_t

    def land(self, s: Any, z: Any) -> float:
        """End on a row that is no full step; its log t."""
        s_value = float(s)
        log_t = (math.log(s_value) if s_value > 0 else -math.inf) if self.clock.name == "time" else float(self.observed(self.clock, s, z, ())[0]["log_t"])
        state = jax.tree.map(np.asarray, self.field.unpack(self.clock.coordinates(self.field, z)))
        self.store.land(log_t, (self.clock.name, state))
        return log_t

    def collect(self, chunk: stepping.Chunk) -> None:
        """Offer the accepted rows of a chunk to the store."""
        count = int(chunk.accepted)
        times = np.asarray(chunk.times[:count])
        with np.errstate(divide="ignore"):
            log_t = (np.log(times) if self.clock.name == "time" else times).tolist()
        rows, name = jax.tree.map(np.asarray, chunk.rows), self.clock.name
        for i, when in enumerate(log_t):
            # Copies: a view of one row would keep the whole chunk in memory.
            self.store.offer(when, lambda i=i: (name, jax.tree.map(lambda leaf: leaf[i].copy(), rows)))
        self.store.flush()
