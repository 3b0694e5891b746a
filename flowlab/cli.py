"""The command line: parses, calls, prints. Heavy imports happen inside the verbs."""

import gc
import io
import json
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flowlab.app.words import load_words
from flowlab.core.errors import FlowlabError, LanguageError, sentence
from flowlab.core.seeds import checked_seed

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Flows of norms and directions of homogeneous networks: derived, integrated, checked.",
)
_state = {"debug": False}
# The package click, or typer's own copy of it, by its version.
_UsageError: Any = typer.BadParameter.__mro__[1]

DONE, REFUTED, BAD_INPUT, GAVE_UP, DEFECT, INTERRUPTED = 0, 1, 2, 3, 70, 130


def _float64() -> None:
    """A process of our own: float64, and compiled programs kept for the next one."""
    import jax

    from flowlab.app.compile_cache import keep_compiled

    jax.config.update("jax_enable_x64", True)
    keep_compiled()


def _folder(text: str) -> Path:
    """A path from the command line; an empty one would be the current folder."""
    if not text:
        raise LanguageError("`--out` must be a path, got an empty text; name a folder or file, or `.` for the current folder.")
    return Path(text)


def _print(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def _say(text: str) -> None:
    sys.stderr.write(f"flowlab: {text}\n")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    words: Annotated[list[Path] | None, typer.Option("--words", help="A Python file of words of your own.")] = None,
) -> None:
    _state["debug"] = debug
    for file in words or []:
        load_words(file)


@app.command()
def derive(
    expression: Annotated[str, typer.Argument(help="A network, such as 'W2 @ relu(W1 @ x)'.")],
    loss: Annotated[str, typer.Option()] = "exponential",
    scheme: Annotated[str, typer.Option()] = "gradient_flow",
    per: Annotated[str, typer.Option(help="layer, neuron or network")] = "layer",
    coordinates: Annotated[str, typer.Option(help="polar or weights")] = "polar",
    reduction: Annotated[str, typer.Option(help="sum or mean")] = "sum",
    decay: Annotated[float, typer.Option(help="coefficient of |W|^2 for every block")] = 0.0,
    depth: Annotated[str | None, typer.Option(help="structural (the default), matrix or component; of text and latex, as json holds all")] = None,
    form: Annotated[str, typer.Option("--format", help="text, latex or json")] = "text",
) -> None:
    """Derive the flow equations of a network and print them."""
    if form not in ("text", "latex", "json"):
        raise LanguageError(f"`--format {form}` is not known; use text, latex or json.")
    if form == "json" and depth is not None:
        raise LanguageError(f"`--depth {depth}` is for text and latex; json holds the equations that every depth is made of, so drop one of the two options.")
    depth = depth or "structural"
    _float64()
    from flowlab.language.problem import Problem
    from flowlab.symbolic.derive import derive as derive_flow

    flow = derive_flow(Problem(expression, loss, scheme, per=per, coordinates=coordinates, reduction=reduction, decay=decay))
    _print(flow.to_json() if form == "json" else flow.latex(depth, standalone=True) if form == "latex" else flow.text(depth))


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="A TOML specification.")],
    out: Annotated[Path, typer.Option("--out", parser=_folder, metavar="PATH", help="Folder for the results.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that the folder holds; with none there, begin.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Discard the unfinished run that the folder holds.")] = False,
) -> None:
    """Derive, integrate, witness, check and draw what a specification asks for."""
    from flowlab.app.spec import read_spec

    read_spec(spec)
    _float64()
    from flowlab.app.run import run as run_spec

    summary = run_spec(spec, out, progress=not quiet and sys.stderr.isatty(), say=(lambda _: None) if quiet else _say, resume=resume, restart=restart)
    _print_summary(summary, out)
    if any(v["answer"] == "refuted" for v in summary["verdicts"]):
        raise typer.Exit(REFUTED)
    # A refutation is a result; it stands before what the numerics could not reach.
    if any(ended["kind"] not in ("done", "event") for ended in _endings(summary).values()):
        raise typer.Exit(GAVE_UP)


