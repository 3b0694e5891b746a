"""Twelve faults put into a run on purpose, and the typed outcome of each; never a NaN in what is kept, never an
exception.
"""

from importlib import import_module

import jax.numpy as jnp
import numpy as np
import pytest

from flowlab.dynamics import integrate, log_norm, time, wall

host = import_module("flowlab.dynamics.run.loop")


def rule(of):
    """A rate of w_1 alone."""
    return lambda t, y, data: {"w": jnp.stack([of(t, y["w"][0]), jnp.zeros(())])}


NAN_LATER = rule(lambda t, w: jnp.where(t > 1.0, jnp.nan, 1.0))
FAULTS = {
    "a rate that is nan from some time on": (NAN_LATER, {}, "nonfinite"),
    "a rate that is infinite beyond some state": (rule(lambda _, w: jnp.where(w > 2.0, jnp.inf, 1.0)), {}, "nonfinite"),
    "a rate that is nan at the start": (rule(lambda _, w: jnp.nan * w), {}, "nonfinite"),
    "a rate that is infinite at the start": (rule(lambda _, w: jnp.inf + w), {}, "nonfinite"),
    "a loss that is infinite at the start": (None, {"start": -1e4}, "nonfinite"),
    "a solution that ends in finite time": (rule(lambda _, w: 1.0 + w * w), {}, "stalled"),
    "a root that is reached with infinite speed": (rule(lambda _, w: -1.0 / w), {}, "stalled"),
    "a rate that jumps to and fro": (rule(lambda _, w: jnp.where(w < 1.5, 1.0, -1.0)), {"max_steps": 3_000}, "budget"),
    "a stiff flow with an explicit method": (
        rule(lambda _, w: -1e7 * (w - 1.5)),
        {"max_steps": 2_000, "solver": "tsit5"},
        "budget",
    ),
    "no rate at all": (rule(lambda _, w: 0.0 * w), {}, "stalled"),
    "rest short of what is waited for": (
        rule(lambda _, w: -(w - 0.5)),
        {"until": log_norm(5.0), "solver": "kvaerno5"},
        "stalled",
    ),
    "a wall that is too near": (
        rule(lambda _, w: -1e7 * (w - 1.5)),
        {"solver": "tsit5", "until": [time(1e9), wall(0.2)], "max_steps": 10**9},
        "budget",
    ),
}


def test_there_are_twelve():
    assert len(FAULTS) == 12


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_an_outcome(field_of, data, start_at, name):
    of, given, kind = FAULTS[name]
    given = dict(given)
    path = integrate(
        field_of("weights", of), start_at(given.pop("start", 1.0)), data, until=given.pop("until", time(50.0)), **given
    )
    assert path.outcome.kind == kind, path.outcome
    assert not path.outcome.ok
    assert path.outcome.message.endswith(".")
    assert len(path) >= 1
    for variable in ("rho", "V_w"):
        assert np.isfinite(path.dataset[variable].values).all()


def test_without_a_fault_the_run_is_done(field_of, data, start_at):
    assert integrate(field_of("weights"), start_at(1.0), data, until=time(50.0)).outcome.kind == "done"


def test_an_interrupt_is_an_outcome_too(field_of, data, start_at, monkeypatch):
    real, count = host.compiled_steps.advance, []

    def interrupted(*args):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(host.compiled_steps, "advance", interrupted)
    monkeypatch.setattr(import_module("flowlab.dynamics.run.segment"), "_COMPILED", set())
    path = integrate(field_of("weights"), start_at(1.0), data, until=time(50.0))
    assert (path.outcome.kind, path.outcome.message.split(" ")[0]) == ("budget", "interrupted")
