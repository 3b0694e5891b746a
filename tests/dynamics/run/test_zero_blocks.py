"""Blocks of zeros in weight coordinates, where they are a usual start; and norms whose squares leave float64."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import ShapeMismatch
from flowlab.dynamics.run import wording

DATA = fl.Data([[1.0, 0.2], [-1.0, 0.3], [0.4, -1.0]], [1.0, -1.0, 0.5])
INNER = np.array([[1.0, 0.5], [-0.3, 0.8]])


def start(per="layer"):
    return fl.State.from_weights({"W1": INNER, "W2": np.zeros((1, 2))}, per=per)


@pytest.fixture(scope="module")
def problem():
    return fl.Problem("W2 @ W1 @ x", "square", coordinates="weights")


@pytest.fixture(scope="module")
def field(problem):
    return fl.lower(fl.derive(problem))


@pytest.mark.parametrize("per", ["layer", "neuron", "network"])
def test_a_zero_block_has_norm_zero_and_a_direction_that_stands_for_none(per):
    made = fl.State.from_weights({"W1": INNER * [[1.0], [0.0]], "W2": np.zeros((1, 2))}, per=per)
    for name, value in made.weights().items():
        assert np.asarray(value) == pytest.approx(
            INNER * [[1.0], [0.0]] if name == "W1" else np.zeros((1, 2)), abs=1e-15
        )
    assert not np.isnan(np.concatenate([np.ravel(v) for v in made.V.values()])).any()
    if per == "layer":
        assert float(made.rho["W2"]) == 0.0
        assert np.linalg.norm(made.V["W2"]) == pytest.approx(1.0)


def test_a_flow_from_a_zero_outer_layer_is_that_of_its_weights(field, problem, tmp_path):
    """Against plain Runge-Kutta steps of the gradient written by hand; stored, cut, read back and descended from as
    well.
    """
    x, y = np.asarray(DATA.x), np.asarray(DATA.y)

    def rate(a, b):
        r = ((a @ b) @ x.T)[0] - y
        return -((b @ x.T) @ r)[None, :], -np.outer(a[0], r @ x)

    a, b, h = np.zeros((1, 2)), INNER.copy(), 1e-3
    for _ in range(1000):
        k1 = rate(a, b)
        k2 = rate(a + h / 2 * k1[0], b + h / 2 * k1[1])
        k3 = rate(a + h / 2 * k2[0], b + h / 2 * k2[1])
        k4 = rate(a + h * k3[0], b + h * k3[1])
        a, b = (v + h / 6 * (p + 2 * q + 2 * r + s) for v, p, q, r, s in zip((a, b), k1, k2, k3, k4, strict=True))
    path = fl.integrate(field, start(), DATA, until=fl.time(1.0), store=tmp_path / "store")
    assert path.outcome.kind == "done"
    assert np.asarray(path.last.weights()["W2"]) == pytest.approx(a, abs=1e-8)
    assert np.asarray(path.last.weights()["W1"]) == pytest.approx(b, abs=1e-8)
    assert all(seen["holds"] for seen in path.monitors.values())
    back = fl.Trajectory.load(path.save(tmp_path / "path.nc"))
    assert np.asarray(back.state(0).weights()["W2"]).tolist() == [[0.0, 0.0]]
    assert fl.integrate(field, start(), DATA, until=fl.time(1.0), store=tmp_path / "store").last.rho == path.last.rho


def test_polar_coordinates_refuse_a_zero_block():
    polar = fl.lower(fl.derive(fl.Problem("W2 @ W1 @ x", "square")))
    with pytest.raises(
        ShapeMismatch, match=r'norm `W2` must be above zero in polar.*got 0; use `coordinates="weights"`'
    ):
        fl.integrate(polar, start(), DATA, until=fl.time(1.0))


@pytest.mark.parametrize(
    ("size", "way"), [(1e-200, "larger"), (1e-160, "larger"), (1e160, "smaller"), (1e300, "smaller")]
)
def test_norms_whose_squares_leave_float64_are_told_which_way_to_go(field, size, way):
    odd = fl.State(rho={"W1": size, "W2": 1.0}, V=start().V)
    with pytest.raises(ShapeMismatch, match=f"`W1` has the norm .* leaves float64; start from {way} weights"):
        fl.integrate(field, odd, DATA, until=fl.time(1.0))
    with pytest.raises(ShapeMismatch, match=f"start from {way} weights"):
        fl.State.from_weights({"W1": [[size, 0.0]]})


def test_why_nothing_moves_is_told(problem):
    state = start()
    seen = {"log_loss": 0.3, "log_R": 1.0}
    assert "dead units" in wording.still(problem, state, seen)
    assert "start from larger weights" in wording.still(problem, state, seen | {"log_R": -921.0})
    assert "the loss is zero" in wording.still(problem, state, seen | {"log_loss": -np.inf})
    assert "all weights are zero" in wording.still(
        problem, fl.State.from_weights({"W1": 0 * INNER, "W2": np.zeros((1, 2))}), seen
    )
    assert "start from larger weights" in wording.beyond(fl.State(rho={"w": 1e-120}, V={"w": [1.0]}))
    assert "start from smaller weights" in wording.beyond(
        fl.State(rho={"w": 1e30, "a": 0.0}, V={"w": [1.0], "a": [1.0]})
    )
    # Ordinary norms are not the reason alone: a normalised sample may be zero.
    assert "`eps`" in wording.beyond(fl.State(rho={"w": 1.0}, V={"w": [1.0]}))
    assert "`eps`" not in wording.beyond(fl.State(rho={"w": 1e100}, V={"w": [1.0]}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "loss", "weights"),
    [
        ("(w*w - u*u + 0.5*v) @ x", "logistic", {"w": [0.5, 0.5], "u": [0.5, 0.5], "v": [0.0, 0.0]}),
        ("W2 @ tanh(W1 @ x + b)", "logistic", {"W1": INNER, "b": [0.0, 0.0], "W2": [[1.0, 1.0]]}),
        ("W2 @ W1 @ x", "exponential", {"W1": INNER, "W2": [[0.0, 0.0]]}),
        ("W2 @ relu(W1 @ x)", "exponential", {"W1": [[1.0, 0.5], [-0.3, 0.8], [-1.0, 0.1]], "W2": [[0.0, 0.0, 0.0]]}),
    ],
)
def test_late_clocks_and_descents_start_from_zero_blocks(text, loss, weights):
    data = fl.Data([[1.0, 0.2], [-1.0, 0.3], [0.4, -1.0]], [1.0, -1.0, 1.0])
    problem = fl.Problem(text, loss, coordinates="weights")
    made, begin = fl.lower(fl.derive(problem)), fl.State.from_weights(weights)
    path = fl.integrate(made, begin, data, until=fl.log_time(200.0))
    assert path.outcome.kind == "done", path.outcome
    assert np.isfinite(path.dataset.log_loss.values).all()
    assert set(path.dataset.clock.values) > {"time"}
    walk = fl.descend(problem, begin, data, step=1e-3, count=200)
    near = fl.integrate(made, begin, data, until=fl.time(0.2)).last.weights()
    for name, value in walk.last.weights().items():
        assert np.asarray(value) == pytest.approx(np.asarray(near[name]), abs=3e-3)
