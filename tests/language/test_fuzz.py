"""Strings nobody meant: each is answered within a second, none is executed, none ends in anything but a typed error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def started(folder: Path, script: Path, *args: str) -> str:
    env = {"PYTHONPATH": str(HERE.parents[1]), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, str(script), *args], capture_output=True, text=True, cwd=folder, check=False, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def run(folder: Path, *args: str) -> dict:
    return json.loads(started(folder, HERE / "fuzz_run.py", *args))


@pytest.mark.parametrize(("args", "count"), [((), 500), (("--hostile",), 60)])
def test_no_string_does_harm(tmp_path, args, count):
    found = run(tmp_path, *args)
    assert len(found["answers"]) >= count
    assert [a for a in found["answers"] if a["kind"].startswith("UNCAUGHT")] == []
    assert found["events"] == []
    assert [a for a in found["answers"] if a["seconds"] > 1.0] == []
    assert list(tmp_path.iterdir()) == []
    refusals = [a["message"] for a in found["answers"] if a["kind"] != "network"]
    assert refusals
    for message in refusals:
        assert message.endswith((".", "?"))
        assert "\n" not in message
        assert len(message) < 1000
    if not args:
        # A fuzzer that only makes nonsense would prove little.
        assert sum(a["kind"] == "network" for a in found["answers"]) > 100


def test_the_hook_sees_what_it_should(tmp_path):
    """The same hook, when something is executed."""
    honest = 'problem = fl.Problem(text, loss="square")'
    code = (HERE / "fuzz_run.py").read_text()
    assert honest in code
    (tmp_path / "run.py").write_text(code.replace(honest, "open('pwned', 'w').close(); problem = fl.Problem('x @ W')"))
    assert json.loads(started(tmp_path, tmp_path / "run.py", "--hostile"))["events"]
