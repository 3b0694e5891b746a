"""States that fit, in shape and in memory, wherever widths can be given;
directions that are none are refused; everything can be copied.
"""

import copy
import pickle

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core import memory
from flowlab.language.state import State, names_match, shapes_match

DATA = fl.Data(np.random.default_rng(1).normal(size=(6, 3)), np.array([1.0, -1.0] * 3))
NET = fl.Network("W2 @ relu(W1 @ x)")
NAMED = [
    ("U @ V.T @ x", {"V": ("d", "r")}, {"r": 2}, {"U": (1, 2), "V": (3, 2)}),
    ("U @ V.T @ x", {"V": ("d", "r")}, {"V": 3, "r": 2}, {"U": (1, 2), "V": (3, 2)}),
    (
        "U @ relu(V.T @ A.T @ x)",
        {"V": ("h", "r"), "A": ("d", "h")},
        {"r": 2, "h": 5},
        {"U": (1, 2), "V": (5, 2), "A": (3, 5)},
    ),
    ("a @ V.T @ x", {"V": ("d", "r")}, {"a": 4}, {"a": (4,), "V": (3, 4)}),
    ("U @ V.T @ x", {"U": ("o", 2)}, None, {"U": (1, 2), "V": (3, 2)}),
]


@pytest.mark.parametrize(("text", "shapes", "widths", "found"), NAMED)
def test_widths_that_are_named_fit_wherever_a_state_is_given(text, shapes, widths, found):
    net = fl.Network(text, shapes=shapes)
    state = fl.initial_state(net, DATA, widths=widths, seed=0)
    assert {k: v.shape for k, v in state.V.items()} == found
    shapes_match(state, net, DATA)
    for name, shape in found.items():
        other = State(rho=state.rho, V=state.V | {name: np.ones(tuple(n + 1 for n in shape))})
        with pytest.raises(fl.ShapeMismatch):
            shapes_match(other, net, DATA)


LOW = fl.Network("U @ V.T @ x", shapes={"V": ("d", "r")})


@pytest.mark.slow
def test_a_network_whose_width_only_columns_tell_is_integrated():
    problem, state = (
        fl.Problem(LOW, "logistic", coordinates="weights"),
        fl.initial_state(LOW, DATA, widths={"r": 2}, seed=0),
    )
    path = fl.integrate(fl.lower(fl.derive(problem, verify=False)), state, DATA, until=fl.time(0.01), rtol=1e-4)
    assert path.outcome.kind == "done"
    assert path.last.V["V"].shape == (3, 2)


def test_a_state_of_other_columns_is_refused_at_every_entry():
    problem = fl.Problem(LOW, "logistic")
    wrong = fl.State.from_weights({"U": np.ones((1, 2)), "V": np.ones((4, 2))})
    for entry in (
        lambda: fl.descend(problem, wrong, DATA, step=0.1, count=1),
        lambda: fl.one_step(problem, wrong, DATA, 0.1),
    ):
        with pytest.raises(fl.ShapeMismatch):
            entry()


@pytest.mark.parametrize(
    ("per", "bad", "word"),
    [
        ("layer", 0.0, "`W1` has length 0"),
        ("layer", np.nan, "`W1` has length nan"),
        ("layer", np.inf, "`W1` has length inf"),
        ("layer", 1e-200, "`W1` has length 0"),
        ("layer", 1e200, "`W1` has length inf"),
        ("network", np.nan, "`network` has length nan"),
        ("neuron", 0.0, "`W1`, row 2, has length 0"),
    ],
)
@pytest.mark.parametrize("scheme", ["gradient_flow", "weight_normalization", "lagrange"])
def test_directions_that_are_none_are_refused(per, bad, word, scheme):
    good = fl.initial_state(NET, DATA, widths={"W1": 4}, seed=0, per=per)
    names_match(good, NET)
    factor = np.where(np.arange(4)[:, None] == 1, bad, 1.0) if per == "neuron" else bad
    state = State(rho=good.rho, V=good.V | {"W1": factor * np.asarray(good.V["W1"])}, per=per)
    problem = fl.Problem(NET, scheme="gradient_flow" if per != "layer" else scheme, per=per)
    with pytest.raises(fl.ShapeMismatch, match=word):
        fl.descend(problem, state, DATA, step=0.1, count=1)
    with pytest.raises(fl.ShapeMismatch, match=word):
        fl.integrate(fl.lower(fl.derive(problem, verify=False)), state, DATA, until=fl.time(1.0))


