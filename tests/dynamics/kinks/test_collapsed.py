"""Where all units have come to their kinks pre-activations are round-off, and round-off does not change the mode."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.dynamics.kinks import crossing_guard


def made():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 2))
    net, data = fl.Network("W2 @ maximum(A @ x, B @ x)"), fl.Data(x, np.sign(x[:, 0] * x[:, 1]))
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
    return field, fl.initial_state(net, data, seed=0, widths={"A": 2}), data


def test_round_off_is_measured_by_the_terms_of_a_sum():
    """With A = B every pre-activation is zero, and what it is the difference of is not."""
    field, start, data = made()
    y = {name: np.array(w) for name, w in start.weights().items()}
    y["B"] = y["A"].copy()
    found = float(jax.jit(lambda y: crossing_guard.terms(field, data, y))(y))
    assert found == pytest.approx(np.abs(y["A"]).max() * np.abs(np.asarray(data.x)).max(), rel=1e-15)


@pytest.mark.slow
def test_a_maxout_net_whose_units_collapse_goes_on():
    """Both units come to A = B, where all 16 pairs are on their kinks; the run goes on, as subgradient descent does."""
    field, start, data = made()
    path = fl.integrate(field, start, data, until=fl.time(5.0))
    assert path.outcome.kind == "done"
    assert path.dataset.sizes["kink"] < 50
    end = {name: np.asarray(w) for name, w in path.last.weights().items()}
    assert np.abs(end["A"] - end["B"]).max() < 1e-12
    w, x, y = {name: np.array(v) for name, v in start.weights().items()}, np.asarray(data.x), np.asarray(data.y)
    for _ in range(50_000):
        a, b = x @ w["A"].T, x @ w["B"].T
        pull = y * np.exp(-y * (np.maximum(a, b) @ w["W2"][0]))
        left = (a > b) * pull[:, None] * w["W2"]
        right = (a <= b) * pull[:, None] * w["W2"]
        step = {"A": left.T @ x, "B": right.T @ x, "W2": (pull @ np.maximum(a, b))[None]}
        w = {name: v + 1e-4 * step[name] for name, v in w.items()}
    assert all(np.abs(w[name] - end[name]).max() < 2e-3 for name in w)
