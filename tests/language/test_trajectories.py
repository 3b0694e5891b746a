"""The result of a batch: runs one by one, padded rows, rows on common times."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import FlowlabError, LanguageError
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, batch_of, initial_state, is_batch
from flowlab.language.trajectories import Trajectories
from flowlab.language.trajectory import Outcome, Trajectory

DATA = Data(np.array([[1.0, 0.0], [-1.0, 0.5]]), np.array([1.0, -1.0]))


def run_of(log_t: list[float], kind: str = "done") -> Trajectory:
    """A run of f = w x whose norm is log t + 10 at every row, and 5 at the start."""
    times = np.array([-np.inf, *log_t])
    rho = np.where(np.isfinite(times), times + 10.0, 5.0)
    states = State(rho={"w": rho}, V={"w": np.tile([1.0, 0.0], (len(times), 1))})
    stats = {"steps": len(log_t), "rejected": 1, "evaluations": 7, "wall_seconds": 0.5}
    return Trajectory.from_states(Problem("w @ x"), DATA, times, states, Outcome(kind, "so."), stats, kind="flow")


@pytest.fixture
def paths() -> Trajectories:
    made = [lambda: run_of([0.0, 1.0, 4.0]), lambda: run_of([0.5, 2.0], "stalled")]
    return Trajectories(made)


def test_runs_are_made_once_and_when_asked_for():
    asked = []

    def make() -> Trajectory:
        asked.append(1)
        return run_of([0.0])

    paths = Trajectories([make] * 3)
    assert not asked
    assert paths[1] is paths[1] is paths[-2]
    assert len(asked) == 1
    assert paths[1:][0] is paths[1]
    with pytest.raises(IndexError):
        paths[3]


def test_outcomes_last_states_and_sums(paths):
    assert [outcome.kind for outcome in paths.outcomes] == ["done", "stalled"]
    assert np.asarray(paths.last.rho["w"]).tolist() == [14.0, 12.0]
    assert is_batch(paths.last)
    assert (paths.stats["runs"], paths.stats["steps"], paths.stats["evaluations"]) == (2, 5, 14)
    assert repr(paths) == "Trajectories(2 runs: 1 done, 1 stalled)"


def test_rows_are_padded_over_run_and_step(paths):
    table = paths.dataset
    assert dict(table.sizes) == {"run": 2, "step": 4, "block": 1, "w_0": 2}
    assert table.rows.values.tolist() == [4, 3]
    assert np.isnan(table.rho.values[1, 3]).all()
    assert table.outcome.values.tolist() == ["done", "stalled"]
    np.testing.assert_array_equal(table.rho.values[0, :, 0], paths[0].dataset.rho.values[:, 0])


def test_rows_on_common_times_are_linear_between_stored_ones(paths):
    table = paths.resampled([0.25, 1.5, 3.0])
    assert dict(table.sizes) == {"run": 2, "log_t": 3, "block": 1, "w_0": 2}
    np.testing.assert_allclose(table.rho.values[0, :, 0], [10.25, 11.5, 13.0])
    # Within the first step a run is linear in t; beyond its end it has nothing.
    np.testing.assert_allclose(table.rho.values[1, :2, 0], [5.0 + 5.5 * np.exp(-0.25), 11.5])
    assert np.isnan(table.rho.values[1, 2])
    grid = paths.resampled(8).log_t.values
    assert (grid[0], grid[-1], len(grid)) == (0.5, 4.0, 8)


@pytest.mark.parametrize("grid", [[1.0, 1.0], [2.0, 1.0], [], [[0.0, 1.0]], 1])
def test_times_that_do_not_grow_are_refused(paths, grid):
    with pytest.raises(FlowlabError, match="log_t"):
        paths.resampled(grid)


def test_seeds_give_a_state_with_an_axis_over_runs():
    net = Problem("W2 @ tanh(W1 @ x)").network
    for per in ("layer", "neuron", "network"):
        several = initial_state(net, DATA, widths={"W1": 3}, seed=range(4), per=per)
        one = initial_state(net, DATA, widths={"W1": 3}, seed=2, per=per)
        assert is_batch(several)
        assert not is_batch(one)
        assert is_batch(batch_of([one, one]))
        for a, b in zip(jax.tree.leaves(several), jax.tree.leaves(one), strict=True):
            assert np.array_equal(np.asarray(a)[2], np.asarray(b))
    with pytest.raises(LanguageError, match="`seed"):
        initial_state(net, DATA, widths={"W1": 3}, seed=[])
