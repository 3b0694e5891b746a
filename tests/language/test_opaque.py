"""Opaque networks: what trials find, what is refused, and what is asked for in one sentence."""

import copy
from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.language import opaque_trials as trials

RNG = np.random.default_rng(0)


def block(*shape):
    return RNG.normal(size=shape) / np.sqrt(shape[-1])


W, B, A = block(6, 4), block(6), block(6)
F = Fraction


def layer(function):
    return lambda p, x: function(x @ p["W"].T) @ p["a"]


def rms(z, epsilon=0.0):
    return z / jnp.sqrt((z * z).mean(axis=-1, keepdims=True) + epsilon)


@pytest.mark.parametrize(
    ("function", "degree"),
    [
        (lambda z: z, 1),
        (jax.nn.relu, 1),
        (lambda z: jax.nn.relu(z) ** 2, 2),
        (lambda z: jnp.sqrt(jnp.abs(z)), F(1, 2)),
        (lambda z: jnp.abs(z) ** 1.25, F(5, 4)),
        (rms, 0),
        (jnp.tanh, None),
        (lambda z: rms(z, 1e-5), None),
        (lambda z: jnp.clip(z, -4.0, 4.0), None),
        (lambda z: jnp.abs(z) ** np.pi, None),
    ],
    ids=["linear", "relu", "relu^2", "root", "5/4", "rms", "tanh", "rms with a constant", "clip", "pi"],
)
def test_degrees_by_trial(function, degree):
    symmetry = fl.opaque(layer(function), {"W": W, "a": A}).symmetry
    assert symmetry.degree("a") == 1
    assert symmetry.degree("W") == degree
    assert symmetry.is_multihomogeneous == (degree is not None)
    assert degree is not None or "this block alone gives no power of c" in str(symmetry.breaks[0])


def test_scalings_that_tie_blocks():
    with_bias = fl.opaque(lambda p, x: jax.nn.relu(x @ p["W"].T + p["b"]) @ p["a"], {"W": W, "b": B, "a": A})
    assert with_bias.symmetry.kind == "quasi-homogeneous"
    assert with_bias.symmetry.allows({"W": F(1), "b": F(1), "a": F(0)})
    assert not with_bias.symmetry.allows({"W": F(1), "b": F(0), "a": F(0)})
    assert with_bias.symmetry.joint_degree == 2
    assert "these blocks scale together" in str(with_bias.symmetry.breaks[0])
    text = fl.Network("a @ relu(W @ x + b)", shapes={"W": (6, 4)}).symmetry
    assert {tuple(sorted(v.items())) for v in with_bias.symmetry.scalings} == {
        tuple(sorted(v.items())) for v in text.scalings
    }
    none = fl.opaque(lambda p, x: jnp.tanh(jnp.tanh(x @ p["W"].T)), {"W": W}).symmetry
    assert none.kind == "non-homogeneous"


def test_a_scaling_that_fails_far_away_is_dropped():
    net = fl.opaque(layer(jax.nn.relu), {"W": W, "a": A})
    right, wrong = [F(1), F(0), F(1)], [F(1), F(0), F(2)]
    assert trials._confirmed(net.function, [right, wrong]) == [right]


def test_degrees_are_those_of_the_language():
    for text, function in (
        ("W2 @ relu(W1 @ x)**2", lambda p, x: jax.nn.relu(x @ p["W1"].T) ** 2 @ p["W2"].T),
        ("W2 @ tanh(W1 @ x)", lambda p, x: jnp.tanh(x @ p["W1"].T) @ p["W2"].T),
    ):
        net = fl.opaque(function, {"W1": block(5, 4), "W2": block(1, 5)})
        assert net.symmetry.scalings == fl.Network(text).symmetry.scalings


@pytest.mark.parametrize(
    ("function", "kinked"),
    [
        (jax.nn.relu, True),
        (jnp.abs, True),
        (jnp.tanh, False),
        (jax.nn.gelu, False),
        (lambda z: jax.nn.relu(z) ** 2, False),
    ],
    ids=["relu", "abs", "tanh", "gelu", "relu^2"],
)
def test_kinks_are_found(function, kinked):
    assert fl.opaque(layer(function), {"W": W, "a": A}).jumps == kinked


def test_samples_are_read_one_by_one_or_all_at_once():
    one = fl.opaque(lambda p, x: p["U"] @ jnp.tanh(p["W"] @ x), {"W": W, "U": block(3, 6)})
    many = fl.opaque(lambda p, x: jnp.tanh(x @ p["W"].T) @ p["U"].T, {"W": W, "U": block(3, 6)})
    assert (one.function.batched, many.function.batched) == (False, True)
    assert one.inputs == many.inputs == {"x": (4,)}
    assert one.output_shape == (3,)
    weights, x = many.weights_of({"W": W, "U": block(3, 6)}), RNG.normal(size=(5, 4))
    assert np.allclose(one.outputs(weights, x, np), many.outputs(weights, x, np), rtol=1e-13)


