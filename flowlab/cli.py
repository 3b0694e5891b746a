"""The command line: parses words, calls a command, turns errors into one sentence and an exit code."""

import gc
import io
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from flowlab.app.commands.critical_points import compare, critical
from flowlab.app.commands.flows import derive, run
from flowlab.app.commands.pictures import figure
from flowlab.app.commands.verdicts import verify
from flowlab.app.commands.vocabulary import list_words
from flowlab.app.terminal import BAD_INPUT, DEFECT, DONE, INTERRUPTED, to_stderr
from flowlab.app.words import load_words
from flowlab.core.errors import FlowlabError, sentence

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Flows of norms and directions of homogeneous networks: derived, integrated, checked.",
)
_state = {"debug": False}
# The package click, or typer's own copy of it, by its version.
_UsageError: Any = typer.BadParameter.__mro__[1]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    words: Annotated[list[Path] | None, typer.Option("--words", help="A Python file of words of your own.")] = None,
) -> None:
    _state["debug"] = debug
    for file in words or []:
        load_words(file)


for command in (derive, run, critical, compare, verify, figure):
    app.command()(command)
app.command("list")(list_words)


def _usage(error: Any) -> str:
    """What is wrong with the words of a command, as one sentence."""
    told = " ".join(error.format_message().split()).rstrip(".").replace(". Did you", "; did you")
    return sentence(
        told if told.endswith("?") else f"{told}; see `{error.ctx.command_path if error.ctx else 'flowlab'} --help`."
    )


def main(argv: list[str] | None = None) -> None:
    """Entry point: errors are one sentence on stderr and an exit code; tracebacks only with `--debug`."""
    # A short process that makes many long-lived objects: collecting them again and again, and once more at exit, costs
    # seconds.
    gc.set_threshold(200_000, 20, 20)
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe without UTF-8 gets escapes in place of the letters it lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if "--debug" in words:
        # Wherever it stands: it is typed after the command that has just failed.
        words = ["--debug", *(word for word in words if word != "--debug")]
    try:
        code = app(words or ["--help"], prog_name="flowlab", standalone_mode=False)
        sys.exit((code or DONE) if words else BAD_INPUT)
    except _UsageError as error:
        to_stderr(_usage(error))
        sys.exit(BAD_INPUT)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except FlowlabError as error:
        if _state["debug"]:
            traceback.print_exc()
        to_stderr(str(error))
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(DONE)
    except Exception as error:
        if _state["debug"]:
            raise
        to_stderr(
            f"a defect of flowlab, please report it: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            " (`--debug` shows where)."
        )
        sys.exit(DEFECT)
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
