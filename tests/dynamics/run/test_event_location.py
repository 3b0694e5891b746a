"""The place of an event is right to what is claimed for it, and outcomes say what their run's own monitors found."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics import residuals
from flowlab.dynamics.run import compiled_steps, wording
from flowlab.dynamics.run.clock_switch import Separation, Vanished
from flowlab.dynamics.run.event_location import located
from flowlab.language.losses import losses
from flowlab.language.trajectory import Outcome

SLACK = 1e-12


def fitted(text="w @ x", coordinates="weights", **settings):
    return fl.lower(fl.derive(fl.Problem(text, "square", coordinates=coordinates, **settings)))


@pytest.fixture(scope="module")
def line():
    """(w - 1)²/2: the residual falls like e^-t, so log L = log(1/2) - 2t from w = 0 on; on a second, faster feature
    nothing is left to fit.
    """
    data = fl.Data([[1.0, 0.0], [0.0, 3.0]], [1.0, 0.0], kind="targets")
    return fitted(), fl.State.from_weights({"w": np.array([1e-12, 0.5])}), data


def residual_time(level):
    """Where (1 - 1e-12)² e^-2t/2 + (3/2)² e^-18t/2 has a level; the second part is gone by then."""
    return 0.5 * (np.log(0.5) - level)


@pytest.mark.long
@pytest.mark.parametrize("level", [-20.0, -40.0, -55.0])
def test_a_level_far_below_the_tolerances_squared_is_met_where_it_is(line, level):
    path = fl.integrate(*line, until=[fl.log_loss_below(level), fl.time(1e3)], solver="tsit5")
    found = float(np.exp(path.dataset.log_t[-1]))
    assert path.outcome.event == "log_loss_below"
    assert found == pytest.approx(residual_time(level), rel=1e-6 if level > -50 else 1e-4)
    assert abs(np.log(found / residual_time(level))) <= path.outcome.error + SLACK
    told = re.search(r"t = ([0-9.]+) ± ([0-9.e+-]+)", path.outcome.message)
    assert abs(float(told[1]) - residual_time(level)) <= 1.1 * float(told[2].rstrip(".")) + 10 ** -len(
        told[1].split(".")[1]
    )
    assert path.monitors["loss"]["holds"]


@pytest.mark.slow
def test_without_control_of_the_residual_the_level_is_missed_and_the_outcome_says_so(line, monkeypatch):
    """Control: with `has_residual` off the steps are those of weights alone."""
    import jax

    monkeypatch.setattr(losses["square"], "has_residual", False)
    jax.clear_caches()
    loose = {"rtol": 1e-4, "atol": 1e-5}
    path = fl.integrate(*line, until=[fl.log_loss_below(-40.0), fl.time(60.0)], solver="tsit5", **loose)
    monkeypatch.undo()
    jax.clear_caches()
    found = float(np.exp(path.dataset.log_t[-1]))
    assert abs(found / residual_time(-40.0) - 1) > 1e-3
    assert "use `rtol=" in path.outcome.message
    right = fl.integrate(*line, until=[fl.log_loss_below(-40.0), fl.time(60.0)], solver="tsit5", **loose)
    assert abs(np.log(float(np.exp(right.dataset.log_t[-1])) / residual_time(-40.0))) <= right.outcome.error < 1e-2


def test_an_outcome_tells_of_the_monitor_that_fails_most():
    fine = {"loss": {"worst": 1e-9, "bound": 1e-6, "holds": True, "what": "largest rise"}}
    off = {
        "balance": {"worst": 1e-4, "bound": 1e-6, "holds": False, "what": "drift of a"},
        "loss": {"worst": 0.5, "bound": 1e-6, "holds": False, "what": "rise of b"},
    }
    done = Outcome("done", "reached t = 1.")
    assert wording.qualified(done, fine, 1e-8, 1e-10) is done
    told = wording.qualified(done, off, 1e-8, 1e-10)
    assert told.kind == "done"
    assert told.message.startswith(
        "reached t = 1, but the monitor of loss fails: rise of b is 5.0e-01, above 1e-06; use `rtol="
    )
    assert len(told.message) <= 300
    stopped = replace(done, kind="budget")
    assert wording.qualified(stopped, off, 1e-8, 1e-10) is stopped
    nothing = {"loss": {"worst": float("nan"), "bound": 1e-6, "holds": False, "what": "rise of b"}}
    assert "nan" in wording.qualified(done, nothing, 1e-8, 1e-10).message


def test_round_off_of_a_difference_is_seen():
    """W² - U² cancels to 1e-3 of its parts, and is known the worse for it."""
    data = fl.Data([[1.0, 2.0, 0.5]], [0.0], kind="targets")
    made = fitted("(w*w - u*u) @ x")
    near, far = ({"w": np.full(3, size + 1e-3), "u": np.full(3, size)} for size in (1.0, 1e4))
    small, large = (float(residuals.noise(made, y, data)) for y in (near, far))
    assert 1e7 < large / small < 1e9
    assert 1e-15 < small < 1e-13


@pytest.mark.slow
@pytest.mark.parametrize("coordinates", ["weights", "polar"])
@pytest.mark.parametrize("solver", ["auto", "tsit5", "dopri8", "kvaerno5", "rodas5p"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_every_solver_meets_levels_where_a_tight_run_does(solver, coordinates, reduction):
    from scipy.integrate import solve_ivp

    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 6))
    y = x @ np.array([1.0, -1.0, 0.5, 0, 0, 0]) + 0.3 * rng.normal(size=4)
    data, share = fl.Data(x, y), 4 if reduction == "mean" else 1
    made = fitted("(w*w - u*u) @ x", coordinates, reduction=reduction)
    start = fl.State.from_weights({"w": np.full(6, 0.1), "u": np.full(6, 0.1)})

    def rate(_, q):
        w, u = q.reshape(2, 6)
        g = x.T @ (x @ (w * w - u * u) - y) / share
        return np.r_[-2 * w * g, 2 * u * g]

    def log_loss(q):
        w, u = q.reshape(2, 6)
        return np.log(0.5 * np.sum((x @ (w * w - u * u) - y) ** 2) / share)

    levels = (-10.0, -30.0, -40.0)
    events = [lambda t, q, c=c: log_loss(q) - c for c in levels]
    truth = solve_ivp(
        rate, (0, 1000.0), np.full(12, 0.1), method="DOP853", rtol=1e-13, atol=1e-17, events=events
    ).t_events
    for level, at in zip(levels, truth, strict=True):
        path = fl.integrate(made, start, data, until=[fl.log_loss_below(level), fl.time(1e4)], solver=solver)
        assert path.outcome.event == "log_loss_below", path.outcome
        off = abs(float(path.dataset.log_t[-1]) - np.log(at[0]))
        assert off < 1e-6
        assert off <= path.outcome.error
        assert all(seen["holds"] for seen in path.monitors.values())


@pytest.mark.parametrize("places", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_an_event_at_the_very_end_of_a_step_is_told_by_its_own_place(monkeypatch, places):
    """Where no part of the step shows it, what had happened at its end counts; the hand-over may stand anywhere."""
    own = [fl.norm_above(10.0), Separation(), Vanished()]
    watched, fired = [own[i] for i in places], np.array([i == 2 for i in places])
    monkeypatch.setattr(compiled_steps, "restep", lambda *args: (1.0, -np.ones(2)))
    carry = SimpleNamespace(t=np.asarray(1.0), y=2.0)
    chunk = SimpleNamespace(before_t=np.asarray(0.0), before_y=1.0, before_state=None, carry=carry, fired=fired)
    setup = SimpleNamespace(tolerance=(1e-8, 1e-10))
    segment = SimpleNamespace(watched=watched, setup=setup, args=(), evaluations=1, log_t=lambda s, y: 0.0)
    assert located(segment, chunk).event is own[2]
