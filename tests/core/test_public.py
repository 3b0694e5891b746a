"""The public face: the stub is current, and every registered word is a public name."""

import subprocess
import sys
from pathlib import Path

import pytest

import flowlab as fl
from flowlab.core.public import HOME, STUB, listed, stub, words
from flowlab.language.activations import activations

MODULE = """
from flowlab.language.activations import activations
from flowlab.language.activations.smooth import Softplus

@activations.register("my_word")
class MyWord(Softplus):
    '''A word of a user.'''
"""


def test_the_stub_is_current():
    assert STUB.read_text(encoding="utf-8") == stub(), "run `python -m flowlab.core.stub > flowlab/__init__.pyi`"


def test_a_stale_stub_is_noticed(monkeypatch):
    monkeypatch.setitem(HOME, "made_up", "flowlab.language.network")
    assert STUB.read_text(encoding="utf-8") != stub()


def test_every_activation_is_in_the_stub():
    text = stub()
    assert all(f"\n{name}: _Word\n" in text for name in activations.names())
    assert set(words()) <= set(listed()) == set(fl.__all__)


def test_a_word_of_a_user_is_a_public_name(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    code = (
        "import mine, flowlab as fl; print(fl.my_word, 'my_word' in dir(fl), fl.Network(fl.weight('W2') @"
        " fl.my_word(fl.weight('W1') @ fl.x)))"
    )
    root = str(Path(fl.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{root}", "PATH": ""},
    )
    assert done.stdout.startswith("flowlab.my_word True")
    assert "my_word" in done.stdout.split(" ", 2)[2]


def test_a_word_without_a_class_is_not_there():
    with pytest.raises(AttributeError, match="my_word"):
        fl.my_word  # noqa: B018


def test_the_type_marker_is_beside_the_stub():
    assert STUB.with_name("py.typed").is_file()
