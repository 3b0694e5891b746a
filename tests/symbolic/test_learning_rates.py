"""A learning rate per block: in the equations, the program, the reference, the witness and the laws."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flowlab as fl
from flowlab.core.errors import DerivationMismatch, LanguageError, UnknownName
from flowlab.language.schemes import schemes
from flowlab.symbolic.certificate import certify
from flowlab.symbolic.scalars import SYMBOLS

NET = "W2 @ relu(W1 @ x)"


def samples(n=8, d=3, seed=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return fl.Data(x, np.sign(x[:, 0]))


def test_problems_without_rates_are_what_they_were():
    plain = fl.Problem(NET)
    assert "rates" not in plain.describe()
    assert plain.rates == {"W1": 1.0, "W2": 1.0}
    for rates in ({}, {"W1": 1.0}, {"W1": 1, "W2": 1.0}, None):
        same = fl.Problem(NET, rates=rates)
        assert same == plain
        assert not same.is_rated
        assert str(fl.derive(same)) == str(fl.derive(plain))
        assert "eta" not in str(fl.derive(same))


def test_rates_belong_to_the_problem():
    rated = fl.Problem(NET, rates={"W1": 0.1}, decay=0.01)
    assert rated != fl.Problem(NET, decay=0.01)
    assert rated.describe()["rates"] == {"W1": 0.1}
    assert fl.Problem.from_description(rated.describe()) == rated
    flow = fl.derive(rated)
    assert fl.FlowEquations.from_json(flow.to_json()).signature == flow.signature


@pytest.mark.parametrize(
    ("rates", "error", "told"),
    [
        (0.1, LanguageError, "`rates=0.1` must be a mapping"),
        ("W1", LanguageError, "must be a mapping"),
        ({"W3": 0.1}, UnknownName, "`rates` names `W3`"),
        ({"W1": 0.0}, LanguageError, "must be a finite number above zero"),
        ({"W1": -1.0}, LanguageError, "above zero"),
        ({"W1": float("inf")}, LanguageError, "above zero"),
        ({"W1": True}, LanguageError, "must be a number, got a value of type bool"),
        ({"W1": "fast"}, LanguageError, "must be a number"),
    ],
)
def test_what_is_no_rate_is_refused(rates, error, told):
    with pytest.raises(error, match=told):
        fl.Problem(NET, rates=rates)


def test_blocks_of_one_norm_need_one_rate():
    with pytest.raises(LanguageError, match="`rates` differs between the blocks of one norm"):
        fl.derive(fl.Problem(NET, per="network", rates={"W1": 0.1}))
    assert fl.derive(fl.Problem(NET, per="network", rates={"W1": 0.1, "W2": 0.1})).residual < 1e-11


@pytest.mark.parametrize("scheme", list(schemes))
def test_every_scheme_is_certified_and_needs_its_rates(scheme):
    for decay in (0.0, 0.2):
        flow = fl.derive(fl.Problem(NET, "logistic", scheme, rates={"W1": 0.25, "W2": 3.0}, decay=decay))
        assert flow.residual < 1e-11
        assert "eta_W1" in flow.text("matrix")
        assert r"\eta_{1}" in flow.latex()
        # Control: equations that forget a rate are refused.
        for i, equation in enumerate(flow.equations):
            wrong = replace(equation, G=equation.G.subs(SYMBOLS["eta_k"], 1))
            others = (*flow.equations[:i], wrong, *flow.equations[i + 1 :])
            with pytest.raises(DerivationMismatch):
                certify(flow.with_equations(others))


def test_steps_and_equations_say_where_the_rate_stands():
    flow = fl.derive(fl.Problem("W2 @ W1 @ x", rates={"W1": 0.1}, decay=0.2, coordinates="weights"))
    text = str(flow)
    assert "learning rates: block k moves eta_k times as fast" in text
    assert "dW_k/dt = eta_k (sum_n psi_n dq_n/dW_k - 2 omega_k W_k)" in text
    assert "d W1/dt = eta_W1 sum_n psi_n dq_n/dW1 + (-2*eta_W1*omega_W1) W1" in text
    assert "the learning rates are eta_W1 = 0.1, eta_W2 = 1.0" in flow.text("matrix")
    polar = str(fl.derive(fl.Problem("W2 @ W1 @ x", rates={"W1": 0.1})))
    assert "d rho_W1/dt = R*eta_W1*s/rho_W1" in polar
    assert "d/dt (rho_k^2/(eta_k kappa_k)) = 2*R*s" in polar
    assert "rho_W1^2/eta_W1 - rho_W2^2/eta_W2" in polar
    assert "W1 W1^T/eta_W1 - W2^T W2/eta_W2" in polar
    assert "rho_W^2/(2 eta_W) - rho_a^2/eta_a" in str(fl.derive(fl.Problem("a @ W @ W @ x", rates={"a": 0.2})))


def test_a_block_called_eta_does_not_look_like_a_rate():
    flow = fl.derive(fl.Problem("eta @ relu(W @ x)", rates={"W": 0.1}))
    assert "W_eta" in str(flow)
    assert "some blocks have the name of another symbol" in str(flow)
    assert "W_eta" not in str(fl.derive(fl.Problem("eta @ relu(W @ x)")))


def test_equations_of_one_entry_have_their_rates():
    text = fl.derive(fl.Problem("w @ x", coordinates="weights", rates={"w": 0.1})).component(2, 2).text()
    assert "eta_w" in text


@pytest.mark.parametrize("coordinates", ["polar", "weights"])
def test_the_flow_is_that_of_scaled_gradients(coordinates):
    """Against SciPy and `jax.grad`, which know nothing of the derivation."""
    rates = {"W1": 0.2, "W2": 1.7}
    problem = fl.Problem("W2 @ tanh(W1 @ x)", "logistic", coordinates=coordinates, rates=rates)
    data = samples()
    start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=1)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.time(2.0), rtol=1e-9, atol=1e-11)
    W = {w: np.asarray(v) for w, v in start.weights().items()}
    sizes = {w: v.size for w, v in W.items()}

    def unpacked(theta):
        first = theta[: sizes["W1"]].reshape(W["W1"].shape)
        return {"W1": first, "W2": theta[sizes["W1"] :].reshape(W["W2"].shape)}

    speed = jax.jit(jax.grad(lambda theta: problem.objective(unpacked(theta), data, jnp)))
    scale = np.concatenate([np.full(sizes[w], rates[w]) for w in ("W1", "W2")])
    theta = np.concatenate([W["W1"].ravel(), W["W2"].ravel()])
    found = solve_ivp(lambda _, y: -scale * np.asarray(speed(y)), (0.0, 2.0), theta, "DOP853", rtol=1e-11, atol=1e-12)
    for w, v in unpacked(found.y[:, -1]).items():
        assert np.asarray(path.last.weights()[w]) == pytest.approx(v, rel=1e-6, abs=1e-7)


def test_the_witness_descends_along_scaled_gradients():
    problem, data = fl.Problem("W2 @ tanh(W1 @ x)", "logistic", rates={"W1": 0.2}), samples()
    start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=1)
    one = fl.descend(problem, start, data, step=0.1, count=1).last.weights()
    W = start.weights()
    g = jax.grad(lambda v: problem.objective(v, data, jnp))(W)
    for w, eta in {"W1": 0.2, "W2": 1.0}.items():
        assert np.asarray(one[w]) == pytest.approx(np.asarray(W[w] - 0.1 * eta * g[w]), rel=1e-12)


@pytest.mark.long
def test_kinks_are_not_followed_at_several_rates():
    data = samples()
    start = fl.initial_state(NET, data, widths={"W1": 3}, seed=1)
    several = fl.lower(fl.derive(fl.Problem(NET, rates={"W1": 0.2}, coordinates="weights")))
    with pytest.raises(LanguageError, match="one learning rate"):
        fl.integrate(several, start, data, until=fl.time(0.5), kinks="events")
    path = fl.integrate(several, start, data, until=fl.time(0.2))
    assert "kink_log_t" not in path.dataset
    one = fl.lower(fl.derive(fl.Problem(NET, rates={"W1": 0.2, "W2": 0.2}, coordinates="weights")))
    slow = fl.integrate(one, start, data, until=fl.time(5.0), kinks="events")
    plain = fl.lower(fl.derive(fl.Problem(NET, coordinates="weights")))
    fast = fl.integrate(plain, start, data, until=fl.time(1.0), kinks="events")
    assert np.asarray(slow.last.rho["W1"]) == pytest.approx(np.asarray(fast.last.rho["W1"]), rel=1e-6)
