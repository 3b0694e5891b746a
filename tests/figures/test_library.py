"""Every registered figure, drawn from what is stored: all that is drawn is in the CSV, provenance is there, bytes
repeat.
"""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError, MissingExtra, OutputError
from flowlab.figures import figures, load_library
from tests.figures.instances import MADE, convergence, points, portrait, trajectory

load_library()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder of results for every kind of figure: kind → files."""
    folder = tmp_path_factory.mktemp("stored")
    kept = {"trajectory": [fl.save(trajectory(), folder / "trajectory.nc")], "critical points": [points(folder)]}
    for kind, made in MADE.items():
        kept[kind] = [fl.save(result, folder / f"{kind.replace(' ', '_')}_{i}.nc") for i, result in enumerate(made)]
    return kept


def of(stored, name):
    return fl.results(stored[figures[name].of])


def test_every_kind_has_an_instance(stored):
    assert {figures[name].of for name in figures} == set(stored)


@pytest.mark.parametrize("name", figures.names())
def test_contract(name, stored, tmp_path):
    assert figures[name].title
    drawn = fl.draw(name, *of(stored, name))
    assert drawn.save(tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    text = (tmp_path / f"{name}.csv").read_bytes()
    rows = list(csv.reader(text.decode().splitlines()))
    assert rows[0][:3] == ["curve", "x", "y"]
    assert set(rows[0][3:]) <= {"x_to", "y_to", "panel"}
    assert len(rows) > 1
    numbers = np.array([[float(a) for a in row[1:]] for row in rows[1:]])
    # A curve of critical points has gaps where it is not a minimum.
    assert np.isfinite(numbers).all() or name.startswith("continuation")
    assert drawn.canvas.get_size_inches()[0] in (3.4, 7.0)
    record = json.loads((tmp_path / f"{name}.json").read_text())
    assert record["csv_sha256"] == hashlib.sha256(text).hexdigest()
    assert {"flowlab", "matplotlib", "numpy"} <= set(record["versions"])
    assert all(
        source["problem"]["network"]["expression"] and len(source["sha256"]) == 64 for source in record["sources"]
    )
    if shutil.which("pdffonts"):
        told = subprocess.run(
            ["pdffonts", tmp_path / f"{name}.pdf"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[2:]
        assert told
        assert all("Type 3" not in line and line.split()[-5] == "yes" for line in told)


@pytest.mark.parametrize("name", figures.names())
def test_all_that_is_drawn_is_in_the_csv(name, stored):
    drawn = fl.draw(name, *of(stored, name))
    known = np.concatenate([np.r_[c.x, c.y, c.x + c.shift[0], c.y + c.shift[1]] for c in drawn.curves])
    for ax in drawn.canvas.axes:
        for line in ax.get_lines():
            # Axes and lines that only guide the eye have no numbers.
            if line.get_gid() == "guide" or line.get_transform() != ax.transData:
                continue
            for values in line.get_data():
                values = np.asarray(values, dtype=float)
                assert np.isin(values[np.isfinite(values)], known).all(), name


def test_labels_differ_in_more_than_colour(stored):
    several = fl.draw("loss", *fl.results(stored["trajectory"] * 3))
    one = fl.draw("norms", *fl.results(stored["trajectory"]))
    for drawn in (several, one):
        lines = drawn.canvas.axes[0].get_lines()
        looks = {(str(line._unscaled_dash_pattern), line.get_marker()) for line in lines}
        assert len(looks) == len(lines) > 1


def test_equal_labels_look_alike_on_all_panels():
    lines = [ax.get_lines()[0] for ax in fl.draw("loss_constant", convergence()).canvas.axes]
    assert len({line.get_color() for line in lines}) == 1


def test_a_legend_says_everything_once():
    drawn = fl.draw("direction_constant", convergence(), convergence(2.0))
    (legend,) = drawn.canvas.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "convergence 1",
        "limit, convergence 1",
        "convergence 2",
        "limit, convergence 2",
    ]
    limits = [line for line in drawn.canvas.axes[0].get_lines() if line.get_label().startswith("limit")]
    assert len({line.get_color() for line in limits}) == 2


def test_events_are_bands_of_every_pair_that_changes_side():
    curves = fl.draw("events", trajectory()).curves
    told = {c.label: (float(c.x[0]), float(c.x[0] + c.shift[0][0])) for c in curves}
    assert told == {
        "off (0, 0)": (-1.0, -0.5),
        "sliding (0, 0)": (-0.5, 0.5),
        "on (0, 0)": (0.5, 4.0),
        "on (1, 2)": (-1.0, 2.0),
        "off (1, 2)": (2.0, 4.0),
    }


def test_zero_modes_are_counted(stored):
    curves = fl.draw("spectrum", *fl.results(stored["critical points"])).curves
    assert [(c.label, len(c.x)) for c in curves] == [
        ("positive (minimum)", 2),
        ("negative (Morse-Bott)", 1),
        ("zero, by symmetry (Morse-Bott)", 1),
        ("zero, unexplained (Morse-Bott)", 1),
    ]


def test_a_long_run_gets_an_axis_that_shows_its_beginning():
    assert fl.draw("direction_constant", convergence()).canvas.axes[0].get_xscale() == "asinh"


def test_limits_are_drawn_only_where_they_are_known():
    known, unknown = (
        fl.draw("direction_constant", convergence()),
        fl.draw("direction_constant", convergence(float("nan"))),
    )
    assert [c.look for c in known.curves] == ["line", "limit"]
    assert not unknown.curves or "limit" not in [c.look for c in unknown.curves]


@pytest.mark.parametrize("sphere", [False, True])
def test_portraits_have_one_pair_of_axes_for_every_chart(sphere, tmp_path):
    drawn = fl.draw("portrait", portrait(sphere))
    assert len(drawn.canvas.axes) == 1 + sphere
    cells = sum(len(c.x) for c in drawn.curves if c.look == "cells")
    assert cells == int((portrait(sphere).dataset["basin"].values > -2).sum())
    assert drawn.save(tmp_path / "portrait.pdf").exists()
    with pytest.raises(LanguageError, match="one by one"):
        fl.draw("portrait", portrait(), portrait())


def test_schemes_are_compared_with_the_first(stored):
    (path,) = fl.results(stored["trajectory"])
    drawn = fl.draw("schemes", path, path)
    # Equal flows are at no distance, which has no logarithm.
    assert {c.panel for c in drawn.curves} == {0, 1}
    assert {c.label for c in drawn.curves} == {"GF 1", "GF 2"}


_AGAIN = """
import sys, pathlib, flowlab as fl
from flowlab.figures import figures, load_library
load_library()
for name in sys.argv[3:]:
    drawn = fl.draw(name, *fl.results(sys.argv[1], of=figures[name].of))
    for kind in ("pdf", "svg", "png"):
        drawn.save(pathlib.Path(sys.argv[2]) / f"{name}.{kind}")
