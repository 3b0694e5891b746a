"""A sweep on processes: workers and the scheduler are killed, and every point is there once with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

ROOT = Path(__file__).resolve().parents[2]
SPEC = """
[network]
expression = "W2 @ tanh(W1 @ x)"
widths = { W1 = 3 }
[data]
source = "gaussian?n=6&d=3&margin=0.2"
[integrate]
until = { log_time = 3.0 }
"""
PATIENCE = 500.0
"""Seconds until a test gives up."""


def started(folder, out, jobs):
    (folder / "spec.toml").write_text(SPEC)
    words = ["sweep", folder / "spec.toml", "--out", folder / out, "--over", "start.seed=0:24", "--batch", "2"]
    command = [sys.executable, "-m", "flowlab.cli", *map(str, words), "--jobs", str(jobs), "--quiet"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers(process):
    """The processes that run points; others only keep track of memory."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [p for p in found if "spawn_main" in " ".join(p.cmdline())]


def done(folder):
    return [p for p in (folder / "points").glob("*") if not p.name.startswith(".")] if folder.is_dir() else []


def wait(process, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "points").rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_kills_lose_nothing_and_record_nothing_twice(tmp_path):
    out = tmp_path / "killed"
    process = started(tmp_path, "killed", 2)
    seen = []
    for some in (1, 4):
        wait(process, lambda some=some: len(done(out)) >= some and workers(process))
        victim = workers(process)[0]
        victim.send_signal(signal.SIGKILL)
        seen.append(victim.pid)
    # The scheduler lives in the command's own process; its workers end with it.
    wait(process, lambda: len(done(out)) >= 8)
    left = workers(process)
    process.kill()
    process.communicate()
    psutil.wait_procs(left, timeout=60.0)
    assert not [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    before = contents(out)
    assert len(done(out)) < 24

    again = started(tmp_path, "killed", 2)
    _, told = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, told
    assert before.items() <= contents(out).items()
    alone = started(tmp_path, "alone", 1)
    _, told = alone.communicate(timeout=PATIENCE)
    assert alone.returncode == 0, told
    assert len(done(out)) == 24
    assert contents(out) == contents(tmp_path / "alone")
    assert not list((out / "unfinished").iterdir())
    assert not [p for p in (out / "points").iterdir() if p.name.startswith(".")]
    assert len(set(seen)) == 2
    assert os.getpid() not in seen
