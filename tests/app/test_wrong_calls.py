"""Wrong calls of the command line, each answered by one sentence that says what is wrong."""

import pytest

from tests.app.commands import inside, refused, spec

WRONG = [
    # What no command has.
    (["rn", "SPEC"], ["did you mean"]),
    (["--versoin"], ["--version"]),
    (["run"], ["Missing argument"]),
    (["run", "SPEC"], ["--out"]),
    (["run", "SPEC", "OUT", "--out", "OUT"], ["extra"]),
    (["run", "SPEC", "--out"], ["--out", "requires an argument"]),
    (["run", "SPEC", "--out", "OUT", "--quite"], ["--quiet"]),
    (["run", "SPEC", "--out", "OUT", "--progress", "loud"], ["--progress", "loud", "plain"]),
    (["verify", "P1", "--seed", "one"], ["--seed", "integer", "one"]),
    (["derive", "W1 @ x", "--decay", "much"], ["--decay", "number", "much"]),
    # Files and folders.
    (["run", "nowhere.toml", "--out", "OUT"], ["nowhere.toml"]),
    (["run", "SPEC", "--out", ""], ["--out", "empty"]),
    (["run", "SPEC", "--out", "SPEC"], ["is a file"]),
    (["compare", "nowhere"], ["nowhere", "holds no run"]),
    (["init", "SPEC"], ["SPEC", "exists", "--force"]),
    (["init", "nowhere/spec.toml"], ["cannot be written"]),
    (["--words", "nowhere.py", "list"], ["nowhere.py"]),
    (["verify", "nowhere.json"], ["nowhere.json"]),
    (["figure", "norms", "--from", "nowhere", "--out", "n.pdf"], ["nowhere"]),
    # Words.
    (["list", "loses"], ["did you mean `losses`"]),
    (["derive", "W1 @ x", "--loss", "expnential"], ["did you mean `exponential`"]),
    (["derive", "W1 @ x", "--format", "pdf"], ["pdf", "latex"]),
    (["derive", "W1 @ x", "--source", "julai"], ["did you mean `julia`"]),
    (["derive", "W1 @ x", "--source", "c", "--depth", "matrix"], ["--source c", "--depth"]),
    (["derive", "W1 @ x", "--size", "d=3"], ["--size d=3", "--source"]),
    (["derive", "W1 @ x", "--source", "c", "--size", "d=0"], ["--size", "from 1 on", "d=0"]),
    (["derive", "W1 @ x", "--source", "c", "--size", "W9=3"], ["W9"]),
    (["derive", "W1 @ x", "--geometry", "simplex"], ["p:simplex"]),
    (["figure", "marginn", "--out", "n.pdf"], ["did you mean `margin`"]),
    (["verify", "P999"], ["P999"]),
    (["verify", "--pack", "poggio"], ["did you mean `poggio2020`"]),
    # Sweeps.
    (["sweep", "SPEC"], ["--out"]),
    (["sweep", "SPEC", "--out", "OUT"], ["--over", "got none"]),
    (["sweep", "SPEC", "--out", "OUT", "--over", "start.seed"], ["--over", "start.seed"]),
    (["sweep", "SPEC", "--out", "OUT", "--over", "start.sed=0:3"], ["start.sed", "did you mean `seed`"]),
    (["sweep", "SPEC", "--out", "OUT", "--over", "start.seed=5:5"], ["start.seed", "got none"]),
    (["sweep", "SPEC", "--out", "OUT", "--over", "start.seed=0:3", "--jobs", "0"], ["jobs", "0"]),
    (["sweep", "SPEC", "--out", "OUT", "--over", "start.seed=0:3", "--retry", "all"], ["--retry failed"]),
    (["sweep", "SPEC", "--out", "OUT", "--over", "start.seed=0:3", "--scheduler", "node"], ["a host and its port"]),
    (["sweep", "SPEC", "--out", "OUT", "--over", "start.seed=0:3", "--scheduler", "tcp://a:x"], ["tcp://node:8786"]),
    # Changes of keys.
    (["run", "SPEC", "--out", "OUT", "--set", "start.seed"], ["--set", "a key and its value"]),
    (["run", "SPEC", "--out", "OUT", "--set", "start.sed=3"], ["--set start.sed=3:", "did you mean `seed`"]),
    (["run", "SPEC", "--out", "OUT", "--set", "start.seed=three"], ["--set start.seed=three:", "a whole number"]),
    (["run", "SPEC", "--out", "OUT", "--set", "data.source.n=3"], ["--set data.source.n=3:", "no table"]),
    (["run", "SPEC", "--out", "OUT", "--set", "verify.claims=P1,P999"], ["verify.claims.1", "P999"]),
    (["run", "SPEC", "--out", "OUT", "--set", "problem.loss=logstic"], ["did you mean `logistic`"]),
    (["critical", "SPEC", "--out", "OUT", "--set", "start.scale=0"], ["--set start.scale=0:", "start.scale"]),
]


@pytest.mark.parametrize(("words", "told"), WRONG, ids=lambda v: " ".join(v)[:48])
def test_a_wrong_call_is_answered_by_one_sentence(tmp_path, monkeypatch, words, told):
    path = spec(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {"SPEC": path.name, "OUT": "out"}
    done = inside(*(names.get(word, word) for word in words))
    refused(done, *(names.get(word, word) for word in told))
    assert len(done.stderr) <= 320
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spec.toml"]


def test_there_are_enough_of_them_and_a_right_call_is_no_wrong_one(tmp_path):
    assert len(WRONG) >= 30
    with pytest.raises(AssertionError):
        refused(inside("list", "losses"), "losses")
