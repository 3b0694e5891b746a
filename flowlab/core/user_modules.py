"""Python files that a user named, run as modules: what breaks in them is one typed sentence."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec

from flowlab.core.errors import FlowlabError


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
