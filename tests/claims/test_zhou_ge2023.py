"""The pack on l1 and l2: what it leans on is tampered with, and flows of a user are looked at."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims.library.zhou_ge2023 import z2_potential, z3_lasso, z8_finite_steps

D = 8
NET = "(w*w - u*u + 0.5*v) @ x"


def run(net=NET, w=0.1, u=0.1, v=0.0, kind=fl.integrate, step=0.05, count=200):
    rng = np.random.default_rng(0)
    data = fl.Data(rng.normal(size=(3, D)), rng.normal(size=3), kind="targets")
    problem = fl.Problem(net, "square", reduction="mean", coordinates="weights")
    blocks = {"w": np.full(D, w), "u": np.full(D, u), "v": np.full(D, v)}
    start = fl.State.from_weights({k: b for k, b in blocks.items() if k in problem.network.weights})
    if kind is fl.descend:
        return fl.descend(problem, start, data, step=step, count=count)
    return fl.integrate(
        fl.lower(fl.derive(problem)), start, data, until=fl.log_loss_below(-40.0), rtol=1e-11, atol=1e-13
    )


@pytest.mark.slow
def test_z1_holds_of_a_users_flow_from_any_start():
    for path in (run(), run(w=0.3, u=0.05, v=0.2), run("(w*w*w - u*u*u) @ x", w=0.4, u=0.4)):
        (verdict,) = fl.check(["Z1"], path)
        assert verdict.answer == "holds", verdict.reason


def test_z1_refutes_a_training_in_long_steps():
    walk = run(kind=fl.descend)
    rows = range(0, len(walk), 20)
    times = [0.05 * 200 / (len(walk) - 1) * i for i in rows]
    training = fl.Trajectory.from_weights(times, [walk.weights(i) for i in rows], problem=walk.problem, data=walk.data)
    (verdict,) = fl.check(["Z1"], training)
    assert verdict.answer == "refuted", verdict.reason


@pytest.mark.long
@pytest.mark.parametrize(
    ("net", "told"),
    [("(u*v*w) @ x", "no mirror coordinate in closed form"), ("(w*w) @ x + u @ x + v @ x", "does not apply")],
)
def test_z1_says_where_it_does_not_apply(net, told):
    (verdict,) = fl.check(["Z1"], run(net, v=0.2))
    assert verdict.code == "does not apply"
    assert told in verdict.reason


@pytest.mark.slow
def test_a_flow_from_another_start_is_refuted(monkeypatch):
    honest = z2_potential.start
    monkeypatch.setattr(z2_potential, "start", lambda d, alpha: honest(d, 1.02 * alpha))
    monkeypatch.setattr(z2_potential, "DRAWS", 1)
    (verdict,) = fl.check(["Z2"])
    assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


@pytest.mark.long
def test_a_wrong_dual_is_noticed(monkeypatch):
    honest = z2_potential.minimiser
    monkeypatch.setattr(z2_potential, "minimiser", lambda x, y, alpha, lam: honest(x, y, alpha, 1.02 * lam))
    monkeypatch.setattr(z2_potential, "DRAWS", 1)
    (verdict,) = fl.check(["Z2"])
    assert verdict.code == "routes disagree", verdict.reason


def test_another_limit_is_refuted(monkeypatch):
    honest = z8_finite_steps.limit
    monkeypatch.setattr(z8_finite_steps, "limit", lambda case, x, y, alpha, lam: honest(case, x, y, alpha, 1.01 * lam))
    (verdict,) = fl.check(["Z8"])
    assert verdict.answer == "refuted", verdict.reason


@pytest.mark.slow
def test_another_lasso_is_refuted(monkeypatch):
    honest = z3_lasso.lasso
    monkeypatch.setattr(z3_lasso, "lasso", lambda x, y, penalty: honest(x, y, 1.1 * penalty))
    (verdict,) = fl.check(["Z3"])
    assert verdict.answer == "refuted", verdict.reason


@pytest.mark.long
def test_z8_looks_at_a_users_descent():
    ended = run(kind=fl.descend, step=0.01, count=40_000)
    (verdict,) = fl.check(["Z8"], ended)
    assert verdict.answer == "holds", verdict.reason
    for walk, told in (
        (run(kind=fl.descend), "ends before"),
        (run("(w*w) @ x", kind=fl.descend), "entries w^2 - u^2"),
        (run(), "none was given"),
    ):
        (verdict,) = fl.check(["Z8"], walk)
        assert verdict.code == "does not apply"
        assert told in verdict.reason
