"""The flow of an opaque network: the one of the same network in the language, certified by differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.symbolic.certificate import random_state

RNG = np.random.default_rng(1)
PARAMS = {"W1": RNG.normal(size=(5, 3)), "W2": RNG.normal(size=(2, 5))}
TEXT = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def pair(name):
    """The same network twice, opaque and in the language."""
    function = TEXT[name]
    return (
        fl.opaque(lambda p, x: function(x @ p["W1"].T) @ p["W2"].T, PARAMS),
        fl.Network(f"W2 @ {name}(W1 @ x)", shapes={"W1": (5, 3), "W2": (2, 5)}),
    )


def largest_gap(mine, theirs):
    return max(
        float(np.abs(a - b).max() / np.abs(b).max())
        for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True)
    )


CASES = [
    ("relu", {"scheme": "gradient_flow"}),
    ("relu", {"scheme": "lagrange", "per": "network"}),
    ("tanh", {"scheme": "gradient_flow", "per": "neuron", "decay": 0.1, "reduction": "mean"}),
    ("tanh", {"scheme": "weight_normalization"}),
    ("tanh", {"coordinates": "weights"}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v)))
def test_rates_are_those_of_the_language(name, options):
    problems = [fl.Problem(net, "cross_entropy", **options) for net in pair(name)]
    flows = [fl.derive(problem) for problem in problems]
    assert [e.kappa for e in flows[0].equations] == [e.kappa for e in flows[1].equations]
    state = random_state(problems[1], 3)
    data = fl.Data(state.samples.x, state.samples.y)
    start = fl.State.from_weights(state.weights, per=problems[0].per)
    rates = [fl.lower(flow)(0.0, start, data) for flow in flows]
    assert largest_gap(*rates) < 1e-12
    # The control: another activation is not the same flow.
    other = fl.Problem(pair("relu" if name == "tanh" else "tanh")[0], "cross_entropy", **options)
    assert largest_gap(fl.lower(fl.derive(other, verify=False))(0.0, start, data), rates[1]) > 1e-3


def test_what_is_printed():
    flow = fl.derive(fl.Problem(pair("relu")[0], "cross_entropy"))
    text = str(flow)
    assert "f is called, not read" in text
    assert "found by trial and not proved; every block scales alone" in text
    assert "kinks are stepped over, not followed" in text
    assert "kappa(W1) = 1, kappa(W2) = 1" in text
    assert "rho_W1^2 - rho_W2^2" in text
    assert "and that against finite differences" in text
    smooth = str(fl.derive(fl.Problem(pair("tanh")[0], "cross_entropy")))
    assert "no kink was found; one that it has is stepped over" in smooth
    assert "blocks do not all scale, so norms need not grow alike; what scales is: W2 by c^1" in smooth
    assert "this block alone gives no power of c, as trials show (e(W1) = 0)" in smooth
    assert "texttt{jax.vjp}" in flow.latex()


def test_networks_of_the_language_say_nothing_of_trials():
    assert "trial" not in str(fl.derive(fl.Problem(pair("relu")[1], "cross_entropy")))


@pytest.mark.parametrize("depth", ["matrix", "component"])
def test_there_is_structural_depth_alone(depth):
    flow = fl.derive(fl.Problem(pair("tanh")[0], "cross_entropy"))
    with pytest.raises(fl.LanguageError, match="must be 'structural' for the opaque network"):
        flow.text(depth)
    with pytest.raises(fl.LanguageError, match="must be 'structural' for the opaque network"):
        flow.latex(depth)
    with pytest.raises(fl.LanguageError, match="must be 'structural' for the opaque network"):
        flow.component(3, 2)
    assert fl.derive(fl.Problem(pair("tanh")[1], "cross_entropy")).text("matrix")


def with_rule(factor):
    """A tanh whose own derivative rule is off by a factor."""

    @jax.custom_vjp
    def bent(z):
        return jnp.tanh(z)

    bent.defvjp(lambda z: (jnp.tanh(z), z), lambda z, g: (g * factor * (1 - jnp.tanh(z) ** 2),))
    return fl.opaque(lambda p, x: bent(x @ p["W1"].T) @ p["W2"].T, PARAMS)


def test_a_wrong_derivative_rule_is_found():
    assert fl.derive(fl.Problem(with_rule(1.0), "cross_entropy")).residual < 1e-11
    for factor in (1.01, 1 + 1e-4, -1.0):
        with pytest.raises(
            fl.DerivationMismatch, match="in `W1` by jax\\.vjp disagrees with finite differences"
        ) as caught:
            fl.derive(fl.Problem(with_rule(factor), "cross_entropy"))
        assert caught.value.residual == pytest.approx(abs(factor - 1) / max(1, abs(factor)), rel=0.05)


def test_a_straight_through_slope_is_no_derivative():
    def through(z):
        return z + jax.lax.stop_gradient(jnp.tanh(z) - z)

    net = fl.opaque(lambda p, x: through(x @ p["W1"].T) @ p["W2"].T, PARAMS)
    with pytest.raises(fl.DerivationMismatch, match="finite differences"):
        fl.derive(fl.Problem(net, "cross_entropy"))


def test_wrong_equations_are_found():
    flow = fl.derive(fl.Problem(pair("relu")[0], "cross_entropy"))
    wrong = fl.mutants(flow)
    assert wrong
    for mutant in wrong[:4]:
        with pytest.raises(fl.DerivationMismatch):
            fl.certify(mutant.flow)


def test_laws_are_found_by_trial_where_the_network_is_small():
    def flow(width):
        params = {"W1": RNG.normal(size=(width, 3)), "W2": RNG.normal(size=(2, width))}
        return fl.derive(fl.Problem(fl.opaque(lambda p, x: jax.nn.relu(x @ p["W1"].T) @ p["W2"].T, params), "square"))

    assert "diag(W1 W1^T - W2^T W2)" in str(flow(5))
    wide = flow(4_000)
    assert "rho_W1^2 - rho_W2^2" in str(wide)
    assert "diag" not in str(wide)


def test_equations_are_read_back_as_long_as_the_network_is_there():
    net = pair("tanh")[0]
    flow = fl.derive(fl.Problem(net, "cross_entropy"))
    stored = flow.to_json()
    assert fl.FlowEquations.from_json(stored).signature == flow.signature
    lost = stored.replace(net.function.digest, "0" * 64)
    with pytest.raises(
        fl.OutputError, match="needs the opaque network `f` \\(000000000000\\), which no file can rebuild"
    ):
        fl.FlowEquations.from_json(lost)
