"""Sweeps: what `--over` says, points that are there once and whole, what is resumed and tried again."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab.app.sweep import point as points
from flowlab.app.sweep.grid import batches, grid, parsed
from flowlab.app.sweep.records import Folder
from flowlab.core.errors import DataError, MissingExtra, OutputError, SpecError
from flowlab.dynamics.storage.codec import take_lock
from tests.app.commands import inside, refused

SPEC = {
    "network": {"expression": "W2 @ W1 @ x", "widths": {"W1": 2}},
    "data": {"source": "gaussian?n=6&d=3&margin=0.2"},
    "integrate": {"until": {"log_time": 1.0}},
}
TOML = """
[network]
expression = "W2 @ W1 @ x"
widths = { W1 = 2 }
[data]
source = "gaussian?n=6&d=3&margin=0.2"
[integrate]
until = { log_time = 1.0 }
"""
OVER = {"start.seed": [0, 1], "start.scale": [0.5, 1.0]}


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "points").rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of four points in this process: its folder and its result."""
    out = tmp_path_factory.mktemp("swept") / "out"
    return out, fl.sweep(SPEC, OVER, out=out, jobs=1, rows=9)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("start.seed=0:4", (0, 1, 2, 3)),
        ("start.seed = 2:9:3", (2, 5, 8)),
        ("start.seed=5:0:-2", (5, 3, 1)),
        ("network.widths.W1=8,16,32", (8, 16, 32)),
        ("integrate.rtol=1e-6,1e-7", (1e-6, 1e-7)),
        ("problem.loss=logistic,exponential", ("logistic", "exponential")),
        ("data.standardize=true,false", (True, False)),
        ("network.expression=W2 @ W1 @ x", ("W2 @ W1 @ x",)),
        ('network.expression="f(a, b) @ x","W1 @ x"', ("f(a, b) @ x", "W1 @ x")),
        ("network.shapes.W1=[2, 3],[4, 3]", ([2, 3], [4, 3])),
    ],
)
def test_values_are_a_range_or_what_toml_writes(text, values):
    assert parsed([text]) == {text.split("=")[0].strip(): values}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["start.seed"], ("start.seed=0:100",)),
        (["=3"], ("key and its values",)),
        (["start.seed="], ("key and its values",)),
        (["start.seed=0:9:0"], ("step other than 0",)),
        (["start.seed=0:99999999999"], ("1000000",)),
        (["start.seed=0:3", "start.seed=4"], ("start.seed", "once")),
    ],
)
def test_texts_that_say_nothing_are_refused(texts, words):
    with pytest.raises(SpecError) as error:
        parsed(texts)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({}, ("at least one",)),
        ({"start.seed": []}, ("start.seed", "none")),
        ({"start.seed": [1, 2, 1]}, ("1 twice",)),
        ({"start.sed": [1]}, ("start.sed", "did you mean `seed`")),
        ({"sart.seed": [1]}, ("sart", "did you mean `start`")),
        ({"start.seed": [0, 1.5]}, ("start.seed = 1.5", "whole number")),
        ({"start.seed": [0, -1]}, ("start.seed = -1",)),
        ({"start.seed": [2**63]}, ("64 bits",)),
        ({"network.widths.W1": ["8"]}, ("network.widths.W1", "whole number")),
        ({"network.expression.deep": [1]}, ("network.expression", "no table")),
        ({"network": [{"expression": "W @ x"}], "network.widths.W1": [8]}, ("network.widths.W1", "part of it")),
        ({"integrate.until.log_time": [float("inf")]}, ("64 bits",)),
        ({"start.seed": range(2000), "data.seed": range(2000)}, ("at most 1000000",)),
        ({"problem.loss": ["logistic", "logistik"]}, ("logistik", "did you mean `logistic`")),
        ({"start.seed": [object()]}, ("start.seed",)),
    ],
)
def test_wrong_keys_and_values_are_refused_in_one_sentence(over, words, tmp_path):
    with pytest.raises(SpecError) as error:
        grid(SPEC, over, tmp_path)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_what_only_a_run_would_refuse_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(fl.FlowlabError):
        fl.sweep(SPEC, {"network.expression": ["W2 @ W1 @ x", "W2 @ nothing(W1 @ x)"]}, out=tmp_path / "out", jobs=1)
    with pytest.raises(DataError):
        fl.sweep(SPEC, {"data.source": ["gaussian?n=6&d=3", "none.csv"]}, out=tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def test_a_point_is_keyed_by_what_it_reads(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("x,y\n1,1\n-1,-1\n")
    spec = SPEC | {"data": {"source": "a.csv"}}

    def keys(spec=spec, over=OVER):
        return [p.key for p in grid(spec, over, tmp_path).points]

    before = keys()
    assert len(set(before)) == 4
    # Neither the order of keys nor what else is swept matters, but the bytes of a table do.
    assert set(keys(over={"start.scale": [1.0, 0.5], "start.seed": [1, 0]})) == set(before)
    assert set(keys(over=OVER | {"start.seed": [0, 1, 2]})) > set(before)
    assert keys(SPEC) != before
    table.write_text("x,y\n1,1\n-2,-1\n")
    assert not set(keys()) & set(before)


def test_batches_follow_from_the_points_alone(tmp_path):
    found = grid(SPEC, {"start.seed": range(6), "network.widths.W1": [2, 3], "integrate.rtol": [1e-6, 1e-7]}, tmp_path)
    parts = batches(found.points, 4)
    assert [len(part) for part in parts] == [4, 2] * 4
    assert all(len({p.settings for p in part}) == 1 for part in parts)
    # Batches of one shape follow each other, so that a worker compiles for one after the other.
    shapes = [part[0].shape for part in parts]
    assert len(set(shapes)) == 2
    assert shapes == sorted(shapes)
    assert batches(found.points[::-1], 4) == parts


def test_a_sweep_has_its_keys_as_dimensions(swept):
    out, found = swept
    ds = found.dataset
    assert ds.log_loss.dims == ("seed", "scale", "log_t")
    assert ds.rho.dims == ("seed", "scale", "log_t", "block")
    assert ds["seed"].attrs["long_name"] == "start.seed"
    assert ds.scale.values.tolist() == [0.5, 1.0]
    assert (ds.outcome == "done").all()
    assert ds.ended.values == pytest.approx(1.0)
    np.testing.assert_allclose(np.diff(ds.log_t), np.diff(ds.log_t)[0])
    assert np.isfinite(ds.log_loss).all()
    assert found.provenance["settings"]["over"] == OVER
    assert len(contents(out)) == 8


def test_a_point_is_the_run_of_its_specification(swept):
    _, found = swept
    net = fl.Network("W2 @ W1 @ x")
    data = fl.load("gaussian?n=6&d=3&margin=0.2")
    start = fl.initial_state(net, data, widths={"W1": 2}, scale=0.5, seed=1)
    field = fl.lower(fl.derive(fl.Problem(net)))
    rows = fl.integrate(field, start, data, until=fl.log_time(1.0), rtol=1e-6, atol=1e-8).dataset
    ours = found.dataset.sel(seed=1, scale=0.5)
    known = np.isfinite(rows.log_t.values)
    for name in ("log_loss", "min_margin", "log_R"):
        expected = np.interp(ours.log_t, rows.log_t.values[known], rows[name].values[known])
        np.testing.assert_allclose(ours[name], expected, rtol=1e-9, atol=1e-9)
    assert int(ours.steps) == len(rows.step) - 1


def test_the_result_is_stored_and_drawn(swept):
    out, found = swept
    (again,) = fl.results(out)
    assert again.kind == "sweep"
    xr.testing.assert_equal(again.dataset, found.dataset)
    assert xr.open_zarr(out / "sweep.zarr", consolidated=False).log_loss.shape == (2, 2, 9)
    assert len(fl.draw("sweep", again).curves) == 4


def test_what_is_there_is_not_run_again(swept, tmp_path, monkeypatch):
    out, found = swept
    before = contents(out)

    def never(*_):
        raise AssertionError("a point that is done was run")

    monkeypatch.setattr(points, "_run", never)
    again = fl.sweep(SPEC, OVER, out=out, jobs=1, rows=9)
    xr.testing.assert_equal(again.dataset, found.dataset)
    assert contents(out) == before
    # The control: elsewhere all have to be run, and all break.
    broken = fl.sweep(SPEC, OVER, out=tmp_path / "other", jobs=1)
    assert (broken.dataset.outcome == "failed").all()
    assert broken.dataset.sizes["log_t"] == 0


def test_more_values_run_the_new_ones_alone_and_executors_leave_the_same_bytes(swept, tmp_path):
    out, _ = swept
    with ThreadPoolExecutor(1) as pool:
        fl.sweep(SPEC, {"start.seed": [1], "start.scale": [1.0]}, out=tmp_path, executor=pool)
        one = contents(tmp_path)
        found = fl.sweep(SPEC, OVER, out=tmp_path, executor=pool, batch=2)
        apart = contents(tmp_path)
        fl.sweep(SPEC, OVER, out=tmp_path / "whole", executor=pool)
    assert len(one) == 2
    assert one.items() < apart.items()
    assert apart.keys() == contents(out).keys()
    # The same batches have the same bytes.
    assert contents(tmp_path / "whole") == contents(out)
    assert (found.dataset.outcome == "done").all()


def test_a_point_that_breaks_costs_no_other_and_is_tried_again_when_asked(swept, tmp_path, monkeypatch):
    run = points._run

    def breaking(spec, *rest):
        if spec["start"] == {"seed": 1, "scale": 0.5}:
            raise ValueError("no memory")
        return run(spec, *rest)

    monkeypatch.setattr(points, "_run", breaking)
    path = tmp_path / "spec.toml"
    path.write_text(TOML)
    words = ["--over", "start.seed=0,1", "--over", "start.scale=0.5,1.0"]
    out = tmp_path / "out"
    done = inside("sweep", path, "--out", out, *words, "--jobs", 1, "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert told["points"] == {"done": 3, "failed": 1}
    assert told["failures"] == {"start.scale=0.5, start.seed=1": "no memory"}
    assert told["short"] == {}
    assert "4 points done, 1 failed" in done.stderr
    monkeypatch.setattr(points, "_run", run)
    assert json.loads(inside("sweep", path, "--out", out, "--jobs", 1, "--json").stdout) == told
    done = inside("sweep", path, "--out", out, "--jobs", 1, "--retry", "failed", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    assert contents(out) == contents(swept[0])


def test_status_counts_and_runs_nothing(tmp_path):
    path, out = tmp_path / "spec.toml", tmp_path / "out"
    path.write_text(TOML)
    refused(inside("sweep", path, "--out", out, "--status"), "--over")
    done = inside("sweep", path, "--out", out, "--status", "--over", "start.seed=0:3", "--json")
    assert json.loads(done.stdout)["points"] == {"missing": 3}
    assert not out.exists()
    refused(inside("sweep", path, "--out", out, "--over", "start.seed=0:3", "--retry", "all"), "failed")
    refused(inside("sweep", path, "--out", out, "--over", "start.seed=0:3", "--jobs", 0), "jobs")
    refused(inside("sweep", path, "--out", out, "--over", "start.sead=0:3"), "did you mean `seed`")


def test_long_flows_of_a_batch_go_alone(swept, tmp_path, monkeypatch):
    alone = []
    run = points._flow

    def told(spec, *rest):
        alone.append(spec)
        return run(spec, *rest)

    monkeypatch.setattr(points, "_flow", told)
    monkeypatch.setattr(points, "ATTEMPTS", 20)
    found = fl.sweep(SPEC, OVER, out=tmp_path / "long", jobs=1, rows=9)
    assert len(alone) == 4
    xr.testing.assert_allclose(found.dataset, swept[1].dataset, rtol=1e-9)
    monkeypatch.setattr(points, "ATTEMPTS", 4096)
    fl.sweep(SPEC, OVER, out=tmp_path / "short", jobs=1)
    assert len(alone) == 4


def test_a_batch_with_something_left_runs_as_a_whole(swept, tmp_path):
    out, _ = swept
    fl.sweep(SPEC, OVER, out=tmp_path, jobs=1)
    gone = sorted(Folder(tmp_path).done())[1:3]
    for key in gone:
        for file in (tmp_path / "points" / key).iterdir():
            file.unlink()
        (tmp_path / "points" / key).rmdir()
    fl.sweep(SPEC, OVER, out=tmp_path, jobs=1)
    assert contents(tmp_path) == contents(out)


def test_a_run_that_was_cut_is_taken_up_and_leaves_the_same_bytes(swept, tmp_path):
    key = sorted(Folder(swept[0]).done())[0]
    spec = Folder(swept[0]).read(key)[0]["spec"]
    task = {"folder": str(tmp_path), "words": [], "points": [{"key": key, "spec": spec}], "left": [key], "alone": True}
    whole, folder = Folder(tmp_path / "whole"), Folder(tmp_path / "cut")
    for each in (whole, folder):
        each.open({"spec": SPEC, "over": {}})
    assert points.run_batch(task | {"out": str(whole.root)}) == 1
    # As a kill leaves it: a chunk is written, and the point is not recorded.
    cut = spec | {"integrate": spec["integrate"] | {"max_steps": 40}}
    points._run(cut, str(tmp_path), folder.unfinished(key))
    assert folder.unfinished(key).is_dir()
    assert not folder.has(key)
    assert points.run_batch(task | {"out": str(folder.root)}) == 1
    assert not folder.unfinished(key).exists()
    assert contents(folder.root) == contents(whole.root)
    assert len(contents(folder.root)) == 2


def test_a_point_that_another_process_holds_is_waited_for(swept, tmp_path, monkeypatch):
    import os

    key = sorted(Folder(swept[0]).done())[0]
    told, arrays = Folder(swept[0]).read(key)
    folder = Folder(tmp_path)
    folder.open({"spec": SPEC, "over": {}})
    folder.unfinished(key).mkdir(parents=True)
    lock = take_lock(folder.unfinished(key) / "writer.lock")
    waits = []

    def other(seconds):
        # The other process ends while we wait.
        waits.append(seconds)
        about = {k: v for k, v in told.items() if k not in ("arrays", "rows_sha256")}
        folder.record(key, about, arrays)
        os.close(lock)

    monkeypatch.setattr(points.time, "sleep", other)
    point = {"key": key, "spec": told["spec"]}
    task = {"out": str(tmp_path), "folder": ".", "words": [], "points": [point], "left": [key], "alone": True}
    assert points.run_batch(task) == 0
    assert len(waits) == 1
    assert contents(tmp_path).items() <= contents(swept[0]).items()


def test_a_point_is_recorded_once(swept, tmp_path):
    key = sorted(Folder(swept[0]).done())[0]
    _told, arrays = Folder(swept[0]).read(key)
    folder = Folder(tmp_path)
    folder.open({})
    folder.record(key, {"key": key, "first": True}, arrays)
    before = contents(tmp_path)
    folder.record(key, {"key": key, "first": False}, arrays)
    assert contents(tmp_path) == before
    assert folder.done() == {key}


@pytest.mark.parametrize("name", ["point.json", "rows.npz"])
def test_a_damaged_point_is_named(swept, tmp_path, name):
    key = sorted(Folder(swept[0]).done())[0]
    folder = Folder(tmp_path)
    folder.open({})
    _told, arrays = Folder(swept[0]).read(key)
    folder.record(key, {"key": key}, arrays)
    assert folder.read(key)
    file = folder.points / key / name
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(OutputError, match=name):
        folder.read(key)


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path):
    with pytest.raises(OutputError, match="shared file system"):
        points.run_batch({"out": str(tmp_path / "nowhere")})


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    from flowlab.app.sweep import executors

    monkeypatch.setattr(executors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"flowlab\[sweep\]"):
        fl.sweep(SPEC, OVER, jobs=2)
