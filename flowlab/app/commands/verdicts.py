"""`flowlab verify`: claims on their own instances, and stored verdicts checked again."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowlab.app.commands import completion
from flowlab.app.terminal import (
    REFUTED,
    AsJson,
    Progress,
    Quiet,
    Shown,
    float64,
    output_path,
    progress,
    progress_bar,
    to_stdout,
    to_stdout_json,
    write_verdicts,
)
from flowlab.core.errors import LanguageError
from flowlab.core.seeds import checked_seed

if TYPE_CHECKING:
    from flowlab.claims.verdict import Verdict

_LOG = logging.getLogger(__name__)


def verify(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID|FILE.py|VERDICT.json]...",
            help="Claims, files that define some, stored verdicts.",
            autocompletion=completion.claims,
        ),
    ] = None,
    pack: Annotated[
        str | None,
        typer.Option(
            help="A pack such as poggio2020 (the default without ids), or all.", autocompletion=completion.packs
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what takes long; says which.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=output_path,
            metavar="PATH",
            help="Folder for verdicts, trajectories, summary.json and report.html.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of instances and states.")] = 0,
    jobs: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
    shown: Shown = Progress.auto,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check claims on their own seeded instances, or stored verdicts again."""
    from flowlab.app import verify as work

    checked_seed(seed)
    stored = [word for word in words or [] if word.endswith(".json")]
    if stored:
        files = [word for word in words or [] if word.endswith(".py")]
        if len(stored) + len(files) < len(words or []) or pack is not None or quick:
            raise LanguageError(
                f"`{stored[0]}` is checked again as it is; pass stored verdicts and the files of their claims, without"
                " ids, `--pack` or `--quick`."
            )
        float64()
        _replayed(stored, files, as_json)
        return
    chosen = work.select(words or [], pack, quick)
    float64()
    with progress(shown, quiet or as_json) as how, progress_bar(how, "checking") as bar:
        step = None if bar is None else bar.add_task("checking", total=len(chosen.ids))

        def seen(verdict: "Verdict") -> None:
            if bar is not None:
                bar.update(step, advance=1, description=f"{verdict.id} {verdict.answer}")
            else:
                answer = {"id": verdict.id, "answer": verdict.answer}
                _LOG.info("%s %s", verdict.id, verdict.answer, extra={"flowlab": answer})

        verdicts = work.verify(chosen, seed=seed, jobs=jobs, out=out, seen=seen)
    told = [v.to_dict() for v in verdicts]
    if as_json:
        to_stdout_json(told)
    else:
        write_verdicts(told)
        if chosen.left_out:
            to_stdout(f"left out of the quick tier: {', '.join(chosen.left_out)}")
    if out is not None:
        page = work.write(out, verdicts, chosen, seed)
        if not as_json:
            to_stdout(f"written to {page}")
    if any(v.answer == "refuted" for v in verdicts):
        raise typer.Exit(REFUTED)


def _replayed(stored: list[str], files: list[str], as_json: bool) -> None:
    """Stored verdicts beside what the same check says now; a difference has an exit code of its own."""
    from flowlab.claims import Verdict, replay

    told = []
    for name in stored:
        old = Verdict.load(name)
        # A file of claims belongs to the verdicts that record it; the library's verdicts need none.
        new = replay(old, *(files if "origin" in old.evidence else ()))
        same = old.to_json() == new.to_json()
        told.append({"file": name, "same": same, "stored": old.to_dict(), "now": new.to_dict()})
        if not as_json:
            to_stdout(f"{new}\n  {'the same bytes as stored' if same else f'stored was: {old}'}")
    if as_json:
        to_stdout_json(told)
    if not all(each["same"] for each in told):
        raise typer.Exit(REFUTED)
