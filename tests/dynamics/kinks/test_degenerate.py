"""Kinks that coincide, rest or hang on one another: opposite, equal and orthogonal samples, also in deeper layers."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl

TWO, THREE = "W2 @ relu(W1 @ x)", "W3 @ relu(W2 @ relu(W1 @ x))"


def run(weights, x, y, until, text=TWO, coordinates="weights"):
    state = (
        weights
        if isinstance(weights, fl.State)
        else fl.State.from_weights({k: np.array(v, dtype=float) for k, v in weights.items()})
    )
    data = fl.Data(np.array(x, dtype=float), np.array(y, dtype=float))
    problem = fl.Problem(text, coordinates=coordinates)
    return fl.integrate(fl.lower(fl.derive(problem)), state, data, until=fl.time(until)), problem, state, data


def off(path, problem, state, data, step, until):
    walk = fl.descend(problem, state, data, step=step, count=round(until / step))
    theirs = walk.last.weights()
    return max(float(np.abs(np.asarray(w) - np.asarray(theirs[k])).max()) for k, w in path.last.weights().items())


@pytest.mark.long
@pytest.mark.parametrize("coordinates", ["weights", pytest.param("polar", marks=pytest.mark.slow)])
def test_the_kinks_of_opposite_samples_are_one_and_cancel(coordinates):
    """The slopes of x and -x jump by opposite amounts on one hyperplane, so the unit just crosses it."""
    given = {"W1": [[-0.3, 0.4]], "W2": [[0.7]]}, [[1, 0], [-1, 0], [0, 1], [0.3, -1]], [1, -1, 1, -1], 1.0
    path, *made = run(*given, coordinates=coordinates)
    assert path.outcome.kind == "done"
    assert not (path.dataset["kink_after"].values == 0).any()
    assert off(path, *made, 1e-4, 1.0) < 1e-3


@pytest.mark.long
def test_equal_samples_of_both_labels_have_one_kink():
    """Their pulls add up on it: one attracts less than the other two repel, so that the unit slides, with one
    multiplier for all.
    """
    path, *made = run({"W1": [[-0.1, 0.9]], "W2": [[0.7]]}, [[1, 0], [1, 0], [1, 0], [0.5, 1]], [-1, -1, 1, 1], 2.0)
    assert path.outcome.kind == "done"
    assert path.dataset["pair_last"].values.tolist() == [0, 0, 0, 1]
    assert len(set(path.dataset["kink_multiplier"].values.tolist())) == 1
    assert off(path, *made, 1e-4, 2.0) < 1e-3


@pytest.mark.long
def test_equal_samples_take_one_side():
    path, *_ = run({"W1": [[-0.1, 0.9]], "W2": [[0.7]]}, [[1, 0], [1, 0], [0.5, 1]], [-1, -1, 1], 2.0)
    assert path.dataset["pair_last"].values.tolist() == [0, 0, 1]


@pytest.mark.long
def test_a_unit_that_rests_on_a_kink_is_watched():
    """Of orthogonal samples none moves a unit that another one has switched off; when its outgoing weight turns, the
    kink it rests on repels.
    """
    path, *_ = run({"W1": [[0.02, 2.0, -1.0]], "W2": [[0.4]]}, np.eye(3), [-1, -1, 1], 3.0)
    assert path.outcome.kind == "nonunique"
    assert "begins to repel" in path.outcome.message
    assert abs(float(path.last.weights()["W2"][0, 0])) < 1e-9


@pytest.mark.long
def test_samples_of_zeros_have_no_side():
    path, *made = run(
        {"W1": [[-0.3, 0.4], [0.2, 0.5]], "W2": [[0.7, -0.4]]},
        [[0, 0], [-1, 0.2], [0.1, 1], [0.3, -1]],
        [1, -1, 1, -1],
        1.0,
    )
    assert path.outcome.kind == "done"
    assert off(path, *made, 1e-4, 1.0) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_equal_samples_in_deeper_layers(seed):
    """Their kinks in the second layer are one, whatever the first layer does; samples that nothing passes on wake up on
    the right side.
    """
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 3)), np.sign(rng.normal(size=8))
    y[:2] = 1, -1
    x[6] = x[1]
    start = fl.initial_state(fl.Network(THREE), fl.Data(x, y), widths={"W1": 4, "W2": 3}, seed=seed)
    path, *made = run(start, x, y, 1.0, THREE)
    assert path.outcome.kind == "done"
    assert (path.dataset["kink_slot"].values == 1).any()
    far, near = (off(path, *made, step, 1.0) for step in (1e-3, 1e-4))
    assert near < 0.3 * far
    assert near < 2e-3
