"""Inputs of verdicts are stored once, under a hash of all they hold; verdicts that hold them whole are read as well."""

import base64
import json
import shutil
import zlib
from dataclasses import replace

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims.inputs import FOLDER, reference
from flowlab.core.hashing import sealed


@pytest.fixture(scope="module")
def evidence():
    data = fl.load("gaussian?n=6&d=2&margin=0.3", seed=1)
    problem = fl.Problem("W2 @ relu(W1 @ x)", "logistic")
    start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=1)
    flow = fl.derive(problem)
    path = fl.integrate(fl.lower(flow), start, data, until=fl.time(1.0))
    walk = fl.descend(problem, start, data, step=1e-2, count=100)
    return path, walk, flow, data


@pytest.fixture(scope="module")
def verdicts(evidence):
    return fl.check(["P1", "P4"], *evidence, seed=1)


def names(folder):
    return sorted(p.name for p in (folder / FOLDER).iterdir())


@pytest.mark.long
def test_verdicts_share_their_inputs(evidence, verdicts, tmp_path):
    files = [verdict.save(tmp_path / f"{verdict.id}.json") for verdict in verdicts]
    assert max(file.stat().st_size for file in files) < 4_000
    path, walk, flow, data = evidence
    kinds = ((path, "nc"), (walk, "nc"), (flow, "json"), (data, "json"))
    assert names(tmp_path) == sorted(f"{reference(item)}.{kind}" for item, kind in kinds)
    for verdict, file in zip(verdicts, files, strict=True):
        assert fl.Verdict.load(file).to_json() == verdict.to_json() == file.read_text()
        assert fl.replay(file).to_json() == verdict.to_json()
    # Stored again elsewhere, a verdict takes its inputs along.
    (tmp_path / "other").mkdir()
    fl.Verdict.load(files[0]).save(tmp_path / "other" / "v.json")
    assert names(tmp_path / "other") == names(tmp_path)


def test_the_files_of_a_run_are_its_inputs(evidence, verdicts, tmp_path):
    evidence[0].save(tmp_path / "trajectory.nc")
    evidence[1].save(tmp_path / "witness.nc")
    (tmp_path / "verdicts").mkdir()
    file = verdicts[1].save(tmp_path / "verdicts" / "P4.json")
    assert {name.partition(".")[2] for name in names(file.parent)} == {"json"}
    assert fl.replay(file).to_json() == verdicts[1].to_json()
    # Control: the files of another run are none of its inputs.
    evidence[1].save(tmp_path / "trajectory.nc")
    with pytest.raises(fl.ClaimError, match=reference(evidence[0])[:12]):
        fl.replay(file)


def test_an_input_that_changed_is_refused(evidence, verdicts, tmp_path):
    file = verdicts[0].save(tmp_path / "v.json")
    path, _, _, data = evidence
    stored = tmp_path / FOLDER / f"{reference(data)}.json"
    told = json.loads(stored.read_text())
    stored.write_text(json.dumps(told | {"y": [-v for v in told["y"]]}))
    with pytest.raises(fl.ClaimError, match="as it was when it was checked"):
        fl.replay(file)
    stored.write_text("{")
    with pytest.raises(fl.ClaimError, match="must hold an input"):
        fl.replay(file)
    rows = tmp_path / FOLDER / f"{reference(path)}.nc"
    rows.write_bytes(rows.read_bytes()[:-9])
    with pytest.raises(fl.OutputError, match="damaged"):
        fl.replay(file)
    shutil.rmtree(tmp_path / FOLDER)
    with pytest.raises(fl.ClaimError, match="store both together"):
        fl.replay(file)
    # In memory too: rows that were written over are not those that were checked.
    fresh = replace(path, dataset=path.dataset.copy(deep=True))
    (verdict,) = fl.check(["P4"], fresh)
    fresh.dataset["rho"].values[3] *= 1.001
    with pytest.raises(fl.ClaimError, match="as it was when it was checked"):
        fl.replay(verdict)


@pytest.mark.parametrize("told", ["../../etc/passwd", "0" * 63, 7, None])
def test_a_reference_is_a_hash(verdicts, tmp_path, told):
    record = verdicts[0].to_dict()
    record["evidence"]["inputs"] = {"data": {"sha256": told}}
    (tmp_path / "v.json").write_text(json.dumps(record))
    with pytest.raises(fl.ClaimError, match="told by its SHA-256"):
        fl.replay(tmp_path / "v.json")


def packed(run):
    """A trajectory as verdicts held it whole."""
    variables = {}
    for name, variable in run.dataset.variables.items():
        values = np.ascontiguousarray(variable.values)
        plain = values.tolist() if values.dtype.kind not in "fiub" else None
        code = None if plain is not None else base64.b64encode(zlib.compress(values.tobytes(), 6)).decode("ascii")
        variables[str(name)] = {
            "dims": list(variable.dims),
            "shape": list(values.shape),
            "dtype": values.dtype.str,
            "plain": plain,
            "code": code,
        }
    return {"variables": variables, "attrs": dict(run.dataset.attrs)}


def test_verdicts_that_hold_their_inputs_whole_are_read(evidence, verdicts, tmp_path):
    path, walk, flow, data = evidence
    record = verdicts[1].to_dict()
    whole = {"path": packed(path), "walk": packed(walk), "flow": flow.to_json(), "data": data.to_json()}
    record["evidence"]["inputs"] = whole
    (tmp_path / "old.json").write_text(json.dumps(sealed(record)))
    old = fl.Verdict.load(tmp_path / "old.json")
    # They told no units and long names of variables, so that their hashes are others; the rest is the same.
    assert replace(old, evidence=old.evidence | {"inputs": verdicts[1].evidence["inputs"]}) == verdicts[1]
    assert fl.replay(old).to_json() == old.to_json()
    numbers = {name: float(record[name]) for name in ("measured", "bound", "error")}
    assert fl.replay(fl.Verdict(**(record | numbers))).to_json() == old.to_json()
    old.save(tmp_path / "new.json")
    assert len(names(tmp_path)) == 4
    # Control: what cannot be read is refused.
    record["evidence"]["inputs"] = whole | {"walk": {"variables": {}}}
    (tmp_path / "old.json").write_text(json.dumps(sealed(record)))
    with pytest.raises(fl.OutputError, match="stored verdict"):
        fl.replay(tmp_path / "old.json")
