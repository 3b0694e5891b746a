"""The corpus is a module beside the tests, found by path because tests are imported one by one."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("corpus", Path(__file__).with_name("corpus.py"))
assert _spec is not None
assert _spec.loader is not None
sys.modules["corpus"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["corpus"])
