"""Events land where they happen; every other end of a run has its own name and keeps what was computed."""

from importlib import import_module

import jax.numpy as jnp
import numpy as np
import pytest

from flowlab.core.errors import DataError, FlowlabError, LanguageError, ShapeMismatch, UnknownName
from flowlab.dynamics import conditions, integrate, log_loss_below, log_time, norm_above, separated, time, wall
from flowlab.dynamics.run import compiled_steps
from flowlab.language.data import Data
from flowlab.language.state import State

TIGHT = {"rtol": 1e-11, "atol": 1e-13}


@pytest.mark.parametrize("coordinates", ["weights", "polar"])
@pytest.mark.parametrize("event", ["separated", "log_loss_below", "norm_above"])
def test_an_event_is_hit_at_its_exact_time(field_of, data, start_at, coordinates, event):
    # w_1 = log(e^{-1} + 2t), w_2 = 1/2 and log L = log 2 - w_1 give each time in closed form.
    target = {"separated": 0.0, "log_loss_below": np.log(2.0) + 3.0, "norm_above": np.sqrt(4.0**2 - 0.25)}[event]
    condition = {"separated": separated(), "log_loss_below": log_loss_below(-3.0), "norm_above": norm_above(4.0)}[event]
    path = integrate(field_of(coordinates), start_at(-1.0), data, until=condition, **TIGHT)
    assert (path.outcome.kind, path.outcome.event) == ("event", event)
    assert path.outcome.ok
    when = (np.exp(target) - np.exp(-1.0)) / 2.0
    assert float(np.exp(path.dataset.log_t[-1])) == pytest.approx(when, rel=1e-9)
    end = path.dataset.isel(step=-1)
    gap = {
        "separated": float(end.min_margin),
        "log_loss_below": -3.0 - float(end.log_loss),
        "norm_above": float(end.log_R) - np.log(4.0),
    }[event]
    assert 0 <= gap + 1e-15 < 1e-9


@pytest.mark.long
def test_the_first_event_in_time_wins_whatever_the_order_of_the_list(field_of, data, start_at):
    # Wide steps: both levels are crossed within one of them.
    both = [log_loss_below(-2.001), log_loss_below(-2.0)]
    for events in (both, both[::-1]):
        path = integrate(field_of(), start_at(-1.0), data, until=events, rtol=1e-3, atol=1e-3)
        assert float(path.dataset.log_loss[-1]) == pytest.approx(-2.0, abs=1e-9)
    path = integrate(field_of(), start_at(-1.0), data, until=time(1e9), events=(norm_above(5.0), separated()))
    assert path.outcome.event == "separated"


def test_an_event_that_holds_already_ends_the_run_at_once(field_of, data, start_at):
    path = integrate(field_of(), start_at(1.0), data, until=separated())
    assert path.outcome.kind == "event"
    assert len(path) == 1
    assert path.stats["steps"] == 0


def test_step_limit_is_a_budget_and_keeps_the_last_state(field_of, data, start_at, monkeypatch):
    monkeypatch.setattr(import_module("flowlab.dynamics.run.setup"), "ROW_BYTES", 1)
    path = integrate(
        field_of("polar"), start_at(-1.0), data, until=log_time(500.0), max_steps=333, rtol=1e-11, atol=1e-13
    )
    assert path.outcome.kind == "budget"
    assert not path.outcome.ok
    assert path.stats["steps"] + path.stats["rejected"] == 333
    assert len(path) <= 5
    monkeypatch.undo()
    full = integrate(
        field_of("polar"), start_at(-1.0), data, until=log_time(500.0), max_steps=333, rtol=1e-11, atol=1e-13
    )
    assert len(full) == full.stats["steps"] + 1
    assert float(full.dataset.log_t[-1]) == float(path.dataset.log_t[-1])
    assert (np.diff(path.dataset.log_t.values) > 0).all()


def test_wall_limit_is_a_budget(field_of, data, start_at):
    for given in ({"until": [time(1e200), wall(0.0)]}, {"until": time(1e200), "wall_seconds": 0.0}):
        path = integrate(field_of(), start_at(-1.0), data, **given)
        assert path.outcome.kind == "budget"
        assert "wall" in path.outcome.message


def test_a_start_that_overflows_is_nonfinite(field_of, data, start_at):
    path = integrate(field_of(), start_at(-1e4), data, until=time(1.0))
    assert path.outcome.kind == "nonfinite"
    assert len(path) == 1


