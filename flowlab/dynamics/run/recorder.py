"""Rows, checkpoints and costs of a run: the one part of it that changes as the run goes on, and that writes."""

import jax
import numpy as np

from flowlab.core.typing import Record
from flowlab.dynamics.clocks import CLOCKS
from flowlab.dynamics.kinks.cost import Effort
from flowlab.dynamics.run import compiled_steps, monitors
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.observations import RECORDED
from flowlab.dynamics.run.segment import Segment, now
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.wording import qualified
from flowlab.dynamics.storage.checkpoint import Ledger
from flowlab.dynamics.storage.row_buffer import Store
from flowlab.language.trajectory import Outcome, Trajectory


class Recorder:
    """What is kept of a run.

    Attributes:
        resumed: record and carry of the last chunk of an earlier session, or None.
        effort: what following kinks cost.
        compile_seconds: spent before the first step of each segment.
    """

    def __init__(self, setup: Setup, ledger: Ledger | None) -> None:
        self.setup, self.ledger = setup, ledger
        self.store = Store(setup.kept_rows, record=ledger is not None)
        self.effort, self.compile_seconds, self.events = Effort(), 0.0, 0
        if ledger is not None:
            ledger.replay(self.store)
        self.resumed = None if ledger is None else ledger.resumed

    def offer(self, segment: Segment, chunk: compiled_steps.Chunk) -> None:
        """Keep the accepted rows of a chunk."""
        count = int(chunk.accepted)
        if not count:
            return
        log_t = np.asarray(segment.log_times(np.asarray(chunk.times)[:count]))
        code = np.full(count, list(CLOCKS).index(segment.clock.name), dtype=np.int8)
        leaves = [*(chunk.observations[name] for name in RECORDED), *jax.tree.leaves(chunk.rows)]
        self.store.offer([log_t, code, *(np.asarray(leaf)[:count] for leaf in leaves)])

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
            self.store.fresh(), None if outcome is not None else cursor.carry, cursor.record(outcome, self.events)
        )
        self.events = 0 if cursor.kinks is None else len(cursor.kinks.events)

    def trajectory(self, cursor: Cursor, outcome: Outcome, settings: Record) -> Trajectory:
        """The trajectory of what is kept; its outcome names a monitor that fails."""
        setup, rows, tally = self.setup, self.rows(), cursor.tally
        problem, first = setup.field.problem, 2 + len(RECORDED)
        states = jax.tree.unflatten(jax.tree.structure(setup.start), rows[first:])
        seen = dict(zip(RECORDED, rows[2:first], strict=True))
        watched = monitors.monotone(problem, tally.rise, tally.fall, setup.rtol)
        watched = monitors.moved(watched, problem, seen["log_loss"], seen["log_R"], setup.data.n)
        watched |= monitors.put_right(tally.kept, setup.rtol)
        watched |= monitors.conserved(problem, getattr(setup.field, "laws", ()), states.rho, states.V, setup.rtol)
        if self.resumed is None or not self.resumed[0]["outcome"]:
            outcome = qualified(outcome, watched, setup.rtol, setup.atol)
            if self.ledger is not None and outcome.kind != "budget":
                self.checkpoint(cursor, outcome)
        kinks = cursor.kinks or setup.kinks
        stats = {
            "steps": tally.steps,
            "rejected": tally.rejected,
            "evaluations": tally.evaluations,
            "wall_seconds": round(now() - setup.began, 3),
            "compile_seconds": round(self.compile_seconds, 3),
            **({} if kinks is None else {"kinks": self.effort.summary()}),
        }
        clocks = np.array(list(CLOCKS))[rows[1]]
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
        )
