"""The loss "value": the expression is the objective itself, without samples or labels, and may be negative."""

import numpy as np
import pytest
import scipy.integrate

import flowlab as fl

SCALARS = {"u": (), "v": (), "w": ()}
WELL = fl.Network("(u*v - 1)**2 - u*w + w**4", shapes=SCALARS)
GAME = fl.Network("p @ (A @ q)", constants=("A",))
A = np.random.default_rng(0).normal(size=(3, 4))


def start(u: float = 0.3, v: float = 0.5, w: float = 0.2) -> fl.State:
    return fl.State.from_weights({"u": u, "v": v, "w": w})


def field(problem: fl.Problem) -> fl.VectorField:
    return fl.lower(fl.derive(problem))


def test_a_flow_of_an_objective_is_that_of_scipy_and_passes_zero():
    path = fl.integrate(field(fl.Problem(WELL, "value")), start(), until=fl.time(3.0), rtol=1e-10, atol=1e-12)

    def rate(_, z):
        u, v, w = z
        return [-2 * v * (u * v - 1) + w, -2 * u * (u * v - 1), u - 4 * w**3]

    want = scipy.integrate.solve_ivp(rate, (0, 3), [0.3, 0.5, 0.2], method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    assert np.allclose([path.weights(-1)[k] for k in "uvw"], want, rtol=1e-8)
    seen = path.dataset["objective"].values
    assert seen[0] > 0 > seen[-1]
    assert path.monitors["loss"]["holds"]
    assert "objective=" in repr(path)
    assert fl.Trajectory.restored(path.dataset).problem == path.problem


def test_it_is_derived_in_all_coordinates_and_printed_without_samples():
    for more in ({}, {"coordinates": "polar"}, {"scheme": "lagrange", "decay": 0.1}, {"per": "network", "decay": 0.1}):
        flow = fl.derive(fl.Problem(GAME, "value", **more))
        assert flow.residual < 1e-12
        told = flow.text() + flow.text("matrix") + flow.latex()
        assert "sum_n" not in told
        assert "x_n" not in told


def test_mutants_of_an_objective_are_refuted():
    flow = fl.derive(fl.Problem(GAME, "value", decay=0.2, coordinates="polar"))
    others = [mutant for mutant in fl.mutants(flow) if mutant.kind != "dropped-sample"]
    assert len(others) > 5
    for mutant in others:
        with pytest.raises(fl.DerivationMismatch):
            fl.certify(mutant.flow)


def test_laws_hold_whatever_the_constants_are():
    flow = fl.derive(fl.Problem(GAME, "value"))
    assert [law.text for law in flow.laws] == ["|q|^2 - |p|^2"]


@pytest.mark.long
def test_an_event_ends_a_run_where_the_objective_is_low():
    path = fl.integrate(field(fl.Problem(WELL, "value")), start(), until=fl.value_below(-0.1))
    assert path.outcome.event == "value_below"
    assert path.dataset["objective"].values[-1] == pytest.approx(-0.1, abs=1e-6)


def test_descent_goes_the_same_way():
    problem = fl.Problem(GAME, "value", decay=2.0)
    data, first = fl.Data(A=A), fl.State.from_weights({"p": np.ones(3), "q": np.ones(4)})
    walk = fl.descend(problem, first, data, step=1e-4, count=5000)
    path = fl.integrate(field(problem), first, data, until=fl.time(0.5))
    assert np.allclose(walk.weights(-1)["p"], path.weights(-1)["p"], atol=1e-3)
    assert walk.dataset["objective"].values[-1] == pytest.approx(path.dataset["objective"].values[-1], abs=1e-2)


WRONG = (
    (lambda: fl.Problem("w @ x", "value"), 'a sample of `w @ x`; write `mean(…, axis="samples")`'),
    (lambda: fl.Problem(GAME), "a network with labels has an input"),
    (lambda: fl.Problem("u * v", "value"), "one number"),
    (lambda: fl.integrate(field(fl.Problem(GAME, "value")), start(), until=fl.time(1.0)), "constants of the objective"),
    (lambda: run(until=fl.log_loss_below(-1.0)), "`value_below`"),
    (lambda: run(until=fl.separated()), "`value_below`"),
    (lambda: run(until=fl.margin_gap(0.1)), "`value_below`"),
    (lambda: run(until=fl.log_time(1e4)), "beyond float64"),
    (lambda: run(until=fl.time(1.0), clock="loss"), 'use `clock="time"`'),
    (lambda: run(until=fl.value_below(float("nan"))), "must be a number"),
    (lambda: fl.Data(kind="none", y=[1.0]), "labels of no kind"),
    (lambda: fl.Problem("w @ x").loss.check_labels(fl.Data(A=A)), "must have labels"),
    (lambda: fl.descend(fl.Problem(WELL, "value"), start(), step=0.1, count=1, loss_scaled=True), "over samples"),
)


def run(**more) -> fl.Trajectory:
    return fl.integrate(field(fl.Problem(WELL, "value")), start(), **more)


@pytest.mark.parametrize(("call", "told"), WRONG, ids=range(len(WRONG)))
def test_what_has_no_meaning_is_said_in_a_sentence(call, told):
    with pytest.raises(fl.FlowlabError) as caught:
        call()
    assert told in str(caught.value)
