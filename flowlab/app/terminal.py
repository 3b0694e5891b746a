"""What every command does with its process and terminal: float64, output, progress and exit codes."""

import json
import logging
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flowlab.core.errors import LanguageError
from flowlab.core.telling import chosen, telling
from flowlab.core.typing import Record

DONE, REFUTED, BAD_INPUT, GAVE_UP, DEFECT, INTERRUPTED = 0, 1, 2, 3, 70, 130
EVERY = 10.0
"""Seconds between two lines about a search."""
_LOG = logging.getLogger(__name__)


class Progress(StrEnum):
    """How a command tells on stderr how far it is."""

    auto = "auto"
    bar = "bar"
    plain = "plain"
    json = "json"
    none = "none"

    @classmethod
    def chosen(cls, asked: "Progress", quiet: bool) -> "Progress":
        """The way that is taken: `auto` is a bar where someone looks, and lines in a file or pipe."""
        return cls.none if quiet else cls(chosen(asked.value))


Quiet = Annotated[bool, typer.Option("--quiet", help="The same as --progress none.")]
Shown = Annotated[
    Progress,
    typer.Option("--progress", help="On stderr: a bar, plain lines or JSON lines; auto is a bar in a terminal."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def progress(asked: Progress, quiet: bool) -> Generator[Progress]:
    """Write what the package logs to stderr while a command works; gives the way that is taken."""
    with telling(Progress.chosen(asked, quiet).value) as how:
        yield Progress(how)


def float64() -> None:
    """A process of our own: float64, and compiled programs kept for the next one."""
    import jax

    from flowlab.app.compile_cache import keep_compiled

    jax.config.update("jax_enable_x64", True)
    keep_compiled()


def output_path(text: str) -> Path:
    """A path from the command line; an empty one would be the current folder."""
    if not text:
        raise LanguageError(
            "`--out` must be a path, got an empty text; name a folder or file, or `.` for the current folder."
        )
    return Path(text)


def to_stdout(text: str) -> None:
    """Print text and a line break."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def to_stdout_json(value: object) -> None:
    """Print a value as JSON, with its keys in order."""
    to_stdout(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False))


def to_stderr(text: str) -> None:
    """Print one line of a message."""
    sys.stderr.write(f"flowlab: {text}\n")


def write_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table as wide as the terminal, in which what is long goes on in the next line and nothing is cut."""
    table = Table()
    for i, name in enumerate(head):
        # Names stand in the first column, and are copied from there.
        table.add_column(name, overflow="fold", min_width=max([len(r[0]) for r in rows] + [0]) if i == 0 else None)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def write_verdicts(verdicts: list[Record]) -> None:
    """Print verdicts as a table."""
    if not verdicts:
        return
    rows = [
        [
            v["id"],
            v["answer"],
            *(("-" if v[k] is None else f"{v[k]:.3g}") for k in ("measured", "bound")),
            v["reason"],
        ]
        for v in verdicts
    ]
    write_table(["claim", "answer", "measured", "bound", "because"], rows)


def progress_bar(how: Progress, what: str = "searching") -> Any:
    """A bar on stderr for what takes long, or nothing."""
    if how is not Progress.bar:
        return nullcontext()
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    label = TextColumn("{task.description}" if what == "checking" else what)
    return Bar(label, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))


class Starts:
    """What a search calls with the number of starts done and to do."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.told = bar, time.monotonic()
        self.task = None if bar is None else bar.add_task("searching", total=None)

    def __call__(self, done: int, total: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total)
        elif time.monotonic() - self.told >= EVERY:
            self.told = time.monotonic()
            _LOG.info("%d of %d starts searched", done, total, extra={"flowlab": {"done": done, "total": total}})
