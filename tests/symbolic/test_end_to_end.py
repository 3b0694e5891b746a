"""Covariances of balanced products move by themselves: against the chain rule, whole runs, and closed forms."""

import numpy as np
import pytest
from covariances import DATA, LAM, OMEGA, TARGET, problem, product

import flowlab as fl

W0 = np.random.default_rng(1).normal(size=(4, 4))
CASES = [(1, 0, 0), (1, 0.3, 0), (2, 0, 0), (3, 0.3, 0), (5, 0.3, 0), (2, 0.3, 0.5), (2, 0, -0.4)]


def whole(W):
    """The product of all factors."""
    made = np.asarray(W["W1"])
    for i in range(2, len(W) + 1):
        made = np.asarray(W[f"W{i}"]) @ made
    return made


def by_chain_rule(prob, W):
    """P P^T and its rate, from the rates of the factors."""
    given = {("weight", w): v for w, v in W.items()} | {("x", "S0"): TARGET, ("y", ""): 0.0}
    rates = fl.derive(prob).program.evaluate(np, given)
    P = whole(W)
    dP = sum(whole(W | {w: rates["W", w]}) for w in W)
    return P @ P.T, dP @ P.T + P @ dP.T


def rate_of(flow, sigma):
    given = {("weight", "Sigma"): sigma, ("x", "S0"): TARGET, ("y", ""): 0.0}
    return flow.program.evaluate(np, given)["W", "Sigma"]


@pytest.mark.parametrize(("depth", "tau", "imbalance"), CASES)
def test_the_chain_rule(depth, tau, imbalance):
    prob, P = problem(depth, tau), product(depth)
    flow = fl.end_to_end(prob, P @ P.T, imbalance=imbalance)
    assert flow.residual <= 1e-12
    start = fl.balanced_state(prob, product=W0, imbalance=imbalance, seed=1)
    sigma, rate = by_chain_rule(prob, {w: np.asarray(v) for w, v in start.weights().items()})
    assert np.allclose(rate_of(flow, sigma), rate, rtol=0, atol=1e-13 * np.abs(rate).max())


def test_without_balance_it_does_not_hold():
    """The controls: a start out of balance, and another depth."""
    prob, P = problem(3), product(3)
    rng = np.random.default_rng(2)
    sigma, rate = by_chain_rule(prob, {f"W{i}": rng.normal(size=(4, 4)) for i in (1, 2, 3)})
    assert np.abs(rate_of(fl.end_to_end(prob, P @ P.T), sigma) - rate).max() > 1e-2 * np.abs(rate).max()
    start = fl.balanced_state(prob, product=W0)
    sigma, rate = by_chain_rule(prob, {w: np.asarray(v) for w, v in start.weights().items()})
    other = fl.end_to_end(problem(2), product(2) @ product(2).T)
    assert np.abs(rate_of(other, sigma) - rate).max() > 1e-2 * np.abs(rate).max()


@pytest.mark.long
def test_one_layer_is_the_flow_of_bures_and_wasserstein():
    """At no noise it is a geodesic in the time 1 - e^{-2t}, along which the loss falls like e^{-4t}."""
    prob, P = problem(1, tau=0), product(1)
    flow = fl.end_to_end(prob, P @ P.T)
    network = fl.Network(flow.problem.network.text, constants=["S0"], symmetric=["Sigma"])
    metric = fl.derive(fl.Problem(network, "value", geometry={"Sigma": "bures_wasserstein"}))
    start = fl.State.from_weights({"Sigma": W0 @ W0.T})
    data, stop = fl.Data(**DATA), fl.time(1.0)
    paths = [fl.integrate(fl.lower(f), start, data, until=stop, rtol=1e-12, atol=1e-14) for f in (flow, metric)]
    ends = [np.asarray(path.last.weights()["Sigma"]) for path in paths]
    assert np.allclose(ends[0], ends[1], rtol=0, atol=1e-11)
    q = 1 - np.exp(-2.0)
    R = (OMEGA * np.sqrt(LAM)) @ OMEGA.T
    values, U = np.linalg.eigh(R @ W0 @ W0.T @ R)
    T = (1 - q) * np.eye(4) + q * R @ ((U / np.sqrt(values)) @ U.T) @ R
    assert np.allclose(ends[0], T @ W0 @ W0.T @ T, rtol=0, atol=1e-11)
    for path in paths:
        t, L = np.exp(path.dataset.log_t.values), path.dataset.objective.values
        assert np.allclose(L / L[0], np.exp(-4 * t), rtol=1e-10, atol=0)


