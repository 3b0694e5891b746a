"""The command line: parses words, calls a command, turns errors into one sentence and an exit code."""

import gc
import io
import re
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from flowlab import __version__
from flowlab.app.commands.critical_points import compare, critical
from flowlab.app.commands.flows import derive, init, run
from flowlab.app.commands.pictures import figure
from flowlab.app.commands.sweeps import sweep
from flowlab.app.commands.verdicts import verify
from flowlab.app.commands.vocabulary import list_words
from flowlab.app.terminal import BAD_INPUT, DEFECT, DONE, INTERRUPTED, to_stderr, to_stdout
from flowlab.app.words import load_words
from flowlab.core.errors import FlowlabError, sentence

COMMANDS = (
    (
        derive,
        (
            "flowlab derive 'W2 @ relu(W1 @ x)'",
            "flowlab derive 'W1 @ x' --loss logistic --depth matrix --format latex",
            "flowlab derive 'p @ (A @ q)' --loss value --constant A --geometry p:simplex",
            "flowlab derive 'W2 @ relu(W1 @ x)' --source c --size d=4 --size W1=8",
        ),
    ),
    (init, ("flowlab init", "flowlab init study/relu.toml")),
    (
        run,
        (
            "flowlab run spec.toml --out out",
            "flowlab run spec.toml --out out-3 --set start.seed=3",
            "flowlab run spec.toml --out out --resume --progress plain",
        ),
    ),
    (
        sweep,
        (
            "flowlab sweep spec.toml --out seeds --over start.seed=0:100",
            "flowlab sweep spec.toml --out seeds --scheduler tcp://node:8786",
            "flowlab sweep spec.toml --out seeds --status",
            "flowlab sweep spec.toml --out seeds --retry failed",
        ),
    ),
    (critical, ("flowlab critical spec.toml --out points --norm 50 --starts 64",)),
    (compare, ("flowlab compare out", "flowlab compare out --data own.csv")),
    (
        verify,
        (
            "flowlab verify P1 P2",
            "flowlab verify --pack poggio2020 --quick --out verdicts",
            "flowlab verify verdicts/verdicts/P1.json",
        ),
    ),
    (
        figure,
        (
            "flowlab figure margin --from out --out margin.pdf",
            "flowlab figure schemes --from out-1 --from out-2 --out schemes.pdf",
        ),
    ),
    (list_words, ("flowlab list", "flowlab list losses", "flowlab list schema > flowlab.schema.json")),
)
"""What the command line can do, each with examples."""


def _examples(lines: Sequence[str]) -> str:
    # The mark keeps lines as they are.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Flows of norms and directions of homogeneous networks: derived, integrated, checked.",
    epilog=_examples([lines[0] for _, lines in COMMANDS]),
)
_state = {"debug": False}
# The package click, or typer's own copy of it, by its version.
_UsageError: Any = typer.BadParameter.__mro__[1]
_NO_NUMBER = re.compile(r"Invalid value for '(--[\w-]+)': Input should be a valid (\w+)")


def _tell_version(asked: bool) -> None:
    if asked:
        to_stdout(f"flowlab {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    words: Annotated[
        list[Path] | None, typer.Option("--words", metavar="FILE.py", help="A Python file of words of your own.")
    ] = None,
) -> None:
    _state["debug"] = debug
    for file in words or []:
        load_words(file)


for command, examples in COMMANDS:
    # The whole sentence: what is left to choose a short help cuts it after 45 characters.
    name, told = command.__name__.removesuffix("_words"), str(command.__doc__)
    app.command(name, short_help=told.split("\n")[0], epilog=_examples(examples))(command)


def _usage(error: Any, words: Sequence[str]) -> str:
    """What is wrong with the words of a command, as one sentence."""
    told = " ".join(error.format_message().split()).rstrip(".").replace(". Did you", "; did you")
    kind = _NO_NUMBER.match(told)
    if kind is not None:
        option, what = kind[1], {"integer": "an integer", "number": "a number"}.get(kind[2], kind[2])
        told = f"`{option}` must be {what}, got `{_given(option, words)}`"
    return sentence(
        told if told.endswith("?") else f"{told}; see `{error.ctx.command_path if error.ctx else 'flowlab'} --help`."
    )


def _given(option: str, words: Sequence[str]) -> str:
    """What stands behind an option: its last value is the one that counts."""
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    apart = [value for word, value in pairwise(words) if word == option]
    return (apart or joined or [""])[-1]


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
        to_stderr(_usage(error, words))
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
