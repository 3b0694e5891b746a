"""What is given to `check`: it has to belong together, to be as it came, and to be looked at, or nothing holds."""

import dataclasses

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims import claims, tamper_check
from flowlab.claims.case import case_of
from flowlab.cli import main
from flowlab.language.trajectory import Trajectory
from tests.claims.corruptions import KINDS, corrupted, made_to_fit, rows


def samples(seed):
    return fl.load("gaussian?n=8&d=3&margin=0.3", seed=seed)


@pytest.fixture(scope="module")
def run():
    problem, data = fl.Problem("W2 @ W1 @ x"), samples(4)
    start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(8.0), rtol=1e-8, atol=1e-10)
    return path, fl.descend(problem, start, data, step=1e-3, count=60)


def changed(run, name, by):
    ds = run.dataset.copy(deep=True)
    ds[name] = (ds[name].dims, by(ds[name].values.copy()))
    return dataclasses.replace(run, dataset=ds)


@pytest.mark.long
def test_evidence_of_two_things_is_refused(run):
    path, walk = run
    other = fl.descend(path.problem, walk.state(0), samples(5), step=1e-3, count=3)
    for evidence in (
        (path, samples(5)),
        (path, fl.Problem("W1 @ x")),
        (path, fl.Problem("W2 @ W1 @ x", decay=0.1)),
        (path, other),
        (path, dataclasses.replace(path)),
        (fl.derive(fl.Problem("W1 @ x", "logistic")), fl.Problem("W1 @ x")),
    ):
        with pytest.raises(fl.ClaimError):
            fl.check(["P1"], *evidence)
    # Control: all of it is of one problem and one data set.
    case = case_of((path, walk, path.problem, samples(4), None), 0)
    assert case.passed == ("flow", "descent")
    assert case.present == ("problem", "data", "flow", "descent")


def test_a_stored_flow_is_held_against_the_samples_given_with_it(run, tmp_path):
    path, _ = run
    stored = fl.Trajectory.load(path.save(tmp_path / "run.nc"))
    assert fl.check(["P4"], stored, samples(4))[0].answer == "holds"
    with pytest.raises(fl.ClaimError, match="samples"):
        fl.check(["P4"], stored, samples(5))


@pytest.mark.parametrize("name", ["log_loss", "min_margin", "log_R", "V_W1", "label", "samples", "backwards"])
def test_what_is_not_as_it_came_supports_nothing(run, name):
    path, _ = run
    if name == "label":
        wrong = dataclasses.replace(path, problem=fl.Problem("W2 @ W1 @ x", scheme="lagrange"))
    elif name == "samples":
        wrong = dataclasses.replace(path, data=samples(5))
    elif name == "backwards":
        wrong = dataclasses.replace(path, dataset=path.dataset.isel(step=slice(None, None, -1)))
    else:
        wrong = changed(path, name, lambda v: v + 0.01)
    (verdict,) = fl.check(["P4"], wrong)
    assert (verdict.answer, verdict.code) == ("undecided", "could not be checked"), str(verdict)
    assert fl.check(["P4"], path)[0].answer == "holds"


def test_a_given_descent_is_looked_at(run, monkeypatch):
    _, walk = run
    assert fl.check(["P20"], walk)[0].answer == "holds"
    changes = (("rho", lambda v: v * np.linspace(1.0, 1.001, len(v))[:, None]), ("step_sq", lambda v: 1.01 * v))
    assert fl.check(["P20"], changed(walk, *changes[0]))[0].code == "could not be checked"
    monkeypatch.setattr(tamper_check, "altered", lambda *_: None)
    for name, by in changes:
        assert fl.check(["P20"], changed(walk, name, by))[0].answer == "refuted"


