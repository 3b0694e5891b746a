"""Modules beside the tests, found by path because tests are imported one by one."""

import importlib.util
import sys
from pathlib import Path

for name in ("corpus", "networks", "notation", "reader"):
    _spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[name])