"""
SOME = ("alignment", "direction_constant", "events", "neurons", "portrait", "spectrum")


def saved(stored, names, folder):
    """All formats of some figures, drawn in this process."""
    for name in names:
        drawn = fl.draw(name, *of(stored, name))
        for kind, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")):
            assert drawn.save(folder / f"{name}.{kind}").read_bytes().startswith(magic)
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("names", [SOME, pytest.param(figures.names(), marks=pytest.mark.slow)], ids=["some", "all"])
def test_equal_results_give_equal_bytes_under_another_hash_seed(names, stored, tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    here = saved(stored, names, tmp_path / "here")
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    subprocess.run(
        [sys.executable, "-c", _AGAIN, stored["trajectory"][0].parent, tmp_path / "there", *names], check=True, env=env
    )
    there = {p.name: p.read_bytes() for p in (tmp_path / "there").iterdir()}
    assert len(here) == 5 * len(names)
    assert [name for name in here if here[name] != there.get(name)] == []
    # Other numbers give other bytes.
    other = fl.draw("direction_constant", convergence(1.6)).save(tmp_path / "direction_constant.pdf").read_bytes()
    assert other != here["direction_constant.pdf"]


@pytest.mark.skipif(not any(map(shutil.which, ("pdflatex", "xelatex", "lualatex"))), reason="no LaTeX program")
def test_pgf(tmp_path):
    text = fl.draw("loss_constant", convergence()).save(tmp_path / "constant.pgf").read_text()
    assert r"\begin{pgfpicture}" in text
    assert text == fl.draw("loss_constant", convergence()).save(tmp_path / "constant.pgf").read_text()


def test_pgf_without_latex_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match="texlive"):
        fl.draw("loss_constant", convergence()).save(tmp_path / "constant.pgf")
    assert not list(tmp_path.iterdir())


def test_no_other_file_is_overwritten(tmp_path):
    drawn = fl.draw("loss_constant", convergence())
    for beside in ("data.csv", "data.json"):
        (tmp_path / beside).write_text("{}\n")
        with pytest.raises(OutputError, match="belongs to no figure"):
            drawn.save(tmp_path / "data.pdf")
        (tmp_path / beside).unlink()
    assert not list(tmp_path.iterdir())
    assert drawn.save(tmp_path / "data.pdf") == drawn.save(tmp_path / "data.pdf")


def test_the_figure_of_risks_names_norms_in_plain_letters():
    (result,) = MADE["risk"]
    labels = [curve.label for curve in figures["risk"]().curves(result)]
    assert labels == ["limit over lam", "least l1 norm", "least l2 norm"]


def test_a_sweep_says_how_many_runs_were_cut_short():
    labels = [c.told for c in fl.draw("sweep", MADE["sweep"][0]).curves if c.look == "line"]
    assert labels == ["width of $W_{1}$: 8, 1 of 5 cut short", "width of $W_{1}$: 16"]
