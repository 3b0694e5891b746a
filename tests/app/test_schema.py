"""The schema of specifications is what the registries say, and a changed key is refused as a written one is."""

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

import flowlab as fl
from flowlab.app.overrides import Change
from flowlab.app.schema import COMMAND, FILE, REGISTRIES, schema, words
from flowlab.app.spec import read_spec
from flowlab.app.template import specification
from tests.app.commands import ROOT, spec


def test_the_stored_schema_is_current():
    """In a process of its own, where no test has registered words."""
    code = "from flowlab.app.schema import text; import sys; sys.stdout.write(text())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert made.stdout == FILE.read_text(encoding="utf-8"), f"run `{COMMAND}`"


def nodes(node):
    """All objects of a schema."""
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from nodes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from nodes(inner)


def test_the_schema_is_one_and_says_what_editors_ask_for():
    told = schema()
    Draft202012Validator.check_schema(told)
    assert told["$id"].startswith("urn:")
    assert told["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    tables = [*told["properties"].values(), told["properties"]["integrate"]["properties"]["until"]]
    for table in tables:
        assert table["description"]
        assert all(key["description"] for key in table.get("properties", {}).values())
    for kind in REGISTRIES:
        assert all(words(kind).values()), kind
    references = {node["$ref"] for node in nodes(told) if "$ref" in node}
    assert {f"#/$defs/{kind}" for kind in told["$defs"]} <= references
    with pytest.raises(Exception, match="nonsense"):
        Draft202012Validator.check_schema(told | {"type": "nonsense"})


def test_a_word_of_the_users_own_is_known(tmp_path):
    """Registered in another process: losses of a test do not belong here."""
    file = tmp_path / "own.py"
    file.write_text(
        "from flowlab.language.losses import Square, losses\n@losses.register('own')\nclass Own(Square):\n"
        '    """Its own."""\n'
    )
    path = spec(tmp_path)
    path.write_text(path.read_text().replace("[data]", '[problem]\nloss = "own"\n[data]'))
    code = (
        "from pathlib import Path; from flowlab.app.words import load_words; from flowlab.app.spec import read_spec\n"
        f"load_words(Path({str(file)!r})); print(read_spec(Path({str(path)!r}))['problem']['loss'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "own"
    with pytest.raises(fl.SpecError, match=r"line \d+: `problem.loss = 'own'` is not known"):
        read_spec(path)


CHANGES = [
    ("start.seed=3", ("start", "seed"), 3),
    ("problem.loss=logistic", ("problem", "loss"), "logistic"),
    ('problem.loss="logistic"', ("problem", "loss"), "logistic"),
    ("data.source=12", ("data", "source"), "12"),
    ("data.standardize=true", ("data", "standardize"), True),
    ("network.widths.W1=16", ("network", "widths"), {"W1": 16}),
    ("verify.claims=P1, P2", ("verify", "claims"), ["P1", "P2"]),
    ('verify.claims=["P1"]', ("verify", "claims"), ["P1"]),
    ("verify.claims=", ("verify", "claims"), []),
    ("problem.decay=0.1", ("problem", "decay"), 0.1),
    ("problem.decay={ W1 = 0.1 }", ("problem", "decay"), {"W1": 0.1}),
    ("integrate.until={ log_time = 2 }", ("integrate", "until"), {"log_time": 2}),
    ("start.weights.W1=[[1.0, 2.0]]", ("start", "weights"), {"W1": [[1.0, 2.0]]}),
]


@pytest.mark.parametrize(("written", "keys", "value"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_change_is_typed_by_the_schema(tmp_path, written, keys, value):
    found = read_spec(spec(tmp_path), [written])
    for key in keys:
        found = found[key]
    assert found == value
    assert type(found) is type(value)


REFUSED = [
    (["start.seed=three"], "--set start.seed=three: `start.seed = 'three'` must be a whole number"),
    (["start.seed=1\nscale = 3"], "must be a whole number"),
    (["strt.seed=3"], "did you mean `start`"),
    (["start.seed=1", "start.seed=-1"], "--set start.seed=-1"),
    (["integrate.until.log_time=nan"], "must be a number, got nan"),
    (["start.seed=99999999999999999999"], "smaller number"),
    (["problem.decay=much"], "must be a number or a table"),
    (["problem.decay=-1"], "minimum of 0"),
    (["=3"], "a key and its value"),
    (["a..b=3"], "a key and its value"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED, ids=[c[0][-1][:30] for c in REFUSED])
def test_a_wrong_change_is_refused_by_its_key(tmp_path, changes, told):
    with pytest.raises(fl.SpecError) as refusal:
        read_spec(spec(tmp_path), changes)
    assert told in str(refusal.value)


def test_what_is_wrong_in_the_file_keeps_its_line(tmp_path):
    path = spec(tmp_path)
    path.write_text(path.read_text().replace("rtol = 1e-6", 'rtol = "small"'))
    with pytest.raises(fl.SpecError, match=r"spec.toml, line 8: `integrate.rtol"):
        read_spec(path, ["start.seed=3"])
    with pytest.raises(fl.SpecError, match=r"--set integrate.rtol=tiny: `integrate.rtol"):
        read_spec(path, ["integrate.rtol=tiny"])
    assert read_spec(path, ["integrate.rtol=1e-4"])["integrate"]["rtol"] == 1e-4
    assert not Change(" ", ("start", "seed"), 3).concerns(["integrate", "rtol"])


def test_the_template_is_a_specification_and_so_is_each_of_its_comments(tmp_path):
    path, lines = tmp_path / "spec.toml", specification().splitlines()
    path.write_text("\n".join(lines))
    told = read_spec(path)
    assert told["network"]["expression"] == "W2 @ relu(W1 @ x)"
    commented = [i for i, line in enumerate(lines) if line.startswith("# ") and " = " in line]
    assert len(commented) > 20
    # Tables that are whole comments are set as wholes: one of them has keys that it needs.
    whole = {i for i, line in enumerate(lines) if line.startswith("# [")}
    inside_whole = {
        j
        for i in whole
        for j in range(i, next((k for k in range(i + 1, len(lines)) if "[" in lines[k][:3]), 10**9))
        if j < len(lines) and lines[j].startswith("# ")
    }
    for i in (*[c for c in commented if c not in inside_whole], None):
        wanted = inside_whole if i is None else {i}
        path.write_text("\n".join(line[2:] if n in wanted else line for n, line in enumerate(lines)))
        assert read_spec(path) != told
    known = {key for table in schema()["properties"].values() for key in table.get("properties", {})}
    assert all(any(line.lstrip("# ").startswith(f"{key} =") for line in lines) for key in known)


def test_keys_that_nothing_is_known_of_are_left_to_the_schema():
    assert Change.of("nothing.of.the.kind=3", schema()).value == 3
    assert json.dumps(schema())
