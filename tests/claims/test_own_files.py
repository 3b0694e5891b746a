"""Claims of a user's own file: checked, stored, and checked again only from the bytes that were checked."""

import importlib
import os
import py_compile
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.util import cache_from_source

import pytest

import flowlab as fl
from flowlab.app.verify import packs
from flowlab.claims import claims
from flowlab.cli import main

OWN = """
import flowlab as fl

@fl.claim("own.sum", statement="One and one is two.", source="arithmetic", mutants=("one and two",))
def total(case, mutant):
    return fl.Quantity("sum", 1.0 + (2.0 if mutant else 1.0), 2.0, 1e-12)

@fl.claim("own.wrong", statement="One and one is three.", source="nobody")
def wrong(case):
    return [fl.Quantity("sum", 2.0, 3.0, 1e-12)]
"""


def test_users_own_claims(tmp_path, capsys):
    file = tmp_path / "my_claims.py"
    file.write_text(OWN)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(file), "P1", "--out", str(tmp_path / "out"), "--quiet"])
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "own.sum" in told
    stored = fl.Verdict.load(tmp_path / "out" / "verdicts" / "own.sum.json")
    assert stored.answer == "holds"
    assert fl.Verdict.load(tmp_path / "out" / "verdicts" / "own.wrong.json").answer == "refuted"
    assert fl.replay(stored).to_json() == stored.to_json()
    assert "own.wrong" in (tmp_path / "out" / "report.html").read_text()
    assert "own.sum" not in packs().get("poggio2020", ())
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path / "out" / "verdicts" / "own.sum.json")])
    assert ended.value.code == 0
    assert "the same bytes" in capsys.readouterr().out
    # Where the file lay when it was checked is no part of the answer.
    elsewhere = replace(
        stored, evidence={**stored.evidence, "origin": {**stored.evidence["origin"], "file": "/elsewhere/claims.py"}}
    )
    assert fl.replay(elsewhere, file).to_json() == elsewhere.to_json()
    # A file that has changed is not what was checked, and does not run; what this process ran before still is.
    file.write_text(OWN.replace("own.", "other."))
    with pytest.raises(fl.ClaimError, match="changed"):
        fl.replay(stored, file)
    assert "other.sum" not in claims
    assert fl.replay(stored).to_json() == stored.to_json()


MARKED = """
from pathlib import Path

import flowlab as fl

Path(__file__).with_name("ran").touch()

@fl.claim("marked.sum", statement="One and one is two.", source="arithmetic", mutants=("one and two",))
def total(case, mutant):
    return fl.Quantity("sum", 1.0 + (2.0 if mutant else 1.0), 2.0, 1e-12)
"""


def test_a_stored_verdict_runs_nothing(tmp_path):
    """Only a file that the user names runs, and only the bytes whose hash the verdict records."""
    file, ran, stored = tmp_path / "mine.py", tmp_path / "ran", tmp_path / "v.json"
    file.write_text(MARKED)
    origin = {"file": str(file), "sha256": sha256(file.read_bytes()).hexdigest()}
    fl.Verdict("marked.sum", "holds", 0.0, 1e-12, "stored", {"seed": 0, "origin": origin}).save(stored)
    with pytest.raises(fl.ClaimError, match="name the file"):
        fl.replay(stored)
    file.write_text(MARKED + "# changed")
    with pytest.raises(fl.ClaimError, match="changed"):
        fl.replay(stored, file)
    for odd in ({"file": str(file)}, {"sha256": None}, "mine.py", [str(file)]):
        with pytest.raises(fl.ClaimError, match="name the file"):
            fl.replay(fl.Verdict("marked.sum", "holds", 0.0, 1e-12, "stored", {"seed": 0, "origin": odd}))
    assert not ran.exists()
    # A compiled copy beside the file, as an intruder would leave one, is not what was hashed.
    file.write_text(MARKED)
    planted = tmp_path / "planted.py"
    planted.write_text(MARKED.replace('"ran"', '"bad"'))
    (tmp_path / "__pycache__").mkdir()
    py_compile.compile(
        str(planted),
        cfile=cache_from_source(str(file)),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(stored), str(file)])
    assert ended.value.code in (0, 1)
    assert ran.exists()
    assert not (tmp_path / "bad").exists()


@pytest.mark.long
def test_a_claim_that_was_imported_is_replayed_elsewhere(tmp_path, monkeypatch):
    """A verdict knows the file of its claim, whether the file was imported or named."""
    (tmp_path / "imported_claims.py").write_text(OWN.replace("own.", "imported."))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("imported_claims")
    (verdict,) = fl.check("imported.sum", fl.Problem("W @ x"))
    verdict.save(tmp_path / "v.json")
    assert fl.replay(tmp_path / "v.json", tmp_path / "imported_claims.py").to_json() == verdict.to_json()
    again = "import jax; jax.config.update('jax_enable_x64', True); import flowlab as fl; import sys\n"
    told = [
        subprocess.run(
            [sys.executable, "-c", f"{again}print(fl.replay('v.json', {files}).answer)"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=False,
        )
        for files in ("'imported_claims.py'", "")
    ]
    assert told[0].stdout.strip() == verdict.answer
    # Control: without the file nothing of it is known, nor run.
    assert "name the file beside the verdict" in told[1].stderr


def test_a_claim_that_lies_in_no_file_is_told(monkeypatch):
    verdict = fl.Verdict("typed.in", "holds", 0.0, 1.0, "stored", {"seed": 0})
    with pytest.raises(fl.ClaimError, match="run the code that enters it"):
        fl.replay(verdict)