@pytest.mark.parametrize("depth", [2, 3, 7])
def test_a_covariance_that_commutes_moves_by_its_spectrum(depth):
    flow = fl.end_to_end(problem(depth), product(depth) @ product(depth).T)
    s = np.array([2.0, 0.4, 1.1, 0.9])
    rate = -4 * depth * s ** (2 - 1 / depth) * (1 - np.sqrt(LAM / (s + 0.3)))
    assert np.allclose(
        rate_of(flow, (OMEGA * s) @ OMEGA.T), (OMEGA * rate) @ OMEGA.T, rtol=0, atol=1e-13 * abs(rate).max()
    )


def test_what_is_no_function_of_the_covariance_is_refused():
    P, S0 = product(2), fl.constant("S0")
    loss = fl.bures(P @ P.T + 0.3 * fl.eye, S0)
    with pytest.raises(fl.LanguageError, match="depends on W1"):
        fl.end_to_end(fl.Problem(loss + 0.1 * fl.trace(P.T @ P), "value"), P @ P.T)
    with pytest.raises(fl.LanguageError, match=r"a node `P @ P.T`"):
        fl.end_to_end(fl.Problem(loss, "value"), P)
    with pytest.raises(fl.LanguageError, match="without decay"):
        fl.end_to_end(fl.Problem(loss, "value", decay=0.1), P @ P.T)
    with pytest.raises(fl.LanguageError, match="out of balance"):
        fl.end_to_end(problem(3), product(3) @ product(3).T, imbalance=0.5)


@pytest.mark.parametrize("word", ["balanced:0", "balanced:3:0.5", "balanced:x", "simplex:3", "balanced:2:nan"])
def test_geometries_with_numbers_that_they_do_not_take(word):
    network = fl.Network("trace(root(Sigma))", symmetric=["Sigma"])
    with pytest.raises(fl.LanguageError, match="numbers"):
        fl.Problem(network, "value", geometry={"Sigma": word})


def test_a_start_that_is_no_covariance():
    network = fl.Network("trace(Sigma @ Sigma)", symmetric=["Sigma"])
    field = fl.lower(fl.derive(fl.Problem(network, "value", geometry={"Sigma": "balanced:2"})))
    for bad in (np.diag([1.0, -0.1]), np.array([[1.0, 0.5], [0.0, 1.0]])):
        with pytest.raises(fl.FlowlabError, match="symmetric"):
            fl.integrate(field, fl.State.from_weights({"Sigma": bad}), fl.Data(), until=fl.time(1.0))


def test_it_is_described_and_read_back():
    prob = fl.end_to_end(problem(2), product(2) @ product(2).T, imbalance=0.5).problem
    assert fl.Problem.from_description(prob.describe()) == prob
    assert prob.geometry["Sigma"].name == "balanced:2:0.5"
    third = fl.end_to_end(problem(2), product(2) @ product(2).T, imbalance=-1 / 3)
    assert fl.Problem.from_description(third.problem.describe()).geometry["Sigma"].imbalance == -1 / 3
    assert "(Sigma + 0.0277778 I)^(1/2) - 0.166667 I)" in third.text()
    assert "+ 0.166667 I) Sigma" in third.text()
