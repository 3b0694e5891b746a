"""An explicit run that turns stiff goes on with an implicit method, and says so; one that does not, does not."""

import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.clocks import CLOCKS
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.run.setup import Setup
from flowlab.dynamics.steppers.solvers import SOLVERS


def linear(rates, **settings):
    """Least squares on samples that are sqrt of rates times unit vectors: w_i' = -2 rates_i (w_i - 1)."""
    d = len(rates)
    x = np.diag(np.sqrt(np.asarray(rates)))
    data = fl.Data(x, x.sum(axis=1), kind="targets")
    problem = fl.Problem("W1 @ x", loss="square", coordinates="weights", **settings)
    return fl.lower(fl.derive(problem)), fl.State.from_weights({"W1": np.linspace(2.0, 3.0, d)[None]}), data


@pytest.mark.long
def test_the_estimate_is_step_times_stiffness():
    """On w' = -J (w - 1) with its fast parts at rest the estimate must be h times an eigenvalue of J; the largest once
    steps are limited by it.
    """
    field, start, data = linear([0.5, 200.0])
    weights, slope = field.pack(start), field.rate(0.0, field.pack(start), data)
    unit = float(slope["W1"][0, 1] / (weights["W1"][0, 1] - 1.0))
    stiffest = abs(unit)
    path = fl.integrate(field, start, data, until=fl.time(4.0 / abs(unit) * 200.0), solver="tsit5")
    assert path.outcome.ok
    clock, size, far = CLOCKS["time"], 64, jnp.asarray(1e300)
    tight = (jnp.asarray(1e-8), jnp.asarray(1e-10))
    args = (SOLVERS["tsit5"], clock, field, data)
    carry, _ = compiled_steps.begin(*args, field.pack(path.last), jnp.asarray(1.0), far, *tight)
    for _ in range(8):
        chunk = compiled_steps.advance(*args, carry, far, *tight, jnp.asarray(32), (), size, jnp.asarray(1 << 60))
        carry = chunk.carry
    # An explicit method at its stability limit: h λ hovers about the boundary of Tsit5 on the negative real axis, 3.3.
    h = float(carry.t_next - carry.t)
    assert 1.0 < h * stiffest < 6.0
    assert 0.5 * h * stiffest < float(carry.stiffness.h_lambda) < 2.0 * h * stiffest


@pytest.mark.long
def test_a_stiff_flow_is_handed_to_an_implicit_method_once():
    field, start, data = linear([1e-3, 1.0, 1e3])
    auto = fl.integrate(field, start, data, until=fl.time(2e3))
    explicit = fl.integrate(field, start, data, until=fl.time(2e3), solver="tsit5", max_steps=2_000_000)
    switches = auto.provenance["switches"]
    assert [(s["clock"], s["solver"]) for s in switches] == [("time", "kvaerno5")]
    assert explicit.provenance["switches"] == []
    assert auto.stats["steps"] < 0.01 * explicit.stats["steps"]
    # Exactly known, each coordinate by its own exponential.
    for path in (auto, explicit):
        assert np.abs(np.asarray(path.last.weights()["W1"])[0, 1:] - 1.0).max() < 1e-7
    gap = np.asarray(auto.last.weights()["W1"]) - np.asarray(explicit.last.weights()["W1"])
    assert np.abs(gap).max() < 1e-6
    log_t = auto.dataset.log_t.values
    assert np.all(np.diff(log_t[1:]) > 0)
    assert log_t[1] < switches[0]["log_t"] < log_t[-1]


@pytest.mark.long
@pytest.mark.parametrize("text", ["W2 @ tanh(W1 @ x)", pytest.param("W2 @ relu(W1 @ x)", marks=pytest.mark.slow)])
def test_a_flow_that_is_not_stiff_keeps_its_method(text):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(8, 2))
    data = fl.Data(x, np.sign(x[:, 0]))
    path = fl.integrate(
        fl.lower(fl.derive(fl.Problem(text))),
        fl.initial_state(text, data, widths={"W1": 3}, seed=0),
        data,
        until=fl.time(1.0),
    )
    assert path.provenance["switches"] == []


def test_slopes_that_jump_and_systems_too_large_to_factorise_stay_explicit():
    """No vote is taken there: an implicit step over a kink is not better, and one of many unknowns costs more."""
    field, start, data = linear([1.0])

    def may(field, unknowns, solver="auto"):
        large = fl.State(rho={"w": 1.0}, V={"w": np.zeros(unknowns - 1)})
        return Setup(field, data, large, None, solver, "auto", 1e-8, 1e-10, 10, None, 0.0).may_turn_stiff(stiff=False)

    kinked = fl.lower(fl.derive(fl.Problem("W2 @ relu(W1 @ x)")))
    assert (may(field, 10), may(field, 10_000), may(kinked, 10), may(field, 10, "tsit5")) == (True, False, False, False)
    assert start.per == "layer"
