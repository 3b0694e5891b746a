"""Batches: every lane of one compiled program is the run that its start would have on its own."""

from contextlib import contextmanager

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import FlowlabError, LanguageError, ShapeMismatch
from flowlab.dynamics import integrate, log_loss_below, log_time, time
from flowlab.dynamics.kinks import crossing_guard
from flowlab.dynamics.kinks.first_root import Root
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.steppers.solvers import SOLVERS
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectories import Trajectories
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive

TOLERANCES = {"rtol": 1e-6, "atol": 1e-8}


def cloud(seed: int = 0, n: int = 8) -> Data:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    x += 0.5 * np.sign(x[:, :1]) * np.array([1.0, 0.0])
    return Data(x, np.sign(x[:, 0]))


def net_of(text: str, **given: object):
    return lower(derive(Problem(text, loss="exponential", **given)))


@pytest.fixture(scope="module")
def smooth():
    return net_of("W2 @ tanh(W1 @ x)")


def start_of(field, data: Data, seed, width: int = 3) -> State:
    return initial_state(field.problem.network, data, widths={"W1": width}, seed=seed)


def assert_same(single: Trajectory, lane: Trajectory, far: float = 1e-7) -> None:
    """The same rows, steps and end; numbers to rounding, which step sizes carry at the size of the tolerance."""
    # Single runs cross plain kinks in their program, with fewer looks; of lanes all kinks are the host's.
    counts = ["steps", "rejected", *([] if "kink_log_t" in single.dataset else ["evaluations"])]
    assert {k: single.stats[k] for k in counts} == {k: lane.stats[k] for k in counts}
    assert (single.outcome.kind, single.outcome.event) == (lane.outcome.kind, lane.outcome.event)
    assert len(single) == len(lane)
    for name in ("log_loss", "rho", "min_margin", "log_R"):
        np.testing.assert_allclose(lane.dataset[name].values, single.dataset[name].values, rtol=far, atol=far)
    np.testing.assert_allclose(lane.dataset.log_t.values[1:], single.dataset.log_t.values[1:], rtol=far, atol=far)
    assert lane.dataset.clock.values.tolist() == single.dataset.clock.values.tolist()
    for one, other in zip(lane.provenance["switches"], single.provenance["switches"], strict=True):
        assert one["clock"] == other["clock"]
        assert one["solver"] == other["solver"]
    assert set(lane.monitors) == set(single.monitors)
    if "kink_log_t" in single.dataset:
        assert_same_kinks(single, lane)


def assert_same_kinks(single: Trajectory, lane: Trajectory) -> None:
    """The same kinks at the same times, each looked at because it was met."""
    for name in ("kink_slot", "kink_unit", "kink_sample", "kink_before", "kink_after", "pair_last"):
        assert lane.dataset[name].values.tolist() == single.dataset[name].values.tolist()
    for name in ("kink_log_t", "kink_rate_left", "kink_rate_right", "kink_multiplier"):
        np.testing.assert_allclose(lane.dataset[name].values, single.dataset[name].values, rtol=1e-10, atol=1e-10)
    assert [single.stats["kinks"][k] for k in ("looked", "met")] == [lane.stats["kinks"][k] for k in ("looked", "met")]


def compared(field, starts, data, **asked) -> Trajectories:
    """A batch, each lane of which is its single run."""
    paths = integrate(field, starts, data, **TOLERANCES, **asked)
    assert isinstance(paths, Trajectories)
    for i, lane in enumerate(paths):
        one_field = field[i] if isinstance(field, list) else field
        one_data = data[i] if isinstance(data, list) else data
        start = starts[i] if isinstance(starts, list) else jax.tree.map(lambda leaf, i=i: leaf[i], starts)
        assert_same(integrate(one_field, start, one_data, **TOLERANCES, **asked), lane)
    return paths


