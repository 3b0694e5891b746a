"""Memory and time are computed before they are asked for: what does not fit is refused with its number,
not by a kill or a hang.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from flowlab.core.errors import TooLarge

_CGROUPS = Path("/sys/fs/cgroup")
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_LOG10_2 = 0.30103
ROWS, ROW_BYTES, CHUNK_BYTES = 2_000, 256e6, 32e6
"""Rows that a run keeps by default, at most; bytes of them; and bytes of those that one compiled call hands out."""
ALL_ROW_BYTES = 2e9
"""Bytes of the rows of all runs of a batch."""
_DAY = 86_400
"""Seconds that one call may need: beyond it a call that says nothing on the way cannot be told from one that hangs."""


def require_memory(needed: int, what: str, remedy: str = "use smaller widths or fewer samples") -> None:
    """Ask that something fits into the memory of this machine; where the system does not tell how much there is,
    anything passes.

    Args:
        needed: bytes that will be allocated at one time, an exact integer of any size.
        what: what they are for, as it begins the sentence.
        remedy: what to do instead.

    Raises:
        TooLarge: with the bytes needed and the bytes there are.

    Example:
        >>> require_memory(8 * 10**12, "a matrix of 10^6 x 10^6 numbers")  # doctest: +SKIP
        TooLarge: a matrix of 10^6 x 10^6 numbers needs 7.3 TiB of memory, but this machine has 16.0 GiB; use smaller
            widths or fewer samples.
    """
    have = machine_memory()
    if have is not None and needed > have:
        raise TooLarge(
            f"{what} needs {shown_bytes(needed)} of memory, but this machine has {shown_bytes(have)}; {remedy}."
        )


def rows_within(room: float, numbers: int, most: int, least: int = 1) -> int:
    """How many rows of float64 fit.

    Args:
        room: bytes for them.
        numbers: of one row.
        most: the most that there may be.
        least: the fewest.

    Example:
        `rows_within(ROW_BYTES, 400_000, ROWS)` is 80.
    """
    return int(max(least, min(most, room // max(1, 8 * numbers))))


def require_time(seconds: float, what: str, remedy: str = "use smaller widths or fewer samples") -> None:
    """Ask that something ends within a day.

    Args:
        seconds: that it takes on one core of a usual machine.
        what: what it is, as it begins the sentence.
        remedy: what to do instead.

    Raises:
        TooLarge: with the time needed and the time there is.

    Example:
        >>> require_time(3.2e8, "a descent of 10^15 steps", "use fewer steps")
        Traceback (most recent call last):
        flowlab.core.errors.TooLarge: a descent of 10^15 steps needs about 89000 hours, but a call may take 24; use
        fewer steps.
    """
    if seconds > _DAY:
        raise TooLarge(
            f"{what} needs about {float(f'{seconds / 3600:.2g}'):g} hours, but a call may take {_DAY // 3600};"
            f" {remedy}."
        )


@cache
def machine_memory() -> int | None:
    """Bytes of memory that this process can have: the smallest of what is built in and of what limits on processes
    allow; None if unknown.
    """
    found: list[int] = []
    # Windows has no sysconf, and some systems not these names.
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            found.append(soft)
    found += _cgroup_limits(Path("/proc/self/cgroup"), _CGROUPS)
    return min((size for size in found if size > 0), default=None)


def _cgroup_limits(listed: Path, root: Path) -> list[int]:
    """Limits of the control groups of this process, of version 1 and 2, and of those that these are in."""
    found: list[int] = []
    with suppress(OSError, ValueError):
        for line in listed.read_text(encoding="utf-8").splitlines():
            _, controllers, own = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            base, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
            place = base / own.lstrip("/")
            # Within a container the own group is often mounted as the root, so that its path leads nowhere.
            for folder in (place, *place.parents):
                with suppress(OSError, ValueError):
                    found.append(int((folder / name).read_text(encoding="ascii")))
                if folder == base:
                    break
    return found


def shown_bytes(size: int) -> str:
    """A number of bytes in the largest unit that leaves it at one or more."""
    power = max(size.bit_length() - 1, 0) // 10
    if power >= len(_UNITS):
        # An exact integer of any length, which neither a float nor a sentence may hold: its power of ten.
        return f"over 10^{int((size.bit_length() - 1) * _LOG10_2)} bytes"
    return f"{size / 1024**power:.1f} {_UNITS[power]}" if power else f"{size} bytes"