def test_rows_that_are_no_flow_refute_nothing(run, monkeypatch):
    wrong = corrupted(run[0], "later half reversed", run[1])
    (verdict,) = fl.check(["D1"], wrong)
    assert (verdict.answer, verdict.code) == ("undecided", "could not be checked"), str(verdict)
    # Control: taken for a run, the same rows speak against the claim.
    monkeypatch.setattr(tamper_check, "altered", lambda *_: None)
    assert fl.check(["D1"], wrong)[0].answer == "refuted"


def test_what_is_not_looked_at_decides_nothing(run):
    path, walk = run
    best = fl.max_margin("W1 @ x", samples(4))
    assert fl.check(["P3"], best)[0].code == "not tested"
    (verdict,) = fl.check(["P4"], path, walk)
    assert verdict.answer == "holds"
    assert "not on the rest of what was given (descent)" in verdict.reason
    assert fl.replay(verdict).to_json() == verdict.to_json()
    deep = fl.Problem("W3 @ relu(W2 @ relu(W1 @ x))")
    for name in ("P6", "P8", "E1.12", "J1", "L6"):
        (verdict,) = fl.check([name], deep, samples(4))
        assert verdict.code == "does not apply", str(verdict)


@pytest.mark.parametrize("kind", KINDS)
def test_no_claim_holds_on_rows_that_are_no_flow(run, kind):
    path, walk = run
    for verdict in fl.check(["P1", "P4", "L1", "L2", "L9"], corrupted(path, kind, walk)):
        assert verdict.code in ("could not be checked", "does not apply", "not a number"), str(verdict)


@pytest.mark.parametrize("kind", ["noise", "shifted in time", "constant", "sign flipped"])
def test_rows_that_are_made_to_fit_are_no_flow_either(run, kind):
    wrong = made_to_fit(corrupted(run[0], kind, run[1]))
    for verdict in fl.check(["P1", "L2"], wrong):
        assert verdict.code == "could not be checked", str(verdict)


def test_clean_runs_are_read(run):
    for verdict in fl.check(["P1", "P2", "P4", "L1", "L2", "L3", "L9", "D1"], run[0]):
        assert verdict.answer == "holds", str(verdict)


def in_mean(path):
    """The same flow under the mean loss, whose time runs N times slower."""
    log_t, rho, V = rows(path)
    problem = fl.Problem(
        path.problem.network, path.problem.loss.name, coordinates=path.problem.coordinates, reduction="mean"
    )
    n = path.data.n
    states = fl.State(rho=rho, V=V)
    extra = {"settings": path.provenance["settings"], "monitors": path.monitors}
    return Trajectory.from_states(
        problem, path.data, log_t + np.log(n), states, path.outcome, path.stats, kind="flow", extra=extra
    )


def test_a_mean_over_samples_is_no_other_statement(run):
    """Log 1/L of a mean is larger by log N: what is said of the sum is said of N times the mean."""
    names = ["P4", "P14", "L1", "L2", "L3", "L4", "L9"]
    summed, mean = ({v.id: v for v in fl.check(names, path)} for path in (run[0], in_mean(run[0])))
    for name in names:
        assert mean[name].answer == summed[name].answer != "refuted", f"{mean[name]}\n{summed[name]}"
        assert mean[name].measured == pytest.approx(summed[name].measured, rel=1e-6, abs=1e-12)
    assert summed["P14"].answer == "holds"


@pytest.mark.slow
def test_no_claim_answers_on_instances_of_its_own():
    """Every claim of the library, given a network and a loss that few are about:
    what answers has run or differentiated that network.
    """
    deep = fl.Problem("v @ (W2 @ (W1 @ x)**2)**2", "logistic")
    answers = {
        name: fl.check([name], deep, samples(4))[0] for name in claims if "." not in name or name.startswith("E1.")
    }
    general = {"P1", "P2", "P3", "P4", "P5", "P7", "P20", "E1.8", "T3", "D1", "L1", "L2", "L3", "L4", "L5", "L9"}
    assert {name for name, v in answers.items() if v.answer != "undecided"} <= general
    assert not any(v.answer == "refuted" for v in answers.values())