def _endings(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """How the flow ended, and its witness where there was one."""
    walk = summary["witness"]
    return {"flow": summary["outcome"]} | ({} if walk is None else {"witness": {"kind": walk["outcome"], "message": walk["message"]}})


def _print_summary(summary: dict[str, Any], out: Path) -> None:
    def shown(value: float | None) -> str:
        return "none" if value is None else f"{value:.6g}"

    for who, ended in _endings(summary).items():
        _print(f"{'' if who == 'flow' else 'witness '}{ended['kind']}: {ended['message']}")
    rho = "  ".join(f"{k}={v:.6g}" for k, v in list(summary["rho"].items())[:8])
    numbers = "   ".join(f"{key.replace('_', ' ')} {shown(summary[key])}" for key in ("log_t", "log_loss", "min_margin"))
    _print(f"{numbers}   rho {rho}")
    _print_verdicts(summary["verdicts"])
    for name, seen in summary["monitors"].items():
        if not seen["holds"]:
            _print(f"monitor {name} is off: {seen['what']} is {seen['worst']:.3g}, above {seen['bound']:.3g}")
    if summary["outcome"]["kind"] == "budget":
        _print("the flow can be taken up where it stopped: the same command with --resume")
    _print(f"written to {out}")


def _print_verdicts(verdicts: list[dict[str, Any]]) -> None:
    table = Table("claim", "answer", "measured", "bound", "because")
    for v in verdicts:
        table.add_row(v["id"], v["answer"], *(("-" if v[k] is None else f"{v[k]:.3g}") for k in ("measured", "bound")), v["reason"])
    Console().print(table)


def _searching(quiet: bool, what: str = "searching") -> Any:
    """A bar on stderr for what takes long, or nothing where no one looks."""
    if quiet or not sys.stderr.isatty():
        from contextlib import nullcontext

        return nullcontext()
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    label = TextColumn("{task.description}" if what == "checking" else what)
    return Progress(label, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def _shown(bar: Any) -> Any:
    """What a search calls with the number of starts done and to do."""
    if bar is None:
        return None
    task = bar.add_task("searching", total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


@app.command()
def critical(
    spec: Annotated[Path, typer.Argument(help="A TOML specification: its network, problem and data.")],
    out: Annotated[Path, typer.Option("--out", parser=_folder, metavar="PATH", help="Folder for the results.")],
    norm: Annotated[float, typer.Option(help="R, the product of norms with degrees.")] = 50.0,
    starts: Annotated[int, typer.Option(help="Random starts.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the starts.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Critical points of the loss over unit directions at fixed norms: kinds, zero modes, which attract."""
    from flowlab.app.spec import read_spec

    checked_seed(seed)
    read_spec(spec)
    _float64()
    from flowlab.app.critical import critical as search

    with _searching(quiet) as bar:
        points = search(spec, out, norm=norm, starts=starts, seed=seed, progress=_shown(bar))
    _print(f"{points}\nwritten to {out}")


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: Annotated[str | None, typer.Option("--data", help="The data of the run, where its specification names a file.")] = None,
    starts: Annotated[int, typer.Option(help="Random starts of the search for critical points.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the starts.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Where a stored run ended, against the critical points at its last norms."""
    checked_seed(seed)
    _float64()
    from flowlab.app.critical import compare as against

    with _searching(quiet) as bar:
        found = against(folder, source=data, starts=starts, seed=seed, progress=_shown(bar))
    _print(f"{found}\nwritten to {folder}")


@app.command()
def verify(
    words: Annotated[list[str] | None, typer.Argument(metavar="[ID|FILE.py|VERDICT.json]...", help="Claims, files that define some, stored verdicts.")] = None,
    pack: Annotated[str | None, typer.Option(help="A pack such as poggio2020 (the default without ids), or all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what takes long; says which.")] = False,
    out: Annotated[Path | None, typer.Option(
        "--out", parser=_folder, metavar="PATH", help="Folder for verdicts, trajectories, summary.json and report.html.",
    )] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print verdicts as JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of instances and states.")] = 0,
    jobs: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Check claims on their own seeded instances, or stored verdicts again."""
    from flowlab.app import verify as work

    checked_seed(seed)
    stored = [word for word in words or [] if word.endswith(".json")]
    if stored:
        files = [word for word in words or [] if word.endswith(".py")]
        if len(stored) + len(files) < len(words or []) or pack is not None or quick:
            raise LanguageError(
                f"`{stored[0]}` is checked again as it is; give stored verdicts and the files of their claims, without ids, `--pack` or `--quick`."
            )
        _float64()
        _replayed(stored, files)
        return
    chosen = work.select(words or [], pack, quick)
    _float64()
    with _searching(quiet or as_json, "checking") as bar:
        step = None if bar is None else bar.add_task("checking", total=len(chosen.ids))

        def seen(verdict: Any) -> None:
            if bar is not None:
                bar.update(step, advance=1, description=f"{verdict.id} {verdict.answer}")
            elif not (quiet or as_json):
                _say(f"{verdict.id} {verdict.answer}")

        verdicts = work.verify(chosen, seed=seed, jobs=jobs, out=out, seen=seen)
    told = [v.to_dict() for v in verdicts]
    if as_json:
        _print(json.dumps(told, indent=1, sort_keys=True))
    else:
        _print_verdicts(told)
        if chosen.left_out:
            _print(f"left out of the quick tier: {', '.join(chosen.left_out)}")
    if out is not None:
        page = work.write(out, verdicts, chosen, seed)
        if not as_json:
            _print(f"written to {page}")
    if any(v.answer == "refuted" for v in verdicts):
        raise typer.Exit(REFUTED)


def _replayed(stored: list[str], files: list[str]) -> None:
    """Stored verdicts beside what the same check says now; a difference has an exit code of its own."""
    from flowlab.claims import Verdict, replay

    differs = False
    for name in stored:
        old = Verdict.load(name)
        # A file of claims belongs to the verdicts that record it; the library's verdicts need none.
        new = replay(old, *(files if "origin" in old.evidence else ()))
        same = old.to_json() == new.to_json()
        differs |= not same
        _print(f"{new}\n  {'the same bytes as stored' if same else f'stored was: {old}'}")
    if differs:
        raise typer.Exit(REFUTED)


@app.command()
def figure(
    name: Annotated[str, typer.Argument(help="A figure id; `flowlab list figures` shows them.")],
    out: Annotated[Path, typer.Option(
        "--out", parser=_folder, metavar="PATH", help="Picture to write: .pdf, .svg, .png or .pgf; numbers and provenance go beside it.",
    )],
    source: Annotated[list[Path] | None, typer.Option("--from", help="Folder of a run or of other results, or one stored result; may be given again.")] = None,
) -> None:
    """Draw a figure from stored results; nothing is computed anew."""
    from flowlab.figures import draw, figures, load_library

    load_library()
    picture = figures[name]
    _float64()
    from flowlab.studies.storage import results

    _print(f"written to {draw(name, *results(source or [Path()], of=picture.of)).save(out)}")


def _networks() -> dict[str, str]:
    return {
        "W1 @ x": "linear", "W2 @ relu(W1 @ x)": "two-layer ReLU", "W3 @ W2 @ W1 @ x": "deep linear", "W3 @ relu(W2 @ relu(W1 @ x))": "three-layer ReLU",
        "a @ relu(W @ x)**2": "squared ReLU, degrees 2 and 1", "(w * w - u * u) @ x": "diagonal", "(W1 @ x) * (W2 @ x)": "gated, one output per row",
        "W2 @ relu(W1 @ x) + W3 @ x": "with a skip, quasi-homogeneous", "W2 @ tanh(W1 @ x)": "not homogeneous in W1",
    }  # fmt: skip


def _words(kind: str) -> dict[str, str]:
    """Names and one-line descriptions, without importing jax."""
    if kind == "networks":
        return _networks()
    if kind == "packs":
        from flowlab.app.verify import packs, paper

        return {name: f"{paper(name)} ({', '.join(ids)})" for name, ids in packs().items()}
    home = import_module(f"flowlab.{'' if kind in ('claims', 'figures') else 'language.'}{kind}")
    getattr(home, "load_library", lambda: None)()
    registry = getattr(home, kind)
    words = {name: registry[name] for name in registry}
    told = {name: getattr(word, "title", None) or (word.__doc__ or "").strip() for name, word in words.items()}
    return {name: text.split("\n")[0] for name, text in told.items()}


KINDS = ("networks", "activations", "losses", "schemes", "packs", "claims", "figures")


@app.command("list")
def list_words(kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}, or schema.")] = "") -> None:
    """List the words that can be used; `schema` prints the JSON schema of specifications."""
    if kind == "schema":
        from flowlab.app.spec import schema

        _print(json.dumps(schema(), indent=1))
        return
    if kind and kind not in KINDS:
        from flowlab.core.registry import nearest

        guess = nearest(kind, KINDS)
        raise LanguageError(f"`flowlab list {kind}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known: {', '.join(KINDS)}, schema.")
    for each in [kind] if kind else KINDS:
        table = Table(each, "what it is", title_justify="left")
        for name, told in _words(each).items():
            table.add_row(name, told)
        Console().print(table)


def _usage(error: Any) -> str:
    """What is wrong with the words of a command, as one sentence."""
    told = " ".join(error.format_message().split()).rstrip(".").replace(". Did you", "; did you")
    return sentence(told if told.endswith("?") else f"{told}; see `{error.ctx.command_path if error.ctx else 'flowlab'} --help`.")


def main(argv: list[str] | None = None) -> None:
    """Entry point: errors are one sentence on stderr and an exit code; tracebacks only with `--debug`."""
    # A short process that makes many long-lived objects: collecting them again and again, and once more at exit, costs seconds.
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
        _say(_usage(error))
        sys.exit(BAD_INPUT)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except FlowlabError as error:
        if _state["debug"]:
            traceback.print_exc()
        _say(str(error))
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(DONE)
    except Exception as error:
        if _state["debug"]:
            raise
        _say(f"a defect of flowlab, please report it: {type(error).__name__}: {' '.join(str(error).split())[:300]} (`--debug` shows where).")
        sys.exit(DEFECT)
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
