"""`flowlab sweep`: one specification at many values of its keys."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from flowlab.app.commands.flows import Spec
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
    write_table,
)
from flowlab.core.errors import LanguageError, SpecError
from flowlab.core.typing import Json

_NAMED = 20
"""Points that a terminal names one by one."""


def sweep(
    spec: Spec,
    out: Annotated[Path, typer.Option("--out", parser=output_path, metavar="PATH", help="Folder for the points.")],
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--over",
            metavar="KEY=VALUES",
            help="A key and its values: start.seed=0:100, network.widths.W1=8,16,32; by default what the folder has.",
        ),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", help="Processes; by default one per core.")] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, such as tcp://node:8786.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", help="The most points that a worker is given at once.")] = 16,
    retry: Annotated[str | None, typer.Option("--retry", metavar="failed", help="Try failed points again.")] = None,
    only_status: Annotated[bool, typer.Option("--status", help="Count points by outcome, and run nothing.")] = False,
    shown: Shown = Progress.auto,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run a specification at all combinations of values of its keys; the same command goes on after a kill."""
    from flowlab.app.sweep.grid import parsed
    from flowlab.app.sweep.records import RESULT, Folder

    if retry not in (None, "failed"):
        raise LanguageError(f"`--retry` must be failed, got {retry!r}; pass --retry failed.")
    folder = Folder(out.resolve())
    values = parsed(over) if over else _swept(folder.plan())
    float64()
    from flowlab.app.sweep.drive import Asked, status
    from flowlab.app.sweep.drive import sweep as run

    answers: set[str] = set()
    if not only_status:
        with progress(shown, quiet):
            made = run(spec, values, out=out, jobs=jobs, scheduler=scheduler, batch=batch, retry=retry is not None)
        answers = set(made.dataset["answer"].values.flat) if "answer" in made.dataset else set()
    found = status(Asked.of(spec, values).grid, folder)
    if as_json:
        to_stdout_json({"points": found.counts, "failures": found.failures, "short": found.short})
    else:
        write_table(["outcome", "points"], [[kind, str(count)] for kind, count in sorted(found.counts.items())])
        lines = [f"{point} failed: {why}" for point, why in found.failures.items()]
        lines += [f"{point} {why}" for point, why in found.short.items()]
        for line in lines[:_NAMED]:
            to_stdout(line)
        if len(lines) > _NAMED:
            to_stdout(f"and {len(lines) - _NAMED} more; --json has all")
    if only_status:
        return
    if not as_json:
        to_stdout(f"written to {out / RESULT}")
    if "refuted" in answers:
        raise typer.Exit(REFUTED)
    if found.counts.keys() - {"done", "event"}:
        raise typer.Exit(GAVE_UP)


def _swept(plan: Mapping[str, Mapping[str, Sequence[Json]]] | None) -> Mapping[str, Sequence[Json]]:
    """What a folder says is swept in it."""
    if plan is None:
        raise SpecError("`--over` must be given for a new sweep, got none; pass for example --over start.seed=0:100.")
    return plan["over"]
