"""What the command line says of itself: help, version, completion, progress, JSON."""

import json
import logging
import subprocess
import sys

import pytest

from flowlab import __version__
from flowlab.app.commands import completion
from flowlab.app.terminal import Progress, Starts, progress
from flowlab.cli import COMMANDS, main
from flowlab.dynamics.run import progress as of_runs
from tests.app.commands import ROOT, inside

VERBS = [command.__name__.removesuffix("_words") for command, _ in COMMANDS]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_a_terminal_and_has_examples(verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told = inside(*([verb] if verb else []), "--help").stdout
    assert "Examples:\n" in told
    assert "..." not in told.replace("[ARGS]...", "").replace("VERDICT.json]...", "").split("Options:", 1)[1]
    assert max(map(len, told.splitlines())) <= 80
    if verb:
        assert f"  flowlab {verb}" in told
        assert "--json" in told
        assert told.splitlines()[0].startswith(f"Usage: flowlab {verb} ")


def test_every_verb_is_told_in_a_whole_sentence(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told = " ".join(inside("--help").stdout.split())
    for command, examples in COMMANDS:
        assert " ".join(str(command.__doc__).split("\n")[0].split()) in told
        assert examples[0] in told


def test_the_version():
    assert inside("--version").stdout == f"flowlab {__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "flowlab", "--version"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == f"flowlab {__version__}\n"


def test_lists_are_cut_nowhere(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    shown = inside("list", "claims").stdout
    assert "…" not in shown
    told = json.loads(inside("list", "claims", "--json").stdout)["claims"]
    assert all(f"│ {name} " in shown for name in told)
    words = "".join(line.split("│")[2].strip() for line in shown.splitlines() if line.startswith("│"))
    assert all("".join(title.split()) in "".join(words.split()) for title in told.values())


@pytest.mark.parametrize(
    ("begun", "offers"),
    [
        (completion.losses("exp"), {"exponential"}),
        (completion.figures("margi"), {"margin", "margins"}),
        (completion.claims("P2"), {"P2", "P20", "P21", "P22", "P23", "P24"}),
        (completion.packs("a"), {"arora2018", "all"}),
        (completion.keys("start."), {"start.seed=", "start.scale=", "start.weights="}),
        (completion.keys("integrate.until.log_t"), {"integrate.until.log_time="}),
        (completion.losses("nothing"), set()),
    ],
)
def test_what_is_completed(begun, offers):
    assert {name for name, _ in begun} == offers
    assert all(told for _, told in begun)


def test_a_shell_completes_without_loading_arrays():
    code = (
        "import os, sys\nos.environ |= {'_FLOWLAB_COMPLETE': 'complete_bash', 'COMP_WORDS': 'flowlab derive x --loss"
        " exp', 'COMP_CWORD': '4'}\nfrom flowlab.cli import main\ntry:\n main([])\nexcept SystemExit:\n assert 'jax'"
        " not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.split() == ["exponential"], done.stderr


def test_init_writes_what_can_be_run(tmp_path):
    path = tmp_path / "own.toml"
    assert json.loads(inside("init", path, "--json").stdout) == {"written": str(path)}
    before = path.read_text()
    assert "flowlab run own.toml" in before
    path.write_text("kept")
    assert inside("init", path).returncode == 2
    assert path.read_text() == "kept"
    assert inside("init", path, "--force").returncode == 0
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("asked", "quiet", "terminal", "chosen"),
    [
        ("auto", False, True, "bar"),
        ("auto", False, False, "plain"),
        ("auto", True, True, "none"),
        ("bar", False, False, "bar"),
        ("json", False, True, "json"),
        ("json", True, True, "none"),
    ],
)
def test_how_progress_is_told(asked, quiet, terminal, chosen, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert Progress.chosen(Progress(asked), quiet) is Progress(chosen)


def test_what_is_logged_is_written_as_asked_and_only_while_a_command_works(capsys):
    log = logging.getLogger("flowlab.test")
    for how in ("plain", "json", "none"):
        with progress(Progress(how), quiet=False):
            log.info("at %d", 3, extra={"flowlab": {"log_t": 3.0}})
        log.info("later")
        told = capsys.readouterr().err
        if how == "json":
            line = json.loads(told)
            assert (line["message"], line["log_t"], line["logger"]) == ("at 3", 3.0, "flowlab.test")
        else:
            assert told == ("flowlab: at 3\n" if how == "plain" else "")


def test_a_long_run_says_where_it_is(monkeypatch, caplog):
    """Without a bar: a line now and then for whoever listens, and nothing for nobody."""
    seen = {"log_loss": -3.0, "min_margin": 0.1}
    monkeypatch.setattr(of_runs, "EVERY", 0.0)
    with of_runs.Progress(False, 5.0, "log t = 5") as bar:
        assert not bar.on
        with caplog.at_level(logging.INFO, "flowlab"):
            assert bar.on
            bar.show(2.5, seen)
        assert [r.getMessage() for r in caplog.records] == ["log t 2.5  log loss -3  margin 0.1, 52 % of the way"]
    assert caplog.records[0].flowlab == {"log_t": 2.5, **seen}


def test_searches_say_how_many_are_done(monkeypatch, caplog):
    monkeypatch.setattr("flowlab.app.terminal.EVERY", 0.0)
    with caplog.at_level(logging.INFO, "flowlab"):
        Starts(None)(1, 2)
    assert caplog.records[0].getMessage() == "1 of 2 starts searched"


def test_nothing_is_logged_to_a_library_user(capsys):
    logging.getLogger("flowlab").info("unheard")
    assert capsys.readouterr().err == ""
    assert any(isinstance(h, logging.NullHandler) for h in logging.getLogger("flowlab").handlers)
    assert main
