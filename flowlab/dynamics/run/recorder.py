"""Rows, checkpoints and costs of a run: the one part of it that changes as the run goes on, and that writes."""

import jax
import numpy as np

from flowlab.core import compiling
from flowlab.core.typing import Record
from flowlab.dynamics.clocks import CLOCKS
from flowlab.dynamics.kinks.cost import Effort
from flowlab.dynamics.run import compiled_steps, monitors
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.observations import recorded
from flowlab.dynamics.run.segment import Segment, now
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.wording import qualified, stepped_over
from flowlab.dynamics.storage.checkpoint import Ledger
from flowlab.dynamics.storage.row_buffer import Store
from flowlab.language.observables import Observers
from flowlab.language.trajectory import Outcome, Trajectory


class Recorder:
    """What is kept of a run.

    Attributes:
        resumed: record and carry of the last chunk of an earlier session, or None.
        effort: what following kinks cost.
        compiling: seconds of compilation of this process before the run.
        ended: `now()` and the seconds of compilation at the end of the run, where its trajectory is made later.
    """

    def __init__(self, setup: Setup, ledger: Ledger | None) -> None:
        self.setup, self.ledger, self.recorded = setup, ledger, recorded(setup.field.problem)
        self.store = Store(setup.kept_rows, record=ledger is not None)
        self.effort, self.compiling, self.events = Effort(), compiling.seconds(), 0
        self.ended: tuple[float, float] | None = None
        if ledger is not None:
            ledger.replay(self.store)
        self.resumed = None if ledger is None else ledger.resumed
        # Checkpoints without a table number the clocks in their order.
        self.clocks = list(CLOCKS if self.resumed is None else self.resumed[0].get("clocks", CLOCKS))

    @property
    def compile_seconds(self) -> float:
        """Seconds of compilation so far, wherever in the run it was needed."""
        return compiling.seconds() - self.compiling if self.ended is None else self.ended[1]

    def end(self) -> None:
        """The run ends now, whenever its trajectory is made."""
        self.ended = now(), self.compile_seconds

    def offer(self, segment: Segment, chunk: compiled_steps.Chunk, log_t: np.ndarray | None = None) -> None:
        """Keep the accepted rows of a chunk; `log_t` are their times, where they are known."""
        count = int(chunk.accepted)
        if not count:
            return
        if log_t is None:
            log_t = np.asarray(segment.clock.log_times(np.asarray(chunk.times)[:count]))
        leaves = [*(chunk.observations[name] for name in self.recorded), *jax.tree.leaves(chunk.rows)]
        self.store.offer(
            [log_t, self._codes(segment.clock.name, count), *(np.asarray(leaf)[:count] for leaf in leaves)]
        )

    def keep(self, row: list[np.ndarray], lands: bool = False) -> None:
        """Keep a row that no chunk has kept; one that `lands` is the last, and no full step."""
        (self.store.land if lands else self.store.offer)([row[0], self._codes(str(row[1][0]), 1), *row[2:]])

    def _codes(self, clock: str, count: int) -> np.ndarray:
        """The number of a clock in the table of this run, so many times; checkpoints carry the table."""
        if clock not in self.clocks:
            self.clocks.append(clock)
        return np.full(count, self.clocks.index(clock), dtype=np.int8)

    def rows(self) -> list[np.ndarray]:
        """All rows so far."""
        return self.store.close().leaves

    def due(self, attempts: int) -> int | None:
        """Attempted steps at which the next checkpoint is due; None where there is none."""
        return None if self.ledger is None else Ledger.cut(attempts)

    def checkpoint(self, cursor: Cursor, outcome: Outcome | None = None) -> None:
        """Append the rows since the last checkpoint, and the cursor; it is on the disk when this returns."""
        assert self.ledger is not None
        self.ledger.write(
            self.store.fresh(),
            None if outcome is not None else cursor.carry,
            cursor.record(outcome, self.events) | {"clocks": self.clocks},
        )
        self.events = 0 if cursor.kinks is None else len(cursor.kinks.events)

    def trajectory(
        self, cursor: Cursor, outcome: Outcome, settings: Record, observe: Observers | None = None
    ) -> Trajectory:
        """The trajectory of what is kept; its outcome names a monitor that fails."""
        setup, rows, tally = self.setup, self.rows(), cursor.tally
        problem, first = setup.field.problem, 2 + len(self.recorded)
        states = jax.tree.unflatten(jax.tree.structure(setup.start), rows[first:])
        seen = dict(zip(self.recorded, rows[2:first], strict=True))
        rise = tally.rise
        if problem.loss.is_value:
            # Relative to the objective where it is largest, as the rise of a logarithm is.
            rise = rise / max(float(np.max(np.abs(seen["objective"]))), np.finfo(float).tiny)
        watched = monitors.monotone(problem, rise, tally.fall, setup.rtol)
        watched = monitors.moved(watched, problem, seen["log_loss"], seen["log_R"], setup.data.n)
        watched |= monitors.put_right(tally.kept, setup.rtol)
        laws = getattr(setup.field, "laws", ())
        watched |= monitors.conserved(problem, laws, states.rho, states.V, setup.rtol, rows[0], setup.data)
        if self.resumed is None or not self.resumed[0]["outcome"]:
            outcome = stepped_over(qualified(outcome, watched, setup.rtol, setup.atol), problem.network)
            if self.ledger is not None and outcome.kind != "budget":
                self.checkpoint(cursor, outcome)
        kinks = cursor.kinks or setup.kinks
        stats = {
            "steps": tally.steps,
            "rejected": tally.rejected,
            "evaluations": tally.evaluations,
            "wall_seconds": round((now() if self.ended is None else self.ended[0]) - setup.began, 3),
            "compile_seconds": round(self.compile_seconds, 3),
            **({} if kinks is None else {"kinks": self.effort.summary()}),
            **({"kinks": {"followed": False}} if problem.network.jumps else {}),
        }
        clocks = np.array(self.clocks)[rows[1]]
        variables = {"clock": (("step",), clocks, "clock the row was stepped in")} | (
            {} if kinks is None else kinks.variables()
        )
        extra = {"settings": settings, "switches": list(cursor.switches), "monitors": watched}
        return Trajectory.from_states(
            problem,
            setup.data,
            rows[0],
            states,
            outcome,
            stats,
            kind="flow",
            extra=extra,
            variables=variables,
            seen=seen,
            observe=observe,
        )
