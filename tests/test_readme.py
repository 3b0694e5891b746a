"""The README's program runs as it stands, and prints what the README says."""

import os
import re
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_program_runs(tmp_path):
    program, *_ = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "margin.pdf").exists()
    assert (tmp_path / "margin.csv").exists()
    assert len(re.findall(r"^(?:P1|P2|P4|P20): holds", done.stdout, flags=re.M)) == 4
    # The last line tells a residual, which is not the same number on every machine.
    (said,) = re.findall(r"What `print\(flow\)` ends with:\n\n```text\n(.*?)\nchecked", TEXT, flags=re.S)
    assert said in done.stdout


def test_it_begins_with_two_commands():
    commands = re.findall(r"```sh\n(.*?)\n```", TEXT, flags=re.S)
    commands = commands[:2]
    assert all(command.startswith("python3 -m venv") and "\n" not in command for command in commands)
    assert "flowlab run examples/iris.toml" in commands[0]
    assert "pytest" in commands[1]
