"""`flowlab critical` and `flowlab compare`: critical points of a specification, and where a run ended among them."""

from pathlib import Path
from typing import Annotated

import typer

from flowlab.app.commands.flows import Changes, Spec
from flowlab.app.terminal import (
    AsJson,
    Progress,
    Quiet,
    Shown,
    Starts,
    float64,
    output_path,
    progress,
    progress_bar,
    to_stdout,
)
from flowlab.core.seeds import checked_seed


def critical(
    spec: Spec,
    out: Annotated[Path, typer.Option("--out", parser=output_path, metavar="PATH", help="Folder for the results.")],
    norm: Annotated[float, typer.Option(help="R, the product of norms with degrees.")] = 50.0,
    starts: Annotated[int, typer.Option(help="Random starts.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the starts.")] = 0,
    changes: Changes = None,
    shown: Shown = Progress.auto,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Critical points of the loss over unit directions at fixed norms: kinds, zero modes, which attract."""
    from flowlab.app.spec import read_spec

    checked_seed(seed)
    read_spec(spec, changes or [])
    float64()
    from flowlab.app.critical import critical as search

    with progress(shown, quiet) as how, progress_bar(how) as bar:
        points = search(spec, out, norm=norm, starts=starts, seed=seed, progress=Starts(bar), changes=changes or [])
    _tell(str(points), out, "critical.json", as_json)


def compare(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a run.")],
    data: Annotated[
        str | None, typer.Option("--data", help="The data of the run, where its specification names a file.")
    ] = None,
    starts: Annotated[int, typer.Option(help="Random starts of the search for critical points.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the starts.")] = 0,
    shown: Shown = Progress.auto,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Where a stored run ended, against the critical points at its last norms."""
    checked_seed(seed)
    float64()
    from flowlab.app.critical import compare as against

    with progress(shown, quiet) as how, progress_bar(how) as bar:
        found = against(folder, source=data, starts=starts, seed=seed, progress=Starts(bar))
    _tell(str(found), folder, "compare.json", as_json)


def _tell(found: str, folder: Path, file: str, as_json: bool) -> None:
    """Print what was found, or the record of it that was written."""
    to_stdout((folder / file).read_text(encoding="utf-8") if as_json else f"{found}\nwritten to {folder}")
