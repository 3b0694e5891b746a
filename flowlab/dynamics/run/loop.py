"""The host's side of a run: one clock and one solver after another, chunk by chunk, until something ends it."""

import dataclasses
import math
import time as watch
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.dynamics.clocks import CLOCKS, ORDINARY, Clock, OrdinaryTime
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.kinks.event_log import Kinks
from flowlab.dynamics.run import compiled_steps, event_location, kink_crossing, monitors
from flowlab.dynamics.run.clock_switch import Separation, own_time, watched
from flowlab.dynamics.run.progress import Progress
from flowlab.dynamics.run.stopping_plan import Plan
from flowlab.dynamics.run.validation import unit
from flowlab.dynamics.steppers.explicit_rk import Explicit
from flowlab.dynamics.steppers.kvaerno5 import Kvaerno5
from flowlab.dynamics.steppers.rodas5p import Rodas5P
from flowlab.dynamics.steppers.solver_self_test import self_test
from flowlab.dynamics.storage.checkpoint import Ledger
from flowlab.dynamics.storage.row_buffer import Store
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome, Trajectory
from flowlab.lowering.vector_field import VectorField

SOLVERS: dict[str, diffrax.AbstractSolver] = {"tsit5": Explicit(diffrax.Tsit5()), "dopri8": diffrax.Dopri8(), "kvaerno5": Kvaerno5(), "rodas5p": Rodas5P()}
_ROWS, _ROW_BYTES = 2_000, 256e6
_CHUNK_ROWS, _CHUNK_BYTES = 512, 32e6
_PATIENCE = 0.5
"""Seconds a chunk should take, so that limits, progress and Ctrl-C are heard."""
_DENSE = 300
"""Unknowns up to which a whole Jacobian is cheaper than one through the samples."""
_FIRST = math.log(1e-6)
"""Where a late clock begins that is asked for from the start: log t = -inf has no place on it."""
_VOTES, _NEVER = 25, 1 << 60
"""Accepted steps, net of others, that must look stiff before an implicit method takes over."""
_COUNTS = "steps", "rejected", "evaluations", "rise", "fall", "kept", "slip", "slip_log"
_COMPILED: set[tuple[Any, ...]] = set()
"""Programs that this process has compiled; without it every run would have to ask."""


