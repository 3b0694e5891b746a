"""How far work is, told on stderr while it goes on: as a bar, as lines, as lines of JSON, or not at all.

Without being asked the package writes nothing: it logs under the name `flowlab`, for whoever listens there.
"""

import json
import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from flowlab.core.arguments import must_be

_SUBJECT: ContextVar[str] = ContextVar("flowlab subject", default="")
"""What the work is done for, such as the claim that is being checked."""

MODES = ("auto", "bar", "plain", "json", "none")
"""What may be asked for; `auto` is a bar where someone looks, and plain lines in a file or a pipe."""


class Lines(logging.Handler):
    """Writes what is logged to the stderr of the moment."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(logging.INFO)
        self.as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        if not self.as_json:
            subject = f"{_SUBJECT.get()}: " if _SUBJECT.get() else ""
            sys.stderr.write(f"flowlab: {subject}{record.getMessage()}\n")
            return
        told = {"time": round(record.created, 3), "level": record.levelname.lower(), "logger": record.name}
        told |= {"subject": _SUBJECT.get()} if _SUBJECT.get() else {}
        more = getattr(record, "flowlab", {})
        sys.stderr.write(json.dumps({**told, "message": record.getMessage(), **more}) + "\n")


def chosen(asked: bool | str) -> str:
    """The way that is taken; True is a bar.

    Raises:
        LanguageError: for a way that is not known.
    """
    if isinstance(asked, bool):
        return "bar" if asked else "none"
    if asked not in MODES:
        raise must_be("progress", asked, f"True, False or one of {', '.join(MODES)}", '"plain"')
    if asked != "auto":
        return asked
    return "bar" if sys.stderr.isatty() or _in_notebook() else "plain"


def _in_notebook() -> bool:
    """Whether a bar can be shown in the page of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter


@contextmanager
def telling(how: str) -> Generator[str]:
    """Write what the package logs to stderr, in the way that is taken; where that is none, nothing changes."""
    log = logging.getLogger("flowlab")
    before, handler = log.level, Lines(how == "json")
    if how != "none":
        log.addHandler(handler)
        log.setLevel(logging.INFO if before == logging.NOTSET else min(before, logging.INFO))
    try:
        yield how
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@contextmanager
def about(subject: str) -> Generator[None]:
    """Name what the work is done for in all that is told of it, as its lines begin."""
    token = _SUBJECT.set(subject)
    try:
        yield
    finally:
        _SUBJECT.reset(token)
