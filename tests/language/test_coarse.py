"""Coarse gradients: a value with the slope of another, and what is not said of flows that follow one."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import DerivationMismatch
from flowlab.language.operations import operations
from flowlab.symbolic.certificate import certify

PATCHES = {"inputs": {"X": ("m", "n")}}
TEXT = "v @ coarse(step, relu)(X @ w)"


def sampled(seed=0, samples=40):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, 2, 3))
    return fl.Data(X=X, y=(X @ [1.0, 0, 0] > 0) @ [1.0, -0.5])


def test_three_spellings_are_one_network():
    v, w, X = fl.weight("v"), fl.weight("w"), fl.input("X", ("m", "n"))
    z = X @ w
    plain = fl.Network("v @ coarse(step(X @ w), relu(X @ w))", **PATCHES)
    assert fl.Network(TEXT, **PATCHES).text == plain.text
    assert fl.Network(v @ fl.coarse(fl.step, fl.relu)(z)).text == plain.text
    assert fl.Network(v @ fl.coarse(fl.step(z), fl.relu(z))).text == plain.text


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "v @ coarse(step, identity)(X @ w)",
        "v @ coarse(sign(X @ w), clipped_relu(X @ w, 2))",
        "v @ coarse(quantised_relu(X @ w, 3, 0.25), clipped_relu(X @ w, 1.75))",
        "v @ relu(X @ coarse(sign, identity)(w))",
        "v @ (coarse(step, relu)(X @ w) * stop(relu(X @ w)))",
    ],
)
def test_what_is_pulled_back_is_what_a_jvp_of_its_own_says(text):
    net = fl.Network(text, **PATCHES)
    for coordinates in ("weights", "polar"):
        flow = fl.derive(fl.Problem(net, "square", coordinates=coordinates))
        assert flow.residual <= 1e-12
        assert not flow.is_gradient
        assert "coarse gradient" in str(flow)
    if text == TEXT:
        assert "F = v.T @ A_1" in flow.text("matrix")
        assert "D_2 = v @ Psi * relu'(Z_2)" in flow.text("matrix")


def test_the_slope_is_the_surrogates_and_no_other():
    """Worked out by hand at one sample; the true slope and another surrogate give something else."""
    X, v, w = np.array([[[2.0, -1.0], [-0.5, 0.25]]]), np.array([3.0, -2.0]), np.array([0.5, 0.25])
    problem = fl.Problem(fl.Network(TEXT, **PATCHES), "square", coordinates="weights")
    field = fl.lower(fl.derive(problem))
    rate = field.rate(0.0, {"v": jnp.asarray(v), "w": jnp.asarray(w)}, fl.Data(X=X, y=np.array([0.5])))
    # z = (.75, -.1875): the output is 3, the residual 2.5.
    assert np.allclose(rate["v"], [-2.5, 0.0])
    assert np.allclose(rate["w"], -2.5 * 3.0 * X[0, 0])
    for other in ("step", "coarse(step, identity)"):
        found = fl.lower(
            fl.derive(
                fl.Problem(fl.Network(f"v @ {other}(X @ w)", **PATCHES), "square", coordinates="weights"), verify=False
            )
        )
        wrong = found.rate(0.0, {"v": jnp.asarray(v), "w": jnp.asarray(w)}, fl.Data(X=X, y=np.array([0.5])))
        assert not np.allclose(wrong["w"], rate["w"])


def test_a_swapped_surrogate_is_refuted(monkeypatch):
    flow = fl.derive(fl.Problem(fl.Network(TEXT, **PATCHES), "square", coordinates="weights"))
    certify(flow)
    other = fl.derive(
        fl.Problem(fl.Network("v @ coarse(step, identity)(X @ w)", **PATCHES), "square", coordinates="weights")
    )
    with monkeypatch.context() as patch:
        # The slope is taken from the value.
        patch.setattr(operations["coarse"], "pullback", lambda self, tape, args, out, cot, params: [cot, None])
        with pytest.raises(DerivationMismatch):
            fl.derive(flow.problem)
    object.__setattr__(flow, "program", other.program)
    with pytest.raises(DerivationMismatch):
        certify(flow)


@pytest.mark.long
def test_euler_laws_and_the_monitor_of_the_loss_are_off():
    net = fl.Network(TEXT, **PATCHES)
    assert not net.is_gradient
    assert not net.symmetry.is_multihomogeneous
    with pytest.raises(fl.NotHomogeneous, match="Euler"):
        _ = net.degrees
    flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
    assert flow.laws == ()
    assert "coarse gradient" in str(flow.law_count)
    data = sampled()
    start = fl.initial_state(net, data, seed=0)
    path = fl.integrate(fl.lower(flow), start, data, until=fl.time(0.01), rtol=1e-3, atol=1e-4)
    assert "loss" not in path.monitors
    smooth = fl.derive(fl.Problem(fl.Network("v @ relu(X @ w)", **PATCHES), "square", coordinates="weights"))
    assert smooth.is_gradient
    assert smooth.laws
    path = fl.integrate(fl.lower(smooth), start, data, until=fl.time(0.01), rtol=1e-3, atol=1e-4)
    assert "loss" in path.monitors


def test_a_step_alone_has_a_gradient_that_is_zero():
    flow = fl.derive(fl.Problem("a @ step(W @ x)", "square"))
    assert flow.is_gradient
    assert fl.Network("a @ step(W @ x)").degrees == {"W": Fraction(0), "a": Fraction(1)}
    assert fl.Network("a @ step(W @ x)").moved == {"a"}


def test_what_needs_a_gradient_refuses():
    problem, data = fl.Problem("a @ coarse(step, relu)(W @ x)", "square"), fl.Data(np.eye(2), np.array([0.5, 1.0]))
    start = fl.initial_state(problem.network, data, widths={"W": 2}, seed=0)
    with pytest.raises(fl.LanguageError, match="gradient of the loss"):
        fl.critical_points(problem, data, norm=1.0, widths={"W": 2})
    with pytest.raises(fl.LanguageError, match="gradient of the loss"):
        fl.one_step(problem, start, data, step=0.1)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("v @ coarse(step(X @ w))", fl.LanguageError),
        ("v @ coarse(step, relu)", fl.LanguageError),
        ("v @ coarse(step, reluu)(X @ w)", fl.UnknownName),
        ("v @ coarse(step(X @ w), w)", fl.ShapeMismatch),
        ("v @ coarse(step(X @ w), relu(u))", fl.ShapeMismatch),
        ("v @ coarse(step, relu)()", fl.LanguageError),
        ("v @ coarse(step, 3)(X @ w)", fl.LanguageError),
        ("v @ stop()", fl.LanguageError),
        ("v @ quantised_relu(X @ w, 0)", fl.LanguageError),
        ("v @ quantised_relu(X @ w, 2, -1)", fl.LanguageError),
        ("v @ clipped_relu(X @ w, 0)", fl.LanguageError),
    ],
)
def test_bad_input(text, error):
    with pytest.raises(error):
        fl.Network(text, **PATCHES)


def test_words_and_expressions_do_not_mix():
    with pytest.raises(fl.LanguageError, match="both"):
        fl.coarse(fl.step, fl.weight("w"))


def test_a_straight_through_value_under_jax():
    word = operations["coarse"]()
    value, back = jax.vjp(lambda a, b: word.numeric(jnp, [a, b], (), None, ()), jnp.ones(2), jnp.full(2, 3.0))
    assert np.array_equal(value, np.ones(2))
    held, passed = back(jnp.arange(2.0))
    assert np.array_equal(held, np.zeros(2))
    assert np.array_equal(passed, np.arange(2.0))


def test_a_run_says_that_jumps_were_stepped_over_and_no_more():
    rng = np.random.default_rng(0)
    data = fl.Data(rng.normal(size=(5, 2)), rng.normal(size=5), kind="targets")
    net = fl.Network("a @ coarse(step, relu)(W @ x)")
    flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
    path = fl.integrate(fl.lower(flow), fl.initial_state(net, data, widths={"W": 2}, seed=0), data, until=fl.time(0.1))
    assert path.outcome.message.endswith("; jumps of the network were stepped over.")
