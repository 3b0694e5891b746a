"""Results go between processes by plain pickle and lose no bit; nothing that is stored is one."""

import ast
import dataclasses
import io
import multiprocessing
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import flowlab as fl
from tests.app.commands import ROOT
from tests.core import every_result
from tests.core.other_process import begun, both, digest
from tests.core.test_display import returned
from tests.figures import instances


def sent(pool: Any, value: Any) -> tuple[Any, Any]:
    """What another process finds in a value, and the value that it sends back."""
    there, back = pool.apply_async(both, (pickle.dumps(value),)).get(timeout=300.0)
    return there, pickle.loads(back)


@pytest.fixture(scope="module")
def other():
    with multiprocessing.get_context("spawn").Pool(1, begun) as pool:
        yield pool


@pytest.mark.long
def test_every_result_goes_to_another_process_and_back(other):
    made = every_result.every()
    kinds = {f"{type(part).__module__}.{type(part).__name__}" for v in made.values() for part in every_result.parts(v)}
    # What a function returns is of a public class; protocols stand for several.
    assert {name for name, kind in returned().items() if not getattr(kind, "_is_protocol", False)} <= kinds
    for name, value in made.items():
        # What was compiled or drawn when a result was used must not go with it.
        every_result.used(value)
        there, back = sent(other, value)
        assert there == digest(value), name
        assert type(back) is type(value), name
        assert digest(back) == digest(value), name
        assert repr(back) == repr(value), name


@pytest.mark.long
def test_what_comes_back_can_be_used(other):
    made = every_result.every()
    _, field = sent(other, made["field"])
    _, start = sent(other, made["state"])
    _, induced = sent(other, made["induced"])
    _, flow = sent(other, made["flow"])
    path = sent(other, instances.trajectory())[1]
    begin = fl.initial_state("W1 @ x", made["data"], seed=1)
    assert (
        fl.integrate(field, begin, made["data"], until=fl.time(0.01)).weights(-1)["W1"]
        == fl.integrate(made["field"], begin, made["data"], until=fl.time(0.01)).weights(-1)["W1"]
    ).all()
    assert flow.text() == made["flow"].text()
    assert str(induced) == str(made["induced"])
    assert path.problem.network.type_of(path.problem.network.expression).sampled
    assert set(start.weights()) == {"W1", "W2"}


def test_a_process_without_float64_refuses_results():
    """Where jax alone would read float64 as float32 and say nothing."""
    data = pickle.dumps(fl.State.from_weights({"w": np.array([0.1, 0.2])}))
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(fl.PrecisionTooLow, match="`State` needs float64"):
            pickle.loads(data)
    finally:
        jax.config.update("jax_enable_x64", True)
    assert pickle.loads(data).V["w"].dtype == np.float64


def test_what_pickle_cannot_hold_is_noticed():
    path = instances.trajectory()
    assert digest(pickle.loads(pickle.dumps(path))) == digest(path)
    changed = dataclasses.replace(path, stats={"f": lambda: 1})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(changed)
    assert digest(instances.trajectory(11)) != digest(path)


def pickles(data: bytes) -> bool:
    """Whether bytes, or a file in an archive of them, are a pickle."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(pickles(archive.read(name)) for name in archive.namelist())
    if data.startswith(b"\x93NUMPY"):
        return b"'descr': '|O'" in data[:256]
    try:
        return len(list(pickletools.genops(data))) > 1
    except ValueError:
        return False


def test_nothing_that_is_stored_is_a_pickle(tmp_path):
    path = instances.trajectory()
    path.save(tmp_path / "a.nc")
    instances.portrait().save(tmp_path / "b.nc")
    instances.points(tmp_path)
    fl.check(["P3"], fl.Problem("W1 @ x"), seed=0)[0].save(tmp_path / "verdict.json")
    data = fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1.0, -1.0])
    field, start = fl.lower(fl.derive(fl.Problem("w @ x"))), fl.initial_state("w @ x", data, seed=1)
    fl.integrate(field, start, data, until=fl.time(1e9), max_steps=5, store=tmp_path / "run")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 6
    assert [file.name for file in files if pickles(file.read_bytes())] == []
    # Control: a pickle, and arrays of objects in an archive, are noticed.
    assert pickles(pickle.dumps(path.stats))
    held = io.BytesIO()
    np.savez(held, a=np.array([{1: 2}], dtype=object))
    assert pickles(held.getvalue())


def readers(source: str) -> set[str]:
    """What a module imports or calls that reads pickles."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"} & {n.split(".")[0] for n in names}
        if (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and getattr(node.value, "value", None) is not False
        ):
            found.add("allow_pickle")
    return found


def test_the_package_reads_no_pickle():
    files = list(Path(ROOT, "flowlab").rglob("*.py"))
    assert len(files) > 200
    assert {file.name: found for file in files if (found := readers(file.read_text(encoding="utf-8")))} == {}
    assert readers("import pickle\nnp.load(f, allow_pickle=True)") == {"pickle", "allow_pickle"}
