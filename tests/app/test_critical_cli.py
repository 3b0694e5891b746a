"""`flowlab critical` and `flowlab compare` as commands."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.app.commands import inside, refused, spec


@pytest.mark.long
def test_critical_writes_what_it_prints(tmp_path):
    done = inside(
        "critical",
        spec(tmp_path, more="[verify]\nclaims = []\n"),
        "--out",
        tmp_path / "out",
        "--norm",
        "5",
        "--starts",
        "4",
        "--quiet",
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "critical.json").read_text())
    assert f"{len(record['points'])} critical points from 4 starts" in done.stdout
    assert record["norm"] == 5.0
    assert "R = 5\n" in done.stdout
    assert all(p["residual"] <= 1e-10 for p in record["points"])
    kinds = ("pdf", "png", "csv", "json")
    assert {p.name for p in (tmp_path / "out" / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("critical", "spectrum") for kind in kinds
    }
    drawn = inside("figure", "spectrum", "--from", tmp_path / "out", "--out", tmp_path / "spectrum.svg")
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "spectrum.csv").read_bytes() == (tmp_path / "out" / "figures" / "spectrum.csv").read_bytes()
    refused(
        inside("figure", "critical", "--from", tmp_path / "out", "--out", tmp_path / "out" / "critical.pdf"),
        "critical.json",
        "another name",
    )
    again = inside(
        "critical", tmp_path / "spec.toml", "--out", tmp_path / "again", "--norm", "5", "--starts", "4", "--quiet"
    )
    assert again.returncode == 0
    assert json.loads((tmp_path / "again" / "critical.json").read_text()) == record


@pytest.mark.long
def test_a_run_is_held_against_its_critical_points(tmp_path):
    out = tmp_path / "out"
    inside(
        "run",
        spec(tmp_path, log_time=1.0, more="[verify]\nclaims = []\n[figures]\nnames = []\n"),
        "--out",
        out,
        "--quiet",
    )
    done = inside("compare", out, "--starts", "2", "--quiet")
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "compare.json").read_text())
    assert np.shape(record["ends"]["distances"])[1] == len(record["points"])
    assert (out / "figures" / "approach.csv").exists()
    assert "nan" not in done.stdout
    assert max(record["ends"]["rate"]) < 1e-9
    again = inside("figure", "approach", "--from", out, "--out", tmp_path / "approach.pdf")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "approach.csv").read_bytes() == (out / "figures" / "approach.csv").read_bytes()
    other = tmp_path / "other.csv"
    other.write_text("1,2,3,1\n2,1,0,-1\n")
    refused(inside("compare", out, "--data", other), "other.csv", "other samples")
    summary = (out / "summary.json").read_text()
    assert '"log_t": ' in summary
    (out / "summary.json").write_text(summary.replace('"log_t": ', '"log_t": 1', 1))
    refused(inside("compare", out), "does not match its SHA-256")
    unsealed = json.loads(summary)
    unsealed.pop("sha256")
    (out / "summary.json").write_text(json.dumps(unsealed))
    refused(inside("compare", out, "--data", other), "other samples")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--norm", "-1"], "norm"),
        (["--norm", "nan"], "norm"),
        (["--starts", "-3"], "starts"),
        (["--seed", "-3"], "seed"),
    ],
)
def test_bad_options(tmp_path, words, told):
    refused(inside("critical", spec(tmp_path), "--out", tmp_path / "out", *words), told)
    assert not (tmp_path / "out" / "critical.json").exists()


def test_folders_that_hold_no_run(tmp_path):
    refused(inside("compare", tmp_path), "holds no run")
    refused(inside("compare", tmp_path / "missing"), "holds no run")


def test_a_figure_of_critical_points_is_no_figure_of_a_run(tmp_path):
    refused(
        inside("run", spec(tmp_path, more='[figures]\nnames = ["critical"]\n'), "--out", tmp_path / "out"),
        "critical",
        "leave it out",
    )
    assert Path(tmp_path / "spec.toml").exists()
