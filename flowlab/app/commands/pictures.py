"""`flowlab figure`: a picture of stored results."""

from pathlib import Path
from typing import Annotated

import typer

from flowlab.app.terminal import float64, output_path, to_stdout


def figure(
    name: Annotated[str, typer.Argument(help="A figure id; `flowlab list figures` shows them.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            parser=output_path,
            metavar="PATH",
            help="Picture to write: .pdf, .svg, .png or .pgf; numbers and provenance go beside it.",
        ),
    ],
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Folder of a run or of other results, or one stored result; may be given again."),
    ] = None,
) -> None:
    """Draw a figure from stored results; nothing is computed."""
    from flowlab.figures import draw, figures, load_library

    load_library()
    picture = figures[name]
    float64()
    from flowlab.studies.storage import results

    to_stdout(f"written to {draw(name, *results(source or [Path()], of=picture.of)).save(out)}")
