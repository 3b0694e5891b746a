"""Modules beside the tests, found by path because tests are imported one by one."""

import importlib.util
import sys
from pathlib import Path

import pytest

for name in (
    *("corpus", "networks", "notation", "tensors", "reader", "print_check"),
    *("golden", "tensor_networks", "setups", "covariances"),
):
    _spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[name])


@pytest.fixture
def eager(monkeypatch):
    """Autodiff takes one operation after another, as it does on long networks:
    operations are shared by many small networks, whole programs are not.
    """
    monkeypatch.setattr("flowlab.language.autodiff._LONGEST_COMPILED", 0)
