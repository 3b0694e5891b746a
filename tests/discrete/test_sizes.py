"""What is too large for memory or a day is refused by its size, before anything is drawn, compiled or searched."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core import memory
from flowlab.discrete.margin.kkt import affordable

NET, SMOOTH = "W2 @ relu(W1 @ x)", "W2 @ W1 @ x"
DATA = fl.Data(np.random.default_rng(0).normal(size=(20, 4)), np.array([1.0, -1.0] * 10))
STATE = fl.initial_state(NET, DATA, widths={"W1": 4}, seed=0)


@pytest.fixture
def undrawn(monkeypatch):
    """Fails where a weight is drawn."""
    monkeypatch.setattr("flowlab.language.state.State.from_weights", lambda *_, **__: pytest.fail("weights were drawn"))


ENTRIES = {
    "initial_state": lambda w: fl.initial_state(NET, DATA, widths={"W1": w}, seed=0),
    "max_margin": lambda w: fl.max_margin(NET, DATA, widths={"W1": w}),
    "critical_points": lambda w: fl.critical_points(fl.Problem(NET), DATA, widths={"W1": w}),
    "constrained_minimum": lambda w: fl.constrained_minimum(fl.Problem(NET), DATA, widths={"W1": w}),
    "portrait": lambda w: fl.portrait(fl.Problem(NET), DATA, widths={"W1": w}),
    "norm_path": lambda w: fl.norm_path(fl.Problem(SMOOTH), DATA, norms=(1.0, 9.0), widths={"W1": w}),
    "penalty_path": lambda w: fl.penalty_path(fl.Problem(SMOOTH), DATA, penalties=(1.0, 0.1), widths={"W1": w}),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize("width", [10**12, 10**30], ids=["10^12", "10^30"])
def test_widths_that_no_machine_holds(undrawn, entry, width):
    with pytest.raises(fl.TooLarge, match=r"a state whose block `W1` has the shape .* of memory"):
        entry(width)


@pytest.mark.parametrize("name", ["critical_points", "portrait", "norm_path", "penalty_path", "max_margin"])
def test_widths_that_are_too_many_to_search_are_counted_and_not_drawn(undrawn, name):
    with pytest.raises((fl.LanguageError, fl.TooLarge), match=r"\b5000000\d* weights|weights, got 5000000\d*"):
        ENTRIES[name](10**6)


def test_a_width_is_a_positive_integer():
    for bad in (0, -3):
        with pytest.raises(fl.ShapeMismatch, match="must be a positive integer, got"):
            fl.initial_state(NET, DATA, widths={"W1": bad}, seed=0)


def test_a_search_for_kkt_points_tells_memory_and_time(monkeypatch):
    iris = fl.load("iris:setosa")
    with pytest.raises(fl.TooLarge, match=r"15000 weights and 150 margins needs .* of memory"):
        fl.max_margin(NET, iris, near=fl.initial_state(NET, iris, widths={"W1": 3000}, seed=0))
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    with pytest.raises(fl.TooLarge, match=r"15000 weights and 150 margins from 16 starts needs about .* hours"):
        fl.max_margin(NET, iris, widths={"W1": 3000})
    shapes = {"W1": (30, 4), "W2": (1, 30)}
    affordable(shapes, iris, 16)
    monkeypatch.setattr(memory, "machine_memory", lambda: 10**6)
    with pytest.raises(fl.TooLarge, match="150 weights and 150 margins needs 11"):
        affordable(shapes, iris, 16)
    with pytest.raises(fl.TooLarge, match="150 gradients in 15000 weights"):
        fl.lyu_li(NET, fl.State.from_weights({"W1": np.ones((3000, 4)), "W2": np.ones((1, 3000))}), iris)


def test_a_limit_is_refused_like_the_search_it_makes(monkeypatch):
    data = fl.Data(np.eye(2), np.array([1.0, -1.0]))
    path = fl.descend(
        fl.Problem("W1 @ x"), fl.State.from_weights({"W1": np.array([[1.0, -1.0]])}), data, step=0.1, count=3
    )
    monkeypatch.setattr(memory, "machine_memory", lambda: 100)
    with pytest.raises(fl.TooLarge, match="2 weights and 2 margins"):
        fl.limit(path)


def test_gradients_of_linear_networks_need_no_square_of_their_weights(monkeypatch):
    wide = fl.Data(np.random.default_rng(0).normal(size=(3, 500)), np.array([1.0, -1.0, 1.0]))
    monkeypatch.setattr(np, "eye", lambda *_: pytest.fail("a square matrix was made"))
    best = fl.max_margin("W1 @ x", wide)
    assert best.is_global
    assert len(best.support) == 3


def test_degree_one_is_not_linear():
    """q = θ·∂q holds for both; only one has the same ∂q everywhere."""
    from flowlab.discrete.margin.margin_constraints import System
    from flowlab.discrete.margin.max_margin import _features

    data = fl.Data(np.random.default_rng(0).normal(size=(4, 3)), np.array([1.0, -1.0, 1.0, -1.0]))
    linear, bent = (System(fl.Problem(net, "exponential"), data, {"W1": (1, 3)}) for net in ("W1 @ x", "abs(W1 @ x)"))
    assert _features(linear) is not None
    assert _features(bent) is None


def test_a_dense_hessian_is_refused_by_its_size(monkeypatch):
    path = fl.descend(
        fl.Problem("W1 @ x"),
        fl.State.from_weights({"W1": np.array([[1.0, -1.0]])}),
        fl.Data(np.eye(2), [1.0, -1.0]),
        step=0.1,
        count=1,
    )
    monkeypatch.setattr(memory, "machine_memory", lambda: 3 * 8 * 4)
    assert np.isfinite(fl.sharpness(path, method="dense")["eigenvalue"].values).all()
    monkeypatch.setattr(memory, "machine_memory", lambda: 3 * 8 * 4 - 1)
    with pytest.raises(fl.TooLarge, match=r'Hessian in 2 weights needs .* method="lanczos"'):
        fl.sharpness(path, method="dense")


def test_descents_are_counted_before_they_begin(monkeypatch):
    problem = fl.Problem(NET)
    with pytest.raises(fl.TooLarge, match="a descent of 1000000000000000 steps needs about 28000 hours"):
        fl.descend(problem, STATE, DATA, step=1e-3, count=10**15)
    with pytest.raises(fl.TooLarge, match=r"stores 100000000001 states of 22 numbers needs .* larger `record_every`"):
        fl.descend(problem, STATE, DATA, step=1e-3, count=10**11, record_every=1)
    with pytest.raises(fl.TooLarge, match="hours"):
        fl.descend(problem, STATE, DATA, step=1e-3, count=10**300)
    monkeypatch.setattr(memory, "machine_memory", lambda: 22 * 32 * 6)
    assert len(fl.descend(problem, STATE, DATA, step=1e-3, count=5, record_every=1)) == 6
    with pytest.raises(fl.TooLarge, match="7 states"):
        fl.descend(problem, STATE, DATA, step=1e-3, count=6, record_every=1)
