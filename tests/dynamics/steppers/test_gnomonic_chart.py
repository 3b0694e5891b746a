"""Implicit steps that come to rest where every multiplier pushes lengths away from one."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import critical_points
from flowlab.dynamics.clocks import OrdinaryTime


def wrong_side(n):
    """A linear net at fixed norm, and a minimum of its loss at which most samples are on their wrong side."""
    rng = np.random.default_rng(1028)
    x, w = rng.normal(size=(n, 3)), rng.normal(size=3)
    data, problem = fl.Data(x, np.sign(x @ w)), fl.Problem("W1 @ x", scheme="fixed_norm", coordinates="polar")
    points = critical_points(problem, data, norm=8.0, starts=24, seed=28)
    return problem, data, points, next(k for k, p in enumerate(points) if p.attracting and p.log_loss > 5)


@pytest.mark.long
@pytest.mark.parametrize("solver", ["kvaerno5", pytest.param("rodas5p", marks=pytest.mark.slow)])
def test_a_flow_rests_at_a_minimum_where_the_loss_is_large(solver):
    problem, data, points, k = wrong_side(8)
    assert points[k].multipliers[0] > 0
    path = fl.integrate(
        fl.lower(fl.derive(problem)),
        fl.beside(points, k),
        data,
        until=fl.log_time(25.0),
        solver=solver,
        clock="time",
        max_steps=2000,
    )
    assert path.outcome.kind == "done"
    con = Constrained(problem, data, norm=8.0)
    assert con.residual(con.row(path.last)) < 1e-12
    assert points.distance(path.last, points[k]) < 1e-12


@pytest.mark.long
def test_steps_that_leave_the_sphere_are_held_by_its_multiplier(monkeypatch):
    """Control: in the coordinates as they stand the same run takes steps of 1/λ for ever. One sample fewer, so that
    nothing compiled above serves it.
    """
    problem, data, points, k = wrong_side(7)
    start, field = fl.beside(points, k), fl.lower(fl.derive(problem))
    monkeypatch.setattr(OrdinaryTime, "chart", lambda *_: None)
    path = fl.integrate(field, start, data, until=fl.log_time(25.0), solver="kvaerno5", clock="time", max_steps=2000)
    assert path.outcome.kind == "budget"