@dataclasses.dataclass
class Run:
    """Where a run stands."""

    field: VectorField
    data: Data
    plan: Plan
    solver_name: str
    clock_name: str
    rtol: float
    atol: float
    max_steps: int
    ledger: Ledger | None = None
    steps: int = 0
    rejected: int = 0
    evaluations: int = 0
    rise: float = 0.0
    fall: float = 0.0
    kept: float = 0.0
    slip: float = 0.0
    slip_log: float = 0.0
    compile_seconds: float = 0.0
    switches: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    clock: Clock = CLOCKS["time"]
    ordinary: OrdinaryTime = ORDINARY
    stiff: bool = False
    handed_over: bool = False
    carry: compiled_steps.Carry | None = None
    kinks: Kinks | None = None
    first: float | None = None

    @property
    def solver(self) -> diffrax.AbstractSolver:
        """The solver of the clock the run is in."""
        name = self.solver_name
        if name == "auto":
            name = "kvaerno5" if self.stiff or self.clock.name != "time" else "tsit5"
        if name == "kvaerno5" and self.clock.name != "time" and self.unknowns > _DENSE:
            return Kvaerno5(dense=False)
        return SOLVERS[name]

    def go(self, start: State, progress: bool, settings: dict[str, Any]) -> Trajectory:
        """Run and build the trajectory, whatever the outcome."""
        self.began = watch.monotonic()
        # Strongly typed leaves: a start built from Python numbers must not cost a compilation of its own.
        self.state = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), unit(self.field, start))
        self.shape = jax.tree.structure(self.state)
        self.unknowns = sum(leaf.size for leaf in jax.tree.leaves(self.state))
        self.tolerance = (np.asarray(self.rtol), np.asarray(self.atol))
        row_bytes = max(1, 8 * self.unknowns)
        self.size = int(max(4, min(_CHUNK_ROWS, _CHUNK_BYTES // row_bytes)))
        self.store = Store(int(max(50, min(_ROWS, _ROW_BYTES // row_bytes))), record=self.ledger is not None)
        self.now = -math.inf
        try:
            if self.ledger is not None:
                self.ledger.replay(self.store)
            outcome = self.phases(progress)
        except KeyboardInterrupt:
            outcome = Outcome("budget", f"interrupted at {self.place()}; everything before is kept.")
        self.leave()
        rows = self.store.close().leaves
        states = jax.tree.unflatten(self.shape, rows[2 + len(compiled_steps.SEEN) :])
        problem = self.field.problem
        seen = dict(zip(compiled_steps.SEEN, rows[2 : 2 + len(compiled_steps.SEEN)], strict=True))
        watched = monitors.monotone(problem, self.rise, self.fall, self.rtol)
        watched = monitors.moved(watched, problem, seen["log_loss"], seen["log_R"], self.data.n) | monitors.put_right(self.kept, self.rtol)
        watched |= monitors.conserved(problem, getattr(self.field, "laws", ()), states.rho, states.V, self.rtol)
        if not (self.ledger is not None and self.ledger.resumed and self.ledger.resumed[0]["outcome"]):
            outcome = event_location.qualified(outcome, watched, self.rtol, self.atol)
            if self.ledger is not None and outcome.kind != "budget":
                self.write(outcome)
        return self.finish(outcome, rows, seen, states, {"settings": settings, "switches": self.switches, "monitors": watched})

    def finish(self, outcome: Outcome, rows: list[np.ndarray], seen: dict[str, np.ndarray], states: State, extra: dict[str, Any]) -> Trajectory:
        """The trajectory of what is stored."""
        stats = {
            "steps": self.steps, "rejected": self.rejected, "evaluations": self.evaluations,
            "wall_seconds": round(watch.monotonic() - self.began, 3), "compile_seconds": round(self.compile_seconds, 3),
            **({} if self.kinks is None else {"kinks": self.kinks.effort.told()}),
        }  # fmt: skip
        log_t, codes = rows[:2]
        clocks = np.array(list(CLOCKS))[codes]
        variables = {"clock": (("step",), clocks, "clock the row was stepped in")} | (self.kinks.variables() if self.kinks is not None else {})
        return Trajectory.from_states(self.field.problem, self.data, log_t, states, outcome, stats, kind="flow", extra=extra, variables=variables, seen=seen)

    def phases(self, progress: bool) -> Outcome:
        """One clock and one solver after another."""
        restored = None
        if self.ledger is not None and self.ledger.resumed is not None:
            meta, restored = self.ledger.resumed
            self.count_time(self.first_seen().seen)
            self.restore(meta)
            if self.kinks is not None:
                self.kinks.restore(self.field.pack(self.state), meta["kinks"], self.ledger.kinks)
                self.field = self.kinks.tracker.field
            if meta["outcome"] is not None:
                return Outcome(**meta["outcome"])
            # Only its form is used; the numbers are those that were written.
            self.entry = self.entered(self.first_log())
        else:
            ended = self.begin()
            if ended is None and self.kinks is not None:
                ended = kink_crossing.sided(self)
            if ended is not None:
                return ended
        if restored is None and self.clock_name not in ("auto", "time"):
            first = self.first_log()
            self.clock = CLOCKS[self.clock_name]
            self.entry = self.entered(first)
        with Progress(progress, self.plan.log_end, self.plan.horizon) as bar:
            while True:
                ended = self.loop(bar, restored)
                if ended is not None:
                    return ended
                restored = None

    def begin(self) -> Outcome | None:
        """Store the first row; an outcome where nothing is left to do."""
        found = self.first_seen()
        self.entry = found.s, found.z
        self.count_time(found.seen)
        log_loss, margin = float(found.seen["log_loss"]), float(found.seen["raw_margin"])
        if self.clock_name == "norm" and not (margin > 0 and log_loss < 0):
            # Before that norms may shrink, and log R runs backwards.
            raise LanguageError(f'`clock="norm"` begins where every sample is on its right side, but the smallest margin is {margin:.3g}; use `clock="auto"`.')
        self.store.offer(self.row(-math.inf, CLOCKS["time"], found.state, found.seen))
        if not math.isfinite(log_loss) and self.field.problem.loss.labels != "targets":
            return Outcome("nonfinite", f"log loss is {log_loss} at t = 0: outputs leave float64; start from smaller weights, or rescale the features.")
        for event, value in zip(self.plan.events, np.asarray(found.values), strict=True):
            if value > 0:
                return Outcome("event", f"{event.name} holds at the start.", event.name)
        return None

    def first_seen(self) -> compiled_steps.Entry:
        """The start, at t = 0."""
        return compiled_steps.enter(CLOCKS["time"], self.field, self.data, self.state, np.asarray(-math.inf), self.plan.events)

    def count_time(self, seen: dict[str, Any]) -> None:
        """Choose the unit of ordinary time by what is seen at the start."""
        self.ordinary = own_time(self.field, seen)
        if self.clock.name == "time":
            self.clock = self.ordinary

    def first_log(self) -> float:
        """Log t where a late clock begins that is asked for from the start."""
        return _FIRST + (0.0 if self.ordinary.log_unit is None else float(self.ordinary.log_unit))

    def entered(self, log_t: float) -> tuple[Any, Any]:
        """The value of the clock and what is integrated in it, at the present state."""
        found = compiled_steps.enter(self.clock, self.field, self.data, self.state, np.asarray(log_t), ())
        return found.s, found.z

    def restore(self, meta: dict[str, Any]) -> None:
        """Stand where the last chunk was written."""
        self.clock = self.ordinary if meta["clock"] == "time" else CLOCKS[meta["clock"]]
        self.stiff, self.handed_over, self.switches = meta["stiff"], meta["handed_over"], meta["switches"]
        for name in _COUNTS:
            setattr(self, name, meta[name])
        if self.clock.name != "time":
            self.clock_name = "auto" if self.handed_over else self.clock_name

    def meta(self, outcome: Outcome | None) -> dict[str, Any]:
        """What a chunk says besides its arrays."""
        return {
            "clock": self.clock.name, "stiff": self.stiff, "handed_over": self.handed_over, "switches": self.switches,
            **{name: getattr(self, name) for name in _COUNTS},
            "outcome": None if outcome is None else dataclasses.asdict(outcome),
            **({} if self.kinks is None else {"kinks": self.kinks.meta()}),
        }  # fmt: skip

    def write(self, outcome: Outcome | None = None) -> None:
        """Append a chunk to the archive."""
        assert self.ledger is not None
        self.ledger.write(self.store.fresh(), None if outcome is not None else self.carry, self.meta(outcome))

    def observed(self, clock: Clock, s: Any, z: Any, events: tuple[Event, ...]) -> tuple[dict[str, Any], np.ndarray]:
        seen, values = compiled_steps.observe(clock, self.field, self.data, s, z, events)
        return {k: np.asarray(v) for k, v in seen.items()}, np.asarray(values)

    def row(self, log_t: float, clock: Clock, state: State, seen: dict[str, Any]) -> list[np.ndarray]:
        """One row as the store takes it."""
        head = [np.float64(log_t), np.int8(list(CLOCKS).index(clock.name)), *(seen[name] for name in compiled_steps.SEEN)]
        return [np.asarray(value)[None] for value in [*head, *jax.tree.leaves(state)]]

    def state_of(self, z: Any) -> State:
        """Norms and directions of what is integrated."""
        return self.field.unpack(self.clock.coordinates(self.field, z))

    def loop(self, bar: Progress, restored: list[np.ndarray] | None) -> Outcome | None:
        """Chunks in one clock with one solver until something ends the run, or None to go on with another."""
        plan, ordinary = self.plan, self.clock.name == "time"
        leaving = ordinary and plan.late is not None and not self.handed_over
        s_end = event_location.end_of(self.clock, plan, leaving)
        self.watched = watched(self.field, plan.events, self.clock, plan.log_end, leaving)
        votes = _VOTES if ordinary and self.may_turn_stiff() else _NEVER
        args = (self.solver, self.clock, self.field, self.data)
        compiled, (s, z) = watch.monotonic(), self.entry
        if not hasattr(self.solver, "tableau"):
            name = next(name for name, known in SOLVERS.items() if type(known) is type(self.solver))
            self_test(name, SOLVERS[name])
        first = None if self.first is None else np.asarray(self.first)
        carry, still = compiled_steps.begin(*args, z, s, np.asarray(s_end), *self.tolerance, first)
        if restored is not None:
            carry = jax.tree.unflatten(jax.tree.structure(carry), [jnp.asarray(leaf) for leaf in restored])
            self.now = self.clock_log(carry.t, carry.y)
        else:
            self.evaluations += 3
        if not math.isfinite(float(carry.t_next)):
            where = event_location.told(self.clock, self.clock_log(s, z), 6)
            return Outcome("nonfinite", f"the rate at {where} is not finite; {event_location.beyond(self.state)}.")
        if bool(still) and ordinary:
            seen, _ = self.observed(self.clock, s, z, ())
            return Outcome("stalled", f"every rate is exactly zero at {self.place()}: {event_location.still(self.field.problem, self.state, seen)}.")
        rest = (np.asarray(s_end), *self.tolerance)
        limits = (self.watched, self.size, np.asarray(votes))
        key = self.program(args, carry)
        if key not in _COMPILED:
            # A chunk of no attempts compiles and does nothing else.
            jax.block_until_ready(compiled_steps.advance(*args, carry, *rest, np.asarray(0), *limits).accepted)
            _COMPILED.add(key)
        self.carry, pace = carry, self.pace()
        self.compile_seconds += watch.monotonic() - compiled
        while True:
            tried = self.steps + self.rejected + int(carry.steps) + int(carry.rejected)
            if tried >= self.max_steps:
                return kink_crossing.out_of_steps(self)
            if watch.monotonic() - self.began > plan.wall:
                return kink_crossing.out_of_time(self)
            asked = watch.monotonic()
            cut = Ledger.cut(tried) if self.ledger is not None else self.max_steps
            chunk = compiled_steps.advance(*args, carry, *rest, np.asarray(min(self.max_steps - tried, cut - tried, pace)), *limits)
            self.collect(chunk)
            kink_crossing.stepped(self, asked)
            carry = self.carry = chunk.carry
            if int(carry.status) == compiled_steps.BENT:
                bent = kink_crossing.bent(self, chunk)
                if not isinstance(bent, compiled_steps.Chunk):
                    return bent
                chunk, carry, self.carry = bent, bent.carry, bent.carry
            took = watch.monotonic() - asked
            pace = max(1, pace // 2) if took > 2 * _PATIENCE else min(2 * pace, 1 << 16) if took < _PATIENCE else pace
            ended, on = event_location.ended(self, chunk, s_end), self.turned(chunk)
            if ended is not None or on:
                return ended
            if self.ledger is not None and self.steps + self.rejected + int(carry.steps) + int(carry.rejected) == cut:
                self.write()
            bar.show(self.now, self.observed(self.clock, carry.t, carry.y, ())[0] if bar.on else None)

    def program(self, args: tuple[Any, ...], carry: compiled_steps.Carry) -> tuple[Any, ...]:
        """What a compiled chunk depends on, for telling seconds of compilation from seconds of stepping."""
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves((args, carry)) if hasattr(leaf, "shape"))
        return type(args[0]), self.solver_name, self.stiff, self.clock.name, self.field.signature, shapes, tuple(map(type, self.watched)), self.size

    def pace(self) -> int:
        """Attempts of the first chunk, by a guess at what they cost."""
        work = 1e-8 * self.data.n * self.unknowns * (1 if hasattr(self.solver, "tableau") else self.unknowns)
        return int(max(4, min(4096, _PATIENCE / (2 * work))))

    def may_turn_stiff(self) -> bool:
        """Whether an implicit method may take over: the slope must not jump, and the Jacobian must be of a size to be factorised."""
        smooth = self.kinks is not None or not self.field.problem.network.slots
        return self.solver_name == "auto" and not self.stiff and self.unknowns <= _DENSE and smooth

    def turned(self, chunk: compiled_steps.Chunk) -> bool:
        """Whether the run goes on with another clock or another solver; `entry` is where."""
        carry, status = chunk.carry, int(chunk.carry.status)
        if status == compiled_steps.STIFF:
            self.entry, self.stiff = (carry.t, carry.y), True
            log_t, rate = self.clock_log(carry.t, carry.y), float(carry.stiffness.h_lambda) / float(carry.t_next - carry.t)
            self.leave()
            self.switches.append({"clock": self.clock.name, "solver": "kvaerno5", "log_t": log_t, "stiffness": rate})
            return True
        if status != compiled_steps.FIRED or [type(e) for e, f in zip(self.watched, np.asarray(chunk.fired), strict=True) if f] != [Separation]:
            return False
        # No crossing is looked for: any step past separation serves, and this one is the same on every machine.
        assert self.plan.late is not None
        log_t = self.clock_log(carry.t, carry.y)
        seen, _ = self.observed(self.clock, carry.t, carry.y, ())
        self.state = self.state_of(carry.y)
        self.store.offer(self.row(log_t, self.clock, self.state, seen))
        self.now = log_t
        self.leave()
        # A shift of time is a smaller part of all later times.
        self.slip_log, self.slip = self.slip_log + self.slip / float(carry.t), 0.0
        self.clock, self.handed_over, self.first = self.plan.late, True, None
        self.entry = self.entered(log_t)
        solver = self.solver_name if self.solver_name != "auto" else "kvaerno5"
        self.switches.append({"clock": self.clock.name, "solver": solver, "log_t": log_t})
        return True

    def leave(self) -> None:
        """Add up what the clock that ends has cost and seen."""
        if self.carry is not None:
            steps, rejected = int(self.carry.steps), int(self.carry.rejected)
            self.steps, self.rejected = self.steps + steps, self.rejected + rejected
            self.evaluations += (steps + rejected) * compiled_steps.evaluations(self.solver, self.field)
            self.rise = max(self.rise, float(self.carry.watch.rise))
            self.fall = max(self.fall, float(self.carry.watch.fall))
            self.kept += float(self.carry.watch.kept)
            if self.clock.name == "time":
                self.slip += float(self.carry.watch.slip)
            else:
                self.slip_log += float(self.carry.watch.slip)
            self.carry = None

    def clock_log(self, s: Any, z: Any) -> float:
        """Log t at a value of the clock."""
        if isinstance(self.clock, OrdinaryTime):
            return float(self.clock.log_times(np.asarray(s)))
        return float(self.observed(self.clock, s, z, ())[0]["log_t"])

    def place(self) -> str:
        """Where the run is, in its own clock's words."""
        log_t = self.clock_log(self.carry.t, self.carry.y) if self.clock.name == "time" and self.carry is not None else self.now
        return event_location.told(self.clock, log_t, 6)

    def collect(self, chunk: compiled_steps.Chunk) -> None:
        """Offer the accepted rows of a chunk to the store."""
        count = int(chunk.accepted)
        if not count:
            return
        times = np.asarray(chunk.times)[:count]
        log_t = self.clock.log_times(times) if isinstance(self.clock, OrdinaryTime) else times
        code = np.full(count, list(CLOCKS).index(self.clock.name), dtype=np.int8)
        leaves = [np.asarray(leaf)[:count] for leaf in [*(chunk.seen[name] for name in compiled_steps.SEEN), *jax.tree.leaves(chunk.rows)]]
        self.store.offer([log_t, code, *leaves])
        self.now = float(log_t[-1])
