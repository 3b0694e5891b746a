"""Linearised models: exact where networks are linear in their weights, near at large width, closed forms against
integration.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.studies.linearised import Linearised

DATA = fl.load("gaussian?n=6&d=3&margin=0.2", seed=1)
SETTINGS = {"rtol": 1e-9, "atol": 1e-11}


def flow(problem, begin, **more):
    return fl.integrate(fl.lower(fl.derive(problem)), begin, DATA, **({"until": fl.log_time(2.0)} | SETTINGS | more))


def start(text, width=4, seed=0):
    return fl.initial_state(text, DATA, default_width=width, seed=seed)


@pytest.mark.long
@pytest.mark.parametrize(
    ("loss", "more"),
    [
        ("square", {}),
        ("square", {"reduction": "mean"}),
        ("square", {"decay": 0.3}),
        ("logistic", {}),
        ("exponential", {"reduction": "mean"}),
        ("logistic", {"decay": 0.1, "reduction": "mean"}),
    ],
)
def test_a_network_that_is_linear_in_its_weights_is_its_own_linearisation(loss, more):
    problem = fl.Problem("W @ x", loss, coordinates="weights", **more)
    begin = start("W @ x")
    path = flow(problem, begin)
    beside = fl.linearise(problem, begin, DATA).beside(path).dataset
    assert beside["distance"].values.max() < 1e-6 * beside["moved"].values.max()
    assert beside["weight_distance"].values.max() < 1e-6
    assert beside["log_loss"].values[:, 0] == pytest.approx(beside["log_loss"].values[:, 1], abs=1e-5)


@pytest.mark.long
def test_blocks_may_decay_at_rates_of_their_own():
    text = "a @ x + b @ x"
    problem = fl.Problem(text, "logistic", coordinates="weights", decay={"a": 0.5, "b": 0.05})
    begin = start(text)
    path = flow(problem, begin)
    assert fl.linearise(problem, begin, DATA).beside(path).dataset["distance"].values.max() < 1e-6
    # A control: with the rates exchanged it is another flow.
    other = fl.Problem(text, "logistic", coordinates="weights", decay={"a": 0.05, "b": 0.5})
    far = fl.linearise(other, begin, DATA).flow([0.0, 2.0]).outputs
    assert np.abs(far - fl.linearise(problem, begin, DATA).flow([0.0, 2.0]).outputs).max() > 1e-2


def test_the_closed_form_is_what_integration_gives(monkeypatch):
    text = "W2 @ tanh(W1 @ x)"
    model = fl.linearise(fl.Problem(text, "square"), start(text), DATA)
    times = [0.0, 0.1, 1.0, 30.0, 1e4]
    closed = model.flow(times)
    monkeypatch.setattr(Linearised, "_has_closed_form", property(lambda _: False))
    integrated = model.flow(times)
    assert "closed form" in closed.outcome.message
    assert "closed form" not in integrated.outcome.message
    assert closed.outputs == pytest.approx(integrated.outputs, abs=1e-6)
    assert closed.rows == pytest.approx(integrated.rows, abs=1e-5)
    assert closed.outputs[0] == pytest.approx(model.initial, abs=1e-12)


def test_outputs_are_the_first_two_terms():
    text = "W2 @ tanh(W1 @ x)"
    problem, begin = fl.Problem(text, "square"), start(text)
    model = fl.linearise(problem, begin, DATA)
    W = {k: np.asarray(w) for k, w in begin.weights().items()}
    off = []
    for h in (1e-2, 1e-3):
        moved = {k: w + h for k, w in W.items()}
        off.append(np.abs(problem.network.outputs(moved, np.asarray(DATA.x), np) - model.outputs(moved)).max())
    # The rest is of second order.
    assert off[0] / off[1] == pytest.approx(100.0, rel=0.1)
    assert model.outputs(W) == pytest.approx(model.initial)


@pytest.mark.long
def test_wide_networks_stay_near_and_narrow_ones_leave():
    apart = []
    for width in (3, 300):
        text = "a @ tanh(W1 @ x)"
        problem, begin = fl.Problem(text, "square", coordinates="weights"), start(text, width)
        path = flow(problem, begin, until=fl.time(5.0 / width), rtol=1e-6, atol=1e-8)
        ds = fl.linearise(problem, begin, DATA).beside(path).dataset
        apart.append(float(ds["distance"][-1] / ds["moved"][-1]))
    assert apart[1] < 0.2 * apart[0]


@pytest.mark.long
def test_late_times_are_reached():
    problem, begin = fl.Problem("W @ x", "exponential", coordinates="weights"), start("W @ x")
    path = flow(problem, begin, until=fl.log_time(100.0), rtol=1e-8)
    ds = fl.linearise(problem, begin, DATA).beside(path, rows=20).dataset
    assert ds["log_t"].values[-1] == pytest.approx(100.0)
    assert ds["distance"].values[-1] < 1e-4 * ds["moved"].values[-1]


def test_bad_input(tmp_path):
    text = "W2 @ tanh(W1 @ x)"
    problem, begin = fl.Problem(text, "logistic", coordinates="weights"), start(text)
    model, path = fl.linearise(problem, begin, DATA), flow(problem, begin, until=fl.time(0.1))
    with pytest.raises(fl.LanguageError, match="gradient_flow"):
        fl.linearise(fl.Problem(text, "logistic", scheme="lagrange"), begin, DATA)
    with pytest.raises(fl.ShapeMismatch):
        fl.linearise(fl.Problem("W @ x"), begin, DATA)
    with pytest.raises(fl.DataError, match="labels"):
        fl.linearise(problem, begin, fl.Data(np.asarray(DATA.x), np.arange(6) % 3))
    for times in ([], [1.0, 0.5], [-1.0], [float("nan")], [float("inf")]):
        with pytest.raises(fl.LanguageError, match="times"):
            model.flow(times)
    with pytest.raises(fl.LanguageError, match="linearised problem"):
        fl.linearise(fl.Problem(text, "exponential"), begin, DATA).beside(path)
    with pytest.raises(fl.LanguageError, match="another start"):
        fl.linearise(problem, start(text, seed=5), DATA).beside(path)
    with pytest.raises(fl.ShapeMismatch):
        model.outputs({"W1": np.ones((4, 3))})
    found = model.beside(path)
    (back,) = fl.results(fl.save(found, tmp_path / "beside.nc"))
    assert fl.draw("linearised", back).table() == fl.draw("linearised", found).table()
    assert "0.1 was reached" in found.provenance["settings"]["outcome"]


def test_a_flow_that_leaves_float64_says_so():
    problem = fl.Problem("W @ x", "exponential", coordinates="weights")
    wrong = fl.State.from_weights({"W": (-1e4 * np.asarray(DATA.y) @ np.asarray(DATA.x))[None]})
    found = fl.linearise(problem, wrong, DATA).flow([0.0, 1.0])
    assert found.outcome.kind == "nonfinite"
    assert np.isfinite(found.outputs).all()
    assert len(found.time) == len(found.outputs) < 2


@pytest.mark.long
def test_monitors_of_rows_see_what_is_kept_and_what_is_not():
    problem = fl.Problem("W2 @ W1 @ x", "logistic", coordinates="weights")
    begin = start("W2 @ W1 @ x")
    told = fl.monitors(flow(problem, begin), rtol=1e-8)
    assert "loss" in told
    assert all(m["holds"] for m in told.values())
    assert any(name.startswith("balance") for name in told)
    walk = fl.descend(problem, begin, DATA, step=1e-2, count=100)
    assert not all(m["holds"] for m in fl.monitors(walk, rtol=1e-8).values())
    assert all(m["holds"] for m in fl.monitors(walk, rtol=1e-3).values())
    with pytest.raises(fl.LanguageError, match="rtol"):
        fl.monitors(walk, rtol=2.0)
