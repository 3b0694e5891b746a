"""Compiled programs kept between processes: a second run compiles almost nothing."""

import hashlib
import os
import platform
import sys
from os import PathLike
from pathlib import Path


def keep_compiled(folder: str | PathLike[str] | None = None) -> Path | None:
    """Let jax keep what it compiles in a folder, and take it from there in later processes.

    The command line does so by itself. A library does not write to a home folder unasked, so a program of your own
    calls this once, before its first run. Programs of another version of jax or another processor are not taken, and
    several processes may share a folder. Whatever is in it may be deleted at any time.

    Args:
        folder: where; without one `FLOWLAB_CACHE`, where set, else `~/.cache/flowlab`. `FLOWLAB_CACHE=off` keeps
            nothing unless a folder is given; `JAX_COMPILATION_CACHE_DIR`, where set, is left as it is.

    Returns:
        The folder within it that is used, or None where nothing is kept: it is turned off or cannot be written.

    Examples:
        >>> kept = fl.keep_compiled()
    """
    asked = os.environ.get("FLOWLAB_CACHE", "")
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or (folder is None and asked == "off"):
        return None
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowlab"
    used = Path(folder or asked or home) / f"{jax.__version__}-{_machine()}"
    try:
        used.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(used, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(used))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Where something was compiled before, jax has made up its mind to keep nothing.
    compilation_cache.reset_cache()
    return used


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
