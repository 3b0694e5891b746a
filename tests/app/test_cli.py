"""The command line as a user meets it: exit codes, one sentence on stderr, nothing half-written."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.app.commands import ROOT, flowlab, inside, refused, spec


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run with a witness, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    path = spec(folder, more='[witness]\nstep = 1e-3\ncount = 60\n[verify]\nclaims = ["P1", "P2", "P4"]\n')
    return flowlab("run", path, "--out", folder / "out"), folder / "out"


def test_run_writes_everything(ran):
    done, out = ran
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    for key in (
        "equations_signature",
        "outcome",
        "log_t",
        "log_loss",
        "rho",
        "min_margin",
        "verdicts",
        "versions",
        "seed",
    ):
        assert key in summary
    assert summary["outcome"]["kind"] == "done"
    assert abs(summary["log_t"]) < 1e-12
    assert [v["id"] for v in summary["verdicts"]] == ["P1", "P2", "P4"]
    assert {v["answer"] for v in summary["verdicts"]} == {"holds"}
    # Numbers and names: the evidence lies in files of its own, with inputs that are stored once.
    assert (out / "summary.json").stat().st_size < 10_000
    assert {p.name for p in (out / "verdicts").iterdir()} == {"P1.json", "P2.json", "P4.json", "inputs"}
    assert [p.suffix for p in (out / "verdicts" / "inputs").iterdir()] == [".json"]
    assert summary["witness"]["distance"]["directions"] < 1e-2
    assert (out / "equations.tex").read_text().startswith(r"\documentclass")
    for name in ("margin", "loss", "norms", "balance"):
        for kind, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
            assert (out / "figures" / f"{name}.{kind}").read_bytes().startswith(magic)
    assert not [p for p in out.parent.iterdir() if p.name.startswith(".")]


@pytest.mark.long
def test_run_repeats_to_the_bit(ran, tmp_path):
    _, out = ran
    again = tmp_path / "out"
    assert flowlab("run", out.parent / "spec.toml", "--out", again).returncode == 0
    first, second = (json.loads((p / "summary.json").read_text()) for p in (out, again))
    for key in ("equations_signature", "log_t", "log_loss", "rho", "min_margin", "witness"):
        assert first[key] == second[key]
    assert (out / "equations.tex").read_bytes() == (again / "equations.tex").read_bytes()
    assert (out / "figures" / "margin.pdf").read_bytes() == (again / "figures" / "margin.pdf").read_bytes()


def test_results_load_in_python(ran):
    import flowlab as fl

    path = fl.Trajectory.load(ran[1] / "trajectory.nc")
    summary = json.loads((ran[1] / "summary.json").read_text())
    assert float(path.dataset["log_loss"][-1]) == summary["log_loss"]
    assert path.problem.network.text == "W2 @ relu(W1 @ x)"
    flow = fl.FlowEquations.from_json((ran[1] / "equations.json").read_text())
    assert flow.signature == summary["equations_signature"]
    verdict = fl.Verdict.load(ran[1] / "verdicts" / "P4.json")
    assert verdict.summary() == summary["verdicts"][2]
    assert fl.replay(verdict).to_json() == verdict.to_json()


def test_figure_from_a_run(ran, tmp_path):
    done = inside("figure", "norms", "--from", ran[1], "--out", tmp_path / "norms.pdf")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "norms.pdf").exists()
    assert (tmp_path / "norms.csv").read_text().startswith("curve,x,y")
    refused(inside("figure", "norm", "--from", ran[1], "--out", tmp_path / "n.pdf"), "norms")
    refused(inside("figure", "norms", "--from", tmp_path, "--out", tmp_path / "n.pdf"), "trajectory")
    refused(inside("figure", "norms", "--from", ran[1], "--out", tmp_path / "n.bmp"), "bmp")
    style = tmp_path / "mine.mplstyle"
    style.write_text("axes.grid: True\n")
    plain, mine = (tmp_path / f"{name}.svg" for name in ("plain", "mine"))
    inside("figure", "loss", "--from", ran[1], "--out", plain)
    words = ("--label", "the flow", "--label", "the walk", "--style", style, "--width", "pnas")
    done = inside("figure", "loss", "--from", ran[1], *words, "--out", mine)
    assert done.returncode == 0, done.stderr
    assert plain.read_bytes() != mine.read_bytes()
    assert "the walk" in mine.with_suffix(".csv").read_text() + mine.with_suffix(".json").read_text()
    refused(inside("figure", "loss", "--from", ran[1], "--style", "nowhere", "--out", mine), "nowhere")
    refused(inside("figure", "loss", "--from", ran[1], "--label", "one of two", "--out", mine), "label")


@pytest.mark.long
def test_a_run_that_gives_up_says_so(tmp_path):
    """Exit code 3, with everything up to there written."""
    text = spec(tmp_path, log_time=5.0).read_text().replace("rtol = 1e-6", "rtol = 1e-6\nmax_steps = 5")
    (tmp_path / "spec.toml").write_text(text)
    done = inside("run", tmp_path / "spec.toml", "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 3, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["outcome"]["kind"] == "budget"
    assert summary["log_loss"] is not None


@pytest.mark.long
def test_a_witness_that_diverges_is_told(tmp_path):
    """Exit code 3 with the sentence; 1 where a claim is refuted as well."""
    path = spec(
        tmp_path,
        log_time=-1.0,
        more="[witness]\nstep = 1e6\ncount = 200\n[verify]\nclaims = []\n[figures]\nnames = []\n",
    )
    done = inside("run", path, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "witness nonfinite: the weights stopped being finite" in done.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["outcome"]["kind"] == "done"
    assert (summary["witness"]["outcome"], "smaller step" in summary["witness"]["message"]) == ("nonfinite", True)
    path.write_text(path.read_text().replace("claims = []", 'claims = ["P1"]'))
    code = (
        "import flowlab.claims.library.poggio2020.p01_euler as p; from flowlab.claims.verdict import"
        " Measurement;p.Euler.measure = lambda self, case, mutant=None: Measurement(1.0, 0.5, 'broken',"
        " dict.fromkeys([str((case.problem, case.flow.last))]));from flowlab.cli import main; main(['run',"
        f" {str(path)!r}, '--out', {str(tmp_path / 'out')!r}, '--quiet'])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False).returncode
        == 1
    )


def test_nothing_of_an_earlier_run_stays_but_what_is_the_users(tmp_path):
    out = tmp_path / "out"
    path = spec(
        tmp_path,
        log_time=-2.0,
        more='[witness]\nstep = 1e-3\ncount = 5\n[verify]\nclaims = ["P1"]\n[figures]\nnames = ["margin"]\n',
    )
    assert inside("run", path, "--out", out, "--quiet").returncode == 0
    (out / "notes.txt").write_text("kept")
    (out / "figures" / "own.pdf").write_text("kept")
    first = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"witness.nc", "figures/margin.pdf", "figures/margin.csv", "verdicts/P1.json"} <= first
    assert any(name.startswith("verdicts/inputs/") for name in first)
    plain = spec(tmp_path, log_time=-2.0, more="[verify]\nclaims = []\n[figures]\nnames = []\n")
    assert inside("run", plain, "--out", out, "--quiet", "--restart").returncode == 0
    left = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and "store" not in p.relative_to(out).parts}
    fresh = {"summary.json", "report.html", "equations.txt", "equations.tex", "equations.json", "trajectory.nc"}
    fresh |= {f"figures/architecture.{kind}" for kind in ("pdf", "png", "csv", "json")}
    assert left == fresh | {"notes.txt", "figures/own.pdf"}
    assert json.loads((out / "summary.json").read_text())["witness"] is None


BAD_SPECS = [
    ("W2 @ relu(W1 @ x)", "W2 @ rellu(W1 @ x)", ["rellu", "relu"]),
    ("W2 @ relu(W1 @ x)", "W2 @ relu(W1 @ x) + W1", ["W1"]),
    ("[integrate]", "[integrate]\nrtoll = 1", ["rtoll", "rtol", "line 8"]),
    ("rtol = 1e-6", 'rtol = "small"', ["rtol", "line 8", "number"]),
    ("gaussian?n=12", "irris?n=12", ["irris"]),
    ("gaussian?n=12&d=3&margin=0.2", "nowhere.csv", ["nowhere.csv"]),
    ("gaussian?n=12&d=3&margin=0.2", "iris", ["0, 1, 2", "cross_entropy"]),
    ("gaussian?n=12&d=3&margin=0.2", "iris:setossa", ["setossa", "setosa"]),
    ("log_time = 0.0", "log_time = inf", ["log_time"]),
    ("[network]", "[networks]", ["networks", "line"]),
    ("[data]", "[data", ["TOML"]),
    ("W1 = 4", "W1 = 0", ["W1"]),
    ("W1 = 4", "W7 = 4", ["W7"]),
    ("[data]", "[start]\nseed = -3\n[data]", ["start.seed", "-3", "minimum"]),
    ("[data]", "[start]\nseed = 3.0\n[data]", ["seed", "3.0", "integer"]),
    ("[data]", "[start]\nscale = 1e200\n[data]", ["W1", "smaller"]),
    ("[integrate]", "seed = -1\n[integrate]", ["data.seed", "-1", "minimum"]),
]


@pytest.mark.parametrize(("old", "new", "words"), BAD_SPECS, ids=lambda v: str(v)[:40])
def test_bad_specifications(tmp_path, old, new, words):
    path = spec(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1), encoding="utf-8")
    refused(inside("run", path, "--out", tmp_path / "out", "--quiet"), *words)
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spec.toml"]


BAD_ROWS = [
    ("1,2,nan\n3,4,1\n", "nan"),
    ("1,nan,1\n3,4,-1\n", "nan"),
    ("1,2,1\n3,4,1\n", "one class"),
    ("", "rows"),
    ("1,2,0.5\n3,4,1\n", "label"),
    ("a,b,c\n", "rows"),
]


@pytest.mark.parametrize(("rows", "word"), BAD_ROWS)
def test_bad_data(tmp_path, rows, word):
    (tmp_path / "points.csv").write_text(rows)
    refused(inside("run", spec(tmp_path, source="points.csv"), "--out", tmp_path / "out", "--quiet"), word)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["derive", "W1 @ x", "--lss", "e"], "No such option"),
        (["derive"], "Missing argument"),
        (["run", "spec.toml"], "Missing option"),
        (["derive", "W1 @ x", "--decay", "much"], "--decay"),
        (["derive", "W1 @ x", "--decay"], "--decay"),
        (["derive", "W1 @ x", "more"], "(more)"),
        (["derivee", "W1 @ x"], "did you mean 'derive'?"),
        (["nothing\nof the kind"], "No such command"),
        (["--debug"], "Missing command"),
    ],
)
def test_words_that_no_command_has(words, told):
    refused(inside(*words), told)


def test_without_words_the_help_is_shown():
    done, asked = inside(), inside("--help")
    assert (done.returncode, asked.returncode) == (2, 0)
    assert done.stdout == asked.stdout
    assert "derive" in done.stdout


def test_tables_lie_beside_the_specification_and_name_their_label(tmp_path):
    from flowlab.app.asked import ready
    from flowlab.app.spec import read_spec

    path = spec(tmp_path, source="points.TSV")
    (tmp_path / "points.TSV").write_text("kind\ta\tb\nyes\t5\t2\nno\t6\t3\n")
    refused(inside("run", path, "--out", tmp_path / "out", "--quiet"), "points.TSV", "'yes'")
    path.write_text(path.read_text().replace("[data]", '[data]\nlabel = "kind"'))
    _, data, _, _ = ready(read_spec(path), path)
    assert data.class_names == ("no", "yes")
    assert data.x.tolist() == [[5, 2], [6, 3]]


@pytest.mark.long
def test_samples_held_out_are_observed(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("own", "test"):
        x = rng.normal(size=(10, 3))
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.sign(x[:, 0]))
    path = spec(tmp_path, source="own.npz", log_time=-2.0)
    path.write_text(path.read_text() + '[observe.late]\nsource = "test.npz"\n')
    done = inside("run", path, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "out" / "summary.json").read_text())["observed"]
    assert set(seen) == {"late_loss", "late_error"}
    assert seen["late_loss"] > 0


@pytest.mark.parametrize(
    ("bad", "words"),
    [("[observe.late]\n", ["observe.late.source", "missing"]), ("observe = 3\n", ["observe", "table"])],
)
def test_odd_samples_held_out(tmp_path, bad, words):
    path = spec(tmp_path)
    path.write_text(bad + path.read_text())
    refused(inside("run", path, "--out", tmp_path / "out", "--quiet"), *words)


def test_bad_output_folders(tmp_path):
    path = spec(tmp_path)
    (tmp_path / "file").write_text("kept")
    refused(inside("run", path, "--out", tmp_path / "file", "--quiet"), "is a file")
    assert (tmp_path / "file").read_text() == "kept"
    refused(inside("run", path, "--out", tmp_path / "file" / "below", "--quiet"), "file")
    refused(inside("run", tmp_path / "none.toml", "--out", tmp_path / "out"), "none.toml")
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        refused(inside("run", path, "--out", tmp_path / "locked" / "out", "--quiet"), "writable")


def test_an_old_result_survives_a_bad_specification(ran):
    _, out = ran
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    bad = out.parent / "bad.toml"
    bad.write_text((out.parent / "spec.toml").read_text().replace("relu", "reluu"))
    refused(inside("run", bad, "--out", out, "--quiet"), "reluu")
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_own_data_beside_the_specification(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 3))
    np.savez(tmp_path / "own.npz", x=x, y=np.sign(x[:, 0]))
    done = inside("run", spec(tmp_path, source="own.npz", log_time=-2.0), "--out", tmp_path / "deep" / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deep" / "out" / "summary.json").exists()


def test_derive_prints():
    done = flowlab("derive", "W2 @ relu(W1 @ x)", "--scheme", "lagrange")
    assert done.returncode == 0
    assert "Lagrange multiplier" in done.stdout
    assert inside("derive", "W1 @ x", "--format", "latex").stdout.startswith(r"\documentclass")
    assert json.loads(inside("derive", "W1 @ x", "--format", "json").stdout)["format"]
    refused(inside("derive", "W2 @ (W1 @ x"), "W2 @ (W1 @ x")
    refused(inside("derive", "W1 @ x", "--scheme", "gradientflow"), "gradient_flow")
    refused(inside("derive", "W1 @ x", "--depth", "deep"), "structural")
    refused(inside("derive", "W1 @ x", "--format", "html"), "latex")
    for depth in ("structural", "matrix", "component"):
        refused(inside("derive", "W1 @ x", "--format", "json", "--depth", depth), depth, "json")
    assert "d V_W1[1,2]/dt = " in inside("derive", "W1 @ x", "--depth", "component").stdout
    refused(inside("derive", "W2 @ relu(W1 @ x) + W1"), "W1", "(")


def test_verify_exit_codes():
    done = inside("verify", "P1", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["answer"] == "holds"
    refused(inside("verify", "P99"), "P99")
    refused(inside("verify", "P1", "--seed", "-1"), "`seed` must be an integer from 0 on, got -1")
    refused(inside("verify", "--pack", "nobody"), "poggio2020")


def test_a_refuted_claim_exits_with_one(tmp_path):
    """A relative change of the norms that P4 allows cannot be had with a coarse witness; a broken word can
    refute it.
    """
    code = (
        "import flowlab.claims.library.poggio2020.p01_euler as p; from flowlab.claims.verdict import"
        " Measurement;p.Euler.measure = lambda self, case, mutant=None: Measurement(1.0, 0.5, 'broken on purpose',"
        " dict.fromkeys([str((case.problem, case.data))]));from flowlab.cli import main; main(['verify', 'P1'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "refuted" in done.stdout


def test_help_and_list_do_not_import_jax():
    for args in (["--help"], ["list"], ["list", "schemes"], ["list", "claims"], ["list", "schema"]):
        code = (
            f"import sys\nfrom flowlab.cli import main\ntry:\n main({args!r})\nexcept SystemExit as e:\n assert not"
            " e.code\nassert 'jax' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    refused(flowlab("list", "scheme"), "schemes")


@pytest.mark.long
def test_traceback_only_with_debug():
    assert "Traceback" not in flowlab("derive", "W2 @").stderr
    assert "Traceback" in flowlab("--debug", "derive", "W2 @").stderr
    assert "Traceback" in flowlab("derive", "W2 @", "--debug").stderr


@pytest.mark.long
def test_images_are_arranged_as_the_network_asks(tmp_path):
    """Rows of features become an input of another shape; a wrong one is refused, and learning rates reach the flow."""
    path = tmp_path / "conv.toml"
    text = """
[network]
expression = "a @ flatten(tanh(conv(K, X, stride=2)))"
inputs = { X = [1, 2, 2] }
shapes = { K = [1, 1, 2, 2] }
[problem]
loss = "logistic"
coordinates = "weights"
rates = { a = 0.5 }
[data]
source = "iris:setosa"
standardize = true
[integrate]
until = { log_time = -4.0 }
"""
    path.write_text(text)
    done = flowlab("run", path, "--out", tmp_path / "out", "--quiet")
    assert done.returncode in (0, 1), done.stderr
    assert (tmp_path / "out" / "summary.json").exists()
    path.write_text(text.replace("[1, 2, 2]", "[1, 2, 3]"))
    refused(inside("run", path, "--out", tmp_path / "other", "--quiet"), "must have 4 entries per sample")
