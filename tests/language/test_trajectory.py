"""The result of a run: variables, units, provenance, and the way to disk and back."""

import copy
import dataclasses
import json
import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import FlowlabError, OutputError
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import OUTCOMES, Outcome, Trajectory


def _path(per: str = "layer", rows: int = 3) -> Trajectory:
    rng = np.random.default_rng(0)
    data = Data(rng.normal(size=(6, 3)), np.array([1.0, -1.0] * 3), name="six")
    problem = Problem("W2 @ relu(W1 @ x)", per=per, decay={"W1": 0.1})
    states = [initial_state(problem.network, data, widths={"W1": 4}, seed=i, per=per) for i in range(rows)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    log_t = np.array([-np.inf, 0.0, 1.5])[:rows]
    stats = {"steps": 2, "rejected": 0, "evaluations": 12, "wall_seconds": 0.1}
    settings = {"settings": {"rtol": 1e-8, "seed": 0}}
    return Trajectory.from_states(
        problem, data, log_t, stacked, Outcome("done", "reached t = 4.5."), stats, kind="flow", extra=settings
    )


@pytest.mark.parametrize("per", ["layer", "neuron", "network"])
def test_variables_say_what_the_states_say(per):
    path = _path(per)
    for i in range(len(path)):
        state = path.state(i)
        assert state.per == per
        W = state.weights()
        margins = np.asarray(path.problem.margins(W, path.data, jnp))
        R = np.prod([np.linalg.norm(np.asarray(w)) for w in W.values()])
        row = path.dataset.isel(step=i)
        assert float(row.log_loss) == pytest.approx(float(path.problem.log_loss(W, path.data, jnp)), rel=1e-12)
        assert float(row.min_margin) == pytest.approx(margins.min() / R, rel=1e-12)
        assert float(row.log_R) == pytest.approx(np.log(R), rel=1e-12)
    last = path.state(-1)
    for a, b in zip(jax.tree.leaves(last), jax.tree.leaves(path.last), strict=True):
        assert a.shape == b.shape
        assert (np.asarray(a) == np.asarray(b)).all()


def test_every_variable_has_units_and_a_name_in_words():
    for name, variable in _path().dataset.data_vars.items():
        assert variable.attrs["units"] == "dimensionless", name
        assert variable.attrs["long_name"], name


def test_provenance_is_json_and_complete():
    path = _path()
    record = json.loads(path.dataset.attrs["flowlab"])
    assert record["data"]["sha256"] == path.data.sha256()
    assert record["problem_signature"] == path.problem.signature
    assert record["settings"] == {"rtol": 1e-8, "seed": 0}
    assert {"python", "jax", "numpy", "flowlab"} <= set(record["versions"])
    assert record["dtype"] == "float64"


@pytest.mark.parametrize("per", ["layer", "neuron", "network"])
def test_a_saved_trajectory_comes_back_bit_for_bit(tmp_path, per):
    path = _path(per)
    file = path.save(tmp_path / "path.nc")
    back = Trajectory.load(file, path.data)
    assert back.problem == path.problem
    assert back.problem.decay == path.problem.decay
    assert back.outcome == path.outcome
    assert back.stats == path.stats
    assert back.dataset.identical(path.dataset)
    for a, b in zip(jax.tree.leaves(back.last), jax.tree.leaves(path.last), strict=True):
        assert (np.asarray(a) == np.asarray(b)).all()
    assert os.listdir(tmp_path) == ["path.nc"]


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = _path()
    file = path.save(tmp_path / "path.nc")
    before = file.read_bytes()

    def broken(*args, **given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OutputError, match="No space"):
        path.save(file)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["path.nc"]
    with pytest.raises(OutputError, match="cannot be written"):
        path.save(tmp_path / "none" / "path.nc")
    for bad in (tmp_path, tmp_path / "run.txt"):
        with pytest.raises(OutputError, match="no known format"):
            path.save(bad)


def test_what_is_no_trajectory_is_refused(tmp_path):
    junk, other = tmp_path / "junk.nc", tmp_path / "other.nc"
    junk.write_text("nothing of the kind")
    _path().dataset.drop_attrs().to_netcdf(other, engine="h5netcdf")
    for bad in (junk, other, tmp_path / "missing.nc"):
        with pytest.raises(OutputError, match="must be a stored trajectory"):
            Trajectory.load(bad)


def test_outcomes():
    for kind in OUTCOMES:
        assert Outcome(kind, "so.").ok is (kind in ("done", "event"))
    with pytest.raises(FlowlabError, match="success"):
        Outcome("success", "so.")


def test_states_of_one_row():
    path = _path(rows=1)
    assert isinstance(path.last, State)
    assert float(path.dataset.log_t[0]) == -np.inf
    assert len(path) == 1


def small_run():
    data = fl.Data(np.array([[1.0, 0.2], [-0.5, 1.0], [0.3, -1.0]]), np.array([1.0, 1.0, -1.0]))
    field = fl.lower(fl.derive(fl.Problem("W1 @ x", coordinates="weights")))
    return fl.integrate(field, fl.initial_state("W1 @ x", data, seed=0), data, until=fl.time(0.5))


def test_zarr_and_netcdf_hold_the_same(tmp_path):
    pytest.importorskip("zarr")
    path = small_run()
    for _ in range(2):
        path.save(tmp_path / "a.zarr")
    path.save(tmp_path / "a.nc")
    one, other = fl.Trajectory.load(tmp_path / "a.zarr"), fl.Trajectory.load(tmp_path / "a.nc")
    assert one.dataset.equals(other.dataset)
    assert one.provenance == other.provenance == path.provenance
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc", "a.zarr"]


def test_without_zarr_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = small_run()
    with pytest.raises(fl.FlowlabError, match=r"flowlab\[zarr\]"):
        path.save(tmp_path / "a.zarr")
    with pytest.raises(fl.FlowlabError, match=r"flowlab\[zarr\]"):
        fl.Trajectory.load(tmp_path / "a.zarr")


def test_the_labelled_data_set_is_built_when_it_is_asked_for():
    path = small_run()
    assert "dataset" not in vars(path)
    assert path.last.V["W1"].shape == (1, 2)
    assert path.dataset is path.dataset
    assert not hasattr(path, "nothing")
    assert "__getattr__" not in vars(fl.Trajectory), "type checkers accept every misspelt name behind it"


@pytest.mark.parametrize("twin", [copy.copy, dataclasses.replace, lambda path: pickle.loads(pickle.dumps(path))])
@pytest.mark.parametrize("built", [False, True])
def test_a_copy_has_the_labelled_data_set(twin, built):
    path = small_run()
    assert not built or len(path)
    assert twin(path).dataset.identical(path.dataset)
