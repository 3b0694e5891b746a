"""Limits of networks with kinks: decided, or placed beside the nearest KKT point uphill, and never against an
independent cone program.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.discrete.margin.activation_cells import climb, layer_of
from flowlab.discrete.margin.directional_limit import limit
from flowlab.discrete.margin.margin_constraints import System
from tests.discrete.margin.cone_program import bounded_residual

NETS = {0.0: "W2 @ relu(W1 @ x)", 0.2: "W2 @ leaky_relu(W1 @ x, 0.2)", -1.0: "W2 @ abs(W1 @ x)"}
NOISE = 1e-5
"""What the square root leaves of the accuracy of the independent program."""
XOR = fl.Data(np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, 1.0, -1.0, -1.0]))


def samples(kind, seed, n=10):
    rng = np.random.default_rng(seed)
    if kind == "random":
        return fl.Data(rng.normal(size=(n, 3)), rng.choice([-1.0, 1.0], size=n))
    x, w = rng.normal(size=(n, 3)), rng.normal(size=3)
    return fl.Data(x + 0.2 * np.outer(np.sign(x @ w), w) / np.linalg.norm(w), np.sign(x @ w))


def judged(found, data, leak):
    """The residual of a limit by the independent program, which solves for its square to 1e-12; blocks of unit norm are
    balanced.
    """
    return bounded_residual(found.V["W1"], found.V["W2"], data.x, data.y, leak)[0]


def descended(data, leak=0.0, width=6, seed=0, step=3e-3, count=20_000):
    problem = fl.Problem(NETS[leak])
    start = fl.initial_state(problem.network, data, widths={"W1": width}, seed=seed)
    return fl.descend(problem, start, data, step=step, count=count, loss_scaled=True)


def flowed(data, leak, width, seed, until):
    problem = fl.Problem(NETS[leak])
    start = fl.initial_state(problem.network, data, widths={"W1": width}, seed=seed)
    return fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(until), rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def placed():
    data = samples("plane", 0)
    path = descended(data)
    return data, path, limit(path)


def test_a_path_that_still_moves_is_placed(placed):
    data, path, found = placed
    assert found.status == "moving"
    assert not found.decided
    assert f"nearest KKT point uphill has the margin {found.margin:.6g}" in found.reason
    assert f"distance {found.distance[-1]:.3g}" in found.reason
    assert "run longer" in found.reason
    assert found.margin > path.dataset["min_margin"].values[-1]
    assert found.residual <= 1e-12
    assert judged(found, data, 0.0) < NOISE


def test_the_residual_of_the_last_state_is_that_of_the_cone_program(placed):
    data, path, found = placed
    weights = path.last.weights()
    expected, _ = bounded_residual(weights["W1"], weights["W2"], data.x, data.y, 0.0)
    assert found.epsilon == pytest.approx(expected, rel=1e-6)
    assert f"of the last state {expected:.2e}" in str(found)
    assert found.epsilon == fl.lyu_li(path.problem, path.last, data).epsilon


@pytest.mark.parametrize("leak", NETS)
@pytest.mark.parametrize("seed", range(3))
def test_climbing_ends_at_kkt_points_uphill(leak, seed):
    """From random separating states; nothing is compiled."""
    rng = np.random.default_rng(seed)
    while True:
        W, a, x, y = (
            rng.normal(size=(5, 3)),
            rng.normal(size=5),
            rng.normal(size=(7, 3)),
            rng.choice([-1.0, 1.0], size=7),
        )
        h = x @ W.T
        if (y * (np.where(h > 0, h, leak * h) @ a)).min() > 0.05 and len(set(y)) == 2:
            break
    system = System(fl.Problem(NETS[leak]), fl.Data(x, y), {"W1": (5, 3), "W2": (1, 5)})
    theta = system.flat({"W1": W, "W2": a[None, :]})
    found = climb(system, theta)
    assert found is not None
    end, support, bent = found
    assert system.margins(end).min() >= system.margins(theta).min()
    assert np.abs(system.margins(end)[support] / system.margins(end).min() - 1.0).max() < 1e-4
    h = system.preactivations(end)
    assert np.abs(h[bent]).max(initial=0.0) < 1e-4 * np.abs(h).max()
    V = system.blocks(end)
    assert bounded_residual(V["W1"], V["W2"], x, y, leak, kink=1e-5)[0] < 1e-3
    # The state itself is none.
    assert bounded_residual(np.linalg.norm(a) / np.linalg.norm(W) * W, a, x, y, leak)[0] > 1e-2


NONE = [
    "W3 @ relu(W2 @ relu(W1 @ x))",
    "W2 @ relu(W1 @ x)**2",
    "w @ x",
    "a @ relu(W1 @ x) + w @ x",
    "a @ maximum(W @ x, 0.3 * (W @ x))",
]


@pytest.mark.parametrize("network", NONE)
def test_what_is_no_layer_of_kinked_units_is_not_climbed(network):
    network = fl.Network(network)
    shapes = network.resolve(2, 1, default_width=3)
    assert layer_of(System(fl.Problem(network), XOR, shapes)) is None


@pytest.mark.parametrize("network", ["a @ relu(W @ x)", "0.5 * (a @ relu(W @ x + b))", "a @ (2 * abs(W @ x))"])
def test_layers_are_found_by_what_they_do(network):
    network = fl.Network(network)
    layer = layer_of(System(fl.Problem(network), XOR, network.resolve(2, 1, default_width=3)))
    assert layer is not None
    assert len(set(layer.outer)) == 3
    assert np.ptp(layer.scale) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("until", [1e5, 1e6])
def test_exclusive_or_is_decided(until):
    """The first twenty seeds of which the flow separates the samples."""
    decided, seen = 0, 0
    for seed in range(30):
        path = flowed(XOR, 0.0, 8, seed, until)
        if not path.dataset["min_margin"].values[-1] > 1e-3:
            continue
        found = limit(path)
        assert judged(found, XOR, 0.0) < NOISE
        decided, seen = decided + found.decided, seen + 1
        if seen == 20:
            break
    assert seen == 20
    assert decided >= 19


@pytest.mark.slow
@pytest.mark.parametrize("leak", NETS)
def test_late_runs_are_decided_or_placed(leak):
    good, seen = 0, 0
    for seed in range(4):
        for kind in ("plane", "random"):
            data = samples(kind, seed)
            path = flowed(data, leak, 6, seed, 1e5)
            if not path.dataset["min_margin"].values[-1] > 1e-3:
                continue
            found, seen = limit(path), seen + 1
            good += found.status in ("decided", "moving")
            if found.status != "undecided":
                assert judged(found, data, leak) < NOISE
            weights = path.last.weights()
            epsilon = bounded_residual(weights["W1"], weights["W2"], data.x, data.y, leak)[0]
            assert found.epsilon == pytest.approx(epsilon, rel=1e-4)
    assert seen >= 5
    assert good >= 0.8 * seen


@pytest.mark.slow
def test_iris_is_placed():
    data = fl.load("iris:setosa", standardize=True)
    for seed in range(5):
        path = descended(data, width=16, seed=seed, step=1e-3, count=40_000)
        found = limit(path)
        assert found.status in ("decided", "moving")
        assert found.residual <= 1e-12
        assert judged(found, data, 0.0) < NOISE
