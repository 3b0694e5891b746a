"""The reader of laws and the list of nets, found by path because tests are imported one by one."""

import importlib.util
import sys
from pathlib import Path

for _name, _file in (("law_reader", "law_reader.py"), ("law_nets", "architectures.py")):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(_file))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_name])
