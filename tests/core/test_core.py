"""Registry, hashing, errors, provenance, precision."""

import importlib
import json
import sys

import numpy as np
import pytest

from flowlab.core import errors
from flowlab.core.hashing import sha256_arrays, sha256_json
from flowlab.core.precision import require_x64
from flowlab.core.provenance import provenance, versions
from flowlab.core.registry import Registry, nearest
from flowlab.core.seeds import checked_seed


@pytest.mark.parametrize("seed", [-1, True, 1.0, None, "1"])
def test_seeds_that_are_none(seed):
    with pytest.raises(errors.LanguageError, match="from 0 on"):
        checked_seed(seed)


def test_seeds():
    assert checked_seed(0) == 0
    assert type(checked_seed(np.int64(7))) is int


def test_registry():
    words: Registry = Registry("colour")

    @words.register("red")
    class Red:
        """Red."""

    assert words["red"] is Red
    assert Red.name == "red"
    assert "red" in words
    assert list(words.names()) == list(words) == ["red"]
    with pytest.raises(errors.UnknownName, match="did you mean `red`"):
        words["rad"]
    with pytest.raises(ValueError, match="twice"):
        words.register("red")(Red)


def test_a_word_that_is_expected_is_imported_when_asked_for(tmp_path, monkeypatch):
    (tmp_path / "made_home.py").write_text("from flowlab.core.registry import Registry\nwords = Registry('number')\n")
    (tmp_path / "made_three.py").write_text(
        "from made_home import words\n@words.register('three')\nclass Three:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = importlib.import_module("made_home").words
    words.expect({"three": "made_three"})
    assert "three" in words
    assert (words.names(), len(words), words.home("three")) == (("three",), 1, "made_three")
    with pytest.raises(ValueError, match="registered twice"):
        words.register("three")(type("Other", (), {}))
    assert "made_three" not in sys.modules
    assert words["three"].__name__ == "Three"
    assert "made_three" in sys.modules
    with pytest.raises(errors.UnknownName):
        words["four"]


def test_names_are_sorted_as_numbers():
    words: Registry = Registry("claim")
    for name in ("P20", "E1.12", "P3", "E1.8"):
        words.register(name)(object())
    assert words.names() == ("E1.8", "E1.12", "P3", "P20")
    assert ["P3"] not in words
    with pytest.raises(errors.UnknownName):
        words[["P3"]]


def test_nearest():
    assert nearest("relu6", ["relu", "tanh"]) == "relu"
    assert nearest("zzz", ["relu", "tanh"]) is None


def test_hashes_are_stable_and_sensitive():
    assert (
        sha256_json({"b": 1, "a": [1, 2]}) == sha256_json({"a": [1, 2], "b": 1}) != sha256_json({"a": [2, 1], "b": 1})
    )
    one = {"x": np.arange(4.0)}
    assert sha256_arrays(one) == sha256_arrays({"x": np.arange(4.0)})
    assert sha256_arrays(one) != sha256_arrays({"x": np.arange(4.0).reshape(2, 2)})
    assert sha256_arrays(one) != sha256_arrays({"y": np.arange(4.0)})
    assert sha256_arrays(one) != sha256_arrays({"x": np.nextafter(np.arange(4.0), 9)})


def test_every_error_is_one_family():
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(kinds) > 8
    assert all(issubclass(e, errors.FlowlabError) for e in kinds)
    assert all(e.__doc__ for e in kinds)


def test_provenance():
    told = provenance(seed=3)
    assert told["seed"] == 3
    assert told["versions"] == versions()
    assert {"python", "jax", "flowlab", "numpy"} <= versions().keys()
    json.dumps(told)
    versions()["python"] = "changed"
    assert versions()["python"] != "changed"


def test_precision():
    import jax

    require_x64("here")
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(errors.PrecisionTooLow, match="`here`"):
            require_x64("here")
    finally:
        jax.config.update("jax_enable_x64", True)
