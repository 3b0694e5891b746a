"""The witness: descent by autodiff alone."""

from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import DataError, LanguageError, ShapeMismatch, UnknownName
from flowlab.discrete import descend, rules
from flowlab.discrete.descent import gradient_walk
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state

module = import_module("flowlab.discrete.descent.walks")


@pytest.fixture
def pair() -> Data:
    return Data(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, -1.0]))


@pytest.fixture
def cloud() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    return Data(x, np.where(x[:, 0] > 0, 1.0, -1.0))


def _net(cloud: Data, **given: object) -> tuple[Problem, State]:
    problem = Problem("W2 @ relu(W1 @ x)", **given)
    return problem, initial_state(problem.network, cloud, widths={"W1": 4}, seed=0)


def test_a_step_is_the_gradient_of_the_objective(cloud):
    problem, start = _net(cloud, loss="logistic", decay=0.1)
    walk = descend(problem, start, cloud, step=0.01, count=1)
    gradient = jax.grad(lambda w: problem.objective(w, cloud, jnp))(start.weights())
    for name, w in start.weights().items():
        assert np.allclose(walk.last.weights()[name], w - 0.01 * gradient[name], rtol=1e-13, atol=1e-14)
        at = list(problem.network.weights).index(name)
        assert walk.dataset["grad_sq"].values[0, at] == pytest.approx(float(jnp.sum(gradient[name] ** 2)), rel=1e-12)


def test_descent_tends_to_the_flow_at_first_order(pair):
    start, errors = State.from_weights({"w": np.array([-1.0, 0.5])}), []
    for step in (0.01, 0.005, 0.0025):
        walk = descend(Problem("w @ x"), start, pair, step=step, count=round(1 / step))
        errors.append(abs(float(walk.last.weights()["w"][0]) - np.log(np.exp(-1.0) + 2.0)))
        assert float(walk.dataset.log_t[-1]) == pytest.approx(0.0, abs=1e-12)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.05)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("rule", [r for r in rules if not rules[r].on_weights])
def test_unit_norm_rules_tend_to_the_lagrange_flow(cloud, rule):
    problem, start = _net(cloud, scheme="lagrange")
    h = 1e-6
    walk = descend(problem, start, cloud, step=h, count=1, rule=rule)
    W = start.weights()
    g = jax.grad(lambda w: problem.objective(w, cloud, jnp))(W)
    for k in W:
        u, pull = np.asarray(start.V[k]), -np.asarray(g[k])
        tangent = float(start.rho[k]) * (pull - (u * pull).sum() * u)
        assert np.allclose((np.asarray(walk.last.V[k]) - u) / h, tangent, atol=1e-3)
        assert (float(walk.last.rho[k]) - float(start.rho[k])) / h == pytest.approx((u * pull).sum(), abs=1e-3)


@pytest.mark.parametrize("rule", [r for r in rules if rules[r].keeps_norm and not rules[r].on_weights])
def test_directions_stay_on_the_sphere_and_norms_can_be_frozen(cloud, rule):
    problem, start = _net(cloud)
    walk = descend(problem, start, cloud, step=1e-3, count=200, rule=rule, freeze_norm=True)
    for k, V in start.V.items():
        axes = tuple(range(1, V.ndim + 1))
        assert np.abs(np.sqrt((walk.dataset[f"V_{k}"].values ** 2).sum(axis=axes)) - 1).max() < 1e-13
    assert (walk.dataset["rho"].values == walk.dataset["rho"].values[0]).all()


@pytest.mark.parametrize("every", [1, 7])
def test_squared_norms_change_by_exactly_the_squared_steps(cloud, every):
    problem, start = _net(cloud)
    walk = descend(problem, start, cloud, step=1e-3, count=50, record_every=every)
    squares = walk.dataset["rho"].sel(block=list(problem.network.weights)).values ** 2
    sums = walk.dataset["step_sq"].values
    change = squares - squares[0]
    assert np.abs(change[:, 0] - change[:, 1] - (sums[:, 0] - sums[:, 1])).max() < 1e-13
    assert abs(sums[-1, 0] - sums[-1, 1]) > 1e-6
    if every == 1:
        assert np.allclose(np.diff(sums, axis=0), 1e-6 * walk.dataset["grad_sq"].values[:-1], rtol=1e-8)


