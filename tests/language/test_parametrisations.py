"""Blocks divided by powers of widths: what they are, that files rebuild them, and that limits are what they say."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.language.parametrisations import parametrisations

TEXT = "W3 @ tanh(W2 @ tanh(W1 @ x))"


@pytest.mark.parametrize("name", parametrisations.names())
def test_a_description_rebuilds_the_network(name):
    net = fl.Network(TEXT, parametrisation=name)
    assert net.places == {"W1": "first", "W2": "hidden", "W3": "last"}
    again = fl.Network.from_description(net.describe())
    assert again.text == net.text == copy.deepcopy(net).text
    assert fl.Problem(net).signature == fl.Problem(again).signature != fl.Problem(TEXT).signature
    assert parametrisations[name]().limit in str(fl.derive(fl.Problem(net, loss="square", coordinates="weights")))


def test_an_unknown_one_is_refused():
    with pytest.raises(fl.UnknownName, match="did you mean `ntk`"):
        fl.Network(TEXT, parametrisation="nkt")


def kernel(name: str | None, width: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """The tangent kernel at a random start, and after a step along the flow, in units of the start's."""
    net = fl.Network("a @ tanh(W @ x)", parametrisation=name)
    rng = np.random.default_rng(0)
    data = fl.Data(rng.normal(size=(4, 3)), np.array([1.0, -1.0, 1.0, -1.0]))
    state = fl.initial_state(net, data, widths={"W": width}, seed=1)

    def outputs(W: dict) -> jax.Array:
        return net.outputs(W, data.x, jnp)[:, 0]

    def of(W: dict) -> jax.Array:
        J = jax.jacobian(outputs)(W)
        return sum(jnp.einsum("n...,m...->nm", j, j) for j in J.values())

    W = state.weights()
    pull = jax.grad(lambda W: -jnp.sum(outputs(W) * data.y))(W)
    K = of(W)
    moved = {k: W[k] - step * pull[k] for k in W}
    return np.asarray(K), np.asarray(of(moved) - K)


def test_the_tangent_kernel_stays_in_its_own_parametrisation_alone():
    """Relative change after one step of the flow: it falls with the width for "ntk", and does not for "mup"."""
    change = {}
    for name in ("ntk", "mup"):
        for width in (50, 3200):
            K, moved = kernel(name, width, 0.5)
            change[name, width] = np.linalg.norm(moved) / np.linalg.norm(K)
    assert change["ntk", 3200] < 0.25 * change["ntk", 50]
    assert change["mup", 3200] > 0.5 * change["mup", 50]


def test_kernels_have_the_scale_that_they_promise():
    """The NTK does not grow with the width; without a parametrisation it does."""
    size = {(name, m): np.trace(kernel(name, m, 0.0)[0]) for name in ("ntk", "mup", None) for m in (64, 1024)}
    assert 0.5 < size["ntk", 1024] / size["ntk", 64] < 2.0
    assert 0.5 < size["mup", 1024] / size["mup", 64] < 2.0
    assert size[None, 1024] / size[None, 64] > 8.0
