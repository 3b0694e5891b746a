"""The notebook of the five minutes: what its cells show, as it is stored and when it is run again."""

import base64
import copy
import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "five_minutes.ipynb"
MOST = 2_000_000
"""Bytes of the notebook, with all that its cells show."""

_spec = importlib.util.spec_from_file_location("notebook", ROOT / "docs" / "tools" / "notebook.py")
assert _spec is not None
assert _spec.loader is not None
notebook = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(notebook)


def text(value):
    return value if isinstance(value, str) else "".join(value)


def shown(book, kind):
    """What cells show in a format."""
    data = [out["data"] for cell in book["cells"] for out in cell.get("outputs", []) if "data" in out]
    return [text(each[kind]) for each in data if kind in each]


def lacking(book):
    """What the notebook should show and does not."""
    html, plain = "".join(shown(book, "text/html")), "\n".join(shown(book, "text/plain"))
    pictures = [base64.b64decode(each) for each in shown(book, "image/png")]
    counts = [cell["execution_count"] for cell in book["cells"] if cell["cell_type"] == "code"]
    told = {
        "typeset equations": html.count("<math") > 8,
        "steps that unfold": "<details" in html,
        "laws": "rho_W1^2 - rho_W2^2" in plain,
        "the outcome of the run": "done" in plain,
        "four verdicts that hold": html.count(">holds<") == 4,
        "a picture": any(each.startswith(b"\x89PNG") for each in pictures),
        "cells run in order": counts == list(range(1, len(counts) + 1)),
        "no error": not any(o["output_type"] == "error" for c in book["cells"] for o in c.get("outputs", [])),
    }
    return [name for name, is_there in told.items() if not is_there]


@pytest.fixture(scope="module")
def book():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_what_the_stored_notebook_shows(book):
    assert lacking(book) == []
    assert NOTEBOOK.stat().st_size < MOST


def test_a_notebook_that_shows_nothing_is_noticed(book):
    emptied = copy.deepcopy(book)
    for cell in emptied["cells"]:
        cell.pop("outputs", None)
    assert {"a picture", "four verdicts that hold", "typeset equations"} <= set(lacking(emptied))
    refuted = json.loads(json.dumps(book).replace(">holds<", ">refuted<", 1))
    assert lacking(refuted) == ["four verdicts that hold"]


@pytest.mark.long
def test_it_shows_the_same_when_it_is_run(monkeypatch, tmp_path):
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason="needs `pip install flowlab[docs]`")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    again = notebook.executed()
    assert lacking(json.loads(json.dumps(again))) == []
    assert len(json.dumps(again)) < MOST
