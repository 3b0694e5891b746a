"""The plain evaluation is a module beside the tests, found by path because tests are imported one by one."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("one_sample", Path(__file__).with_name("one_sample.py"))
assert _spec is not None
assert _spec.loader is not None
sys.modules["one_sample"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["one_sample"])