def test_weight_decay_is_not_dropped():
    decaying = fl.Problem("W2 @ relu(W1 @ x)", decay=0.1)
    for name in ("E1.8", "P4", "P7"):
        assert fl.check([name], decaying)[0].code == "does not apply"
    (verdict,) = fl.check(["P2"], decaying, samples(4))
    assert verdict.answer == "holds"


@pytest.mark.long
@pytest.mark.parametrize(
    ("net", "seed"), [pytest.param("W3 @ relu(W2 @ relu(W1 @ x))", 2, marks=pytest.mark.slow), ("v @ (W @ x)**2", 0)]
)
def test_the_constraint_of_other_networks(net, seed):
    (verdict,) = fl.check(["P7"], fl.Problem(net, "logistic"), samples(4), seed=seed)
    assert verdict.answer == "holds", str(verdict)


OWN = """
import flowlab as fl

@fl.claim("broken.zero", statement="s", source="me", mutants=("x",))
def zero(case, mutant):
    return 1 / 0

@fl.claim("broken.data", statement="s", source="me", mutants=("x",))
def data(case, mutant):
    return fl.Quantity("n", case.data.n, 8, 0.1)

@fl.claim("broken.nan", statement="s", source="me")
def nan(case):
    return fl.Quantity("n", float("nan"), 8, 0.1)

@fl.claim("whole.class")
class Whole(fl.Claim):
    statement, source, mutants = "One is one.", "arithmetic", "two"
    def measure(self, case, mutant=None):
        return fl.Measurement.of([fl.Quantity("one", 1.0, 2.0 if mutant else 1.0, 1e-9)], "exact")
"""


def test_claims_that_break_are_told_by_line_and_replayed(tmp_path, capsys):
    file, out = tmp_path / "broken.py", tmp_path / "out"
    file.write_text(OWN)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(file), "--out", str(out), "--quiet"])
    assert ended.value.code == 0
    told = {
        name: fl.Verdict.load(out / "verdicts" / f"{name}.json")
        for name in ("broken.zero", "broken.data", "broken.nan", "whole.class")
    }
    assert "line 6 of broken.py" in told["broken.zero"].reason
    assert "it looks for data, and none was given" in told["broken.data"].reason
    assert "n nan" in told["broken.nan"].reason
    assert told["whole.class"].answer == "holds"
    for verdict in told.values():
        assert fl.replay(verdict).to_json() == verdict.to_json()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import sys; sys.exit(3)", "SystemExit"),
        ("import flowlab as fl\n@fl.claim\ndef f(case): pass", "a claim id must be text"),
        (
            (
                "import flowlab as fl\n@fl.claim('half.class')\nclass C(fl.Claim):\n    def measure(self, case,"
                " mutant=None): pass"
            ),
            "no `statement`",
        ),
        ("import flowlab as fl\n@fl.claim('no.class')\nclass C: pass", "must be a subclass"),
    ],
)
def test_files_that_are_wrong_are_one_sentence(tmp_path, capsys, text, why):
    file = tmp_path / "wrong.py"
    file.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(file)])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert why in told
    assert told.count("\n") == 1


@pytest.mark.long
def test_tiny_multipliers_and_near_ties():
    """Transients as slow as exp(-5e-4 log t) are waited for; what log t = 1e6 does not see out is told."""
    digits = fl.load("digits:3v8", standardize=True)
    x, y = np.asarray(digits.x), np.asarray(digits.y)
    some = np.r_[np.flatnonzero(y > 0)[:12], np.flatnonzero(y < 0)[:12]]
    for verdict in fl.check(["P8", "S1", "S2"], fl.Data(x[some], y[some], kind="binary")):
        assert verdict.answer == "holds", str(verdict)
    tie = fl.Data(np.array([[1.0, 0.0], [1.0 + 1e-6, 1.0], [1.0, -1.0], [3.0, 0.5]]), np.ones(4), kind="binary")
    (verdict,) = fl.check(["S2"], tie)
    assert verdict.code == "does not apply", str(verdict)
