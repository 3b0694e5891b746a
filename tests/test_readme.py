"""The README's program runs as it stands, and prints what the pages say; so do programs that need a fresh process."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
START, WORD, JAX = (
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("start.md", "howto/word.md", "howto/jax_network.md")
)


def python(folder, *args):
    """Python on the arguments, in a folder, with this package."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


def test_the_program_runs(tmp_path):
    program, *_ = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = python(tmp_path, "program.py")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "margin.pdf").exists()
    assert (tmp_path / "margin.csv").exists()
    assert len(re.findall(r"^(?:P1|P2|P4|P20): holds", done.stdout, flags=re.M)) == 4
    # The last line tells a residual, which is not the same number on every machine.
    (said,) = re.findall(r"What `print\(flow\)` ends with:\n\n```text\n(.*?)\nchecked", START, flags=re.S)
    assert said in done.stdout


def test_it_begins_with_two_commands():
    commands = re.findall(r"```sh\n(.*?)\n```", TEXT, flags=re.S)
    commands = commands[:2]
    assert all(command.startswith("python3 -m venv") and "\n" not in command for command in commands)
    assert "flowlab run examples/iris.toml" in commands[0]
    assert "pytest" in commands[1]


def words_of_your_own(folder):
    """The page's file in a folder; its program and its command."""
    file, program = re.findall(r"```python(?: title=\S+)?\n(.*?)```", WORD, flags=re.S)
    (command,) = re.findall(r"```sh\nflowlab (.*?)\n```", WORD, flags=re.S)
    (folder / "my_words.py").write_text(file, encoding="utf-8")
    (folder / "program.py").write_text(program, encoding="utf-8")
    return shlex.split(command)


def test_words_of_your_own(tmp_path):
    """They are derived in Python and on the command line, from the text of the page, to the same equations."""
    command = words_of_your_own(tmp_path)
    made, told = python(tmp_path, "program.py"), python(tmp_path, "-m", "flowlab.cli", *command)
    assert (made.returncode, told.returncode) == (0, 0), made.stderr[-2000:] + told.stderr[-2000:]
    for line in ("D_1 = a @ Psi * arctan'(Z_1)", "G_W = reverse(D_1) @ X.T", "Psi = -grad_f pseudo_huber(F, y)"):
        assert line in made.stdout
        assert line in told.stdout
    assert float(re.findall(r"residual (\S+)", made.stdout)[-1]) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("1 / (1 + z * z)", "1 / (1 + z)"),
        ('[tape("reverse", cot)]', "[cot]"),
        ("/ self.size(xp, f, y)[:, None]", "* self.size(xp, f, y)[:, None]"),
    ],
)
def test_a_wrong_word_of_your_own_is_refused(tmp_path, right, wrong):
    words_of_your_own(tmp_path)
    file = tmp_path / "my_words.py"
    assert right in file.read_text(encoding="utf-8")
    file.write_text(file.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    done = python(tmp_path, "program.py")
    assert done.returncode == 1
    assert "DerivationMismatch" in done.stderr


def test_networks_that_are_not_written_here(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", JAX, flags=re.S)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = python(tmp_path, "program.py")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "blocks do not all scale, so norms need not grow alike; what scales is: head by c^1" in done.stdout
