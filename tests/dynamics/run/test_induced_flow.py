"""Induced flows, integrated in their mirror coordinate: beside the flow of the weights, and where they end."""

import numpy as np
import pytest

import flowlab as fl

L1_L2 = "w*w - u*u + 0.4*v"
ALPHA, LAM, D, N = 0.03, 0.4, 36, 12


def draw(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D))
    return fl.Data(x, x[:, :3] @ [1.0, -1.0, 0.5] + 0.3 * rng.normal(size=N), kind="targets")


@pytest.fixture(scope="module")
def flow():
    return fl.derive(fl.Problem(f"({L1_L2}) @ x", "square", reduction="mean", coordinates="weights"))


@pytest.fixture(scope="module")
def start():
    return fl.State.from_weights({"w": np.full(D, ALPHA), "u": np.full(D, ALPHA), "v": np.zeros(D)})


@pytest.fixture(scope="module")
def beta(flow, start):
    return flow.induced(L1_L2, start)


@pytest.mark.long
def test_the_flow_of_z_is_the_flow_of_the_weights(flow, start, beta):
    data = draw(100)
    until = fl.time(5.0)
    settings = {"rtol": 1e-11, "atol": 1e-13}
    path = fl.integrate(fl.lower(flow), start, data, until=until, **settings)
    same = fl.integrate(fl.lower(beta), beta.start, data, until=until, **settings)
    W = path.last.weights()
    b = np.asarray(W["w"] ** 2 - W["u"] ** 2 + LAM * W["v"])
    assert same.last.weights()["beta"] == pytest.approx(b, abs=1e-9)
    z = beta.coordinate.inverse(np, b)
    for name, value in beta.coordinate.theta(np, z).items():
        assert np.asarray(W[name]) == pytest.approx(value, abs=1e-9)
    # One state more than the start: rates of the two roads agree.
    rate = fl.lower(beta)(0.0, same.last, data)
    assert np.isfinite(np.asarray(rate.rho["beta"]))


@pytest.mark.slow
def test_twenty_flows_end_at_the_minimiser(beta):
    field = fl.lower(beta)
    worst = 0.0
    for seed in range(100, 120):
        data = draw(seed)
        best = beta.minimiser(data)
        assert best.outcome.ok
        assert best.residual < 1e-12
        end = fl.integrate(field, beta.start, data, until=fl.log_loss_below(-52.0), rtol=1e-11, atol=1e-14)
        gap = np.asarray(end.last.weights()["beta"]) - best.beta
        worst = max(worst, float(np.linalg.norm(gap) / np.linalg.norm(best.beta)))
    assert worst <= 1e-8


def test_a_flow_ends_at_the_minimiser_and_not_at_least_squares(beta):
    data = draw(100)
    best = beta.minimiser(data)
    end = fl.integrate(fl.lower(beta), beta.start, data, until=fl.log_loss_below(-46.0), rtol=1e-11, atol=1e-14)
    b = np.asarray(end.last.weights()["beta"])
    assert b == pytest.approx(best.beta, abs=1e-8)
    assert best.residual < 1e-12
    x, y = np.asarray(data.x), np.asarray(data.y)
    assert np.linalg.norm(b - np.linalg.pinv(x) @ y) > 0.1
    # No other solution has less potential.
    rng = np.random.default_rng(1)
    for _ in range(5):
        side = rng.normal(size=D)
        side -= np.linalg.pinv(x) @ (x @ side)
        assert beta.coordinate.potential(np, best.beta + 0.01 * side).sum() > best.value


def test_a_block_of_zeros_starts_in_weight_coordinates_alone():
    polar = fl.lower(fl.derive(fl.Problem(f"({L1_L2}) @ x", "square")))
    zero = fl.State.from_weights({"w": np.ones(2), "u": np.ones(2), "v": np.zeros(2)})
    with pytest.raises(fl.ShapeMismatch, match="above zero in polar coordinates"):
        fl.integrate(polar, zero, fl.Data(np.ones((1, 2)), [1.0], kind="targets"), until=fl.time(1.0))
