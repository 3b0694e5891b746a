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
        "bures_wasserstein",
        "coarse_gradients",
        "figures_of_a_paper",
        "games",
        "images_and_tokens",
        "new_architecture",
        "refuting_a_claim",
        "schemes_side_by_side",
        "step_size",
        "zhou_ge",
    ]


@pytest.mark.long
def test_bures_wasserstein(tmp_path):
    found = example("bures_wasserstein").main(small=True, out=tmp_path)
    assert max(found.values()) < 1e-10
    assert list(tmp_path.glob("spectrum_in_time.pdf"))


def test_new_architecture(capsys):
    drift = example("new_architecture").main(small=True)
    assert max(drift.values()) < 1e-6
    assert "multi-homogeneous" in capsys.readouterr().out


@pytest.mark.long
def test_coarse_gradients(tmp_path, capsys):
    module = example("coarse_gradients")
    told = module.main(small=True, out=tmp_path)
    assert (tmp_path / "field_angle.pdf").exists()
    assert "curl of the blocks v-w" in capsys.readouterr().out
    assert told["curl"] > 0.1
    assert abs(told["loss"]) < 1e-3
    assert abs(told["rest point 0"]) < 1e-14
    assert module.sampled() < 0.2


@pytest.mark.long
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


@pytest.mark.long
def test_step_size():
    found = example("step_size").main(small=True)
    assert abs(found["order of flow"] - 1.0) < 0.3
    assert abs(found["order of modified"] - 2.0) < 0.3
    assert found["central"] < 0.5 * min(found["flow"], found["modified"])


@pytest.mark.long
def test_zhou_ge(tmp_path):
    found = example("zhou_ge").main(small=True, out=tmp_path)
    assert found["flow of the weights"] < 1e-6
    assert found["flow of beta"] < 1e-6
    assert found["best lambda"] < min(found["min_l1"], found["min_l2"])
    assert (tmp_path / "risk.pdf").exists()


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


@pytest.mark.long
def test_images_and_tokens_keep_what_their_laws_say():
    """Separation and balance on a few images; the transformer, which takes longer, has a test of its own."""
    module = example("images_and_tokens")
    path, equations = module.flow("convolution", 8, 3.0)
    assert path.outcome.ok
    assert path.dataset["min_margin"].values[-1] > 0
    drift = module.drifts(path, equations)
    assert len(drift) == 3
    assert max(drift.values()) <= 100 * path.rtol
    assert module.growth(path)["K"] == pytest.approx(1.0, abs=100 * path.rtol)


@pytest.mark.slow
def test_a_transformer_block_keeps_what_its_laws_say():
    module = example("images_and_tokens")
    path, equations = module.flow("transformer", 40, 30.0)
    assert path.outcome.ok
    assert path.dataset["log_t"].values[-1] == pytest.approx(30.0)
    assert path.dataset["min_margin"].values[-1] > 0
    drift = module.drifts(path, equations)
    assert set(drift) == {"K^T K - Q^T Q", "diag(2 W2 W2^T - W1^T W1)"}
    assert max(drift.values()) <= 100 * path.rtol
    # Norms that laws tie grow as degrees say; those of a block beside what it reads do not.
    gained = module.growth(path)
    assert gained["W1"] / gained["W2"] == pytest.approx(2.0, abs=100 * path.rtol)
    assert gained["K"] / gained["Q"] == pytest.approx(1.0, abs=100 * path.rtol)
    assert abs(gained["V"] - 1.0) > 0.01
    assert abs(gained["W2"] - 1.0) > 0.1


@pytest.mark.long
def test_games(tmp_path, capsys):
    found = example("games").main(small=True, out=tmp_path)
    assert abs(found["flow"] - found["start"]) < 1e-9
    assert found["optimistic"] < 0.1 * found["start"]
    assert found["gradient"] > 2 * found["start"]
    assert (tmp_path / "kl.pdf").exists()
    assert "O4: holds" in capsys.readouterr().out
