"""Inputs that nobody meant, over five surfaces: each is taken as meant or refused in time, nothing runs, nothing is
written elsewhere.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.run import SURFACES, broken

ROOT = Path(__file__).resolve().parents[2]
PLANTED = {
    "an exception": "UNTYPED",
    "a silent change": "CHANGED",
    "a late refusal": "SLOW",
    "no sentence": "no sentence",
    "an opened file": "open",
    "a written file": "open",
    "a file outside": "open",
    "code that runs": "exec",
    "a program that starts": "os.system",
    "an endless answer": "HANG",
}


def run(folder: Path, *words: str) -> dict:
    """The runner in a process of its own, whose audit hook nothing can take out again."""
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    # One thread: what is compiled here is tiny.
    env |= {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    told = folder / "told.json"
    call = [sys.executable, "-m", "tests.fuzz.run", *words, "--json", str(told)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=folder, check=False, env=env)
    assert told.is_file(), done.stderr[-2000:]
    assert sorted(p.name for p in folder.iterdir()) == ["told.json"]
    return json.loads(told.read_text()) | {"code": done.returncode, "said": done.stdout}


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> dict:
    return run(tmp_path_factory.mktemp("quick"), "300", "--quick")


def kept(found: dict, count: int) -> None:
    assert len(found["answers"]) >= count
    assert broken(found["answers"]) == []
    assert found["code"] == 0


def test_no_input_breaks_a_promise(quick):
    kept(quick, 300)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(quick, fault):
    """The control: the same hook, clock and judgement, when one promise is broken."""
    (answer,) = (a for a in quick["control"] if a["told"] == fault)
    assert any(PLANTED[fault] in line for line in broken([answer]) if repr(fault) in line), answer
    assert len(quick["control"]) == len(PLANTED)


def test_what_looks_at_nothing_keeps_no_promise(quick):
    assert len(broken([])) == 2 * len(SURFACES)
    for surface in SURFACES:
        rest = [a for a in quick["answers"] if a["surface"] != surface]
        assert [line for line in broken(rest) if line.startswith(surface)]
    refusals = [a for a in quick["answers"] if a["kind"] == "refused"]
    assert len(broken(refusals)) == len(SURFACES)


@pytest.mark.slow
def test_two_thousand_inputs(tmp_path):
    """As far as a first step; `python -m tests.fuzz.run 5000` runs more of them."""
    kept(run(tmp_path, "2000", "--seed", "21"), 2000)
