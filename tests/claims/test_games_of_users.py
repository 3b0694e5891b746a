"""Claims on games, held against a game of a user."""

import numpy as np
import pytest

import flowlab as fl

PAYOFF = 1.5 * np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 3.0], [2.0, -1.0, 0.0]])
"""A game that mixes all strategies of both players, which are not alike: its value is .375."""
IDLE = np.array([[1.0, -1.0, 0.5], [-1.0, 1.0, 0.5], [-2.0, -2.0, -2.0]])
"""A game whose third row is never played."""


def game(**more):
    """Players have other names than in the pack, and who comes second ascends."""
    net = fl.Network("-(u @ (M @ y))", constants=("M",))
    return fl.Problem(net, "value", ascend=["y"], geometry={"u": "simplex", "y": "simplex"}, **more)


def verdict(name, *given):
    (found,) = fl.check([name], *given)
    return found


@pytest.mark.long
def test_what_is_no_such_game_is_said():
    for name in ("O1", "O2", "O4", "O5", "O6", "O12"):
        assert "without its payoffs" in verdict(name, game()).reason
        assert "mix all strategies" in verdict(name, game(), fl.Data(M=IDLE)).reason
        found = verdict(name, fl.Problem("w @ x", "square"), fl.Data(np.ones((2, 2)), [1.0, 2.0], kind="targets"))
        assert found.code == "does not apply"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["O4", "O5", "O6"])
def test_spectra_are_those_of_a_users_game(name):
    found = verdict(name, game(), fl.Data(M=PAYOFF))
    assert found.answer == "holds", found.reason
    told = [q["name"] for q in found.evidence["quantities"]]
    assert not any("3 x 3" in each for each in told)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["O1", "O2", "O12"])
def test_runs_of_a_users_game(name):
    start = fl.State.from_weights({"u": [0.5, 0.3, 0.2], "y": [0.2, 0.2, 0.6]})
    data, problem = fl.Data(M=PAYOFF), game()
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.time(40.0), rtol=1e-11, atol=1e-13)
    walk = fl.descend(problem, start, data, rule="optimistic", step=0.05, count=2000, record_every=1)
    found = verdict(name, path, walk)
    assert found.answer == "holds", found.reason


@pytest.mark.long
def test_a_flow_of_another_field_is_no_replicator():
    start = fl.State.from_weights({"u": [0.5, 0.3, 0.2], "y": [0.2, 0.2, 0.6]})
    data, flow = fl.Data(M=PAYOFF), fl.derive(game())
    path = fl.integrate(fl.lower(flow.modified("optimistic", step=0.1)), start, data, until=fl.time(20.0))
    assert verdict("O1", path).answer != "holds"
