"""Mirror coordinates by quadrature: against closed forms, and the minimiser against where the flow of weights ends."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.symbolic.induced.quadrature import Quadrature

CLOSED = {
    "w*w - u*u + 0.4*v": {"w": 0.3, "u": 0.3, "v": 0.0},
    "w*w*w - u*u*u + 0.4*v": {"w": 0.3, "u": 0.2, "v": 0.0},
    "w**4 - u**4": {"w": 0.3, "u": 0.4},
}
OPEN = {
    "u*u*v": {"u": 0.6, "v": 0.2},
    "w**4 + w*w - u*u": {"w": 0.2, "u": 0.3},
    "w*exp(w)": {"w": 0.1},
    "w**3 + w - u**4 - u": {"w": 0.3, "u": 0.2},
}
"""Nodes with a mirror coordinate, with and without closed forms that are found, and starts of their weights."""


def induced(node, start, size=5, spread=0.0):
    flow = fl.derive(fl.Problem(f"({node}) @ x", "square", reduction="mean", coordinates="weights"))
    rng = np.random.default_rng(0)
    weights = {w: np.full(size, v) * (1 + spread * rng.uniform(size=size)) for w, v in start.items()}
    return flow, flow.induced(node, weights), weights


def by_quadrature(beta):
    return Quadrature(beta.entry, beta.node.weights, {w: np.asarray(v) for w, v in beta.weights.items()})


@pytest.mark.parametrize("node", CLOSED)
def test_it_has_the_numbers_of_closed_forms(node):
    _, beta, _ = induced(node, CLOSED[node], 9, spread=0.1)
    known, found = beta.coordinate, by_quadrature(beta)
    z = np.linspace(-0.9, 0.9, 9) * np.minimum(np.minimum(known.high, -np.asarray(known.low)), 2.0)
    for what in ("beta", "metric", "conjugate"):
        assert getattr(found, what)(np, z) == pytest.approx(getattr(known, what)(np, z), rel=1e-11, abs=1e-13)
    there = known.beta(np, z)
    assert found.inverse(np, there) == pytest.approx(z, abs=1e-11)
    assert found.potential(np, there) == pytest.approx(known.potential(np, there), abs=1e-11)
    for w, value in known.theta(np, z).items():
        assert found.theta(np, z)[w] == pytest.approx(value, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("node", OPEN)
def test_it_is_a_legendre_pair(node):
    _, beta, _ = induced(node, OPEN[node], spread=0.2)
    assert beta.mirror is None
    assert beta.potential is None
    chart = beta.coordinate
    z = np.array([-0.2, -0.05, 0.0, 0.05, 0.2])
    step = 1e-4
    up, down = z + step, z - step
    assert (chart.conjugate(np, up) - chart.conjugate(np, down)) / (2 * step) == pytest.approx(
        chart.beta(np, z), abs=1e-6
    )
    assert (chart.beta(np, up) - chart.beta(np, down)) / (2 * step) == pytest.approx(chart.metric(np, z), rel=1e-5)
    there = chart.beta(np, z)
    assert chart.inverse(np, there) == pytest.approx(z, abs=1e-12)
    slopes = (chart.potential(np, there + step) - chart.potential(np, there - step)) / (2 * step)
    assert slopes == pytest.approx(z, abs=1e-5)
    # A control: another coordinate is no inverse.
    assert np.abs(chart.inverse(np, there + 0.01) - z).max() > 1e-4


def test_where_weights_cease_to_exist_nothing_is_said():
    # w' = 4 w^3 from 0.3: w is infinite at z = 1/(8 * 0.09); and u' = -u^2 … exists for all z above that place.
    _, beta, _ = induced("w**4", {"w": 0.3}, 3)
    chart, end = by_quadrature(beta), 1 / (8 * 0.09)
    assert float(beta.coordinate.high[0]) == pytest.approx(end)
    z = np.array([0.9 * end, 1.1 * end, -50.0])
    seen = chart.beta(np, z)
    assert np.isfinite(seen[[0, 2]]).all()
    assert np.isnan(seen[1])
    assert chart.conjugate(np, z)[1] == np.inf
    # sin w is at most 1.
    _, bounded, _ = induced("w*exp(-w)", {"w": 0.1}, 3)
    assert np.isnan(bounded.coordinate.inverse(np, np.array([0.2, 0.3, 5.0]))).tolist() == [False, False, True]
    assert bounded.coordinate.potential(np, np.array([0.2, 0.3, 5.0]))[2] == np.inf


def test_it_is_printed_as_what_is_integrated():
    _, beta, _ = induced("u*u*v", OPEN["u*u*v"], 3)
    told = str(beta)
    assert "du/dz = 2*u*v, dv/dz = u^2" in told
    assert "Phi*(z) = sum (integral of beta from 0 to z)" in told
    assert r"\frac{du}{dz} = 2 u v" in beta.latex()
    assert beta.laws == ()
    with pytest.raises(fl.LanguageError, match="closed form"):
        fl.lower(beta)


def draw(seed, size, count):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, size))
    return fl.Data(x, 0.3 * rng.normal(size=count) + 0.3 * x[:, 0], kind="targets")


@pytest.mark.parametrize("node", OPEN)
def test_minimisers_fit_with_the_least_potential(node):
    _, beta, _ = induced(node, OPEN[node], 6, spread=0.3)
    data = draw(1, 6, 2)
    best = beta.minimiser(data)
    assert best.outcome.ok
    assert best.residual < 1e-11
    x, rng = np.asarray(data.x), np.random.default_rng(2)
    for _ in range(3):
        side = rng.normal(size=6)
        side -= np.linalg.pinv(x) @ (x @ side)
        assert beta.coordinate.potential(np, best.beta + 1e-3 * side).sum() > best.value


@pytest.mark.long
@pytest.mark.parametrize("node", list(OPEN)[:2])
def test_the_flow_of_the_weights_ends_at_the_minimiser(node):
    flow, beta, weights = induced(node, OPEN[node], 6, spread=0.3)
    data = draw(3, 6, 2)
    best = beta.minimiser(data).beta
    start = fl.State.from_weights(weights)
    path = fl.integrate(fl.lower(flow), start, data, until=fl.log_loss_below(-48.0), rtol=1e-11, atol=1e-14)
    end = np.asarray(beta.node.value(np, path.weights(-1), {}))
    assert np.linalg.norm(end - best) <= 1e-8 * np.linalg.norm(best)
    x, y = np.asarray(data.x), np.asarray(data.y)
    assert np.linalg.norm(end - np.linalg.pinv(x) @ y) > 1e-3 * np.linalg.norm(best)


@pytest.mark.parametrize(("node", "told"), [("A @ B", "do not commute"), ("rms_norm(w)*rms_norm(w)", "share weights")])
def test_nodes_without_a_mirror_coordinate_say_why(node, told):
    flow = fl.derive(fl.Problem(f"({node}) @ x", "square", coordinates="weights"))
    start = {"A": np.eye(2), "B": np.eye(2)} if "A" in node else {"w": np.ones(3)}
    data = fl.Data(np.ones((1, 2 if "A" in node else 3)), [1.0], kind="targets")
    with pytest.raises(fl.LanguageError, match=told):
        flow.induced(node, start).minimiser(data)
