"""Writing files: a failure of the disk becomes one typed sentence."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from flowlab.core.arguments import short
from flowlab.core.errors import OutputError


def cause(error: Exception) -> str:
    """Why a file cannot be read, in some words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"{type(error).__name__}: {short(getattr(error, 'strerror', None) or str(error), 80)}"


@contextmanager
def writing(path: str | PathLike[str], option: str = "") -> Generator[None, None, None]:
    """Run a block that writes a file or folder.

    Args:
        path: what is written, for the message.
        option: of the command line that named it, such as `"--out "`; empty in Python.

    Raises:
        OutputError: in place of the OSError, and for a path with a null byte.

    Example:
        `with writing("out/a.json"): ...`
    """
    if "\0" in str(path):
        raise OutputError(f"`{option}{path}` must be a path without null bytes; choose another name.")
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"`{option}{path}` cannot be written ({error.strerror or error}); choose another folder."
        ) from None


def open_folder(folder: Path, option: str = "") -> None:
    """Check that a folder can be written, before anything is computed.

    Args:
        folder: that exists or will be made.
        option: as for `writing`.

    Raises:
        OutputError: if it is a file, a link to nothing, has a name that the disk refuses, or is not writable.
    """
    name = f"`{option}{folder}`"
    with writing(folder, option):
        if folder.is_symlink() and not folder.exists():
            raise OutputError(f"{name} is a link to nothing; remove the link or name another folder.")
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{name} is a file; name a folder.")
        parent = folder if folder.exists() else next(p for p in folder.absolute().parents if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise OutputError(f"{name} cannot be written: `{parent}` is not writable; choose another folder.")


def is_folder(path: Path) -> bool:
    """Whether a folder is there; no folder has a name that the system cannot hold."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def file_name(name: str) -> str:
    """A name as part of the name of a file, which every file system takes.

    Example:
        `file_name("own: a/b")` is `"own_a_b"`.
    """
    return re.sub(r"[^\w.+=-]+", "_", name).strip("._") or "unnamed"
