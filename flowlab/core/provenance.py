"""Where a number came from: versions, machine traits, seeds, tolerances, hashes."""

import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from flowlab.core.typing import Record

_PACKAGES = ("flowlab", "jax", "jaxlib", "diffrax", "equinox", "optimistix", "sympy", "numpy", "scipy", "xarray")


HOME = Path(__file__).resolve().parents[1]
"""The package as it is imported."""
_CODE = (".py", ".json")


def versions() -> dict[str, str]:
    """Versions of Python and of every package a result depends on; packages that are not installed are left out.

    Of a checkout, whose version says little, `flowlab_source` is the SHA-256 of the package's files.
    """
    return dict(_versions())


def is_checkout(home: Path) -> bool:
    """Whether a package is imported from elsewhere than where it is installed, as from a working tree."""
    try:
        installed = metadata.distribution("flowlab").locate_file("flowlab/__init__.py")
    except metadata.PackageNotFoundError:
        return True
    return Path(str(installed)).resolve().parent != home


def source_hash(home: Path) -> str:
    """SHA-256 of the names and contents of a package's files of code and tables."""
    told = hashlib.sha256()
    for file in sorted(file for file in home.rglob("*") if file.suffix in _CODE):
        content = file.read_bytes()
        told.update(f"{file.relative_to(home).as_posix()} {len(content)}\n".encode() + content)
    return told.hexdigest()


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
    if is_checkout(HOME):
        found["flowlab_source"] = source_hash(HOME)
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
