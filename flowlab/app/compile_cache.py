"""Compiled programs kept between processes: a second run of a specification compiles almost nothing."""

import hashlib
import os
import platform
import sys
from pathlib import Path


def keep_compiled() -> Path | None:
    """Let jax keep what it compiles in the user's cache folder; returns the folder, or None where it cannot or must
    not.

    `JAX_COMPILATION_CACHE_DIR`, where set, is left as it is; `FLOWLAB_CACHE=off` turns the cache off, any other value
    of it is the folder to use.
    """
    asked = os.environ.get("FLOWLAB_CACHE", "")
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or asked == "off":
        return None
    import jax

    base = Path(asked) if asked else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowlab"
    folder = base / f"{jax.__version__}-{_machine()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _machine() -> str:
    """A name for the instruction set: a program compiled for one processor may not run on another with the same home
    folder.
    """
    told = f"{sys.platform} {platform.machine()} {platform.processor()}"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        told += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass
    return hashlib.sha256(told.encode()).hexdigest()[:12]
