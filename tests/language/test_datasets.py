"""Data sets by name, files and generators."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import DataError, MissingExtra
from flowlab.language.datasets import BUNDLED, _from_sklearn, generators

SIZES = {"iris": (150, 4, 3), "wine": (178, 13, 3), "breast_cancer": (569, 30, 2), "digits": (1797, 64, 10)}


@pytest.mark.parametrize("name", BUNDLED)
def test_tables_are_those_of_scikit_learn(name):
    from sklearn import datasets

    x, target, names = _from_sklearn(name)
    bunch = getattr(datasets, f"load_{name}")()
    assert np.array_equal(x, bunch.data)
    assert np.array_equal(target, bunch.target)
    assert names == [str(n) for n in bunch.target_names]
    assert (*x.shape, len(names)) == SIZES[name]


def test_without_the_tables_its_loader_is_asked(monkeypatch):
    from flowlab.language import datasets as module

    monkeypatch.setitem(module._TABLES, "iris", "moved.csv")
    assert _from_sklearn("iris")[0].shape == (150, 4)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="flowlab\\[data\\]"):
        fl.load("iris")


def test_classes():
    three = fl.load("digits:3v8")
    assert (three.n, three.d, three.kind) == (357, 64, "binary")
    assert float((three.y == 1).sum()) == 183
    wine = fl.load("wine:0v2")
    full = fl.load("wine")
    assert full.kind == "classes"
    assert np.array_equal(np.asarray(wine.x)[np.asarray(wine.y) == 1], np.asarray(full.x)[np.asarray(full.y) == 0])
    setosa = fl.load("iris:setosa")
    assert (setosa.n, int((setosa.y == 1).sum())) == (150, 50)
    assert fl.load("iris:setosa v virginica").n == fl.load("iris:0v2").n == 100
    cancer = fl.load("breast_cancer")
    assert (cancer.kind, int((cancer.y == 1).sum())) == ("binary", 357)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("irsi", "iris"),
        ("iris:setossa", "setosa"),
        ("digits:3v11", "11"),
        ("iris:0v0", "itself"),
        ("gausian?n=3", "gaussian"),
    ],
)
def test_unknown_names(name, word):
    with pytest.raises(fl.FlowlabError, match=word):
        fl.load(name)


def test_standardise():
    x = np.asarray(fl.load("wine", standardize=True).x)
    assert np.allclose(x.mean(axis=0), 0, atol=1e-12)
    assert np.allclose(x.std(axis=0), 1)
    digits = np.asarray(fl.load("digits", standardize=True).x)
    assert np.isfinite(digits).all()


@pytest.mark.parametrize("name", generators.names())
def test_generators_are_seeded(name):
    one, same, other = (fl.load(f"{name}?n=30&d=4", seed=s) for s in (3, 3, 4))
    assert one.sha256() == same.sha256() != other.sha256()
    assert (one.n, one.d, one.kind) == (30, 4, "binary")


def test_gaussian_is_separated_by_its_margin():
    data = fl.load("gaussian?n=40&d=3&margin=0.5", seed=2)
    from scipy.optimize import linprog

    x, y = np.asarray(data.x), np.asarray(data.y)
    found = linprog(np.zeros(3), A_ub=-(y[:, None] * x), b_ub=-np.ones(40), bounds=[(None, None)] * 3)
    assert found.status == 0
    assert 1 / np.linalg.norm(found.x) > 0


def test_files(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(6, 2)), np.array([1, -1, 1, -1, 1, -1])
    np.savez(tmp_path / "a.npz", x=x, y=y)
    np.savetxt(tmp_path / "a.csv", np.column_stack([x, y]), delimiter=",", header="u,v,label", comments="", fmt="%.17g")
    a, b = fl.load(str(tmp_path / "a.npz")), fl.load(str(tmp_path / "a.csv"))
    assert np.array_equal(a.x, b.x)
    assert np.array_equal(a.y, b.y)
    (tmp_path / "c.csv").write_text("1,2,0\n2,3,1\n4,5,2\n")
    assert fl.load(str(tmp_path / "c.csv")).kind == "classes"
    np.savez(tmp_path / "odd.npz", a=x)
    for name, content in (("b.csv", "1,2\n1\n"), ("d.csv", "1,two\n"), ("e.npz", "no zip")):
        (tmp_path / name).write_text(content)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "objects.npz").write_bytes((tmp_path / "objects.npy").read_bytes())
    for name in ("odd.npz", "b.csv", "d.csv", "e.npz", "objects.npz", "none.csv", "none.npz"):
        with pytest.raises(DataError):
            fl.load(str(tmp_path / name))


def test_seeds_that_are_none_are_refused():
    for name in ("gaussian?n=6&d=2", "teacher", "iris:setosa"):
        with pytest.raises(fl.LanguageError, match="`seed` must be an integer from 0 on, got -1"):
            fl.load(name, seed=-1)