def test_a_block_that_moves_nothing_is_found():
    net = fl.opaque(lambda p, x: x @ p["W"].T + 0.0 * p["b"], {"W": W, "b": B})
    assert net.moved == {"W"}
    assert fl.derive(fl.Problem(net, "square")).residual < 1e-11


def test_inputs_and_constants_by_name():
    net = fl.opaque(
        lambda p, x: (x["X"] @ p["q"]) @ x["M"] @ p["a"],
        {"q": block(3), "a": block(2)},
        inputs={"X": (5, 3)},
        constants={"M": (5, 2)},
    )
    assert net.degrees == {"a": 1, "q": 1}
    data = fl.Data(y=[1.0, -1.0, 1.0], X=RNG.normal(size=(3, 5, 3)), constants={"M": RNG.normal(size=(5, 2))})
    assert net.outputs(net.initial_state().weights(), data.inputs).shape == (3, 1)


class Layers(eqx.Module):
    layers: list
    slope: float

    def __call__(self, x):
        return self.layers[1](jax.nn.leaky_relu(self.layers[0](x), self.slope))


def module(seed=0):
    keys = jax.random.split(jax.random.key(seed))
    return Layers([eqx.nn.Linear(4, 6, key=keys[0]), eqx.nn.Linear(6, 1, key=keys[1])], 0.1)


def test_a_module_has_blocks_by_path():
    net = fl.opaque(module())
    assert net.paths["layers_0_weight"] == "layers.0.weight"
    assert net.symmetry.joint_degree is None
    weights = net.initial_state().weights()
    back, x = net.params_of(weights), jnp.ones(4)
    assert isinstance(back, Layers)
    assert np.allclose(back(x), module()(x), rtol=1e-14)
    other = net.weights_of(module(1))
    assert np.allclose(net.outputs(other, x[None])[0], module(1)(x), rtol=1e-14)
    with pytest.raises(fl.ShapeMismatch, match=r"must have `layers\.0\.bias` of shape \(6,\), got none"):
        net.weights_of(eqx.tree_at(lambda m: m.layers[0].bias, module(), None))


def test_names_are_legal_and_different():
    long = "a_name.that_goes-on_and.on_for_longer_than_any_block_may"
    params = {long: W, long + "s": B, "x": B, "sum": B, "layers": [B, B]}
    net = fl.opaque(lambda p, x: x @ p[long].T + sum(jax.tree.leaves(p)[k].mean() for k in range(6)), params)
    assert len(net.weights) == 6
    assert all(len(name) <= 32 for name in net.weights)
    assert net.paths["W_x"] == "x"
    assert net.paths["W_sum"] == "sum"
    assert net.paths["layers_1"] == "layers.1"


FLOAT32 = np.ones(6, dtype=np.float32)
REFUSED = {
    "integers": (lambda p, x: jnp.argmax(x @ p["W"].T, axis=1), "float64, got int64, which has no derivative"),
    "float32 out": (lambda p, x: (x @ p["W"].T).astype(jnp.float32), "outputs of float64, got float32"),
    "float32 inside": (lambda p, x: x @ p["W"].T * FLOAT32, "must compute in float64, got a value of float32"),
    "float32 on the way": (
        lambda p, x: jnp.tanh((x @ p["W"].T).astype(jnp.float32)).astype(jnp.float64),
        "must compute in float64, got a value of float32",
    ),
    "float32 in a loop": (
        lambda p, x: jax.lax.fori_loop(
            0, 2, lambda _, z: jnp.tanh(z.astype(jnp.float32)) * 1.0 + 0.0 * z, x @ p["W"].T
        ),
        "must compute in float64, got a value of float32",
    ),
    "numpy": (lambda p, x: np.tanh(np.asarray(x)) @ p["W"].T, "jax can trace, got TracerArrayConversionError"),
    "a branch": (lambda p, x: x @ p["W"].T if p["W"].sum() > 0 else x[:, :1], "got TracerBoolConversionError"),
    "a loop": (
        lambda p, x: jax.lax.while_loop(lambda s: s[1] < 3, lambda s: (jnp.tanh(s[0]), s[1] + 1), (x @ p["W"].T, 0))[0],
        "differentiable by jax.vjp",
    ),
    "not finite": (lambda p, x: jnp.log(x @ p["W"].T), "must be finite at random weights and inputs"),
    "a root at zero": (
        lambda p, x: x @ p["W"].T + jnp.sqrt(jnp.sum(0.0 * p["W"])),
        "finite derivatives at random weights, got nan",
    ),
    "parameters that are not read": (lambda p, x: x @ W.T, "must depend on its parameters"),
    "rounding": (lambda p, x: jnp.round(x @ p["W"].T), "slopes in every block are 0"),
    "no slope": (lambda p, x: jax.lax.stop_gradient(x @ p["W"].T), "must depend on its parameters"),
    "mixed samples": (lambda p, x: (x - x.mean(axis=0)) @ p["W"].T, "samples are mixed"),
    "an error of its own": (lambda p, x: {}["no"], "must run, and be differentiable by jax.vjp, on arrays"),
}


