"""Stored results carry a checksum: after damage they come back as they were, or not at all."""

import hashlib
import json
import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import jax
import numpy as np
import pytest
import xarray as xr

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core import memory
from flowlab.language import netcdf
from flowlab.language.state import State
from flowlab.studies import storage

PROBLEM = fl.Problem("W2 @ relu(W1 @ x)", decay={"W1": 0.1})


@cache
def _path(rows: int = 6) -> fl.Trajectory:
    rng = np.random.default_rng(0)
    data = fl.Data(rng.normal(size=(6, 3)), np.array([1.0, -1.0] * 3), name="six")
    states = [fl.initial_state(PROBLEM.network, data, widths={"W1": 4}, seed=i) for i in range(rows)]
    leaves = [
        np.stack([np.asarray(leaf) for leaf in row]) for row in zip(*(jax.tree.leaves(s) for s in states), strict=True)
    ]
    stacked: State = jax.tree.unflatten(jax.tree.structure(states[0]), leaves)
    log_t = np.r_[-np.inf, np.arange(rows - 1.0)]
    more = {
        "clock": (("step",), np.array(["time"] * rows), "clock"),
        "gap": (("step",), np.r_[np.nan, -np.nan, np.zeros(rows - 2)], "gap"),
    }
    stats = {"steps": 2, "rejected": 0, "evaluations": 12, "wall_seconds": 0.1}
    return fl.Trajectory.from_states(
        PROBLEM, data, log_t, stacked, fl.Outcome("done", "reached it."), stats, kind="flow", variables=more
    )


def _result() -> fl.Result:
    table = xr.Dataset(
        {"loss": ("at", np.arange(5.0), {"long_name": "loss", "order": 3, "edges": [0.5, 1.5]})},
        attrs={"n": 5, "note": "a note"},
    )
    return fl.Result.of("portrait", table, PROBLEM, None, norm=2.0)


KINDS = {"trajectory": _path, "result": _result}


def _damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    """One to four bits changed, a stretch overwritten, or the end cut off."""
    out, how = bytearray(raw), rng.integers(10)
    if how == 0:
        return bytes(out[: rng.integers(len(raw))])
    if how == 1:
        begin = int(rng.integers(len(raw)))
        out[begin : begin + 64] = bytes([0xA5]) * min(64, len(raw) - begin)
        return bytes(out)
    for place in rng.integers(len(raw), size=rng.integers(1, 5)):
        out[place] ^= 1 << rng.integers(8)
    return bytes(out)


def damage_does(make: Any, folder: Path, count: int, seed: int) -> dict[str, int]:
    """How many damaged files are refused, come back as they were, come back otherwise, or end in another error."""
    whole, file = make(), folder / "damaged.nc"
    raw = whole.save(folder / "whole.nc").read_bytes()
    wanted, rng, found = (
        netcdf.contents(whole.dataset),
        np.random.default_rng(seed),
        dict.fromkeys(("refused", "same", "different", "untyped", "long"), 0),
    )
    for _ in range(count):
        file.write_bytes(_damaged(raw, rng))
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            try:
                back = storage.load(file)
                found["same" if netcdf.contents(back.dataset) == wanted else "different"] += 1
            except fl.FlowlabError as error:
                found["refused"] += 1
                found["long"] += len(str(error)) > 300
            except Exception:
                found["untyped"] += 1
        # The library that reads the file must not hold on to it.
        file.unlink()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused(tmp_path, kind):
    found = damage_does(KINDS[kind], tmp_path, 25, 1)
    assert found["different"] == found["untyped"] == found["long"] == 0
    assert found["refused"] >= 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files_are_refused(tmp_path, kind):
    found = damage_does(KINDS[kind], tmp_path, 300, 2)
    assert found["different"] == found["untyped"] == found["long"] == 0
    assert found["refused"] >= 280


def _changed(tmp_path: Path, sealed: bool) -> Path:
    """A stored result with one number changed through the front door of the format, with a new seal or the old one."""
    file = _path().save(tmp_path / "a.nc")
    with h5py.File(file, "r+") as opened:
        opened["rho"][2, 0] = 7.0
    if sealed:
        raw = file.read_bytes().split(b"\nflowlab sha256 ")[0]
        file.write_bytes(raw + netcdf._SEAL % hashlib.sha256(raw).hexdigest().encode())
    return file


def _record(file: Path) -> dict[str, Any]:
    return json.loads(xr.load_dataset(file, engine="h5netcdf").attrs["flowlab"])


