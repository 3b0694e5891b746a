"""`flowlab derive`, `flowlab init` and `flowlab run`: a flow from its network, and a whole run from a specification."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowlab.app.commands import completion
from flowlab.app.terminal import (
    GAVE_UP,
    REFUTED,
    AsJson,
    Progress,
    Quiet,
    Shown,
    float64,
    output_path,
    progress,
    to_stdout,
    to_stdout_json,
    write_verdicts,
)
from flowlab.core.errors import LanguageError, OutputError
from flowlab.core.files import writing
from flowlab.core.typing import Record

if TYPE_CHECKING:
    from flowlab.language.network import Network
    from flowlab.symbolic.equations import FlowEquations

Spec = Annotated[Path, typer.Argument(metavar="SPEC.toml", help="A specification; `flowlab init` writes one.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the specification, such as start.seed=3; may be given again.",
        autocompletion=completion.keys,
    ),
]


def derive(
    expression: Annotated[str, typer.Argument(metavar="NETWORK", help="Such as 'W2 @ relu(W1 @ x)'.")],
    loss: Annotated[
        str, typer.Option(help="See `flowlab list losses`.", autocompletion=completion.losses)
    ] = "exponential",
    scheme: Annotated[
        str, typer.Option(help="See `flowlab list schemes`.", autocompletion=completion.schemes)
    ] = "gradient_flow",
    per: Annotated[
        str, typer.Option(help="What has a norm: layer, neuron or network.", autocompletion=completion.groups)
    ] = "layer",
    coordinates: Annotated[str | None, typer.Option(help="polar or weights.")] = None,
    reduction: Annotated[str, typer.Option(help="sum or mean.")] = "sum",
    decay: Annotated[float, typer.Option(help="Coefficient of |W|^2 for every block.")] = 0.0,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="An input beside x, with its axes: X:t,d or X:3,8,8.")
    ] = None,
    constants: Annotated[
        list[str] | None, typer.Option("--constant", help="A block that no flow moves, by name or with axes.")
    ] = None,
    ascend: Annotated[list[str] | None, typer.Option("--ascend", help="A block that ascends the objective.")] = None,
    geometry: Annotated[
        list[str] | None, typer.Option("--geometry", help="The geometry of a block, such as p:simplex.")
    ] = None,
    parametrisation: Annotated[
        str | None, typer.Option(help="ntk, mean_field or mup.", autocompletion=completion.parametrisations)
    ] = None,
    depth: Annotated[
        str | None,
        typer.Option(help="structural (the default), matrix or component; of text and latex, as json holds all."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, latex or json.")] = "text",
    source: Annotated[
        str | None,
        typer.Option(
            metavar="LANGUAGE",
            help="Print the rates as a function in a language; see `flowlab list languages`.",
            autocompletion=completion.languages,
        ),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--size", metavar="NAME=N", help="With --source: d, samples, outputs, or rows of a block; else 2."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Derive the flow equations of a network and print them."""
    form = "json" if as_json and source is None else form
    _fits(depth, form, source, sizes or [])
    widths = dict(map(_size, sizes or []))
    depth = depth or "structural"
    float64()
    from flowlab.language.problem import Problem
    from flowlab.symbolic.derive import derive as derive_flow

    network = _network(expression, inputs or [], constants or [], parametrisation)
    problem = Problem(
        network,
        loss,
        scheme,
        per=per,
        coordinates=coordinates,
        reduction=reduction,
        decay=decay,
        ascend=ascend or [],
        geometry=dict(map(_space, geometry or [])),
    )
    flow = derive_flow(problem)
    if source is None:
        whole = flow.latex(depth, standalone=True) if form == "latex" else flow.text(depth) if form == "text" else ""
        to_stdout(whole or flow.to_json())
    else:
        _print_source(flow, source, widths, as_json)


def _fits(depth: str | None, form: str, source: str | None, sizes: list[str]) -> None:
    """Refuse options that do not go together, or have no such value."""
    if source is not None and (depth is not None or form != "text"):
        raise LanguageError(
            f"`--source {source}` must be used without --depth and --format, which are of equations; drop them."
        )
    if sizes and source is None:
        raise LanguageError(
            f"`--size {sizes[0]}` must be used with --source, got none; pass for example --source numpy."
        )
    if form not in ("text", "latex", "json"):
        raise LanguageError(f"`--format {form}` is not known; use text, latex or json.")
    if form == "json" and depth is not None:
        raise LanguageError(
            f"`--depth {depth}` is for text and latex; json holds the equations that every depth is made of, so drop"
            " one of the two options."
        )


