"""Claims on games, held against games and runs of a user."""

import numpy as np
import pytest

import flowlab as fl

PAYOFF = np.array([[0.0, -1.0, 3.0], [1.0, 0.0, -1.0], [-3.0, 1.0, 0.0]])
"""A game that mixes (.2, .6, .2) of both players; its value is 0."""
IDLE = np.array([[1.0, -1.0, 0.5], [-1.0, 1.0, 0.5], [-2.0, -2.0, -2.0]])
"""A game whose third row is never played."""


def game(**more):
    """Players have other names than in the pack, and who comes second ascends."""
    net = fl.Network("-(u @ (M @ y))", constants=("M",))
    return fl.Problem(net, "value", ascend=["y"], geometry={"u": "simplex", "y": "simplex"}, **more)


def start(n=3):
    u = np.arange(1.0, n + 1)
    return fl.State.from_weights({"u": u / u.sum(), "y": np.full(n, 1 / n)})


def path(rtol=1e-10, payoff=PAYOFF):
    field = fl.lower(fl.derive(game()))
    return fl.integrate(field, start(), fl.Data(M=payoff), until=fl.time(30.0), rtol=rtol, atol=1e-13)


def verdict(name, *given):
    (found,) = fl.check([name], *given)
    return found


@pytest.mark.slow
def test_the_divergence_is_kept_along_a_users_flow_and_rises_along_its_descents():
    run = path()
    held = verdict("O1", run)
    assert held.answer == "holds", held.reason
    assert "the given game" in held.reason
    walk = fl.descend(game(), start(), fl.Data(M=PAYOFF), step=0.02, count=500)
    both = verdict("O1", run, walk)
    assert both.answer == "holds", both.reason


@pytest.mark.long
def test_what_is_no_such_run_is_said():
    walk = fl.descend(game(), start(), fl.Data(M=PAYOFF), step=0.02, count=50, rule="optimistic")
    assert "follows optimistic" in verdict("O1", walk).reason
    other = fl.descend(game(), start(), fl.Data(M=IDLE), step=0.02, count=50)
    assert "mix all strategies" in verdict("O1", other).reason
    for name in ("O4", "O5", "O6"):
        assert "without its payoffs" in verdict(name, game()).reason
        assert "mix all strategies" in verdict(name, game(), fl.Data(M=IDLE)).reason
        found = verdict(name, fl.Problem("w @ x", "square"), fl.Data(np.ones((2, 2)), [1.0, 2.0], kind="targets"))
        assert found.code == "does not apply"
    rows = walk.dataset.copy(deep=True)
    rows["V_u"][20] = rows["V_u"][20] * 1.001
    changed = fl.Trajectory.restored(rows, walk.data)
    assert verdict("O1", changed).answer == "undecided"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["O4", "O5", "O6"])
def test_spectra_are_those_of_a_users_game(name):
    found = verdict(name, game(), fl.Data(M=PAYOFF))
    assert found.answer == "holds", found.reason
    told = [q["name"] for q in found.evidence["quantities"]]
    assert not any("3 x 3" in each for each in told)