def test_any_length_of_a_direction_is_one_and_weights_of_zero_need_none():
    good = fl.initial_state(NET, DATA, widths={"W1": 4}, seed=0)
    names_match(State(rho=good.rho, V={k: 7.0 * v for k, v in good.V.items()}), NET)
    names_match(State(rho=good.rho | {"W1": 0.0}, V=good.V | {"W1": np.zeros((4, 3))}), NET)


def test_what_does_not_fit_into_memory_is_refused_with_its_number(monkeypatch):
    with pytest.raises(fl.TooLarge, match=r"block `W1` has the shape \(1000000, 1000000\).* needs 21\.8 TiB"):
        fl.initial_state("W2 @ relu(W1 @ W0 @ x)", DATA, widths={"W1": 10**6, "W0": 10**6}, seed=0)
    with pytest.raises(fl.TooLarge, match=r"[PE]iB"):
        fl.initial_state("W2 @ relu(W1 @ W0 @ x)", DATA, widths={"W1": 2**31 - 1, "W0": 2**31 - 1}, seed=0)
    with pytest.raises(fl.TooLarge, match=r"`W1` of shape \(1000000, 1000000\)"):
        fl.State.from_weights({"W1": np.broadcast_to(1.0, (10**6, 10**6))})
    state = fl.initial_state(NET, DATA, widths={"W1": 100}, seed=0)
    field = fl.lower(fl.derive(fl.Problem(NET, coordinates="weights"), verify=False))
    monkeypatch.setattr(memory, "machine_memory", lambda: 10**6)
    with pytest.raises(fl.TooLarge, match=r'402 unknowns.*or solver="tsit5"'):
        fl.integrate(field, state, DATA, until=fl.time(1.0), solver="rodas5p")
    monkeypatch.setattr(memory, "machine_memory", lambda: 10**4)
    with pytest.raises(fl.TooLarge, match="402 unknowns needs 42"):
        fl.integrate(field, state, DATA, until=fl.time(1.0))


def test_everything_can_be_copied():
    net = fl.Network("W2 @ relu(W1 @ x) + U @ relu(W1 @ x)", shapes={"U": ("o", "r")})
    problem = fl.Problem(net, "logistic", decay=0.1)
    start = fl.initial_state(net, DATA, widths={"W1": 3}, seed=0)
    path = fl.descend(problem, start, DATA, step=0.1, count=2)
    named = fl.Data(DATA.x, ["a", "b"] * 3)
    # A fresh one, whose data set is not built yet.
    assert "dataset" not in vars(path)
    for again in (lambda v: pickle.loads(pickle.dumps(v)), copy.copy, copy.deepcopy):
        twin = again(path)
        assert twin.dataset.identical(path.dataset)
        assert (twin.outcome, twin.problem, twin.stats) == (path.outcome, problem, path.stats)
        assert np.array_equal(twin.last.V["W1"], path.last.V["W1"])
        assert again(net).describe() == net.describe()
        assert again(problem) == problem
        assert again(named).class_names == ("a", "b")
        assert again(named).sha256() == named.sha256()
        assert jax.tree.structure(again(start)) == jax.tree.structure(start)
        twin_net = again(problem).network
        weights = start.weights()
        assert np.array_equal(twin_net.outputs(weights, DATA.x, np), net.outputs(weights, DATA.x, np))


def test_long_chains_are_copied_without_recursion():
    chain = fl.weight("W1") @ fl.x
    for _ in range(500):
        chain = fl.relu(chain)
    assert sum(1 for _ in pickle.loads(pickle.dumps(chain)).nodes()) == sum(1 for _ in chain.nodes())