@pytest.mark.long
def test_lanes_in_ordinary_time_are_their_single_runs(smooth):
    data = cloud()
    paths = compared(smooth, start_of(smooth, data, range(3)), data, until=log_time(3.0))
    assert [path.outcome.kind for path in paths] == ["done"] * 3
    # Each with steps of its own.
    assert len({path.stats["steps"] for path in paths}) > 1


@pytest.mark.long
def test_another_batch_of_the_same_form_is_not_compiled_again(smooth, monkeypatch):
    data, traced = cloud(), []
    attempted = compiled_steps.attempted

    def counted(plan, chunk):
        traced.append(1)
        return attempted(plan, chunk)

    # Called by Python while a program is traced, and never after.
    monkeypatch.setattr(compiled_steps, "attempted", counted)
    seen = []
    for seeds in ([0, 1, 2, 3, 4], [7, 8, 9, 10, 11], [0, 1, 2, 3, 4, 5]):
        integrate(smooth, [start_of(smooth, data, seed) for seed in seeds], data, until=log_time(1.0), **TOLERANCES)
        seen.append(len(traced))
    assert seen[1] == seen[0]
    assert seen[2] > seen[1]


@pytest.mark.long
def test_lanes_go_on_in_the_late_clock_each_at_its_own_time(smooth):
    data = cloud()
    paths = compared(smooth, [start_of(smooth, data, seed) for seed in (0, 1)], data, until=log_time(60.0))
    handed = [path.provenance["switches"][0]["log_t"] for path in paths]
    assert handed[0] != handed[1]
    assert [float(path.dataset.log_t[-1]) for path in paths] == pytest.approx([60.0, 60.0])


@pytest.mark.long
def test_events_end_each_lane_at_its_own_place(smooth):
    data = cloud()
    paths = compared(smooth, start_of(smooth, data, range(3)), data, until=[log_loss_below(-1.0), log_time(9.0)])
    assert [path.outcome.event for path in paths] == ["log_loss_below"] * 3
    assert [float(path.dataset.log_loss[-1]) for path in paths] == pytest.approx([-1.0] * 3, abs=1e-9)
    assert len({float(path.dataset.log_t[-1]) for path in paths}) == 3


def test_every_lane_may_have_data_of_its_own(smooth):
    several = [cloud(seed) for seed in (0, 1)]
    compared(smooth, [start_of(smooth, several[0], 0)] * 2, several, until=log_time(1.0))
    # One start serves all data.
    paths = integrate(smooth, start_of(smooth, several[0], 0), several, until=log_time(1.0), **TOLERANCES)
    assert len(paths) == 2
    assert float(paths[0].dataset.log_loss[0]) != float(paths[1].dataset.log_loss[0])


@pytest.mark.long
def test_every_lane_may_have_learning_rates_of_its_own():
    fields = [net_of("W2 @ tanh(W1 @ x)", rates={"W1": eta}) for eta in (0.5, 2.0)]
    data = cloud()
    paths = compared(fields, [start_of(fields[0], data, 0)] * 2, data, until=log_time(1.0))
    assert [path.problem.rates["W1"] for path in paths] == [0.5, 2.0]


