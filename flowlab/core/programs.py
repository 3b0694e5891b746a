"""Compiled programs are released before the system refuses more of them, which would end the process at once."""

import time
from pathlib import Path

_MAPPINGS, _LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")
_PART = 0.45
"""Of the limit at which programs are released; one claim with all its flows takes a tenth of it."""
_SECONDS = 1.0
"""Between two looks, each of which takes some milliseconds; in a second a process compiles a hundredth of the limit."""
_looked = 0.0


def release_programs() -> bool:
    """Empty the caches of jax if this process holds many memory mappings, of which each compiled program takes some;
    whether it did.

    Only Linux has such a limit, 65,530 by default. What is needed again is compiled again.
    """
    global _looked
    now = time.monotonic()
    if now - _looked < _SECONDS or not _LIMIT.exists():
        return False
    _looked = now
    if _MAPPINGS.read_bytes().count(b"\n") <= _PART * int(_LIMIT.read_text()):
        return False
    import jax

    jax.clear_caches()
    return True
