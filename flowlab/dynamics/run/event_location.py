"""Where a run ends: the place of a horizon or an event, and the sentence that tells it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.dynamics.clocks import Clock, OrdinaryTime
from flowlab.dynamics.conditions import LONGEST_LOG_TIME, Event
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.clock_switch import Reached, Separation, Vanished, vanished
from flowlab.dynamics.run.stopping_plan import Plan
from flowlab.dynamics.run.validation import FINEST
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome

if TYPE_CHECKING:
    from flowlab.dynamics.run.loop import Run

_ENDLESS = 1e300
"""Where ordinary time ends that has no horizon."""

_CARRIED = 1e-3
"""Relative error of a place up to which it is told without advice."""
_FINEST_ABSOLUTE = 1e-18
"""Weights are of order one, and known to 1e-16."""
_ORDINARY = 200.0
"""Logarithm of norms beyond which they, and not the samples, are taken for the reason."""
_TINY = 650.0
"""Products of norms below e^-650 leave no room for features and slopes above the smallest float64, e^-708."""
_SAME = 1e-12
"""Relative difference of two values of log t that are one."""


def end_of(clock: Clock, plan: Plan, leaving: bool) -> float:
    """The value of a clock at which steps end: that of the horizon where the clock knows it."""
    if not isinstance(clock, OrdinaryTime):
        return _ENDLESS
    if clock.log_unit is not None:
        return clock.value(plan.log_end) if math.isfinite(plan.log_end) else _ENDLESS
    return _ENDLESS if leaving else plan.t_end


def told(clock: Clock, log_t: float, digits: int) -> str:
    """A time in the words of a clock."""
    if clock.name == "time" and log_t <= LONGEST_LOG_TIME:
        return f"t = {math.exp(log_t):.{digits}g}"
    return f"log t = {log_t:.{digits}g}"


def ended(run: "Run", chunk: compiled_steps.Chunk, s_end: float) -> Outcome | None:
    """The outcome, if this chunk ended the run."""
    status = int(chunk.carry.status)
    if status == compiled_steps.FIRED:
        if not any(f and not isinstance(e, Separation) for e, f in zip(run.watched, np.asarray(chunk.fired), strict=True)):
            return None
        event, log_t = locate(run, chunk)
        if isinstance(event, Reached):
            return Outcome("done", f"reached {run.plan.horizon}.")
        if isinstance(event, Vanished):
            return Outcome("stalled", vanished(run.field.problem, run.state, told(run.clock, log_t, 12)))
        where, error = placed(run, log_t)
        return Outcome("event", f"{event.name} at {where}.", event.name, error)
    if status == compiled_steps.NONFINITE:
        return Outcome("nonfinite", f"the rate stopped being finite beyond {run.place()}; the states up to there are kept.")
    if status == compiled_steps.STALLED:
        return Outcome("stalled", f"the step size fell below the resolution of time at {run.place()}; a kink or a stiff phase needs another method.")
    if float(chunk.carry.t) < s_end:
        return None
    rows = run.store.close().leaves
    if isinstance(run.clock, OrdinaryTime) and run.clock.log_unit is not None and s_end < _ENDLESS:
        if run.now < run.plan.log_end - _SAME * abs(run.plan.log_end):
            # The horizon is so near, against the time that the flow takes, that float64 has no place for it: the state there is the present one.
            land(run, run.plan.log_end, chunk.carry.t, chunk.carry.y)
        return Outcome("done", f"reached {run.plan.horizon}.")
    return run.plan.ran_out(rows[0], rows[2 + len(compiled_steps.SEEN) :])


def placed(run: "Run", log_t: float) -> tuple[str, float]:
    """The place of an event in words, with its error; and the error of log t."""
    assert run.carry is not None
    s, slip = float(run.carry.t), float(run.carry.watch.slip)
    error = (run.slip + slip) / s if run.clock.name == "time" else run.slip_log + slip
    plain = run.clock.name == "time" and log_t <= LONGEST_LOG_TIME
    # Of t itself the relative error is that of log t.
    part, off = (error, error * math.exp(log_t)) if plain else (error / max(1.0, abs(log_t)), error)
    if not 0 < part < math.inf:
        return told(run.clock, log_t, 12), error
    where = f"{told(run.clock, log_t, min(12, max(2, math.ceil(-math.log10(part)) + 1)))} ± {off:.0e}"
    if part <= _CARRIED:
        return where, error
    blur = float(run.observed(run.clock, run.carry.t, run.carry.y, ())[0].get("blur", 0.0))
    if blur > _CARRIED:
        return f"{where}: the loss there is round-off, and no tolerance tells the place better", error
    return f"{where}: these tolerances do not tell the place better; use `{tighter(run.rtol, run.atol, 0.1 * _CARRIED / part)}`", error


def beyond(state: State) -> str:
    """What to do where a rate is not finite: the norm furthest from one says which way."""
    logs = {k: np.log(np.asarray(r)[np.asarray(r) > 0]) for k, r in state.rho.items()}
    far = {k: float(v[np.argmax(np.abs(v))]) for k, v in logs.items() if v.size}
    name = max(far, key=lambda k: abs(far[k]), default=None)
    if name is not None and far[name] < -_ORDINARY:
        return f"the norm of {name} is {math.exp(far[name]):.3g}, and rates of directions are divided by it; start from larger weights"
    return "start from smaller weights, or rescale the features"


def still(problem: Problem, state: State, seen: Mapping[str, Any]) -> str:
    """Why nothing moves, and what to do."""
    norms = np.concatenate([np.ravel(r) for r in state.rho.values()])
    if float(seen["log_loss"]) == -math.inf:
        return "the loss is zero; there is nothing to follow from here"
    if not norms.any():
        return "all weights are zero, which is a critical point; start from other weights"
    symmetry = problem.network.symmetry
    if -math.inf < float(seen["log_R"]) < -_TINY and (symmetry.is_multihomogeneous or symmetry.joint_degree is not None):
        return f"the product of norms is e^{float(seen['log_R']):.4g}, too small for float64; start from larger weights"
    return "dead units, or features that are zero or too small for float64; start from other weights or rescale the features"


def tighter(rtol: float, atol: float, factor: float) -> str:
    """Tolerances smaller by a factor, down to a power of ten that float64 can hold steps to."""
    smaller = [10.0 ** math.floor(math.log10(tolerance * factor)) for tolerance in (rtol, atol)]
    return f"rtol={max(smaller[0], 10 * FINEST):.0e}, atol={max(smaller[1], _FINEST_ABSOLUTE):.0e}"


def qualified(outcome: Outcome, watched: Mapping[str, Mapping[str, Any]], rtol: float, atol: float) -> Outcome:
    """An outcome whose sentence tells of the monitor that is furthest beyond its bound, if one is."""
    off = {name: seen["worst"] / seen["bound"] for name, seen in watched.items() if not seen["holds"]}
    if not outcome.ok or not off:
        return outcome
    name = max(off, key=lambda k: math.inf if math.isnan(off[k]) else off[k])
    factor = 1.0 / off[name] if 0 < off[name] < math.inf else _CARRIED
    seen = watched[name]
    why = f"{seen['what']} is {seen['worst']:.1e}, above {seen['bound']:.0e}"
    return replace(outcome, message=f"{outcome.message.rstrip('.')}, but the monitor of {name} fails: {why}; use `{tighter(rtol, atol, factor)}`.")


def locate(run: "Run", chunk: compiled_steps.Chunk) -> tuple[Event, float]:
    """Find the first crossing inside the last step by re-stepping from its start, and land on it."""
    t0, y0 = chunk.before_t, chunk.before_y
    span = float(chunk.carry.t) - float(t0)
    low, high, before, best = 0.0, 1.0, chunk.before_y, chunk.carry.y
    # The hand-over has no place of its own; what else is watched may lie before it in the same step.
    events = tuple(e for e in run.watched if not isinstance(e, Separation))
    fired = [i for i, over in enumerate(np.asarray(chunk.fired)[: len(events)]) if over]
    args = (run.solver, run.clock, run.field, run.data)
    # Bisection on "has any event happened": the earliest crossing wins, in order of time and not of the list.
    while (high - low) * span > max(1e-12 * span, 2.0 * math.ulp(float(t0))):
        middle = 0.5 * (low + high)
        y, values = compiled_steps.restep(*args, t0, np.asarray(middle * span), y0, *run.tolerance, events, chunk.before_state)
        run.evaluations += compiled_steps.evaluations(run.solver, run.field) + 1
        over = [i for i, value in enumerate(np.asarray(values)) if value > 0]
        if over:
            high, best, fired = middle, y, over
        else:
            low, before = middle, y
    if isinstance(events[fired[0]], Vanished):
        # Beyond it no state has a meaning.
        high, best = low, before
    s, run.state = np.asarray(float(t0) + high * span), run.state_of(best)
    log_t = run.clock_log(s, best)
    land(run, log_t, s, best)
    return events[fired[0]], log_t


def land(run: "Run", log_t: float, s: Any, z: Any) -> None:
    """End on a row that is no full step, if it is ahead of those that are."""
    if log_t > run.now:
        seen, _ = run.observed(run.clock, s, z, ())
        run.store.land(run.row(log_t, run.clock, run.state_of(z), seen))
        run.now = log_t
