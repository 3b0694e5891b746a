"""Where a number came from: versions, machine traits, seeds, tolerances, hashes."""

import os
import platform
from functools import cache
from importlib import metadata
from typing import Any

from flowlab.core.typing import Record

_PACKAGES = ("flowlab", "jax", "jaxlib", "diffrax", "equinox", "optimistix", "sympy", "numpy", "scipy", "xarray")


def versions() -> dict[str, str]:
    """Versions of Python and of every package a result depends on; packages that are not installed are left out."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if "flowlab" not in found:
        from flowlab import __version__

        found["flowlab"] = __version__
    return found


def provenance(**extra: Any) -> Record:
    """A JSON-able record to travel with a result; `extra` takes seeds, tolerances and hashes."""
    return {
        "versions": versions(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu_count": os.cpu_count(),
        "dtype": "float64",
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        **extra,
    }
