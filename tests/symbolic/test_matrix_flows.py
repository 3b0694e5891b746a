"""Flows of deep linear nets of covariances: equations, laws of all factors, balanced starts."""

import numpy as np
import pytest
from covariances import DATA, TARGET, problem, product

import flowlab as fl
from flowlab.symbolic.balanced_start import chain


@pytest.mark.parametrize("tau", [0.3, 0])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_every_pair_of_factors_is_balanced(depth, tau):
    flow = fl.derive(problem(depth, tau))
    assert flow.residual <= 1e-12
    wanted = [f"W{i} W{i}^T - W{i + 1}^T W{i + 1}" for i in range(1, depth)]
    assert [law.text for law in flow.laws][: depth - 1] == wanted


@pytest.mark.parametrize("word", [fl.kullback_leibler, fl.frobenius])
def test_other_distances(word):
    P = product(3)
    flow = fl.derive(fl.Problem(word(P @ P.T + 0.3 * fl.eye, fl.constant("S0")), "value"))
    assert flow.residual <= 1e-12
    assert len(flow.laws) >= 2


@pytest.mark.long
def test_lines_grow_with_depth_alone():
    lines = [len(fl.derive(problem(depth)).text("matrix", steps=False).splitlines()) for depth in (10, 20, 30)]
    assert lines[2] - lines[1] == lines[1] - lines[0] == 50


def test_the_equations_are_those_of_the_paper():
    """G = 2 (I - T) P with the transport map T, by numpy alone."""
    flow = fl.derive(problem(2))
    rng = np.random.default_rng(3)
    W = {w: rng.normal(size=(4, 4)) for w in ("W1", "W2")}
    P = W["W2"] @ W["W1"]
    values, U = np.linalg.eigh(TARGET)
    R = (U * np.sqrt(values)) @ U.T
    values, U = np.linalg.eigh(R @ (P @ P.T + 0.3 * np.eye(4)) @ R)
    T = R @ ((U / np.sqrt(values)) @ U.T) @ R
    G = 2 * (np.eye(4) - T) @ P
    made = flow.program.evaluate(np, {("weight", w): v for w, v in W.items()} | {("x", "S0"): TARGET, ("y", ""): 0.0})
    assert np.allclose(made["W", "W1"], -W["W2"].T @ G, rtol=1e-12)
    assert np.allclose(made["W", "W2"], -G @ W["W1"].T, rtol=1e-12)


def test_a_wrong_word_is_refused(monkeypatch):
    """The control: Lyapunov's equation with the matrix in place of its root, and a sign that is dropped."""
    from flowlab.language.operations import operations

    root, nuclear = operations["root"], operations["nuclear"]
    monkeypatch.setattr(root, "pullback", lambda self, tape, args, out, cot, params: [tape("lyapunov", args[0], cot)])
    with pytest.raises(fl.DerivationMismatch):
        fl.derive(problem(2))
    monkeypatch.setattr(nuclear, "pullback", lambda self, tape, args, out, cot, params: [tape("polar", args[0])])
    with pytest.raises(fl.DerivationMismatch):
        fl.derive(problem(2, tau=0))


@pytest.mark.parametrize("imbalance", [0.0, 0.5, -0.3, [0.2, 0.7]])
@pytest.mark.parametrize("seed", [None, 4])
def test_balanced_states(imbalance, seed):
    W0 = np.random.default_rng(1).normal(size=(4, 4))
    W = fl.balanced_state(problem(3), product=W0, imbalance=imbalance, seed=seed).weights()
    assert np.allclose(W["W3"] @ W["W2"] @ W["W1"], W0, rtol=0, atol=1e-13)
    told = imbalance if isinstance(imbalance, list) else [imbalance] * 2
    for c, (inner, outer) in zip(told, (("W1", "W2"), ("W2", "W3")), strict=True):
        assert np.allclose(W[outer].T @ W[outer] - W[inner] @ W[inner].T, c * np.eye(4), rtol=0, atol=1e-13)


def test_a_balanced_state_of_lower_rank_and_other_widths():
    rng = np.random.default_rng(1)
    W0 = rng.normal(size=(4, 2)) @ rng.normal(size=(2, 5))
    W = fl.balanced_state(problem(3), product=W0, widths={"W1": 2, "W2": 6}, seed=0).weights()
    assert [W[w].shape for w in ("W1", "W2", "W3")] == [(2, 5), (6, 2), (4, 6)]
    assert np.allclose(W["W3"] @ W["W2"] @ W["W1"], W0, rtol=0, atol=1e-13)
    with pytest.raises(fl.ShapeMismatch, match="at least 2, the rank"):
        fl.balanced_state(problem(3), product=W0, widths={"W1": 1})
    with pytest.raises(fl.ShapeMismatch, match="as the identity is"):
        fl.balanced_state(problem(2), product=W0, widths={"W1": 7}, imbalance=0.5)


@pytest.mark.parametrize(
    ("text", "loss"), [("W2 @ relu(W1 @ x)", "square"), ("trace(W1 @ W1.T) + trace(W2 @ W2.T)", "value")]
)
def test_what_is_no_chain_has_no_balanced_state(text, loss):
    with pytest.raises(fl.LanguageError, match="a product of matrices"):
        fl.balanced_state(fl.Problem(text, loss), product=np.eye(3))


def test_chain_of_a_network_with_inputs():
    assert chain(fl.Problem("W3 @ W2 @ W1 @ x", "square")) == ("W1", "W2", "W3")


def test_balance_is_kept_by_the_flow_and_left_by_descent():
    prob, data = problem(3), fl.Data(**DATA)
    start = fl.balanced_state(prob, product=np.random.default_rng(1).normal(size=(4, 4)), seed=2)
    path = fl.integrate(fl.lower(fl.derive(prob)), start, data, until=fl.time(1.0), rtol=1e-11, atol=1e-13)

    def gap(state):
        W = state.weights()
        return max(float(np.abs(W[b].T @ W[b] - W[a] @ W[a].T).max()) for a, b in (("W1", "W2"), ("W2", "W3")))

    assert gap(path.last) <= 1e-11
    coarse = [gap(fl.descend(prob, start, data, step=step, count=round(0.5 / step)).last) for step in (4e-3, 2e-3)]
    assert coarse[0] > 1e-4
    assert 1.8 < coarse[0] / coarse[1] < 2.2
