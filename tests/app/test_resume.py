"""`flowlab run --resume`: what was computed is not computed again, and is not lost to a command typed twice."""

import contextlib
import io
import json
import subprocess
from pathlib import Path

import pytest
import xarray as xr

from flowlab.cli import main

SPEC = """
[network]
expression = "W1 @ x"
[problem]
coordinates = "weights"
[data]
source = "gaussian?n=12&d=3&margin=0.2"
[integrate]
until = {{ log_time = 1e4 }}
max_steps = {steps}
{more}
[verify]
claims = []
[figures]
names = []
"""


def run(folder: Path, steps: int, *words: str, more: str = "", out: str = "out"):
    (folder / "spec.toml").write_text(SPEC.format(steps=steps, more=more), encoding="utf-8")
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        try:
            main(["run", str(folder / "spec.toml"), "--out", str(folder / out), "--quiet", *words])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, said.getvalue(), told.getvalue())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.long
def test_a_run_that_met_its_limit_is_taken_up_and_nothing_is_lost_on_the_way(tmp_path):
    cut = run(tmp_path, 40)
    assert cut.returncode == 3
    assert "--resume" in cut.stdout
    before = contents(tmp_path / "out")

    again = run(tmp_path, 40)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "--resume" in again.stderr
    assert "--restart" in again.stderr
    both = run(tmp_path, 40, "--resume", "--restart")
    other = run(tmp_path, 40, "--resume", more="rtol = 1e-7")
    assert (both.returncode, other.returncode) == (2, 2)
    assert "settings.rtol was 1e-06 there and is 1e-07 here" in other.stderr
    assert contents(tmp_path / "out") == before

    done = run(tmp_path, 5000, "--resume")
    assert done.returncode == 0, done.stderr
    whole = run(tmp_path, 5000, "--resume", out="whole")
    assert whole.returncode == 0, whole.stderr
    # Nothing was there to be taken up, so that one began.
    with (
        xr.open_dataset(tmp_path / "out" / "trajectory.nc") as a,
        xr.open_dataset(tmp_path / "whole" / "trajectory.nc") as b,
    ):
        assert a.equals(b)
    assert contents(tmp_path / "out" / "store") == contents(tmp_path / "whole" / "store")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["stats"]["steps"] > 50
    assert [switch["clock"] for switch in summary["switches"]] == ["norm"]
    assert all(seen["holds"] for seen in summary["monitors"].values())

    chunk = tmp_path / "out" / "store" / "chunks" / "000000.npz"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    damaged = run(tmp_path, 5000, "--resume")
    assert damaged.returncode == 2
    assert "000000.npz" in damaged.stderr
    assert run(tmp_path, 5000, "--restart").returncode == 0


def test_a_run_of_another_specification_is_not_replaced(tmp_path):
    assert run(tmp_path, 10_000).returncode == 0
    before = contents(tmp_path / "out")
    other = run(tmp_path, 10_000, more="rtol = 1e-5")
    assert other.returncode == 2
    assert "another specification, in `integrate`" in other.stderr
    assert "--restart" in other.stderr
    assert contents(tmp_path / "out") == before
    # The same again, and more of the same run, are no other specification.
    assert run(tmp_path, 10_000).returncode == 0
    assert run(tmp_path, 10_000, "--restart", more="rtol = 1e-5").returncode == 0
