"""What pages and docstrings enter is gone after the test that ran them."""

import pytest

from flowlab.claims import claims
from flowlab.language.activations import activations
from flowlab.language.losses import losses
from flowlab.language.operations.base import operations


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """In a folder of its own; words and claims that are not the package's are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    yield
    for registry in (claims, activations, losses, operations):
        for name, word in list(registry._words.items()):
            if not str(word.__module__).startswith("flowlab."):
                del registry._words[name]
