"""Norms and directions of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import FlowlabError, LanguageError, PrecisionTooLow, ShapeMismatch
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.state import State, initial_state, names_match

RHO = {"layer": {"W1": (), "W2": ()}, "neuron": {"W1": (4,), "W2": (1,)}, "network": {"network": ()}}


def _weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"W1": rng.normal(size=(4, 3)), "W2": rng.normal(size=(1, 4))}


def _data() -> Data:
    return Data(np.random.default_rng(1).normal(size=(6, 3)), np.array([1.0, -1.0] * 3))


@pytest.mark.parametrize("per", ["layer", "neuron", "network"])
def test_weights_come_back_and_directions_are_unit(per):
    given = _weights()
    state = State.from_weights(given, per=per)
    assert {k: v.shape for k, v in state.rho.items()} == RHO[per]
    for name, w in state.weights().items():
        assert w.dtype == jnp.float64
        assert np.allclose(w, given[name], rtol=1e-15, atol=1e-15)
    squares = {k: np.asarray(v) ** 2 for k, v in state.V.items()}
    sums = {
        "layer": [s.sum() for s in squares.values()],
        "neuron": [s.sum(axis=1) for s in squares.values()],
        "network": [sum(s.sum() for s in squares.values())],
    }[per]
    for total in sums:
        assert np.allclose(total, 1.0, atol=1e-15)


def test_lengths_of_directions_do_not_matter():
    state = State.from_weights(_weights())
    long = State(rho=state.rho, V={k: 3.0 * v for k, v in state.V.items()}, per=state.per)
    for name, w in state.weights().items():
        assert np.allclose(long.weights()[name], w, rtol=1e-15)
        assert np.allclose(long.directions().V[name], state.V[name], rtol=1e-15)


def test_product_of_norms():
    state = State.from_weights({"a": np.array([3.0, 4.0]), "b": np.array([2.0])})
    assert float(state.product({"a": 2, "b": 1})) == pytest.approx(50.0)


def test_bad_weights_are_refused():
    for value in (np.nan, np.inf):
        with pytest.raises(ShapeMismatch, match="`W1` must be finite"):
            State.from_weights({"W1": np.array([value])})
    with pytest.raises(ShapeMismatch):
        State.from_weights({})
    with pytest.raises(LanguageError, match="column"):
        State.from_weights(_weights(), per="column")


def test_a_row_too_small_for_a_norm_is_not_taken_for_zeros():
    with pytest.raises(ShapeMismatch, match="`W1` has a row of size 1e-200"):
        State.from_weights({"W1": np.array([[1.0, 0.0], [1e-200, 0.0]])}, per="neuron")
    assert float(State.from_weights({"W1": np.array([[1.0, 0.0], [0.0, 0.0]])}, per="neuron").rho["W1"][1]) == 0.0


def test_float32_mode_is_refused():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(PrecisionTooLow, match="jax_enable_x64"):
            State.from_weights(_weights())
    finally:
        jax.config.update("jax_enable_x64", True)


def test_initial_state_is_seeded_and_scaled():
    net = Network("W2 @ relu(W1 @ x)")
    one, two = (initial_state(net, _data(), widths={"W1": 4}, seed=3) for _ in range(2))
    assert all((np.asarray(one.V[k]) == np.asarray(two.V[k])).all() for k in one.V)
    assert not np.allclose(initial_state(net, _data(), widths={"W1": 4}, seed=4).V["W1"], one.V["W1"])
    wide = initial_state(net, _data(), widths={"W1": 4000}, scale=2.0, seed=0)
    assert float(np.std(wide.weights()["W1"])) == pytest.approx(2.0 / np.sqrt(3), rel=0.02)
    assert wide.V["W2"].shape == (1, 4000)
    for scale in (0.0, -1.0, float("nan"), "1"):
        with pytest.raises(FlowlabError, match="scale"):
            initial_state(net, _data(), widths={"W1": 4}, scale=scale, seed=0)
    with pytest.raises(FlowlabError):
        initial_state(net, _data(), seed=0)


def test_seeds_that_are_none_are_refused():
    for seed in (-1, None, 0.5, True):
        with pytest.raises(LanguageError, match="seed"):
            initial_state(Network("W1 @ x"), _data(), seed=seed)


@pytest.mark.parametrize("scale", [1e200, 1e308, 1e-200])
def test_a_scale_without_a_finite_norm_is_refused_without_a_warning(scale):
    with pytest.raises(
        ShapeMismatch, match=f"`W1`.*leaves float64; start from {'larger' if scale < 1 else 'smaller'} weights"
    ):
        initial_state(Network("W1 @ x"), _data(), scale=scale, seed=0)


def test_a_state_must_fit_the_network():
    net = Network("W2 @ relu(W1 @ x)")
    names_match(State.from_weights(_weights()), net)
    with pytest.raises(ShapeMismatch, match="W2"):
        names_match(State.from_weights({"W1": _weights()["W1"]}), net)
    good = State.from_weights(_weights())
    with pytest.raises(ShapeMismatch, match="W1"):
        names_match(State(rho=good.rho | {"W1": jnp.ones(4)}, V=good.V), net)
    with pytest.raises(ShapeMismatch, match="missing"):
        names_match(State(rho={"W1": jnp.ones(())}, V=good.V), net)


@pytest.mark.parametrize(
    "weights",
    [
        {"W1": np.ma.array([1.0, 2.0], mask=[True, False])},
        {"W1": [1.0, [2.0]]},
        {"W1": "abc"},
        {"W1": None},
        {"W1": [2**53 + 1]},
        {"W1": np.zeros((0, 2))},
        {"W1": [1j]},
        {1: [1.0]},
        [1.0, 2.0],
        "W1",
    ],
    ids=lambda weights: repr(weights)[:30],
)
def test_weights_that_are_no_numbers_are_refused_by_name(weights):
    with pytest.raises(FlowlabError, match=r"block|weights") as caught:
        State.from_weights(weights)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    "odd", ["abc", None, np.ma.array(1.0, mask=True), object()], ids=lambda odd: type(odd).__name__
)
def test_states_of_what_is_no_number_are_refused(odd):
    net, good = Network("W2 @ relu(W1 @ x)"), State.from_weights(_weights())
    for state in (State(rho={**good.rho, "W1": odd}, V=good.V), State(rho=good.rho, V={**good.V, "W1": odd})):
        with pytest.raises(ShapeMismatch, match=r"`W1` is .*from_weights"):
            names_match(state, net)
    with pytest.raises(ShapeMismatch, match="W1"):
        State(rho=good.rho, V={**good.V, "W1": [[1.0], [2.0, 3.0]]})
    with pytest.raises(FlowlabError, match="from_weights"):
        names_match(State(rho=1.0, V=good.V), net)


def test_a_state_needs_data():
    with pytest.raises(FlowlabError, match="`data=None` must be Data"):
        initial_state("W1 @ x", None, seed=0)
