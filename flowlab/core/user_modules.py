"""Python files that a user named, run as modules: what breaks in them is one typed sentence."""

import sys
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

from flowlab.core.errors import FlowlabError
from flowlab.core.typing import Record


def execute(spec: ModuleSpec | None, subject: str, error: type[FlowlabError]) -> None:
    """Import a module from its specification, under its own name.

    Args:
        spec: with a loader, of a file that the user named.
        subject: what the message calls the file.
        error: the class of the message.

    Raises:
        FlowlabError: what the file raises itself, as it is; anything else as `error`.

    Example:
        `execute(spec_from_file_location("mine", path), "`mine.py`", LanguageError)`
    """
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except FlowlabError:
        raise
    except (Exception, SystemExit) as broken:
        what = f"{subject} breaks while it is read ({type(broken).__name__}: {broken})"
        raise error(f"{what}; mend it and try again.") from broken


def source_of(module: str) -> Record | None:
    """The file that a module of a user's was read from, `{"file": ..., "sha256": ...}`.

    None for modules of flowlab, and for what was typed in or lies in no file that can be read.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or module.partition(".")[0] == "flowlab":
        return None
    path = Path(file).resolve()
    try:
        return {"file": str(path), "sha256": sha256(path.read_bytes()).hexdigest()}
    except OSError:
        return None
