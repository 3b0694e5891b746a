"""Quantities, verdicts and their replay, users' own claims, and what a check refuses to believe."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.app.verify import packs, select, summary, verify
from flowlab.claims import claims, tamper_check
from flowlab.claims.case import Case, case_of
from flowlab.claims.claim import Claim
from flowlab.language.trajectory import Outcome, Trajectory

ROOT = Path(__file__).resolve().parents[2]


def q(measured, expected=1.0, tolerance=1e-3, **more):
    return fl.Quantity("q", measured, expected, tolerance, **more)


def test_quantities_against_values_and_inequalities():
    assert q(1.0005).stands
    assert not q(1.0005, error=1e-3).stands
    assert not q(1.0005, error=1e-3).fails
    assert q(1.01).fails
    assert q(0.5, relation="<=").stands
    assert q(1.5, relation="<=").fails
    assert q(0.5, relation=">=").fails
    for nan in (q(np.nan), q(1.0, error=np.nan), q(1.0, expected=np.nan)):
        assert not nan.stands
        assert not nan.fails
    assert not q(1.0, second=1.1).routes_agree
    for told in ({"relation": "~"}, {"tolerance": -1.0}, {"error": -1e-9}, {"printed": "about two"}):
        with pytest.raises(fl.ClaimError):
            q(1.0, **({"tolerance": 1e-3} | told))


def test_printed_digits():
    assert q(0.124984, printed="0.12498").as_printed
    assert q(0.12499, printed="0.12498").as_printed  # cut off or rounded, who knows
    assert not q(0.1252, printed="0.12498").as_printed
    assert q(1.87e-3, printed="1.87e-3").as_printed
    assert q(1.0).as_printed is None


def test_alterations():
    names = set(q(1.0).alterations())
    assert names == {"q 1% more", "q 1% less"}
    assert all(other.fails for other in q(1.0).alterations().values())
    # A tolerance of a per cent sees no change of a per cent.
    assert not any(other.fails for other in q(1.0, tolerance=0.02).alterations().values())
    assert q(0.0, expected=0.0).alterations() == {}
    (other,) = q(0.5, relation="<=").alterations().values()
    assert other.fails
    assert q(1.0, relation="<=").alterations() == {}


def of(*quantities, mutants=("wrong",), wrong=5.0):
    class One(Claim):
        name, title, statement, latex, source, counter_example = "One", "t", "s.", "l", "-", "none"

        def measure(self, case, mutant=None):
            return fl.Measurement.of([q(wrong + self.mutants.index(mutant))] if mutant else quantities, "why")

    One.mutants = mutants
    return One().check(Case())


def test_answers_and_codes():
    assert of(q(1.0)).answer == "holds"
    assert of(q(1.5)).answer == "refuted"
    assert (of(q(1.0, error=0.1)).answer, of(q(1.0, error=0.1)).code) == ("undecided", "imprecise")
    assert of(q(1.0, second=1.2)).code == "routes disagree"
    assert of(q(np.nan)).code == "not a number"
    assert of(q(1.0), q(np.nan)).code == "not a number"
    assert of(q(1.0, tolerance=0.02)).code == "no power"
    assert of(q(1.0), wrong=1.0).code == "no power"
    # Two wrong variants are too few to believe a check.
    assert of(q(0.0, expected=0.0), mutants=("a", "b")).code == "no power"
    assert of(q(0.0, expected=0.0), mutants=("a", "b", "c")).answer == "holds"
    # One quantity that fails refutes, whatever the others do.
    verdict = of(q(1.0), q(2.0), q(1.0001))
    assert verdict.answer == "refuted"
    assert verdict.measured == pytest.approx(1.0)
    with pytest.raises(fl.ClaimError):
        fl.Measurement.of([], "nothing")


def test_wrong_variants_that_are_one_count_once():
    def same(*, differ):
        class One(Claim):
            name, title, statement, latex, source, counter_example, mutants = (
                "One",
                "t",
                "s.",
                "l",
                "-",
                "none",
                ("a", "b", "c"),
            )

            def measure(self, case, mutant=None):
                return fl.Measurement.of(
                    [q(5.0 + (ord(mutant) if differ else 0.0), altered=0.0) if mutant else q(1.0, altered=0.0)], "why"
                )

        return One().check(Case())

    assert same(differ=True).answer == "holds"
    verdict = same(differ=False)
    assert (verdict.answer, verdict.code) == ("undecided", "no power")
    assert "3 of them, with 1 different numbers" in verdict.reason


def made_up(margins):
    """A run of one layer whose margins are these."""
    data, rows = fl.Data(np.eye(2), np.ones(2), kind="binary"), len(margins)
    states = fl.State(rho={"w": np.full(rows, 2.0)}, V={"w": np.stack([[np.sin(m), np.cos(m)] for m in margins])})
    log_t, end = np.log(np.arange(1.0, rows + 1)), Outcome("done", "made up")
    return Trajectory.from_states(
        fl.Problem("w @ x"), data, log_t, states, end, {}, kind="flow", extra={"settings": {"rtol": 1e-6}}
    )


@pytest.mark.parametrize("reads", ["all rows", "the first rows"])
def test_what_never_happens_is_not_told_from_early_rows(monkeypatch, reads):
    """A statement about all times that is measured on the first rows has no effect of the later half,
    and holds nowhere.
    """
    monkeypatch.setattr(tamper_check, "altered", lambda run, data: None)

    class Never(Claim):
        name, title, statement, latex, source, counter_example, mutants = (
            "Never",
            "t",
            "s.",
            "l",
            "-",
            "none",
            ("a", "b", "c"),
        )

        def measure(self, case, mutant=None):
            margins = case.flow.dataset["min_margin"].values[: 3 if reads == "the first rows" else None]
            fall = float(np.max(-np.diff(margins))) + (1.0 + ord(mutant) if mutant else 0.0)
            return fl.Measurement.of([q(fall, 0.0, 1e-12, relation="<=")], "why")

    verdict = Never().check(case_of([made_up(np.linspace(0.1, 0.5, 10))], 0))
    expected = ("holds", "") if reads == "all rows" else ("undecided", "not tested")
    assert (verdict.answer, verdict.code) == expected, verdict.reason


def test_verdicts_are_stored_and_replayed(tmp_path):
    (verdict,) = fl.check(["P3"], seed=3)
    file = verdict.save(tmp_path / "P3.json")
    assert fl.Verdict.load(file).to_json() == verdict.to_json() == file.read_text()
    assert fl.replay(file).to_json() == verdict.to_json()
    with pytest.raises(fl.OutputError):
        fl.Verdict.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("[" * 100_000)
    with pytest.raises(fl.OutputError, match="must be a stored verdict"):
        fl.replay(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(fl.OutputError):
        fl.replay(tmp_path / "bad.json")
    broken = file.read_text().replace('"seed":3', '"seed":4')
    (tmp_path / "P3.json").write_text(broken)
    with pytest.raises(fl.OutputError, match="SHA-256"):
        fl.replay(file)
    (tmp_path / "P3.json").write_text(re.sub(r',"sha256":"[0-9a-f]{64}"(?=}\s*$)', "", broken))
    assert fl.replay(file).to_json() != verdict.to_json()


@pytest.fixture(scope="module")
def given():
    """Evidence of every kind about one problem."""
    data = fl.load("gaussian?n=6&d=2&margin=0.3", seed=1)
    problem = fl.Problem("W2 @ relu(W1 @ x)", "logistic")
    path = fl.integrate(
        fl.lower(fl.derive(problem)),
        fl.initial_state(problem.network, data, widths={"W1": 3}, seed=1),
        data,
        until=fl.time(1.0),
    )
    return {"problem": (problem, data), "path": (path,), "equations": (fl.derive(problem), data)}


_TOLD = [("problem", "P1"), ("equations", "P1"), ("path", "P4"), ("problem", "E1.8")]
_MORE = [
    (kind, name)
    for kind in ("problem", "path", "equations")
    for name in ("P1", "P4", "E1.8")
    if (kind, name) not in _TOLD
]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "name"), [*_TOLD, *(pytest.param(*more, marks=pytest.mark.slow) for more in _MORE)])
def test_what_was_given_is_in_the_verdict(given, kind, name):
    (verdict,) = fl.check([name], *given[kind], seed=1)
    assert fl.replay(verdict).to_json() == verdict.to_json()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "enters no claim"),
        ("1 / 0", "ZeroDivisionError"),
        ("import flowlab as fl\n@fl.claim('a.b', statement='', source='s')\ndef f(case): ...", "no `statement`"),
        ("import flowlab as fl\n@fl.claim('a.b', statement='s', sorce='s')\ndef f(case): ...", "sorce"),
        ("import flowlab as fl\n@fl.claim('P1', statement='s', source='s')\ndef f(case): ...", "taken"),
        ("import flowlab as fl\n@fl.claim('a.c', statement='s', source='s', rung='sure')\ndef f(case): ...", "rung"),
    ],
)
def test_files_that_define_nothing_sound_are_refused(tmp_path, text, told):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(fl.ClaimError, match=told):
        select([str(file)], None, False)


def test_a_claim_that_breaks_costs_no_other(tmp_path):
    file = tmp_path / "breaks.py"
    file.write_text(
        "import flowlab as fl\n@fl.claim('breaks.down', statement='s', source='s')\ndef f(case):\n    return {}['no"
        " such key']\n@fl.claim('breaks.type', statement='s', source='s')\ndef g(case):\n    return 3.0\n"
    )
    chosen = select([str(file), "P1"], None, False)
    found = verify(chosen, jobs=1, out=tmp_path / "out")
    assert [v.answer for v in found] == ["undecided", "undecided", "holds"]
    assert found[0].code == found[1].code == "could not be checked"
    assert "KeyError" in found[0].reason
    assert len(list((tmp_path / "out" / "verdicts").iterdir())) == 3


def test_selections():
    everything = select([], "all", False)
    assert set(everything.ids) == {name for names in packs().values() for name in names}
    quick = select([], None, True)
    assert set(quick.ids) | set(quick.left_out) == set(packs()["poggio2020"])
    assert all(claims[name].quick for name in quick.ids)
    with pytest.raises(fl.LanguageError, match="poggio2020"):
        select([], "pogio2020", False)
    with pytest.raises(fl.LanguageError, match="jobs"):
        verify(quick, jobs=0)
    told = summary([], quick, 0)
    assert told["left_out"] == list(quick.left_out)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_hash_seed(tmp_path):
    """On one core, as threads add in an order of their own."""
    texts = []
    for hash_seed in ("0", "4242"):
        out = tmp_path / hash_seed
        done = subprocess.run(
            [
                "taskset",
                "-c",
                "0",
                sys.executable,
                "-m",
                "flowlab.cli",
                "verify",
                "P1",
                "P3",
                "P8",
                "E1.8",
                "--quiet",
                "--jobs",
                "1",
                "--out",
                str(out),
            ],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        texts.append({p.name: p.read_bytes() for p in sorted((out / "verdicts").iterdir())})
    assert texts[0] == texts[1]


def test_former_names_of_inputs_warn():
    case = Case(problem=fl.Problem("W1 @ x"))
    with pytest.warns(DeprecationWarning, match=r"use `case\.flow`"):
        assert case.path is None
    with pytest.warns(DeprecationWarning, match=r"use `case\.max_margin`"):
        assert case.best is None
