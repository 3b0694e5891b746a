"""Figures of a run: what cannot be drawn is told, and costs no more than itself."""

import json

import pytest

from tests.app.commands import inside, spec


@pytest.mark.long
def test_a_figure_that_cannot_be_drawn_costs_no_more(tmp_path):
    more = '[verify]\nclaims = []\n[figures]\nnames = ["loss", "balance"]'
    path = spec(tmp_path, more=more)
    path.write_text(path.read_text().replace("relu", "tanh").replace('kinks = "ignore"', ""))
    done = inside("run", path, "--out", tmp_path / "out", "--progress", "plain")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(summary["figures_left_out"]) == ["balance"]
    assert "which has none" in summary["figures_left_out"]["balance"]
    assert "left out a figure" in done.stderr
    assert "which has none" in (tmp_path / "out" / "report.html").read_text()
    drawn = {p.name for p in (tmp_path / "out" / "figures").iterdir()}
    assert "loss.pdf" in drawn
    assert "balance.pdf" not in drawn
