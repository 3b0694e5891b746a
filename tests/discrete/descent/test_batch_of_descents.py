"""Descents from many starts as one program: each is the descent from its start."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.discrete import descend
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectories import Trajectories


@pytest.fixture(scope="module")
def cloud() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    return Data(x, np.where(x[:, 0] > 0, 1.0, -1.0))


def start_of(problem: Problem, data: Data, seed) -> State:
    return initial_state(problem.network, data, widths={"W1": 4}, seed=seed)


@pytest.mark.parametrize(
    ("loss", "asked"),
    [
        ("logistic", {}),
        ("exponential", {"loss_scaled": True}),
        ("logistic", {"momentum": 0.9, "nesterov": True}),
        ("logistic", {"batch": 4, "seed": 3}),
        ("logistic", {"rule": "geodesic"}),
        ("logistic", {"rule": "optimistic"}),
    ],
)
def test_lanes_are_their_single_descents(cloud, loss, asked):
    problem = Problem("W2 @ relu(W1 @ x)", loss=loss)
    starts = [start_of(problem, cloud, seed) for seed in (0, 1)]
    walks = descend(problem, starts, cloud, step=1e-2, count=5, **asked)
    assert isinstance(walks, Trajectories)
    for start, lane in zip(starts, walks, strict=True):
        single = descend(problem, start, cloud, step=1e-2, count=5, **asked)
        assert single.stats["steps"] == lane.stats["steps"] == 5
        assert str(single.outcome) == str(lane.outcome)
        for name in ("log_t", "log_loss", "rho", "V_W1"):
            np.testing.assert_allclose(lane.dataset[name].values, single.dataset[name].values, rtol=1e-12, atol=1e-14)
        assert lane.provenance["settings"] == single.provenance["settings"]


def test_every_lane_may_have_a_step_and_a_seed_of_its_own(cloud):
    problem = Problem("W2 @ relu(W1 @ x)", loss="logistic")
    start, steps, seeds = start_of(problem, cloud, 0), [1e-2, 1e-3], [5, 6]
    walks = descend(problem, start, cloud, step=steps, count=4, batch=3, seed=seeds)
    for step, seed, lane in zip(steps, seeds, walks, strict=True):
        single = descend(problem, start, cloud, step=step, count=4, batch=3, seed=seed)
        np.testing.assert_allclose(lane.dataset.rho.values, single.dataset.rho.values, rtol=1e-13)
        assert (lane.provenance["settings"]["step"], lane.provenance["settings"]["seed"]) == (step, seed)


def test_a_lane_that_diverges_keeps_what_it_had_and_harms_no_other(cloud):
    problem = Problem("W2 @ relu(W1 @ x)**2", loss="square")
    start = start_of(problem, Data(np.asarray(cloud.x), np.asarray(cloud.x)[:, 0] + 0.5), 0)
    data = Data(np.asarray(cloud.x), np.asarray(cloud.x)[:, 0] + 0.5)
    walks = descend(problem, start, data, step=[1e-3, 1e3], count=30)
    assert [outcome.kind for outcome in walks.outcomes] == ["done", "nonfinite"]
    single = descend(problem, start, data, step=1e3, count=30)
    assert walks[1].stats["steps"] == single.stats["steps"] < 30
    assert len(walks[1]) == len(single)
    assert str(walks[1].outcome) == str(single.outcome)
    assert len(walks[0]) == 31


def test_what_is_no_batch_is_refused(cloud):
    problem = Problem("W2 @ relu(W1 @ x)", loss="logistic")
    start = start_of(problem, cloud, 0)
    with pytest.raises(LanguageError, match="`step` must have one entry per run, got 3 beside 2 of `start`"):
        descend(problem, [start, start], cloud, step=[1e-2, 1e-3, 1e-4], count=2)
    with pytest.raises(LanguageError, match="run 1 of the batch: `step"):
        descend(problem, start, cloud, step=[1e-2, -1.0], count=2)
    wide = initial_state(problem.network, cloud, widths={"W1": 5}, seed=0)
    with pytest.raises(ShapeMismatch, match="`start` must have one form in all runs of a batch"):
        descend(problem, [start, wide], cloud, step=1e-2, count=2)
    with pytest.raises(LanguageError, match="`start` must have at least one entry"):
        descend(problem, [], cloud, step=1e-2, count=2)
