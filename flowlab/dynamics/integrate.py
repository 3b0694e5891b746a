"""`integrate`: from a vector field, a state and data to a trajectory.

A run that ends by log t = 30 stays in ordinary time. Any other one, of a loss with an exponential tail and without
weight decay, is handed over once every sample is on its right side, after one step where that holds from the start:
to the clock log R where the network is homogeneous and its norms grow, else to the loss-normalised clock (see
`flowlab.dynamics.clocks`), with implicit steps. The trajectory says which row belongs to which clock. Directions are
brought back to unit length after every accepted step, and the first stage of the next one is evaluated there, which
keeps the order of the solver. The result does not depend on how fast the machine is: it is the same to the last bit.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from os import PathLike
from typing import TypedDict, cast

import equinox as eqx

from flowlab.core.arguments import expects, guarded, must_be
from flowlab.core.errors import OutputError, UnknownName
from flowlab.core.precision import require_x64
from flowlab.core.registry import nearest
from flowlab.dynamics.clocks import CLOCKS
from flowlab.dynamics.conditions import Condition, Event, Wall
from flowlab.dynamics.kinks.event_log import Kinks
from flowlab.dynamics.kinks.tracker import Tracker
from flowlab.dynamics.run.loop import run
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.run.stopping_plan import Plan
from flowlab.dynamics.run.validation import check, fits, unit
from flowlab.dynamics.steppers.solvers import SOLVERS
from flowlab.dynamics.storage.checkpoint import Ledger, header
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory
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
    progress: bool
    seed: int | None
    store: str | PathLike[str] | None


KINKS = ("events", "ignore")
MOST_PAIRS = 20_000
"""Pairs of a unit and a sample up to which a run follows kinks by default: a wide net on many samples
meets one at every step.
"""

_FIELD = "a vector field such as `fl.lower(fl.derive(problem))`"


@guarded
def integrate(
    field: VectorField | eqx.Module,
    start: State,
    data: Data,
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
    progress: bool = False,
    seed: int | None = None,
    store: str | PathLike[str] | None = None,
) -> Trajectory:
    """Integrate a flow with adaptive steps, in ordinary time and, where the horizon lies far, in late clocks.

    Args:
        field: what `lower` returns, or a module with its methods.
        start: the state at t = 0.
        data: samples; their labels must suit the loss.
        until: where to stop: `time(t)`, `log_time(u)`, an event, or several of them; the first one ends the run.
        events: more events that end the run.
        solver: `"tsit5"`, `"dopri8"` (explicit), `"kvaerno5"`, `"rodas5p"` (implicit, for stiff flows), or `"auto"`:
            tsit5 in ordinary time until the flow turns stiff there (see `flowlab.dynamics.run.transitions`), kvaerno5
            from then on and in the late clocks; `path.provenance["switches"]` says when.
        clock: `"time"`, `"loss"` or `"norm"` keep to one clock from the start (the last two begin at t = 1e-6, or at
            1e-6/L where L is small already), `"auto"` switches.
        kinks: `"events"` follows every pre-activation across or along its kink, exactly; `"ignore"` steps over kinks
            and reads slopes off signs; `"auto"` is the former for up to 20,000 pairs of a unit and a sample. See
            `flowlab.dynamics.kinks`.
        rtol: relative tolerance of the local error, in the integrated coordinates; in the late clocks, of norms,
            weights and softmax; and of small residuals where the loss is one of targets.
        atol: absolute tolerance of the local error.
        max_steps: limit on attempted steps; reaching it gives the outcome `"budget"`.
        wall_seconds: limit on wall-clock time, compilation included.
        progress: show a progress bar on stderr.
        seed: recorded with the result, if the start was drawn from one.
        store: a folder that the run is written to on the way, chunk by chunk (see `flowlab.dynamics.storage.archive`).
            If it holds a run that was started with the same arguments, that one is taken up, and ends bit for bit as if
            it had never been stopped; one that has ended is read back.

    Returns:
        The trajectory up to where the run ended; `outcome` says how. Numerical failure is an outcome, never an
        exception, and keeps what was computed. The outcome of an event has the error of its log t, and one whose
        monitors fail says so. Every accepted step is stored, thinned to at most 2,000 rows. `monitors` says whether
        loss, smoothed margin and conserved quantities went as the theory says.

    Raises:
        PrecisionTooLow, ShapeMismatch, DataError, UnknownName, LanguageError: for bad input, before anything is
            computed.
        TooLarge: if the run does not fit into memory.
        OutputError: if `store` cannot be written, is damaged, or holds another run; what is written there stays intact.
    """
    require_x64("integrate")
    expects("field", field, eqx.Module, _FIELD)
    expects("field.problem", getattr(field, "problem", None), Problem, _FIELD)
    flow = cast(VectorField, field)
    named_clock(clock)
    named_kinks(kinks)
    name = named_solver(solver)
    ends, others = _conditions(until, events)
    if store is not None and not isinstance(store, str | PathLike):
        raise must_be("store", store, "a path", "that of a folder", OutputError)
    check(flow, start, data, rtol, atol, max_steps)
    # In ordinary time a named implicit method factorises whole Jacobians; "auto" does so for few unknowns only.
    fits(start, data, dense=clock in ("auto", "time") and getattr(SOLVERS.get(name), "dense", False))
    plan = Plan.of(flow, data, ends, others, wall_seconds, clock)
    settings = {"solver": solver, "clock": clock, "kinks": kinks, "rtol": rtol, "atol": atol, "seed": seed}
    stored = [c for c in [*ends, *others] if not isinstance(c, Wall)]
    with (
        nullcontext() if store is None else closing(Ledger(store, header(flow, data, start, stored, settings)))
    ) as ledger:
        tracked = followed(flow, data, start, kinks)
        setup = Setup.of(flow, data, start, plan, name, clock, rtol, atol, max_steps, tracked)
        return run(setup, ledger, progress, settings | {"max_steps": max_steps, "equations_signature": flow.signature})


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
    # A subclass has a rate of its own, of which the modes know nothing.
    if (
        kinks == "ignore"
        or type(field) is not VectorField
        or not any(slot.tracked for slot in field.problem.network.slots)
    ):
        return None
    y = field.pack(unit(field, start))
    found = Kinks(Tracker(field.keeping(y), data, y))
    return found if kinks == "events" or found.tracker.pairs.count <= MOST_PAIRS else None


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
