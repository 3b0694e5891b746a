"""`flowlab critical` and `flowlab compare`: critical points of a specification, and where a run ended among them."""

from pathlib import Path
from typing import Annotated

import typer

from flowlab.app.terminal import float64, output_path, progress_bar, starts_done, to_stdout
from flowlab.core.seeds import checked_seed


def critical(
    spec: Annotated[Path, typer.Argument(help="A TOML specification: its network, problem and data.")],
    out: Annotated[Path, typer.Option("--out", parser=output_path, metavar="PATH", help="Folder for the results.")],
    norm: Annotated[float, typer.Option(help="R, the product of norms with degrees.")] = 50.0,
    starts: Annotated[int, typer.Option(help="Random starts.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the starts.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Critical points of the loss over unit directions at fixed norms: kinds, zero modes, which attract."""
    from flowlab.app.spec import read_spec

    checked_seed(seed)
    read_spec(spec)
    float64()
    from flowlab.app.critical import critical as search

    with progress_bar(quiet) as bar:
        points = search(spec, out, norm=norm, starts=starts, seed=seed, progress=starts_done(bar))
    to_stdout(f"{points}\nwritten to {out}")


def compare(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: Annotated[
        str | None, typer.Option("--data", help="The data of the run, where its specification names a file.")
    ] = None,
    starts: Annotated[int, typer.Option(help="Random starts of the search for critical points.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the starts.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Where a stored run ended, against the critical points at its last norms."""
    checked_seed(seed)
    float64()
    from flowlab.app.critical import compare as against

    with progress_bar(quiet) as bar:
        found = against(folder, source=data, starts=starts, seed=seed, progress=starts_done(bar))
    to_stdout(f"{found}\nwritten to {folder}")
