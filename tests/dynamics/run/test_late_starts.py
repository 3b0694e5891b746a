"""A start whose loss is tiny already: the flow is followed from there, by closed forms and by runs that
were not cut.
"""

import math

import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.run.clock_switch import own_time

ONE = fl.Data([[2.0]], [1.0], kind="binary")


def field(text="w @ x", loss="exponential", coordinates="weights", **settings):
    return fl.lower(fl.derive(fl.Problem(text, loss, coordinates=coordinates, **settings)))


def exact(z, log_t):
    """Log L where z' = 4 e^-z."""
    return -np.logaddexp(z, math.log(4) + log_t)


@pytest.fixture(scope="module")
def one():
    return field()


@pytest.mark.long
@pytest.mark.parametrize("z", [30.0, 800.0, 1e6])
def test_one_sample_follows_its_closed_form(one, z):
    path = fl.integrate(one, fl.State.from_weights({"w": [z / 2]}), ONE, until=fl.log_time(2 * z))
    assert path.outcome.kind == "done"
    assert float(path.dataset.log_loss[-1]) == pytest.approx(exact(z, 2 * z), rel=1e-9)
    assert path.dataset.clock.values.tolist().count("time") <= 3
    early = path.dataset.log_t.values[1:]
    assert path.dataset.log_loss.values[1:] == pytest.approx(exact(z, early), rel=1e-9)


@pytest.mark.parametrize("log_t", [-5.0, 25.0, 100.0, 795.0])
def test_a_horizon_before_anything_moves_is_reached_where_the_start_is(one, log_t):
    """In units of 1/L these horizons are as small as e^-805; the last is near enough to move the loss."""
    path = fl.integrate(one, fl.State.from_weights({"w": [400.0]}), ONE, until=fl.log_time(log_t))
    assert path.outcome.kind == "done"
    assert float(path.dataset.log_t[-1]) == pytest.approx(log_t, rel=1e-12)
    assert float(path.dataset.log_loss[-1]) == pytest.approx(exact(800.0, log_t), rel=1e-14)


def test_only_separated_starts_of_losses_with_tails_count_time_by_their_loss(one):
    seen = {"log_loss": -800.0, "raw_margin": 800.0}
    assert float(own_time(one, seen).log_unit) == 800.0
    assert own_time(one, seen | {"raw_margin": -1.0}).log_unit is None
    assert own_time(one, seen | {"log_loss": 0.5}).log_unit is None
    assert own_time(field(loss="square"), seen).log_unit is None
    assert own_time(field(decay=0.1), seen).log_unit is None


@pytest.mark.slow
@pytest.mark.parametrize("coordinates", ["polar", "weights"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_one_sample_at_every_size(loss, coordinates):
    made = field(loss=loss, coordinates=coordinates)
    for z in (30.0, 100.0, 800.0, 1e4, 1e5, 1e6):
        for clock in ("auto", "norm", "loss"):
            path = fl.integrate(made, fl.State.from_weights({"w": [z / 2]}), ONE, until=fl.log_time(2 * z), clock=clock)
            assert path.outcome.kind == "done", (z, clock, path.outcome)
            assert float(path.dataset.log_loss[-1]) == pytest.approx(exact(z, 2 * z), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheme", ["gradient_flow", "lagrange", "tangent", "weight_normalization", "exponential_weight_normalization"]
)
def test_every_scheme_with_late_clocks_goes_on_from_a_tiny_loss(scheme):
    made = field("W2 @ W1 @ x", "logistic", "polar", scheme=scheme)
    data = fl.Data([[2.0, 0.1], [-1.0, 0.4]], [1.0, -1.0])
    start = fl.State.from_weights({"W1": [[30.0, 1.0], [1.0, 2.0]], "W2": [[30.0, 1.0]]})
    path = fl.integrate(made, start, data, until=fl.log_time(1e4))
    assert path.outcome.kind == "done"
    assert float(path.dataset.log_loss[0]) < -800
    assert float(path.dataset.log_loss[-1]) == pytest.approx(-1e4, rel=1e-2)


def separable():
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(8, 3)), rng.normal(size=3)
    y = np.sign(x @ w)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y)


def classes():
    rng = np.random.default_rng(4)
    y = np.arange(9) % 3
    return fl.Data(rng.normal(size=(9, 3)) + 2 * np.eye(3)[y], y)


CUT = [
    ("W1 @ x", "exponential", "weights", separable, {}),
    ("W1 @ x", "logistic", "polar", separable, {}),
    ("W2 @ W1 @ x", "exponential", "polar", separable, {"W1": 3}),
    ("W2 @ W1 @ x", "exponential", "weights", separable, {"W1": 3}),
    ("W2 @ relu(W1 @ x)", "exponential", "weights", separable, {"W1": 4}),
    ("W2 @ relu(W1 @ x)", "logistic", "polar", separable, {"W1": 4}),
    ("W1 @ x", "cross_entropy", "weights", classes, {}),
    ("W2 @ W1 @ x", "multiclass_exponential", "weights", classes, {"W1": 3}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "loss", "coordinates", "data", "widths"), CUT, ids=[" ".join(c[:3]) for c in CUT])
def test_a_run_cut_anywhere_goes_on_as_if_it_had_not_been(text, loss, coordinates, data, widths):
    """The flow does not know the time, so from the state at t_1 it takes T - t_1 to the same end."""
    data, made = data(), field(text, loss, coordinates)
    start, end, rtol = fl.initial_state(text, data, widths=widths, seed=1), 1e3, 1e-8
    whole = fl.integrate(made, start, data, until=fl.log_time(end), rtol=rtol)
    log_t = whole.dataset.log_t.values
    for i in np.unique(np.linspace(1, len(whole) - 2, 20).astype(int)):
        rest = end + math.log(-math.expm1(log_t[i] - end))
        path = fl.integrate(made, whole.state(i), data, until=fl.log_time(rest), rtol=rtol)
        assert path.outcome.kind == "done", (i, path.outcome)
        for name in whole.last.rho:
            assert np.asarray(path.last.rho[name]) == pytest.approx(np.asarray(whole.last.rho[name]), rel=100 * rtol)
        for name in whole.last.V:
            assert np.asarray(path.last.V[name]) == pytest.approx(np.asarray(whole.last.V[name]), abs=100 * rtol)