def test_a_rate_that_stops_being_finite_says_where(field_of, data, start_at):
    field = field_of(rule=lambda t, y, d: {"w": jnp.where(t < 0.5, 1.0, jnp.nan) * jnp.ones(2)})
    path = integrate(field, start_at(1.0), data, until=time(1.0))
    assert path.outcome.kind == "nonfinite"
    assert float(np.exp(path.dataset.log_t[-1])) == pytest.approx(0.5, rel=1e-9)
    assert np.isfinite(path.dataset["rho"].values).all()


def test_a_step_too_far_into_overflow_is_only_a_rejected_step(field_of, data, start_at):
    # e^{1000 (t - 1)} over one trial step overflows unless the step is cut.
    field = field_of(rule=lambda t, y, d: {"w": -1e3 * jnp.exp(jnp.minimum(y["w"] * 1e3, 1e5))})
    path = integrate(field, start_at(0.5, 0.5), data, until=time(1e-3))
    assert path.outcome.kind in ("done", "nonfinite", "stalled")
    assert np.isfinite(path.dataset["rho"].values).all()


def test_blow_up_in_finite_time_is_never_called_done(field_of, data, start_at):
    field = field_of(rule=lambda t, y, d: {"w": y["w"] ** 2})
    path = integrate(field, start_at(1.0, 0.5), data, until=time(2.0))
    assert path.outcome.kind in ("stalled", "nonfinite")
    assert float(np.exp(path.dataset.log_t[-1])) == pytest.approx(1.0, rel=1e-6)


def test_interrupt_keeps_everything_done(field_of, data, start_at, monkeypatch):
    field, calls, real = field_of(), [], compiled_steps.advance

    def advance(*args):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(compiled_steps, "advance", advance)
    path = integrate(field, start_at(-1.0), data, until=log_time(600.0), rtol=1e-11, atol=1e-13)
    assert path.outcome.kind == "budget"
    assert "interrupted" in path.outcome.message
    assert len(path) == path.stats["steps"] + 1 > 10


def test_progress_goes_to_stderr_and_changes_nothing(field_of, data, start_at, capsys):
    quiet = integrate(field_of(), start_at(-1.0), data, until=time(3.0))
    loud = integrate(field_of(), start_at(-1.0), data, until=time(3.0), progress=True)
    assert capsys.readouterr().out == ""
    assert (quiet.dataset["V_w"].values == loud.dataset["V_w"].values).all()


def test_bad_input_is_refused_before_anything_is_computed(field_of, data, start_at):
    field, start = field_of(), start_at(-1.0)
    bad = [
        (UnknownName, "tsit5", {"until": time(1.0), "solver": "tsit"}),
        (LanguageError, "rtol", {"until": time(1.0), "rtol": 0.0}),
        (LanguageError, "max_steps", {"until": time(1.0), "max_steps": 0}),
        (LanguageError, "until", {"until": []}),
        (LanguageError, "Condition", {"until": [3.0]}),
    ]
    for error, told, given in bad:
        with pytest.raises(error, match=told):
            integrate(field, start, data, **given)
    with pytest.raises(ShapeMismatch, match="per"):
        integrate(field, State.from_weights({"w": np.ones(2)}, per="network"), data, until=time(1.0))
    with pytest.raises(ShapeMismatch, match="v"):
        integrate(field, State.from_weights({"v": np.ones(2)}), data, until=time(1.0))
    with pytest.raises(ShapeMismatch, match="must have one size, got 2"):
        integrate(field, State.from_weights({"w": np.ones(3)}), data, until=time(1.0))
    with pytest.raises(DataError, match="labels"):
        integrate(field, start, Data(np.eye(2), np.array([0, 1])), until=time(1.0))


def test_conditions_refuse_what_they_cannot_mean():
    assert conditions.names() == (
        "log_loss",
        "log_loss_below",
        "log_norm",
        "log_time",
        "margin_gap",
        "norm_above",
        "separated",
        "time",
        "value_below",
        "wall",
    )
    for make in (
        lambda: time(0.0),
        lambda: time(float("nan")),
        lambda: log_time(float("inf")),
        lambda: norm_above(-1.0),
        lambda: log_loss_below("x"),
    ):
        with pytest.raises(FlowlabError):
            make()
