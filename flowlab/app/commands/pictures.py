"""`flowlab figure`: a picture of stored results."""

from pathlib import Path
from typing import Annotated

import typer

from flowlab.app.commands import completion
from flowlab.app.terminal import AsJson, float64, output_path, to_stdout, to_stdout_json


def figure(
    name: Annotated[
        str,
        typer.Argument(metavar="FIGURE", help="`flowlab list figures` shows them.", autocompletion=completion.figures),
    ],
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
    as_json: AsJson = False,
) -> None:
    """Draw a figure from stored results; nothing is computed."""
    from flowlab.figures import draw, figures, load_library

    load_library()
    picture = figures[name]
    float64()
    from flowlab.studies.storage import results

    written = draw(name, *results(source or [Path()], of=picture.of)).save(out)
    if as_json:
        to_stdout_json({"figure": name, "written": str(written)})
    else:
        to_stdout(f"written to {written}")
