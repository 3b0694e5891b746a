"""Samples whose losses are powers of ten apart hold one unit: sides and slopes are decided by each sample's own pull,
not by the largest one's round-off.
"""

import math

import equinox as eqx
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.kinks.pairs import Pairs
from flowlab.dynamics.kinks.tracker import Tracker

NET = "W2 @ relu(W1 @ x)"
X = np.array([[1.0, 0.3, 0.5], [0.4, 1.0, -0.2], [0.7, 0.6, 1.0]])
LABELS = np.array([1.0, 1.0, -1.0])
HELD = [0, 2]
"""Pairs of the first unit and the first two samples; pairs are counted sample by sample, units within."""


def setting(faint):
    """The first unit on the kinks of samples 1 and 2, the second one on the right of sample 1; losses near e^-faint,
    log 2 of sample 2.
    """
    row = np.cross(X[0], X[1])
    row /= row @ X[2]
    other = np.linalg.solve(X, [faint, -1.0, -1.0])
    W = {"W1": np.array([row, other]), "W2": np.array([[-faint - 2.0, 1.0]])}
    return W, np.array([1.0, 1.0, 1.0, -1.0, 1.0, -1.0])


def exact(faint):
    """Multipliers at which the first unit stays on both kinks, and pulls p times its outgoing weight; its row moves by
    Σ λ_n p_n x_n.
    """
    v, f = -faint - 2.0, np.array([faint, 0.0, -faint - 2.0])
    p = v * LABELS / (1.0 + np.exp(LABELS * f))
    forces = np.linalg.solve(X[:2] @ X[:2].T, -p[2] * X[:2] @ X[2])
    return forces / p[:2], p[:2]


@pytest.fixture(scope="module")
def field():
    return fl.lower(fl.derive(fl.Problem(NET, "logistic", coordinates="weights")))


@pytest.mark.parametrize("faint", [1.0, 30.0, 60.0, 300.0])
def test_multipliers_of_faint_samples_keep_their_digits(field, faint):
    W, side = setting(faint)
    data = fl.Data(X, LABELS)
    pairs = Pairs.of(field, data, W)
    mode, sliders = pairs.mode(side, dict.fromkeys(HELD, 0.5), W)
    seen = eqx.filter_jit(lambda inside, y, data: inside.multipliers(y, data))(pairs.within(mode), W, data)
    found, answers, terms = (np.asarray(each)[: len(sliders.flat)] for each in seen)
    multipliers, pulls = exact(faint)
    assert found == pytest.approx(multipliers, rel=1e-10, abs=0.0)
    assert answers[0] / answers[1] == pytest.approx(pulls[0] / pulls[1], rel=1e-10)
    assert (terms >= 0.99 * np.abs(found)).all()


@pytest.mark.parametrize("faint", [1.0, 30.0, 60.0, 300.0])
def test_sides_of_faint_samples_are_those_of_strong_ones(field, faint):
    """Decided on afresh at the state, as at the start of a run that goes on from there."""
    W, _ = setting(faint)
    tracker = Tracker(field, fl.Data(X, LABELS), W)
    tracker.begin(W)
    assert tracker.sliding == pytest.approx(dict(zip(HELD, exact(faint)[0], strict=True)), rel=1e-10, abs=0.0)


def three_classes(seed=0):
    rng = np.random.default_rng(seed)
    return fl.Data(rng.normal(size=(6, 3)), np.arange(6) % 3)


@pytest.mark.slow
def test_samples_that_no_unit_sees_stay_at_rest_and_runs_may_be_cut():
    """Two of six samples come to rest at output zero, two units on their kinks, while the loss of the others falls like
    1/t for good.
    """
    data, rtol, end = three_classes(), 1e-8, 100.0
    field = fl.lower(fl.derive(fl.Problem(NET, "cross_entropy", coordinates="weights")))
    start = fl.initial_state(NET, data, widths={"W1": 4}, seed=0)
    whole = fl.integrate(field, start, data, until=fl.log_time(end), rtol=rtol)
    assert whole.outcome.kind == "done", whole.outcome
    assert float(whole.dataset.log_loss[-1]) == pytest.approx(math.log(2 * math.log(3)), abs=1e-12)
    log_t = whole.dataset.log_t.values
    for i in np.unique(np.linspace(1, np.searchsorted(log_t, end - 1.0), 8).astype(int)):
        rest = end + math.log(-math.expm1(log_t[i] - end))
        path = fl.integrate(field, whole.state(i), data, until=fl.log_time(rest), rtol=rtol)
        assert path.outcome.kind == "done", (i, path.outcome)
        for name in whole.last.rho:
            assert np.asarray(path.last.rho[name]) == pytest.approx(np.asarray(whole.last.rho[name]), rel=100 * rtol)
            assert np.asarray(path.last.V[name]) == pytest.approx(np.asarray(whole.last.V[name]), abs=100 * rtol)
