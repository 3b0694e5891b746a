"""A vector beside a convolution meets its channels: one bias, or one factor, for all positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import ShapeMismatch

IMAGES = {"inputs": {"X": (2, 3, 4)}, "shapes": {"K": (3, 2, 2, 2)}}


def weights_of(network, data):
    rng = np.random.default_rng(1)
    return {w: rng.normal(size=shape) for w, shape in network.resolve(data.shapes, 1).items()}


@pytest.mark.parametrize("after", ["relu({})", "{}", "max_pool(tanh({}), 2, axes=2)"])
def test_one_number_a_channel(after):
    network = fl.Network(f"a @ flatten({after.format('g * conv(K, X) + b')})", **IMAGES)
    assert (network.shapes["b"], network.shapes["g"]) == ((3,), (3,))
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 4))
    data = fl.Data(X=x, y=np.arange(4.0), kind="targets")
    W = weights_of(network, data)
    bare = fl.Network(f"a @ flatten({after.format('Z')})", inputs={"Z": (3, 2, 3)})
    z = W["g"][:, None, None] * _convolved(W["K"], x) + W["b"][:, None, None]
    expected = bare.outputs({"a": W["a"]}, {"Z": z}, np)
    assert network.outputs(W, data.inputs, np) == pytest.approx(expected, rel=1e-13)


def _convolved(K, x):
    cuts = np.lib.stride_tricks.sliding_window_view(x, K.shape[2:], axis=(2, 3))
    return np.einsum("ocij,nchwij->nohw", K, cuts)


def test_its_rate_is_that_of_autodiff():
    network = fl.Network("a @ flatten(tanh(g * conv(K, X) - b))", **IMAGES)
    problem = fl.Problem(network, "square", coordinates="weights")
    data = fl.Data(X=np.random.default_rng(0).normal(size=(4, 2, 3, 4)), y=np.arange(4.0), kind="targets")
    W = weights_of(network, data)
    field = fl.lower(fl.derive(problem))
    ours = field.rate(0.0, field.pack(fl.State.from_weights(W)), data)

    def objective(w):
        z = w["g"][:, None, None] * jax.lax.conv(data.inputs["X"], w["K"], (1, 1), "VALID") - w["b"][:, None, None]
        return 0.5 * jnp.sum((jnp.tanh(z).reshape(4, -1) @ w["a"] - data.y) ** 2)

    wanted = jax.grad(objective)(W)
    assert all(np.allclose(ours[w], -wanted[w], rtol=1e-12, atol=1e-13) for w in W)


def test_a_factor_of_each_sample():
    """What an input says of every channel scales it, as in a gate over channels."""
    network = fl.Network(
        "a @ flatten(sigmoid(G @ s) * conv(K, X))", inputs={"X": (2, 5), "s": (4,)}, shapes={"K": (3, 2, 2)}
    )
    assert network.shapes["G"] == (3, 4)
    assert fl.derive(fl.Problem(network, "square", coordinates="weights")).residual < 1e-12


def test_lengths_say_which_axis_is_met():
    inputs, filters = {"X": (2, 5)}, {"K": (3, 2, 2)}
    for size, place in ((3, "channels"), (4, "positions")):
        network = fl.Network("a @ flatten(conv(K, X) + b)", inputs=inputs, shapes={**filters, "b": (size,)})
        W = {"K": np.zeros((3, 2, 2)), "b": np.arange(1.0, size + 1), "a": np.arange(12.0)}
        made = network.outputs(W, {"X": np.zeros((1, 2, 5))}, np).item()
        spread = W["b"][:, None] if place == "channels" else W["b"]
        assert made == pytest.approx(float(np.ravel(spread + np.zeros((3, 4))) @ W["a"]))
    with pytest.raises(ShapeMismatch, match=r"along the channels, nor along the last axes.*\(3, 4\).*\(5,\)"):
        fl.Network("a @ flatten(conv(K, X) + b)", inputs=inputs, shapes={**filters, "b": (5,)})


def test_sequences_keep_the_last_axis():
    network = fl.Network("a @ mean(relu(X @ W + b), axis=0)", inputs={"X": (4, 3)}, shapes={"W": (3, 5)})
    assert network.shapes["b"] == (5,)
