"""What to cite for a claim, what is stored is opened by its content, and results pass between processes."""

import importlib
import json
import pickle
import re
import subprocess
import sys

import pytest

import flowlab as fl
from flowlab.claims.manifest import PACKAGE, packs
from flowlab.claims.references import PAPERS, _plain
from flowlab.core.hashing import sealed
from tests.figures import instances


def entries(text):
    """Entries of BibTeX: kind, key, fields."""
    found = re.findall(r"@(\w+)\{([^,]+),\n((?:  \w+ = \{.*\},\n)+)\}", text)
    assert "\n\n".join(text.strip().split("\n\n")).count("@") == len(found)
    return [(kind, key, dict(re.findall(r"  (\w+) = \{(.*)\},\n", fields))) for kind, key, fields in found]


def test_every_claim_of_the_library_is_cited():
    ids = [name for names in packs().values() for name in names]
    for name in (ids[0], *(names[-1] for names in packs().values())):
        kind, key, fields = entries(fl.cite(name))[-1]
        assert key != "flowlab"
        assert fields["title"]
        assert (kind == "misc") == ("note" in fields)


def test_papers_are_those_of_their_packs():
    assert set(PAPERS) <= set(packs())
    for pack, paper in PAPERS.items():
        told = " ".join((importlib.import_module(f"{PACKAGE}.{pack}").__doc__ or "").split())
        surnames = [author.split(",")[0] for author in paper["author"].split(" and ")]
        assert all(name in told for name in surnames), (pack, surnames)
        assert paper["year"] in told
        first = re.split(r"[:,]", paper["title"])[0].lower()[:60]
        assert first in told.lower() or pack == "ji2020", (pack, first)


def test_what_is_cited_for_what():
    assert [key for _, key, _ in entries(fl.cite())] == ["flowlab"]
    assert [key for _, key, _ in entries(fl.cite(["S1", "S2", "L1"]))] == ["flowlab", "soudry2018", "lyu2020"]
    verdict = fl.Verdict("Z1", "holds", 0.0, 1.0, "so")
    assert entries(fl.cite([verdict])) == entries(fl.cite(verdict)) == entries(fl.cite("Z1"))
    assert entries(fl.cite(instances.trajectory())) == entries(fl.cite())
    assert entries(fl.cite("R1"))[1][2]["note"]
    with pytest.raises(fl.UnknownName, match="S1"):
        fl.cite("S1x")


def test_characters_of_bibtex_are_escaped():
    assert _plain("100 % of {A} & B") == r"100 \% of {A} \& B"
    assert _plain("a } b {") == "a ) b ("


def test_what_is_stored_is_opened(tmp_path):
    path = instances.trajectory()
    flow = fl.derive(fl.Problem("W @ x"), verify=False)
    path.save(tmp_path / "trajectory.nc")
    instances.portrait().save(tmp_path / "portrait.nc")
    fl.Verdict("P1", "holds", 0.0, 1.0, "so").save(tmp_path / "P1.json")
    (tmp_path / "equations.json").write_text(flow.to_json())
    (tmp_path / "summary.json").write_text(json.dumps(sealed({"outcome": {}, "spec": {}, "log_t": 1.0})))
    points = instances.points(tmp_path)
    assert fl.open(tmp_path / "trajectory.nc").dataset.equals(path.dataset)
    assert fl.open(str(tmp_path / "portrait.nc")).kind == "portrait"
    assert fl.open(tmp_path / "P1.json").answer == "holds"
    assert fl.open(tmp_path / "equations.json").signature == flow.signature
    assert fl.open(tmp_path / "summary.json")["log_t"] == 1.0
    assert len(fl.open(points)) == 2
    assert [r.kind for r in fl.open(tmp_path)] == ["flow", "critical points", "portrait"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("other.json", '{"a": 1}'),
        ("list.json", "[1, 2]"),
        ("broken.json", "{"),
        ("summary.json", '{"outcome": {}, "spec": {}, "log_t": 1, "sha256": "0"}'),
        ("table.csv", "a,b\n"),
        ("missing.nc", None),
    ],
)
def test_what_was_stored_by_something_else_is_refused(tmp_path, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(fl.OutputError, match=re.escape(name)):
        fl.open(tmp_path / name)


def results():
    flow = fl.derive(fl.Problem("W2 @ relu(W1 @ x)", "logistic"), verify=False)
    path = instances.trajectory()
    return {
        "problem": flow.problem,
        "flow": flow,
        "field": fl.lower(flow),
        "trajectory": path,
        "data": path.data,
        "state": path.last,
        "result": instances.portrait(),
        "verdict": fl.Verdict("P1", "holds", 0.0, 1.0, "so"),
        "law": flow.matched[0],
    }


def test_results_pass_in_memory():
    for name, value in results().items():
        again = pickle.loads(pickle.dumps(value))
        assert type(again) is type(value), name
        assert repr(again) == repr(value), name
    path = instances.trajectory()
    assert "_build" in vars(path)
    again = pickle.loads(pickle.dumps(path))
    assert again.dataset.equals(path.dataset)
    assert again.problem == path.problem


@pytest.mark.slow
def test_results_pass_between_processes(tmp_path):
    raw = pickle.dumps(results()["trajectory"])
    code = "import pickle, sys; print(repr(pickle.loads(sys.stdin.buffer.read())))"
    done = subprocess.run([sys.executable, "-c", code], input=raw, capture_output=True, check=True)
    assert done.stdout.decode().strip() == repr(results()["trajectory"])
