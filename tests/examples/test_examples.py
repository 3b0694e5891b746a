"""Every example runs, and answers what its text says."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(p.stem for p in FOLDER.glob("*.py"))


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_script_has_a_test_below():
    assert SCRIPTS == [
        "figures_of_a_paper",
        "new_architecture",
        "refuting_a_claim",
        "schemes_side_by_side",
        "step_size",
    ]


def test_new_architecture(capsys):
    drift = example("new_architecture").main(small=True)
    assert max(drift.values()) < 1e-6
    assert "multi-homogeneous" in capsys.readouterr().out


def test_refuting_a_claim():
    assert [v.answer for v in example("refuting_a_claim").main(small=True)] == [
        "holds",
        "refuted",
        "undecided",
        "undecided",
    ]


@pytest.mark.slow
def test_schemes_side_by_side(tmp_path):
    margins = example("schemes_side_by_side").main(small=True, out=tmp_path)
    assert len(set(margins.values())) == 3
    assert len(list(tmp_path.glob("*.pdf"))) == 3


def test_step_size():
    found = example("step_size").main(small=True)
    assert abs(found["order of flow"] - 1.0) < 0.3
    assert abs(found["order of modified"] - 2.0) < 0.3
    assert found["central"] < 0.5 * min(found["flow"], found["modified"])


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_specifications_are_valid(name):
    from flowlab.app.spec import read_spec

    assert read_spec(FOLDER / f"{name}.toml")["network"]["expression"]


@pytest.mark.slow
def test_figures_of_a_paper(tmp_path):
    found = example("figures_of_a_paper").main(small=True, out=tmp_path)
    assert all(abs(found[f"{name} {what}"]) < 0.2 for name in ("linear", "deep") for what in ("direction", "loss"))
    assert found["trapped margin"] < 0.6 * found["largest margin"]
    assert (
        len(list(tmp_path.glob("*.pdf")))
        == len(list(tmp_path.glob("*.csv")))
        == len(list(tmp_path.glob("*.json")))
        == 12
    )


def test_figures_of_a_paper_are_registered():
    from flowlab.figures import figures, load_library

    load_library()
    assert all(name in figures for name in example("figures_of_a_paper").FIGURES)
