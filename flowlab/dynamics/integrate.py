"""`integrate`: from a vector field, a state and data to a trajectory.

A run that ends by log t = 30 stays in ordinary time. Any other one, of a loss with an exponential tail and without
weight decay, is handed over once every sample is on its right side, after one step where that holds from the start:
to the clock log R where the network is homogeneous and its norms grow, else to the loss-normalised clock (see
`flowlab.dynamics.clocks`), with implicit steps. The trajectory says which row belongs to which clock. Directions are
brought back to unit length after every accepted step, and the first stage of the next one is evaluated there, which
keeps the order of the solver. The result does not depend on how fast the machine is: it is the same to the last bit.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from os import PathLike
from typing import NamedTuple, TypedDict, Unpack, cast, overload

import equinox as eqx

from flowlab.core.arguments import expects, guarded, must_be
from flowlab.core.errors import LanguageError, UnknownName
from flowlab.core.memory import require_memory
from flowlab.core.precision import require_x64
from flowlab.core.registry import nearest
from flowlab.core.telling import chosen, telling
from flowlab.core.typing import Record
from flowlab.dynamics.batch.run import run_batch
from flowlab.dynamics.batch.starts import Lanes, checked_starts, lanes_of
from flowlab.dynamics.clocks import CLOCKS, late_clock_called
from flowlab.dynamics.conditions import Condition, Event, Wall
from flowlab.dynamics.kinks.cost import needed
from flowlab.dynamics.kinks.crossing_guard import degree
from flowlab.dynamics.kinks.event_log import Kinks
from flowlab.dynamics.kinks.pairs import Pairs
from flowlab.dynamics.kinks.tracker import Tracker
from flowlab.dynamics.run.loop import run
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.stopping_plan import Plan
from flowlab.dynamics.run.validation import check, fits, unit
from flowlab.dynamics.steppers.solvers import SOLVERS
from flowlab.dynamics.storage.checkpoint import Ledger, header
from flowlab.language.batches import asks_for_batch, of_run
from flowlab.language.data import Data
from flowlab.language.given_data import required
from flowlab.language.observables import Observables, Observers
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectories import Trajectories
from flowlab.language.trajectory import Trajectory
from flowlab.language.trajectory_table import weights_of
from flowlab.lowering.vector_field import VectorField


class Settings(TypedDict, total=False):
    """Arguments of `integrate` beside field, start, data and `until`, for functions that pass them on."""

    events: Event | Sequence[Event]
    solver: str
    clock: str
    kinks: str
    rtol: float
    atol: float
    max_steps: int
    wall_seconds: float | None
    progress: bool | str
    seed: int | None
    store: str | PathLike[str] | None
    observe: Observables | None


KINKS = ("events", "ignore")
MOST_PAIRS = 20_000
"""Pairs of a unit and a sample up to which a run follows kinks by default: a wide net on many samples
meets one at every step.
"""


@overload
def integrate(
    field: VectorField | eqx.Module,
    start: State,
    data: Data | None = None,
    *,
    until: Condition | Sequence[Condition],
    **settings: Unpack[Settings],
) -> Trajectory: ...


@overload
def integrate(
    field: VectorField | eqx.Module | Sequence[VectorField],
    start: State | Sequence[State],
    data: Data | Sequence[Data] | None = None,
    *,
    until: Condition | Sequence[Condition],
    **settings: Unpack[Settings],
) -> Trajectories: ...


@guarded
def integrate(
    field: VectorField | eqx.Module | Sequence[VectorField],
    start: State | Sequence[State],
    data: Data | Sequence[Data] | None = None,
    *,
    until: Condition | Sequence[Condition],
    events: Event | Sequence[Event] = (),
    solver: str = "auto",
    clock: str = "auto",
    kinks: str = "auto",
    rtol: float = 1e-8,
    atol: float = 1e-10,
    max_steps: int = 100_000,
    wall_seconds: float | None = None,
    progress: bool | str = False,
    seed: int | None = None,
    store: str | PathLike[str] | None = None,
    observe: Observables | None = None,
) -> Trajectory | Trajectories:
    """Integrate a flow with adaptive steps, in ordinary time and, where the horizon lies far, in late clocks.

    Args:
        field: what `lower` returns, or a module with its methods; of a batch one each, where `rates` or `decay` differ.
        start: the state at t = 0; several, or one with a leading axis over runs, as of `initial_state(…,
            seed=range(100))`, are a batch: one program, with a clock, step size, events and outcome for every run.
        data: samples, whose labels must suit the loss, constants, or nothing; of a batch also one for each run.
        until: where to stop: `time(t)`, `log_time(u)`, an event, or several of them; the first one ends the run.
        events: more events that end the run.
        solver: `"tsit5"`, `"dopri8"` (explicit), `"kvaerno5"`, `"rodas5p"` (implicit, for stiff flows), or `"auto"`:
            tsit5 in ordinary time until the flow turns stiff there (see `flowlab.dynamics.run.transitions`), kvaerno5
            from then on and in the late clocks; `path.provenance["switches"]` says when.
        clock: `"time"`, `"loss"` or `"norm"` keep to one clock from the start (the last two begin at t = 1e-6, or at
            1e-6/L where L is small already), `"auto"` switches.
        kinks: `"events"` follows every pre-activation across or along its kink, exactly; `"ignore"` steps over kinks
            and reads slopes off signs; `"auto"` is the former for up to 20,000 pairs of a unit and a sample, and the
            latter for blocks with different learning rates. See `flowlab.dynamics.kinks`.
        rtol: relative tolerance of the local error, in the integrated coordinates; in the late clocks, of norms,
            weights and softmax; and of small residuals where the loss is one of targets.
        atol: absolute tolerance of the local error.
        max_steps: limit on attempted steps; reaching it gives the outcome `"budget"`.
        wall_seconds: limit on wall-clock time, compilation included.
        progress: how far the run is, on stderr: `"bar"` (or True), `"plain"` or `"json"` lines, `"auto"` for a bar in a
            terminal or notebook and lines elsewhere, `"none"` (or False). What happens is logged under `flowlab` too.
        seed: recorded with the result, if the start was drawn from one.
        store: a folder that the run is written to on the way. A run of the same arguments that it holds is taken up,
            and ends bit for bit as if it had never been stopped; one that has ended is read back.
        observe: functions of the weights, such as `fl.held_out(problem, test)`; `path.observed` has their values.

    Returns:
        The trajectory up to where the run ended, of a batch the `Trajectories`; `outcome` says how. Numerical failure
        is an outcome, never an exception, and keeps what was computed. The outcome of an event has the error of its
        log t, and one whose monitors fail says so. Every accepted step is stored, thinned evenly to at most 2,000 rows
        and 256 MB (80 rows of 4·10^5 weights), and 2 GB for all runs of a batch. `monitors` says whether loss, smoothed
        margin and conserved quantities go as in theory.

    Raises:
        PrecisionTooLow, ShapeMismatch, DataError, UnknownName, LanguageError: for bad input, before any step.
        TooLarge: if the run, or following its kinks, does not fit into memory; with the bytes that it needs.
        OutputError: if `store` cannot be written, is damaged, or holds another run; what is there stays intact.

    Examples:
        >>> data, problem = fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1, -1]), fl.Problem("W2 @ relu(W1 @ x)")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(2.0), rtol=1e-6)
        >>> path.outcome.kind
        'done'
    """
    require_x64("integrate")
    _require_problems(field)
    named_clock(clock)
    named_kinks(kinks)
    name = named_solver(solver)
    ends, others = _conditions(until, events)
    settings = {"solver": solver, "clock": clock, "kinks": kinks, "rtol": rtol, "atol": atol, "seed": seed}
    how = chosen(progress)
    asked = _Asked(ends, others, wall_seconds, max_steps, how == "bar", observe, store)
    with telling(how):
        if asks_for_batch(start, field, data):
            return _batch(lanes_of(cast(VectorField, field), start, cast("Data", data)), asked, name, settings)
        return _single(cast(VectorField, field), cast(State, start), cast("Data | None", data), asked, name, settings)


def _require_problems(field: object) -> None:
    """Refuse what is no field of a problem, one or several."""
    for each in field if isinstance(field, list | tuple) else [field]:
        expects("field.problem", getattr(each, "problem", None), Problem, "a problem", "`fl.lower(fl.derive(problem))`")


class _Asked(NamedTuple):
    """What a run is asked for besides field, start, data and settings, as `integrate` has it."""

    ends: list[Condition]
    others: list[Event]
    wall_seconds: float | None
    max_steps: int
    progress: bool
    observe: Observables | None
    store: str | PathLike[str] | None


def _single(
    flow: VectorField, start: State, data: Data | None, asked: _Asked, solver: str, settings: Record
) -> Trajectory:
    """One run."""
    clock, rtol, atol = settings["clock"], settings["rtol"], settings["atol"]
    data = required(flow.problem, data)
    check(flow, start, data, rtol, atol, asked.max_steps)
    fits(start, data, dense=_dense(solver, clock))
    observers = Observers.of(asked.observe, weights_of(flow.problem, start))
    plan = Plan.of(flow, data, asked.ends, asked.others, asked.wall_seconds, clock)
    stored = [c for c in [*asked.ends, *asked.others] if not isinstance(c, Wall)]
    with (
        nullcontext()
        if asked.store is None
        else closing(Ledger(asked.store, header(flow, data, start, stored, settings)))
    ) as ledger:
        tracked = followed(flow, data, start, settings["kinks"])
        setup = Setup.of(flow, data, start, plan, solver, clock, rtol, atol, asked.max_steps, tracked)
        settings |= {"max_steps": asked.max_steps, "equations_signature": flow.signature}
        return run(setup, ledger, asked.progress, settings, observers)


def _dense(solver: str, clock: str) -> bool:
    """Whether steps factorise whole Jacobians whatever the size: in ordinary time those of a named implicit method do;
    "auto" does so for few unknowns only.
    """
    return late_clock_called(clock) is None and getattr(SOLVERS.get(solver), "dense", False)


def _batch(lanes: Lanes, asked: _Asked, solver: str, settings: Record) -> Trajectories:
    """All lanes, as `integrate` runs one."""
    clock, rtol, atol, began = settings["clock"], settings["rtol"], settings["atol"], time.monotonic()
    if asked.store is not None:
        raise LanguageError("`store` must be None for a batch, got a folder; store its runs one by one.")
    starts = checked_starts(lanes, rtol, atol, asked.max_steps)
    fits(starts[0], lanes.data[0], dense=_dense(solver, clock))
    plans: list[Plan] = []
    for i, (field, data) in enumerate(zip(lanes.fields, lanes.data, strict=True)):
        if i and lanes.shared == (True, True):
            plans.append(plans[0])
        else:
            with of_run(i):
                plans.append(Plan.of(field, data, asked.ends, asked.others, asked.wall_seconds, clock))
    setups: list[Setup] = []
    for field, data, start, plan in zip(lanes.fields, lanes.data, starts, plans, strict=True):
        # Lanes of one field follow kinks all, or none of them.
        none = bool(setups) and lanes.shared[0] and setups[0].kinks is None
        tracked = None if none else followed(field, data, start, settings["kinks"])
        told = solver, clock, rtol, atol, asked.max_steps
        setups.append(Setup(field, data, start, plan, *told, tracked, began, len(starts)))
    observers = Observers.of(asked.observe, weights_of(lanes.fields[0].problem, starts[0]))
    return run_batch(setups, lanes.shared, settings | {"max_steps": asked.max_steps}, observers, asked.progress)


def _conditions(
    until: Condition | Sequence[Condition], events: Event | Sequence[Event]
) -> tuple[list[Condition], list[Event]]:
    """Where to stop and which events end the run as well, each as a list."""
    if not isinstance(until, Condition | list | tuple):
        raise must_be("until", until, "a condition or a list of them", "for example `log_time(100.0)`")
    if not isinstance(events, Condition | list | tuple):
        raise must_be("events", events, "an event or a list of them", "for example `[separated()]`")
    return [until] if isinstance(until, Condition) else list(until), (
        [events] if isinstance(events, Condition) else list(events)
    )


def followed(field: VectorField, data: Data, start: State, kinks: str) -> Kinks | None:
    """The kinks of a run that is to follow them; None where there are none, or it is not."""
    if kinks == "events" and field.problem.moved_by_force:
        field.problem.require_plain('`kinks="events"`')
    if kinks == "events" and len(set(field.problem.rates.values())) > 1:
        raise LanguageError(
            '`kinks="events"` must be used with one learning rate, got several; use `kinks="ignore"`, or drop `rates`.'
        )
    # A subclass has a rate of its own, of which the modes know nothing; nor do they of blocks with different rates.
    if (
        kinks == "ignore"
        or len(set(field.problem.rates.values())) > 1
        or field.problem.moved_by_force
        or type(field) is not VectorField
        or not any(slot.tracked for slot in field.problem.network.slots)
    ):
        return None
    y = field.pack(unit(field, start))
    count = Pairs.of(field, data, y).count
    if kinks == "auto" and count > MOST_PAIRS:
        return None
    what = f"following {count} pairs of a unit and a sample across their kinks"
    require_memory(needed(count, degree(field.problem)), what, 'use fewer samples or units, or `kinks="ignore"`')
    return Kinks(Tracker(field.keeping(y), data, y))


def named_solver(name: str) -> str:
    """The name of a solver, if it is one; UnknownName else."""
    return _named("solver", name, SOLVERS)


def named_clock(name: str) -> str:
    """The name of a clock, if it is one; UnknownName else."""
    return _named("clock", name, CLOCKS)


def named_kinks(name: str) -> str:
    """A way to treat kinks, if it is one; UnknownName else."""
    return _named("kinks", name, KINKS)


def _named(what: str, name: str, known: Iterable[str]) -> str:
    known = ["auto", *known]
    if name not in known:
        guess = nearest(str(name), known)
        raise UnknownName(
            f"`{what}={name!r}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known: {', '.join(known)}."
        )
    return name
