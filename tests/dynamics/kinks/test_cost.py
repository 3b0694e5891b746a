"""A run with kinks says what takes its time, hears its limit inside them, and compiles each of its programs once."""

import logging

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core import memory
from flowlab.dynamics.integrate import followed
from flowlab.dynamics.kinks.cost import Effort, OutOfTime, needed
from flowlab.dynamics.kinks.crossing_guard import degree
from flowlab.dynamics.run.setup import Setup


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(7, 2))
    net, data = fl.Network("W2 @ relu(W1 @ x)"), fl.Data(x, np.sign(x[:, 0] * x[:, 1]))
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
    return (
        field,
        fl.State.from_weights({"W1": 0.5 * rng.normal(size=(4, 2)), "W2": 0.5 * rng.normal(size=(1, 4))}),
        data,
    )


@pytest.mark.slow
def test_the_limit_is_heard_inside_a_kink_and_what_took_the_time_is_said(made, monkeypatch, caplog):
    """One program for the step and one for a second look at it; then the limit passes between two looks."""
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        path = fl.integrate(*made, until=fl.time(3.0), solver="tsit5")
    assert path.outcome.kind == "done"
    met = len(np.unique(path.dataset["kink_log_t"].values))
    assert met >= 2
    compiled = [
        record.getMessage().split()[1] for record in caplog.records if record.getMessage().startswith("Compiling")
    ]
    assert [compiled.count(f"jit({name})") for name in ("advance", "look")] == [1, 1]
    told = path.stats["kinks"]
    assert told["met"] == met
    assert told["looked"] >= met
    assert told["at_kinks"] > 0 < told["compiling"]

    calls, tick = [], Setup.tick

    def late(run):
        calls.append(run)
        if len(calls) == told["looked"]:
            raise OutOfTime
        tick(run)

    monkeypatch.setattr(Setup, "tick", late)
    cut = fl.integrate(*made, until=[fl.time(3.0), fl.wall(1e4)], solver="tsit5")
    assert cut.outcome.kind == "budget"
    assert "the wall limit of 10000 s was reached at t = " in cut.outcome.message
    assert "of the time" in cut.outcome.message
    assert len(cut.outcome.message) <= 300
    # What is kept is the beginning of the whole run, and sides are those of what was met.
    count = len(cut) - 1
    np.testing.assert_array_equal(cut.dataset["log_t"].values[:count], path.dataset["log_t"].values[:count])
    sides = cut.dataset["pair_start"].values.copy()
    for pair, side in zip(*(cut.dataset[f"kink_{name}"].values for name in ("unit", "after")), strict=True):
        assert side in (-1, 0, 1)
        assert 0 <= pair < sides.size
    z = np.asarray(made[2].x) @ np.asarray(cut.last.weights()["W1"]).T
    last = cut.dataset["pair_last"].values.reshape(z.shape)
    assert (np.sign(z)[last != 0] == last[last != 0]).all()

    monkeypatch.setattr(Setup, "tick", tick)
    short = fl.integrate(*made, until=fl.time(3.0), solver="tsit5", max_steps=5)
    assert short.outcome.kind == "budget"
    assert "% of the time" in short.outcome.message


def test_the_largest_part_comes_first_and_a_remedy_only_where_kinks_are_slow():
    slow = Effort(looked=500, met=412, most=14, at_kinks=20.0, sliding=4.0, free=0.5).cause(1.0)
    assert slow.startswith(
        " (412 kinks met took 78% of the time, steps with up to 14 pairs sliding took 16% of the time; use fewer"
        " samples"
    )
    quick = Effort(looked=5, met=3, at_kinks=1.0, compiling=10.0, free=1.0).cause(20.0)
    assert quick == " (compilation took 94% of the time)"
    assert Effort().cause(0.0) == ""


def test_steps_are_counted_by_whether_pairs_slide():
    effort = Effort()
    effort.stepped(2.0, 0)
    effort.stepped(3.0, 4)
    effort.stepped(1.0, 2)
    assert (effort.free, effort.sliding, effort.most) == (2.0, 4.0, 4)


def test_what_does_not_fit_is_refused_with_its_bytes(monkeypatch):
    net, rng = fl.Network("W2 @ relu(W1 @ x)"), np.random.default_rng(0)
    data = fl.Data(rng.normal(size=(6, 3)), np.array([1.0, -1, 1, -1, 1, -1]))
    start = fl.initial_state(net, data, widths={"W1": 5}, seed=0)
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
    bytes_needed = needed(30, degree(field.problem))
    # Control: what fits exactly is followed.
    monkeypatch.setattr(memory, "machine_memory", lambda: bytes_needed)
    kinks = followed(field, data, start, "events")
    assert kinks is not None
    assert kinks.tracker.pairs.count == 30
    monkeypatch.setattr(memory, "machine_memory", lambda: bytes_needed - 1)
    with pytest.raises(fl.TooLarge, match=rf"30 pairs .* needs {memory.shown_bytes(bytes_needed)} .*kinks=\"ignore\""):
        followed(field, data, start, "events")