@contextmanager
def crossed_by_the_host():
    """Single runs leave all kinks to the host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossing_guard, "first_root", lambda *_: Root.none())
        jax.clear_caches()
        yield
    jax.clear_caches()


@pytest.mark.long
def test_kinks_are_followed_in_every_lane():
    field, data = net_of("W2 @ relu(W1 @ x)"), cloud(n=5)
    starts = [start_of(field, data, seed, 2) for seed in (0, 1)]
    paths = compared(field, starts, data, until=time(3.0))
    assert all(path.dataset.sizes["kink"] > 1 for path in paths)
    with crossed_by_the_host():
        for start, lane in zip(starts, paths, strict=True):
            single = integrate(field, start, data, until=time(3.0), **TOLERANCES)
            assert_same_kinks(single, lane)
            # Whether a kink needs one more look before its place is known to round-off is a matter of rounding.
            one_look = compiled_steps.evaluations(SOLVERS["tsit5"], field)
            apart = abs(lane.stats["evaluations"] - single.stats["evaluations"])
            assert apart <= one_look * lane.dataset.sizes["kink"]
            assert apart % one_look == 0


def test_a_lane_that_fails_takes_nothing_from_the_others(smooth):
    data = cloud()
    starts = [
        start_of(smooth, data, 0),
        State.from_weights({"W1": np.full((3, 2), 1e3), "W2": np.full((1, 3), -1e140)}),
    ]
    paths = integrate(smooth, starts, data, until=log_time(1.0), **TOLERANCES)
    assert [outcome.kind for outcome in paths.outcomes] == ["done", "nonfinite"]
    assert len(paths[0]) > 5
    assert len(paths[1]) == 1


def test_limits_count_for_every_lane(smooth):
    data = cloud()
    paths = compared(smooth, start_of(smooth, data, range(2)), data, until=log_time(3.0), max_steps=7)
    assert [outcome.kind for outcome in paths.outcomes] == ["budget"] * 2
    assert [path.stats["steps"] + path.stats["rejected"] for path in paths] == [7, 7]
    paths = integrate(smooth, start_of(smooth, data, range(2)), data, until=log_time(3.0), wall_seconds=0.0)
    assert all("wall limit" in outcome.message for outcome in paths.outcomes)


def test_starts_in_any_form_are_one_batch(smooth):
    data = cloud()
    stacked = start_of(smooth, data, range(2))
    several = [start_of(smooth, data, seed) for seed in range(2)]
    one, other = (integrate(smooth, each, data, until=log_time(1.0), **TOLERANCES) for each in (stacked, several))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.dataset.rho.values, b.dataset.rho.values)
    weights = {"W1": np.ones((2, 3, 2)), "W2": np.ones((2, 1, 3))}
    assert not np.array_equal(np.asarray(stacked.V["W1"]), weights["W1"])


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"start": []}, LanguageError, "`start` must have at least one entry, got an empty list"),
        ({"start": [0, 1], "widths": [3, 4]}, ShapeMismatch, "run 1"),
        ({"start": [0, 1], "data": "three"}, LanguageError, "`data` must have one entry per run, got 3"),
        ({"start": [0, 1], "data": "longer"}, ShapeMismatch, "`data` must have one form in all runs"),
        ({"start": [0, 1], "field": "scheme"}, LanguageError, "another scheme in run 1"),
        ({"start": [0, 1], "field": "rates"}, LanguageError, "same equations"),
        ({"start": [0, 1], "store": "folder"}, LanguageError, "`store` must be None for a batch"),
        ({"start": [0, 1], "norm": -1.0}, ShapeMismatch, "run 1 of the batch"),
    ],
)
def test_what_is_no_batch_is_refused_in_one_sentence(smooth, change, error, told, tmp_path):
    data = cloud()
    widths = change.get("widths", [3, 3])
    start = [start_of(smooth, data, seed, width) for seed, width in zip(change["start"], widths, strict=False)]
    if "norm" in change:
        start[1] = State(rho={**start[1].rho, "W1": np.asarray(change["norm"])}, V=start[1].V)
    given = {None: data, "three": [data] * 3, "longer": [data, cloud(n=9)]}[change.get("data")]
    others = {
        None: smooth,
        "scheme": [smooth, net_of("W2 @ tanh(W1 @ x)", scheme="lagrange")],
        "rates": [smooth, net_of("W2 @ tanh(W1 @ x)", rates={"W1": 0.5})],
    }
    store = tmp_path / "run" if "store" in change else None
    with pytest.raises(error) as caught:
        integrate(others[change.get("field")], start, given, until=log_time(1.0), store=store)
    assert told in str(caught.value)
    assert isinstance(caught.value, FlowlabError)
    assert str(caught.value).count(". ") == 0