def test_loss_scaled_steps_go_on_where_the_loss_has_underflowed(pair):
    start = State.from_weights({"w": np.array([-1.0, 0.5])})
    walk = descend(Problem("w @ x"), start, pair, step=0.01, count=200_000, loss_scaled=True)
    end = walk.dataset.isel(step=-1)
    # Each step adds η: |∂ log L/∂w_1| = 1, so w_1 = -1 + η k and t is a geometric sum of η e^{w_1}/2.
    assert float(end.log_loss) == pytest.approx(np.log(2.0) - 1999.0, abs=1e-8)
    expected = np.log(0.01 / 2.0) + 1999.0 + np.log((1 - np.exp(-2000.0)) / (np.exp(0.01) - 1.0))
    assert float(end.log_t) == pytest.approx(expected, abs=1e-8)
    assert walk.outcome.kind == "done"


def test_divergence_is_nonfinite_and_keeps_what_was_finite(pair):
    walk = descend(
        Problem("w @ x", loss="square"),
        State.from_weights({"w": np.array([0.3, 0.5])}),
        pair,
        step=3.0,
        count=5000,
        record_every=10,
    )
    assert walk.outcome.kind == "nonfinite"
    assert np.isfinite(walk.dataset["rho"].values).all()
    assert walk.stats["steps"] == 10 * (len(walk) - 1)


def test_interrupt_keeps_everything_done(cloud, monkeypatch):
    problem, start = _net(cloud)
    calls, real = [], module.walk

    def interrupted(*args):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, "walk", interrupted)
    walk = descend(problem, start, cloud, step=1e-3, count=1000)
    assert walk.outcome.kind == "budget"
    assert len(walk) == walk.stats["steps"] + 1 == 129


def test_what_is_recorded_changes_no_bit_of_what_is_done(cloud):
    problem, start = _net(cloud)
    whole = descend(problem, start, cloud, step=1e-3, count=130)
    for every in (3, 64, 130, 500):
        part = descend(problem, start, cloud, step=1e-3, count=130, record_every=every)
        assert len(part) == 1 + -(-130 // every)
        for k in whole.last.V:
            assert (np.asarray(part.last.V[k]) == np.asarray(whole.last.V[k])).all()
        assert part.stats["steps"] == 130


def test_one_compilation_serves_all_counts_steps_and_data(cloud, monkeypatch):
    problem, start = _net(cloud, loss="logistic", reduction="mean")
    traced, real = [], gradient_walk._objective
    monkeypatch.setattr(gradient_walk, "_objective", lambda *args: traced.append(1) or real(*args))
    descend(problem, start, cloud, step=1e-3, count=100)
    seen = len(traced)
    assert seen > 0
    for count, step in ((3, 1e-2), (64, 0.1), (201, 1e-4)):
        descend(problem, start, cloud, step=step, count=count, record_every=2)
    descend(problem, start, Data(2 * np.asarray(cloud.x), np.asarray(cloud.y)), step=1e-3, count=10)
    assert len(traced) == seen


def test_bad_input_is_refused(cloud):
    problem, start = _net(cloud)
    bad = [
        (UnknownName, "geodesic", {"rule": "geodesics"}),
        (LanguageError, "`step` must be", {"step": 0.0}),
        (LanguageError, "`count` must be", {"count": 0}),
        (LanguageError, "`record_every` must be", {"record_every": 0}),
        (LanguageError, "freeze_norm", {"freeze_norm": True}),
    ]
    for error, told, given in bad:
        with pytest.raises(error, match=told):
            descend(problem, start, cloud, **({"step": 0.1, "count": 3} | given))
    with pytest.raises(LanguageError, match="loss_scaled"):
        descend(_net(cloud, decay=0.1)[0], start, cloud, step=0.1, count=3, loss_scaled=True)
    with pytest.raises(DataError, match="labels"):
        descend(problem, start, Data(np.asarray(cloud.x), np.arange(12) % 3), step=0.1, count=3)
    with pytest.raises(ShapeMismatch, match="W3"):
        descend(Problem("W3 @ relu(W1 @ x)"), start, cloud, step=0.1, count=3)
    neuron = initial_state(problem.network, cloud, widths={"W1": 4}, seed=0, per="neuron")
    with pytest.raises(LanguageError, match="per layer"):
        descend(problem, neuron, cloud, step=0.1, count=3, rule="geodesic")
