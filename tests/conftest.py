"""float64 before anything imports arrays; types are not promoted silently.

Programs compiled by one worker, or by a command that a test starts, serve the others: they lie in a folder of this session alone.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "FLOWLAB_CACHE" not in os.environ:
    _folder = tempfile.mkdtemp(prefix="flowlab-tests-")
    os.environ["FLOWLAB_CACHE"] = _folder
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)

import jax

from flowlab.app.compile_cache import keep_compiled

jax.config.update("jax_enable_x64", True)
keep_compiled()

_MAPPINGS = 30_000


def pytest_runtest_teardown() -> None:
    """Compiled programs hold memory mappings, of which Linux grants a process 65,530; beyond them it dies without a word."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MAPPINGS:
        jax.clear_caches()
