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
    for name in ("O4", "O5", "O6"):
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