@pytest.mark.parametrize(("function", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_network_is_refused(function, told):
    with pytest.raises(fl.LanguageError) as caught:
        fl.opaque(function, {"W": W}, inputs={"x": (4,)})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda p, x: (x @ p["W"].T)[:, :, None, None], r"\('N', 6, 1, 1\)"),
        (lambda p, x: {"out": x @ p["W"].T}, "a value of type dict"),
    ],
)
def test_other_shapes_are_refused(function, told):
    with pytest.raises(fl.ShapeMismatch, match=told):
        fl.opaque(function, {"W": W}, inputs={"x": (4,)})


@pytest.mark.parametrize("value", [W.astype(np.float32), np.ones(3, dtype=int), 1.0, "text", np.zeros((0, 4))])
def test_parameters_are_arrays_of_float64(value):
    with pytest.raises(fl.LanguageError, match="must be a non-empty array of float64, got"):
        fl.opaque(lambda p, x: x @ p["W"].T, {"W": value})


def test_samples_may_be_said_to_be_read_one_by_one():
    def centred(p, x):
        return (x - x.mean(axis=0)) @ p["W"].T

    with pytest.raises(fl.LanguageError, match="outputs that change with other samples"):
        fl.opaque(centred, {"W": W}, batched=True)
    assert fl.opaque(centred, {"W": W}, batched=False).degrees == {"W": 1}


def test_an_input_that_is_not_clear_is_asked_for():
    with pytest.raises(fl.LanguageError, match=r"\(1,\) and \(3,\) both fit"):
        fl.opaque(lambda p, x: (x * p["c"]).sum(axis=-1), {"c": np.ones(1), "d": np.ones(3)})
    with pytest.raises(fl.LanguageError, match="no vector or matrix fits"):
        fl.opaque(lambda p, x: x.reshape(-1, 7) @ p["W"].T, {"W": W})
    with pytest.raises(fl.LanguageError, match=r"pass `fl\.opaque\(f, params\)`"):
        fl.opaque(lambda p, x: x)
    with pytest.raises(fl.LanguageError, match=r"pass for example \{'x'"):
        fl.opaque(lambda p, x: x, {"W": W}, inputs={})
    with pytest.raises(fl.ShapeMismatch, match="positive sizes"):
        fl.opaque(lambda p, x: x, {"W": W}, inputs={"x": (0,)})


def test_a_module_that_does_not_run_says_why():
    layers = [eqx.nn.Linear(4, 2, key=jax.random.key(0)), eqx.nn.Dropout(0.5)]
    with pytest.raises(fl.LanguageError, match="RuntimeError: Dropout requires a key"):
        fl.opaque(eqx.nn.Sequential(layers))
    with pytest.raises(fl.LanguageError, match=r"must be left out for an `equinox\.Module`"):
        fl.opaque(module(), {"W": W})


def test_the_hash_tells_functions_apart():
    def net(function):
        return fl.opaque(lambda p, x: function(x @ p["W"].T), {"W": W})

    same = [fl.Problem(net(jnp.tanh)).signature for _ in range(2)]
    assert same[0] == same[1]
    assert fl.Problem(net(jnp.sin)).signature != same[0]
    shifts = [net(lambda z, s=s: jnp.tanh(z + s)).function.digest for s in (B, B + 1e-12)]
    assert shifts[0] != shifts[1]
    other = net(jnp.tanh)
    assert fl.Problem(copy.deepcopy(other)).signature == fl.Problem(other).signature


def test_widths_of_data_and_labels_must_fit():
    net = fl.opaque(lambda p, x: x @ p["W"].T, {"W": W})
    with pytest.raises(fl.ShapeMismatch, match="must have one size, got 4"):
        fl.initial_state(net, fl.Data(np.ones((2, 3)), np.ones((2, 6)) * 0.5), seed=0)
    with pytest.raises(fl.ShapeMismatch, match="must have one size, got 6"):
        fl.initial_state(net, fl.Data(np.eye(4)[:2], [1.0, -1.0]), seed=0)


def test_a_function_in_place_of_text_is_told_how_to_go():
    with pytest.raises(fl.FlowlabError, match=r"wrap it, `fl\.opaque"):
        fl.Network(lambda params, x: x)
    with pytest.raises(fl.FlowlabError, match="write 'W2 @ relu"):
        fl.Network(3)
