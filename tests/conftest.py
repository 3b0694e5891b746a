"""float64 before anything imports arrays; types are not promoted silently.

Programs compiled by one worker, or by a command that a test starts, serve the others: they lie in a folder of this
session alone.
"""

import atexit
import os
import shutil
import tempfile

if "FLOWLAB_CACHE" not in os.environ:
    _folder = tempfile.mkdtemp(prefix="flowlab-tests-")
    os.environ["FLOWLAB_CACHE"] = _folder
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)

import jax

from flowlab.app.compile_cache import keep_compiled
from flowlab.core.programs import release_programs

jax.config.update("jax_enable_x64", True)
keep_compiled()


def pytest_runtest_teardown() -> None:
    """Tests that compile by themselves ask no verb of flowlab, which would count programs."""
    release_programs()
