"""Penalties as terms of an objective: their values, certified flows, and where the flows come to rest."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims.library.zhou_ge2023.dual_minimiser import lasso

LOSS = "sum((X @ (W.T @ a) - t)**2) / 2 + "
W, A = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 4.0]]), np.array([2.0, -1.0])
VALUES = {
    "l1_penalty(W)": 10.5,
    "l1_penalty(a)": 3.0,
    "lp_penalty(W, 3)": 1.0 + 8.0 + 0.125 + 27.0 + 64.0,
    "lp_penalty(a, 1.5)": 2.0**1.5 + 1.0,
    "group_penalty(W)": np.sqrt(5.25) + 5.0,
    "group_penalty(a)": np.sqrt(5.0),
    "path_penalty(a, W)": 2.0 * 3.5 + 7.0,
    "path_penalty(W.T, W)": float((np.abs(W).T @ np.abs(W)).sum()),
}


def problem(penalty, loss=LOSS):
    net = fl.Network(f"{loss}0.3 * {penalty}", constants=["X", "t"], shapes={"W": ("h", "d")})
    return fl.Problem(net, "value", coordinates="weights")


@pytest.mark.parametrize("penalty", VALUES)
def test_values_and_certified_slopes(penalty):
    prob = problem(penalty)
    data = fl.Data(X=np.zeros((2, 3)), t=np.zeros(2))
    assert 0.3 * VALUES[penalty] == pytest.approx(float(prob.objective({"W": W, "a": A}, data, np)), rel=1e-14)
    flow = fl.derive(prob)
    assert flow.residual < 1e-12
    assert "F = " in flow.text("matrix")
    assert fl.Network(prob.network.text, constants=["X", "t"], shapes={"W": ("h", "d")}).text == prob.network.text


def test_paths_keep_the_balance_of_every_unit():
    assert "diag(a a^T - W W^T)" in str(fl.derive(problem("path_penalty(a, W)")))
    assert "diag(a a^T - W W^T)" not in str(fl.derive(problem("l1_penalty(W)")))


def test_a_wrong_sign_is_refuted():
    flow = fl.derive(problem("l1_penalty(W)"))
    wrong = [mutant for mutant in fl.mutants(flow) if mutant.kind != "dropped-sample"]
    assert wrong
    for mutant in wrong:
        with pytest.raises(fl.DerivationError):
            fl.certify(mutant.flow)


@pytest.mark.long
def test_the_flow_with_l1_comes_to_rest_at_the_lasso_and_follows_its_kinks():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 5))
    y = x @ np.array([1.0, -1.0, 0.0, 0.0, 0.0]) + 0.1 * rng.normal(size=8)
    net = fl.Network("sum((X @ b - t)**2) / 2 + 0.8 * l1_penalty(b)", constants=["X", "t"])
    field = fl.lower(fl.derive(fl.Problem(net, "value", coordinates="weights")))
    start = fl.State.from_weights({"b": rng.normal(size=5)})
    path = fl.integrate(field, start, fl.Data(X=x, t=y), until=fl.time(20.0))
    b = np.asarray(path.last.weights()["b"])
    assert path.outcome.ok
    assert path.stats["kinks"]["met"] >= 3
    best = lasso(x, y, 0.8)
    assert b == pytest.approx(best, abs=1e-7)
    assert (b[best == 0.0] == 0.0).all()
    # Stepped over, the zeros are chattered about and never reached.
    loose = fl.integrate(field, start, fl.Data(X=x, t=y), until=fl.time(20.0), kinks="ignore", max_steps=2000)
    assert loose.outcome.kind == "budget"


@pytest.mark.parametrize(
    ("penalty", "told"),
    [
        ("lp_penalty(a, 1)", "above 1"),
        ("lp_penalty(a, 0.5)", "above 1"),
        ("path_penalty(W)", "two layers"),
        ("lp_penalty(a)", "must be called as"),
    ],
)
def test_bad_input_is_one_sentence(penalty, told):
    with pytest.raises(fl.LanguageError, match=told):
        problem(penalty)
