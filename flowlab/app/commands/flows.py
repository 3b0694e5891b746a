"""`flowlab derive` and `flowlab run`: a flow from its network, and a whole run from its specification."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowlab.app.terminal import GAVE_UP, REFUTED, float64, output_path, to_stderr, to_stdout, write_verdicts
from flowlab.core.errors import LanguageError
from flowlab.core.typing import Record


def derive(
    expression: Annotated[str, typer.Argument(help="A network, such as 'W2 @ relu(W1 @ x)'.")],
    loss: Annotated[str, typer.Option()] = "exponential",
    scheme: Annotated[str, typer.Option()] = "gradient_flow",
    per: Annotated[str, typer.Option(help="layer, neuron or network")] = "layer",
    coordinates: Annotated[str, typer.Option(help="polar or weights")] = "polar",
    reduction: Annotated[str, typer.Option(help="sum or mean")] = "sum",
    decay: Annotated[float, typer.Option(help="coefficient of |W|^2 for every block")] = 0.0,
    depth: Annotated[
        str | None,
        typer.Option(help="structural (the default), matrix or component; of text and latex, as json holds all"),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, latex or json")] = "text",
) -> None:
    """Derive the flow equations of a network and print them."""
    if form not in ("text", "latex", "json"):
        raise LanguageError(f"`--format {form}` is not known; use text, latex or json.")
    if form == "json" and depth is not None:
        raise LanguageError(
            f"`--depth {depth}` is for text and latex; json holds the equations that every depth is made of, so drop"
            " one of the two options."
        )
    depth = depth or "structural"
    float64()
    from flowlab.language.problem import Problem
    from flowlab.symbolic.derive import derive as derive_flow

    flow = derive_flow(
        Problem(expression, loss, scheme, per=per, coordinates=coordinates, reduction=reduction, decay=decay)
    )
    to_stdout(
        flow.to_json()
        if form == "json"
        else flow.latex(depth, standalone=True)
        if form == "latex"
        else flow.text(depth)
    )


def run(
    spec: Annotated[Path, typer.Argument(help="A TOML specification.")],
    out: Annotated[Path, typer.Option("--out", parser=output_path, metavar="PATH", help="Folder for the results.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that the folder holds; with none there, begin.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard the unfinished run that the folder holds.")
    ] = False,
) -> None:
    """Derive, integrate, witness, check and draw what a specification asks for."""
    from flowlab.app.spec import read_spec

    read_spec(spec)
    float64()
    from flowlab.app.run import run as run_spec

    summary = run_spec(
        spec,
        out,
        progress=not quiet and sys.stderr.isatty(),
        say=(lambda _: None) if quiet else to_stderr,
        resume=resume,
        restart=restart,
    )
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