@pytest.mark.parametrize("sealed", [False, True])
def test_without_the_checksums_damage_passes(tmp_path, monkeypatch, sealed):
    file = _changed(tmp_path, sealed)
    with pytest.raises(fl.OutputError, match="damaged: what it holds does not match"):
        fl.Trajectory.load(file)
    monkeypatch.setattr(netcdf, "_check_seal", lambda path: None)
    with pytest.raises(fl.OutputError, match="damaged: what it holds does not match"):
        fl.Trajectory.load(file)
    monkeypatch.setattr(netcdf, "contents", lambda dataset: _record(file)["contents_sha256"])
    assert fl.Trajectory.load(file).dataset["rho"].values[2, 0] == 7.0


@pytest.mark.parametrize("part", ["value", "attribute", "variable", "record", "name"])
def test_every_part_is_under_the_checksum(tmp_path, part):
    file = _path().save(tmp_path / "a.nc")
    with h5py.File(file, "r+") as opened:
        if part == "value":
            opened["V_W1"][1, 2, 2] += 1e-15
        elif part == "attribute":
            opened["rho"].attrs["units"] = "metres"
        elif part == "variable":
            del opened["gap"]
        elif part == "record":
            opened.attrs["flowlab"] = opened.attrs["flowlab"].replace('"steps": 2', '"steps": 3')
        else:
            opened.move("log_R", "log_Q")
    with pytest.raises(fl.OutputError, match="damaged"):
        fl.Trajectory.load(file)


def test_files_from_before_there_were_checksums_come_with_a_warning(tmp_path):
    path = _path()
    path.dataset.to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    with pytest.warns(UserWarning, match="before results had checksums"):
        assert fl.Trajectory.load(tmp_path / "old.nc").dataset.identical(path.dataset)


def test_what_a_file_declares_is_compared_with_the_file_and_the_memory(tmp_path, monkeypatch):
    file = _path().save(tmp_path / "a.nc")
    with h5netcdf.File(file, "a") as opened:
        opened.dimensions["long"] = 10**9
        opened.create_variable("big", ("long",), "f8", chunks=(1000,))
    # Its bytes are those of another program now.
    file.write_bytes(file.read_bytes().split(b"\nflowlab sha256 ")[0])
    with pytest.raises(fl.OutputError, match="declares 8"):
        fl.Trajectory.load(file)
    monkeypatch.setattr(memory, "machine_memory", lambda: 2**20)
    with pytest.raises(fl.TooLarge, match="needs 7"):
        fl.Trajectory.load(file)
    assert os.path.getsize(file) < 2**20


def test_a_result_comes_back_whatever_its_attributes_are(tmp_path):
    result = _result()
    back = fl.Result.load(result.save(tmp_path / "a.nc"))
    assert back.dataset.equals(result.dataset)
    assert back.provenance == result.provenance
    again = fl.Result.load(back.save(tmp_path / "b.nc"))
    assert again.dataset.identical(back.dataset)


def test_a_damaged_zarr_store_is_refused_before_it_is_decoded(tmp_path, capfd):
    pytest.importorskip("zarr")
    store = _path().save(tmp_path / "a.zarr")
    assert fl.Trajectory.load(store).dataset.equals(_path().dataset)
    assert [r.kind for r in storage.results(store)] == ["flow"]
    rng = np.random.default_rng(0)
    for file in sorted(p for p in store.rglob("*") if p.is_file()):
        raw = file.read_bytes()
        flipped = bytearray(raw)
        flipped[rng.integers(len(raw))] ^= 1
        for damage in (flipped, raw[:-1], None):
            file.write_bytes(damage) if damage is not None else file.unlink()
            with pytest.raises(fl.OutputError, match=r"a\.zarr` (is damaged|must be a stored trajectory)"):
                fl.Trajectory.load(store)
            file.write_bytes(raw)
    assert capfd.readouterr().err == ""
    (store / ".DS_Store").write_bytes(b"of a file manager")
    with warnings.catch_warnings():
        # Zarr tells of files that are not its own.
        warnings.simplefilter("ignore")
        assert fl.Trajectory.load(store).dataset.equals(_path().dataset)


def test_a_zarr_store_from_before_its_files_had_a_hash(tmp_path):
    pytest.importorskip("zarr")
    store = _path().save(tmp_path / "a.zarr")
    attributes = json.loads((store / ".zattrs").read_text())
    del attributes["files_sha256"]
    (store / ".zattrs").write_text(json.dumps(attributes))
    assert fl.Trajectory.load(store).dataset.equals(_path().dataset)
    attributes["kind"] = "descent"
    (store / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(fl.OutputError, match="does not match its SHA-256"):
        fl.Trajectory.load(store)
