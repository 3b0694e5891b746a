"""Games on the command line: players, geometries, constants and a start in a specification."""

import json

import numpy as np
import pytest

import flowlab as fl
from tests.app.commands import inside, refused

GAME = """
[network]
expression = "p @ (A @ q)"
constants = ["A"]
[problem]
loss = "value"
ascend = ["p"]
geometry = { p = "simplex", q = "simplex" }
[data]
constants.A = [[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]]
[start]
weights.p = [0.5, 0.3, 0.2]
weights.q = [0.2, 0.2, 0.6]
[integrate]
rtol = 1e-10
atol = 1e-12
until = { time = 5.0 }
[witness]
rule = "optimistic"
step = 0.1
count = 50
[figures]
names = ["kl", "simplex"]
"""


def test_a_game_runs_from_its_specification(tmp_path):
    (tmp_path / "game.toml").write_text(GAME)
    done = inside("run", tmp_path / "game.toml", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["outcome"]["kind"] == "done"
    assert summary["verdicts"] == []
    assert (tmp_path / "out" / "figures" / "kl.pdf").exists()
    assert "p * (F_p - <p, F_p>)" in (tmp_path / "out" / "equations.txt").read_text()
    A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
    seen = fl.orbit(fl.Trajectory.load(tmp_path / "out" / "trajectory.nc", fl.Data(A=A))).dataset["divergence"].values
    assert np.ptp(seen) < 1e-8
    walk = fl.orbit(fl.Trajectory.load(tmp_path / "out" / "witness.nc", fl.Data(A=A))).dataset["divergence"].values
    assert walk[-1] < walk[0] - 0.01


WRONG = (
    ('ascend = ["p"]', 'ascend = ["r"]', "did you mean"),
    ('ascend = ["p"]', "ascend = true", "must be a list"),
    ('q = "simplex"', 'q = "simplx"', "simplex"),
    ('q = "simplex"', "q = 3", "must be text"),
    ("constants.A = [[0.0, -1.0, 2.0],", "constants.A = [[0.0, -1.0],", "equal length"),
    ("constants.A = [[0.0, -1.0, 2.0],", 'constants.A = [["a", "b", "c"],', "lists of numbers"),
    ("constants.A", "constants.B", "A"),
    ("weights.p = [0.5, 0.3, 0.2]", "weights.p = [0.5, 0.3, 0.4]", "sum 1"),
    ("weights.p = [0.5, 0.3, 0.2]", "weights.p = [0.5, 0.5]", "p"),
    ("weights.p = [0.5, 0.3, 0.2]", "", "p"),
    ("weights.p = [0.5, 0.3, 0.2]\nweights.q = [0.2, 0.2, 0.6]", "seed = 0", "probabilities"),
    ('rule = "optimistic"', 'rule = "optimist"', "optimistic"),
    ("[data]\n", '[data]\nsource = "iris"\n', "got both"),
    ('loss = "value"', 'loss = "square"', "value"),
)


@pytest.mark.parametrize(("text", "other", "told"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, text, other, told):
    assert text in GAME
    (tmp_path / "game.toml").write_text(GAME.replace(text, other))
    refused(inside("run", tmp_path / "game.toml", "--out", tmp_path / "out"), told)


def test_derive_takes_players_and_geometries():
    told = ("--loss", "value", "--constant", "A", "--ascend", "p", "--geometry", "p:simplex", "--geometry", "q:simplex")
    done = inside("derive", "p @ (A @ q)", *told)
    assert done.returncode == 0, done.stderr
    assert "d z_p/dt = F_p" in done.stdout
    wrong = inside("derive", "p @ (A @ q)", "--loss", "value", "--constant", "A", "--geometry", "simplex")
    refused(wrong, "p:simplex")
