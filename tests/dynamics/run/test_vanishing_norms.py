"""A norm that falls to zero ends a run there: its direction is not defined, and no norm is ever negative."""

import jax
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

jax.config.update("jax_enable_x64", True)

import flowlab as fl


def flow(scheme, coordinates, weights, data, **ends):
    field = fl.lower(fl.derive(fl.Problem("W1 @ x", scheme=scheme, coordinates=coordinates)))
    return fl.integrate(field, fl.State.from_weights({"W1": weights}), data, **ends)


def wrong(seed, n=8, d=20):
    """Separable samples, and small weights that are wrong about most of them: directions turn by as little as norms
    are, and rho gets to zero first.
    """
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.where(x @ w >= 0, 1.0, -1.0)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y), 0.3 * (-w + 0.3 * rng.normal(size=d))[
        None
    ] / np.sqrt(d)


def by_hand(scheme, data, w):
    """The time at which rho is zero, by SciPy, from the equations written out for one linear layer under the
    exponential loss.
    """
    z = data.y[:, None] * data.x

    def rate(t, u):
        rho, v = u[0], u[1:]
        unit = v / np.linalg.norm(v)
        g = np.exp(-rho * z @ unit) @ z
        across = rho * (g - (g @ unit) * unit)
        return np.r_[g @ unit, across if scheme == "lagrange" else across / np.linalg.norm(v)]

    def zero(t, u):
        return u[0]

    zero.terminal = True
    start = np.r_[np.linalg.norm(w), w[0] / np.linalg.norm(w)]
    return float(solve_ivp(rate, (0, 5), start, method="DOP853", rtol=1e-12, atol=1e-13, events=zero).t[-1])


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["lagrange", pytest.param("weight_normalization", marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [0, 4])
def test_a_norm_that_reaches_zero_ends_the_run_there(scheme, seed):
    data, w = wrong(seed)
    path = flow(scheme, "polar", w, data, until=fl.log_time(100.0), rtol=1e-10, atol=1e-12)
    assert path.outcome.kind == "stalled"
    assert not path.outcome.ok
    assert "norm of W1 falls to zero" in path.outcome.message
    assert (path.dataset.rho.values > 0).all()
    assert float(path.last.rho["W1"]) < 1e-10
    assert np.exp(float(path.dataset.log_t[-1])) == pytest.approx(by_hand(scheme, data, w), rel=1e-9)


@pytest.mark.long
def test_a_weight_that_goes_through_zero_does_so_in_weights_alone():
    """One feature and w' = e^{-w} + e^{-w/2}/2: the weight rises through zero, which a norm cannot."""
    data = fl.Data(np.array([[1.0], [-0.5]]), np.array([1.0, -1.0]))
    polar, plain = (
        flow("gradient_flow", c, np.array([[-1.0]]), data, until=fl.time(5.0)) for c in ("polar", "weights")
    )
    assert polar.outcome.kind == "stalled"
    assert 'use `coordinates="weights"`' in polar.outcome.message
    assert plain.outcome.ok
    assert float(plain.last.weights()["W1"][0, 0]) > 0
    when = quad(lambda w: 1.0 / (np.exp(-w) + 0.5 * np.exp(-0.5 * w)), -1.0, 0.0)[0]
    assert np.exp(float(polar.dataset.log_t[-1])) == pytest.approx(when, rel=1e-7)


def test_norms_that_do_not_vanish_end_no_run():
    data, w = wrong(0)
    path = flow("gradient_flow", "polar", w, data, until=fl.time(5.0))
    assert path.outcome.kind == "done"
    assert float(path.dataset.rho.min()) < 0.9 * float(path.dataset.rho[0, 0])
