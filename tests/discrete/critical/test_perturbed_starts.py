"""Starts beside critical points, continuations of flows that are not unique, and kink points next to where
a flow ends.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError
from flowlab.discrete.critical import lagrange_newton as polishing
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import critical_points
from flowlab.discrete.critical.trust_region import minimize


def labelled(n, d, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    return fl.Data(x, np.sign(x @ w))


@pytest.fixture(scope="module")
def alone():
    """A squared-ReLU net with one unit at the worst minimum it has alone; the others have no weights, and stay because
    of the multiplier alone.
    """
    problem, data = fl.Problem("W2 @ relu(W1 @ x)**2", scheme="fixed_norm", coordinates="polar"), labelled(8, 3, 1014)
    one = [p for p in critical_points(problem, data, norm=8.0, widths={"W1": 1}, starts=12) if p.attracting][-1]
    V = {k: np.asarray(v) for k, v in one.state.V.items()}
    near = {"W1": np.vstack([V["W1"], np.zeros((2, 3))]), "W2": np.hstack([V["W2"], np.zeros((1, 2))])}
    return problem, data, critical_points(problem, data, norm=8.0, widths={"W1": 3}, starts=0, near=[near])


@pytest.mark.long
def test_a_flow_from_beside_a_minimum_comes_back(alone):
    problem, data, points = alone
    assert (len(points), points[0].kind, points[0].attracting) == (1, "minimum", True)
    con = points.constrained
    start = fl.beside(points, 0, seed=1)
    moved = np.linalg.norm(con.row(start) - con.row(points[0].state))
    assert 1e-9 < moved < 2e-3
    field, told = fl.lower(fl.derive(problem)), {"until": fl.log_time(60.0), "solver": "kvaerno5", "clock": "time"}
    back = fl.integrate(field, start, data, **told)
    assert back.outcome.kind == "done"
    assert points.distance(back.last, points[0]) < 1e-8
    # Control: what looks as small is out of its basin in some directions.
    row = con.row(points[0].state)
    far = [con.spheres.project(row + 3e-2 * np.random.default_rng(k).normal(size=len(row))) for k in range(6)]
    assert (
        max(points.distance(fl.integrate(field, con.spheres.state(t), data, **told).last, points[0]) for t in far) > 0.1
    )


def test_wide_basins_are_used_to_the_reach():
    points = critical_points(fl.Problem("W1 @ x"), labelled(9, 4, 0), norm=8.0, starts=4)
    moved = [
        np.linalg.norm(points.constrained.row(fl.beside(points, 0, reach=r)) - points.constrained.row(points[0].state))
        for r in (4e-3, 1e-4)
    ]
    assert moved == pytest.approx([2e-3, 5e-5], rel=1e-3)


@pytest.mark.parametrize("k", [-1, 5])
def test_no_such_point(k):
    points = critical_points(fl.Problem("W1 @ x"), labelled(6, 2, 8), norm=3.0, starts=2)
    with pytest.raises(LanguageError, match="number of a critical point"):
        fl.beside(points, k)
    with pytest.raises(LanguageError, match="reach"):
        fl.beside(points, 0, reach=0.0)


def test_two_states_off_a_kink_and_none_elsewhere():
    data = labelled(6, 3, 2)
    con = Constrained(fl.Problem("W2 @ relu(W1 @ x)"), data, norm=4.0, widths={"W1": 2})
    theta = con.random(np.random.default_rng(0))
    assert fl.branches(con, con.spheres.state(theta)) == []
    V = {k: np.array(v) for k, v in con.spheres.state(theta).V.items()}
    x = np.asarray(data.x)[2]
    V["W1"][1] -= (V["W1"][1] @ x) / (x @ x) * x
    on = con.spheres.state(con.row(V))
    sides = [np.sign(np.asarray(s.V["W1"])[1] @ x) for s in fl.branches(con, on)]
    assert sorted(sides) == [-1.0, 1.0]
    # A unit without weights is on the kinks of all samples at once.
    V["W1"][1] = 0.0
    many = fl.branches(con, con.spheres.state(con.row(V)), count=5)
    assert len(many) == 5
    assert len({tuple(np.sign(np.asarray(data.x) @ np.asarray(s.V["W1"])[1])) for s in many}) > 1


@pytest.mark.long
def test_a_state_on_its_kinks_is_polished_where_it_stands(monkeypatch):
    """Slopes are unknown at the end of a flow; guessed, they send Newton's method along the orbit of split units."""
    points = critical_points(
        fl.Problem("W2 @ relu(W1 @ x)"), labelled(8, 3, 1031), norm=5.0, widths={"W1": 4}, starts=10, seed=31
    )
    con = points.constrained
    some = [con.row(p.state) for p in points if p.kinks and p.nullity]
    assert some

    def moved():
        ends = [polishing.polish(con, theta, 1e-4) for theta in some]
        return [(e.residual, float(np.linalg.norm(e.theta - t))) for e, t in zip(ends, some, strict=True)]

    moves = max(m for _, m in moved())
    assert moves < 1e-6
    assert max(r for r, _ in moved()) < 1e-10
    monkeypatch.setattr(polishing, "_ROUGH", np.inf)
    assert max(m for _, m in moved()) > 10.0 * moves


def test_a_descent_onto_a_plateau_ends():
    """Samples of one class that no unit sees leave the loss at a constant; the gradient there is small, and falls by a
    millionth a step.
    """
    con = Constrained(fl.Problem("W2 @ relu(W1 @ x)**2"), labelled(10, 4, 32), norm=60.0, widths={"W1": 3})
    theta, steps = minimize(con, con.random(np.random.default_rng(0)))
    assert steps < 100
    assert con.value(theta) == pytest.approx(2 * np.log(2), abs=1e-6)
    assert con.residual(theta) > 1e-10
