"""What every command does with its process and terminal: float64, output, progress bars and exit codes."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Record

DONE, REFUTED, BAD_INPUT, GAVE_UP, DEFECT, INTERRUPTED = 0, 1, 2, 3, 70, 130


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


def to_stderr(text: str) -> None:
    """Print one line of a message."""
    sys.stderr.write(f"flowlab: {text}\n")


def write_verdicts(verdicts: list[Record]) -> None:
    """Print verdicts as a table."""
    table = Table("claim", "answer", "measured", "bound", "because")
    for v in verdicts:
        table.add_row(
            v["id"],
            v["answer"],
            *(("-" if v[k] is None else f"{v[k]:.3g}") for k in ("measured", "bound")),
            v["reason"],
        )
    Console().print(table)


def progress_bar(quiet: bool, what: str = "searching") -> Any:
    """A bar on stderr for what takes long, or nothing where no one looks."""
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    label = TextColumn("{task.description}" if what == "checking" else what)
    return Progress(label, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def starts_done(bar: Any) -> Any:
    """What a search calls with the number of starts done and to do."""
    if bar is None:
        return None
    task = bar.add_task("searching", total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)
