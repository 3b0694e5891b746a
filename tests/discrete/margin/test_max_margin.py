"""Largest margins of networks, and how far weights are from them (L6, L7, L8, P18)."""

from itertools import pairwise

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError, NotHomogeneous, NotSeparable, RunFailed
from flowlab.discrete.margin.svm import hard_margin

TWO = fl.Data(np.array([[1.0, 0.25], [-1.0, 0.25]]), np.ones(2), kind="binary")


def separable(n, d, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.2 * np.outer(y, w) / np.linalg.norm(w), y)


def test_two_samples_have_a_best_margin_and_a_worse_one():
    """P18: KKT is not minimum norm; and L7: the least ½‖θ‖² is ½ g^(-2/K)."""
    best = fl.max_margin("W2 @ relu(W1 @ x)", TWO, widths={"W1": 2}, starts=16)
    assert best.joint_margin == pytest.approx(0.25769, abs=1e-5)
    assert [p.joint_margin for p in best.others] == pytest.approx([1 / 8], abs=1e-12)
    square = sum(float((w**2).sum()) for w in best.weights.values())
    assert square / 2 == pytest.approx(0.5 / best.joint_margin, rel=1e-12)
    assert best.certificate.residual <= 1e-12
    assert not best.is_global
    beside = fl.State.from_weights({"W1": np.array([[0.05, 1.0], [0.1, -1.0]]), "W2": np.array([[1.0, 1.0]])})
    assert fl.max_margin("W2 @ relu(W1 @ x)", TWO, near=beside).joint_margin == pytest.approx(1 / 8, abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_linear_networks_of_any_depth_have_the_margin_of_the_machine(seed):
    data = separable(9, 3, seed)
    machine = fl.max_margin("W1 @ x", data)
    assert machine.is_global
    assert machine.certificate.holds(np.asarray(data.x), np.asarray(data.y))
    deep = fl.max_margin("W2 @ W1 @ x", data, widths={"W1": 2}, starts=2, seed=seed)
    assert deep.margin == pytest.approx(machine.margin, rel=1e-10)
    assert deep.joint_margin == pytest.approx(machine.margin / 2, rel=1e-10)
    assert deep.support == machine.support
    assert deep.multipliers == pytest.approx(machine.multipliers, abs=1e-8)


def test_the_direction_solves_the_machine_of_its_own_tangent_features():
    """L8: at a KKT point θ is, up to scale, the hard-margin machine on the features ∂f(θ)/∂θ; a direction beside it is
    not.
    """
    data = separable(8, 3, 5)
    problem = fl.Problem("W2 @ relu(W1 @ x)**2")
    best = fl.max_margin(problem, data, widths={"W1": 3}, starts=4)

    def apart(theta):
        step, shapes = 1e-6, {k: v.shape for k, v in best.weights.items()}

        def f(t):
            split = np.split(t, np.cumsum([int(np.prod(s)) for s in shapes.values()])[:-1])
            return problem.network.outputs(
                {k: v.reshape(s) for (k, s), v in zip(shapes.items(), split, strict=True)}, np.asarray(data.x), np
            )[:, 0]

        features = np.stack(
            [(f(theta + step * e) - f(theta - step * e)) / (2 * step) for e in np.eye(len(theta))], axis=1
        )
        w = hard_margin(features, np.asarray(data.y)).w
        return float(np.linalg.norm(w / np.linalg.norm(w) - theta / np.linalg.norm(theta)))

    theta = np.concatenate([v.ravel() for v in best.weights.values()])
    assert apart(theta) < 1e-6
    assert apart(theta + 0.05 * np.random.default_rng(0).normal(size=len(theta))) > 1e-3


def test_classes_have_one_constraint_for_each_wrong_class():
    rng = np.random.default_rng(3)
    centres = 3.0 * rng.normal(size=(3, 4))
    y = np.arange(12) % 3
    data = fl.Data(centres[y] + 0.3 * rng.normal(size=(12, 4)), y)
    best = fl.max_margin("W1 @ x", data)
    W = best.weights["W1"]
    outputs = np.asarray(data.x) @ W.T
    margins = np.array([outputs[n, y[n]] - np.delete(outputs[n], y[n]).max() for n in range(12)])
    assert margins.min() == pytest.approx(1.0, abs=1e-12)
    assert best.margin == pytest.approx(1 / np.linalg.norm(W), rel=1e-12)
    assert all(isinstance(pair, tuple) for pair in best.support)


@pytest.mark.long
def test_the_residual_of_a_flow_falls_like_one_over_the_logarithm_of_time():
    """L6: ε decays at least like the distance to the limit, 1/log t; at the limit itself it is round-off, and beside it
    it is not.
    """
    data = separable(8, 3, 6)
    problem = fl.Problem("W2 @ W1 @ x", coordinates="weights")
    start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
    field = fl.lower(fl.derive(problem))
    seen = [
        fl.lyu_li(problem, fl.integrate(field, start, data, until=fl.log_time(t)).last, data) for t in (1e2, 1e3, 1e4)
    ]
    for a, b in pairwise(seen):
        assert b.epsilon < 0.4 * a.epsilon
        assert b.delta < 0.4 * a.delta
    best = fl.max_margin(problem, data, near=fl.integrate(field, start, data, until=fl.log_time(1e3)).last)
    assert fl.lyu_li(problem, fl.State.from_weights(best.weights), data).epsilon < 1e-12


@pytest.mark.parametrize("seed", [1, 3])
def test_a_kink_is_given_any_slope_between(seed):
    """At the maximum samples rest on kinks of units; a state beside it, where slopes are one-sided, leaves
    a residual.
    """
    rng = np.random.default_rng(seed)
    data = fl.Data(rng.normal(size=(8, 3)), rng.choice([-1.0, 1.0], size=8))
    best = fl.max_margin("W2 @ relu(W1 @ x)", data, widths={"W1": 4}, starts=3)
    assert best.certificate.kinks
    assert fl.lyu_li("W2 @ relu(W1 @ x)", fl.State.from_weights(best.weights), data).epsilon < 1e-12
    aside = {k: w + 1e-6 * rng.normal(size=w.shape) for k, w in best.weights.items()}
    assert fl.lyu_li("W2 @ relu(W1 @ x)", fl.State.from_weights(aside), data).epsilon > 1e-3


class TestRefusals:
    def test_what_cannot_be_separated(self):
        data = fl.load("iris:versicolor")
        with pytest.raises(NotSeparable) as caught:
            fl.max_margin("W1 @ x", data)
        assert caught.value.certificate.holds(np.asarray(data.x), np.asarray(data.y))

    def test_a_network_that_does_not_scale(self):
        with pytest.raises(NotHomogeneous):
            fl.max_margin("W2 @ tanh(W1 @ x)", TWO, widths={"W1": 2})

    @pytest.mark.parametrize("starts", [0, -1, 2.0, True])
    def test_starts(self, starts):
        with pytest.raises(LanguageError, match="starts"):
            fl.max_margin("W1 @ x", TWO, starts=starts)

    def test_a_network_that_is_too_narrow(self):
        x = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
        with pytest.raises(RunFailed, match="wider"):
            fl.max_margin("W2 @ relu(W1 @ x)", fl.Data(x, np.array([1.0, 1.0, -1.0, -1.0])), widths={"W1": 1}, starts=2)

    def test_a_state_that_does_not_separate(self):
        state = fl.State.from_weights({"W1": -np.ones((1, 2))})
        with pytest.raises(RunFailed, match="margin"):
            fl.lyu_li("W1 @ x", state, fl.Data(np.array([[1.0, 1.0]]), np.ones(1), kind="binary"))