def _network(expression: str, inputs: list[str], constants: list[str], parametrisation: str | None) -> "Network":
    from flowlab.language.network import Network

    return Network(
        expression,
        shapes={name: shape for name, shape in map(_leaf, [*inputs, *constants]) if shape},
        inputs=[_leaf(text)[0] for text in inputs],
        constants=[_leaf(text)[0] for text in constants],
        parametrisation=parametrisation,
    )


def _print_source(flow: "FlowEquations", source: str, widths: dict[str, int], as_json: bool) -> None:
    lengths = {name: widths.pop(name) for name in ("d", "samples", "outputs") if name in widths}
    text = flow.to_source(source, widths=widths, **lengths)
    if as_json:
        to_stdout_json({"language": source, "source": text})
    else:
        to_stdout(text)


def _size(text: str) -> tuple[str, int]:
    """The name and the number of `W1=8`."""
    name, equals, number = text.partition("=")
    if not (name and equals and number.isdecimal() and int(number)):
        raise LanguageError(f"`--size` must be a name and a number from 1 on, got {text!r}; write for example d=4.")
    return name, int(number)


def _space(text: str) -> tuple[str, str]:
    """The block and the geometry of `p:simplex`."""
    block, colon, word = text.partition(":")
    if not colon or not block or not word:
        raise LanguageError(
            f"`--geometry` must be a block and its geometry, got {text!r}; write for example p:simplex."
        )
    return block, word


def _leaf(text: str) -> tuple[str, tuple[int | str, ...]]:
    """The name and the axes of `X:t,8`; no axes where none are given."""
    name, _, axes = text.partition(":")
    return name, tuple(
        int(axis) if axis.strip().isdecimal() else axis.strip() for axis in axes.split(",") if axis.strip()
    )


def init(
    path: Annotated[Path, typer.Argument(metavar="[SPEC.toml]", help="Where to write it.")] = Path("spec.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented specification, with every key that there is."""
    from flowlab.app.template import specification

    if path.exists() and not force:
        raise OutputError(f"`{path}` exists; choose another name, or pass --force to replace it.")
    with writing(path):
        path.write_text(specification(path.name), encoding="utf-8")
    if as_json:
        to_stdout_json({"written": str(path)})
    else:
        to_stdout(f"written to {path}")


def run(
    spec: Spec,
    out: Annotated[Path, typer.Option("--out", parser=output_path, metavar="PATH", help="Folder for the results.")],
    changes: Changes = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that the folder holds; with none there, begin.")
    ] = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", help="Discard the run that the folder holds, unfinished or of another specification."
        ),
    ] = False,
    shown: Shown = Progress.auto,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Derive, integrate, witness, check and draw what a specification asks for."""
    from flowlab.app.spec import read_spec

    read_spec(spec, changes or [])
    float64()
    from flowlab.app.run import run as run_spec

    with progress(shown, quiet) as how:
        summary = run_spec(
            spec, out, progress=how is Progress.bar, resume=resume, restart=restart, changes=changes or []
        )
    if as_json:
        to_stdout((out / "summary.json").read_text(encoding="utf-8"))
    else:
        _print_summary(summary, out)
    if any(v["answer"] == "refuted" for v in summary["verdicts"]):
        raise typer.Exit(REFUTED)
    # A refutation is a result; it stands before what the numerics could not reach.
    if any(ended["kind"] not in ("done", "event") for ended in _endings(summary).values()):
        raise typer.Exit(GAVE_UP)


def _endings(summary: Record) -> dict[str, Record]:
    """How the flow ended, and its witness where there was one."""
    walk = summary["witness"]
    return {"flow": summary["outcome"]} | (
        {} if walk is None else {"witness": {"kind": walk["outcome"], "message": walk["message"]}}
    )


def _print_summary(summary: Record, out: Path) -> None:
    def shown(value: float | None) -> str:
        return "none" if value is None else f"{value:.6g}"

    for who, ended in _endings(summary).items():
        to_stdout(f"{'' if who == 'flow' else 'witness '}{ended['kind']}: {ended['message']}")
    rho = "  ".join(f"{k}={v:.6g}" for k, v in list(summary["rho"].items())[:8])
    numbers = "   ".join(
        f"{key.replace('_', ' ')} {shown(summary[key])}" for key in ("log_t", "log_loss", "min_margin")
    )
    to_stdout(f"{numbers}   rho {rho}")
    write_verdicts(summary["verdicts"])
    for name, seen in summary["monitors"].items():
        if not seen["holds"]:
            to_stdout(f"monitor {name} is off: {seen['what']} is {seen['worst']:.3g}, above {seen['bound']:.3g}")
    if summary["outcome"]["kind"] == "budget":
        to_stdout("the flow can be taken up where it stopped: the same command with --resume")
    to_stdout(f"written to {out}")
