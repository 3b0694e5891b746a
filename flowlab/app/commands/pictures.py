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
            help="Picture to write: .pdf, .svg, .png or .pgf, with numbers and provenance beside it; .gif or .mp4 for a"
            " film.",
        ),
    ],
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Folder of a run or of other results, or one stored result; may be given again."),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(help="Of the page: inches, or a journal such as pnas, nature-2, neurips."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="What the legend calls a result, one for each --from; may be given again."),
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="A style file of matplotlib or the name of a style, on top of the house's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a figure from stored results, or make a film of it; nothing is computed."""
    from flowlab.figures import animate, draw, figures, load_library
    from flowlab.figures.animation import FORMATS

    load_library()
    picture = figures[name]
    float64()
    from flowlab.studies.storage import results

    made = animate if out.suffix in FORMATS else draw
    found = results(source or [Path()], of=picture.of)
    written = made(name, *found, width=_inches(width), label=label or None, style=style).save(out)
    if as_json:
        to_stdout_json({"figure": name, "written": str(written)})
    else:
        to_stdout(f"written to {written}")


def _inches(width: str | None) -> str | float | None:
    """A width as it was typed: a number where it is one, else a name."""
    try:
        return None if width is None else float(width)
    except ValueError:
        return width
