"""Orbits of games: what is kept of a run, what is drawn of it, and what is refused."""

import numpy as np
import pytest

import flowlab as fl

A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
START = fl.State.from_weights({"p": np.array([0.5, 0.3, 0.2]), "q": np.array([0.2, 0.2, 0.6])})


def game(**more) -> fl.Problem:
    given = {"ascend": ["p"], "geometry": {"p": "simplex", "q": "simplex"}} | more
    return fl.Problem(fl.Network("p @ (A @ q)", constants=("A",)), "value", **given)


def walked(rule: str, payoff: np.ndarray = A, start: fl.State = START, **more) -> fl.Trajectory:
    return fl.descend(game(**more), start, fl.Data(A=payoff), rule=rule, step=0.1, count=200)


def test_the_orbit_is_that_of_the_run():
    walk, rest = walked("optimistic"), fl.equilibrium(game(), fl.Data(A=A))
    found = fl.orbit(walk)
    for i in (0, 7, 200):
        assert found.dataset["strategy_p"].values[i] == pytest.approx(walk.weights(i)["p"], abs=1e-15)
        assert float(found.dataset["divergence"][i]) == pytest.approx(rest.divergence(walk.weights(i)), rel=1e-12)
    assert float(found.dataset["time"][-1]) == pytest.approx(20.0)
    assert fl.orbit(walk, rest).dataset.identical(found.dataset)
    # Control: plain steps are told from optimistic ones.
    ends = [float(fl.orbit(walked(rule)).dataset["divergence"][-1]) for rule in ("gradient", "optimistic")]
    assert ends[0] > float(found.dataset["divergence"][0]) > ends[1]


def test_runs_are_drawn_as_they_are():
    path = fl.integrate(fl.lower(fl.derive(game())), START, fl.Data(A=A), until=fl.time(5.0), rtol=1e-9, atol=1e-11)
    runs = path, walked("optimistic"), walked("gradient")
    drawn = fl.draw("kl", *runs)
    assert [c.label for c in drawn.curves] == ["flow", "optimistic, step 0.1", "gradient, step 0.1"]
    assert np.ptp(drawn.curves[0].y) < 1e-7
    corners = fl.draw("simplex", *runs)
    assert {c.panel for c in corners.curves} == {0, 1}
    assert len(fl.draw("kl", runs[1], runs[1]).curves) == len({c.label for c in fl.draw("kl", runs[1], runs[1]).curves})


TWO = fl.State.from_weights({"p": np.array([0.5, 0.5]), "q": np.array([0.2, 0.8])})
LINEAR = fl.descend(
    fl.Problem("w @ x"), fl.State.from_weights({"w": np.ones(2)}), fl.load("gaussian?n=6&d=2"), step=0.1, count=3
)
WRONG = (
    (lambda: fl.draw("simplex", walked("gradient", np.eye(2), TWO)), "three strategies"),
    (lambda: fl.draw("kl", LINEAR), "must have the loss"),
    (lambda: fl.orbit(walked("gradient", geometry={"p": "simplex"})), "two players on simplices"),
    (lambda: fl.orbit(walked("gradient"), fl.equilibrium(game(ascend=["q"]), fl.Data(A=A))), "the run's game"),
)


@pytest.mark.parametrize(("call", "told"), WRONG, ids=range(len(WRONG)))
def test_what_has_no_orbit_is_said(call, told):
    with pytest.raises(fl.FlowlabError) as caught:
        call()
    assert told in str(caught.value)


def test_a_stored_run_without_its_constants_is_refused(tmp_path):
    walked("gradient").save(tmp_path / "walk.nc")
    with pytest.raises(fl.LanguageError, match="constants of its game"):
        fl.orbit(fl.Trajectory.load(tmp_path / "walk.nc"))
