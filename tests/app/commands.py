"""The command line in a test: as a process, inside this one, and what a refusal looks like."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
[network]
expression = "W2 @ relu(W1 @ x)"
widths = {{ W1 = 4 }}
[data]
source = "{source}"
[integrate]
rtol = 1e-6
kinks = "ignore"
until = {{ log_time = {log_time} }}
{more}
"""


def flowlab(*args, cwd=ROOT, env=None):
    command = [sys.executable, "-m", "flowlab.cli", *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **(env or {})}, check=False
    )


def inside(*args):
    """The same within this process, where only the sentence counts and starting Python would take most of the time."""
    from flowlab.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in args])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())


def spec(folder: Path, source="gaussian?n=12&d=3&margin=0.2", log_time=0.0, more="") -> Path:
    path = folder / "spec.toml"
    path.write_text(SMALL.format(source=source, log_time=log_time, more=more), encoding="utf-8")
    return path


def refused(done, *words):
    """Exit code 2 and one sentence that has the words."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("flowlab: ")]
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.strip().endswith((".", "?"))
    for word in words:
        assert word in lines[-1], lines[-1]
