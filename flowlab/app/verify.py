"""`flowlab verify`: which claims, in how many processes, and what is written of them."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from flowlab.app.words import load_words, loaded
from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, checked, claims
from flowlab.claims.manifest import PACKAGE, packs
from flowlab.claims.replay import load_file
from flowlab.claims.verdict import Verdict
from flowlab.core.arguments import must_be
from flowlab.core.errors import LanguageError
from flowlab.core.files import file_name, open_folder, writing
from flowlab.core.registry import nearest
from flowlab.core.typing import Record

ALL = "all"


@dataclass(frozen=True)
class Selection:
    """What is to be checked.

    Attributes:
        ids: claims, in the order of their packs and numbers.
        left_out: claims of the same packs that the quick tier leaves out.
        files: users' files that define some of them.
    """

    ids: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def pack_of(word: type[Claim]) -> str:
    """The pack of a claim: the paper of the library, or the user's file."""
    name = word.__module__
    if name.startswith(f"{PACKAGE}."):
        return name.removeprefix(f"{PACKAGE}.").split(".")[0]
    return Path((word.origin() or {"file": name})["file"]).stem


def paper(pack: str) -> str:
    """What a pack of the library says of itself: the paper it follows."""
    return " ".join((import_module(f"{PACKAGE}.{pack}").__doc__ or "").split()).rstrip(".")


def select(words: Sequence[str], pack: str | None, quick: bool) -> Selection:
    """The claims that ids, files and a pack name stand for.

    Args:
        words: ids of claims, and files that end in .py and define some.
        pack: the name of a pack, or "all"; with neither words nor pack it is poggio2020.
        quick: whether claims that take long are left out.

    Raises:
        UnknownName, ClaimError, LanguageError: for what is not known.
    """
    known = packs()
    ids: list[str] = []
    files: list[str] = []
    for word in words:
        if word.endswith(".py"):
            ids += load_file(word)
            files.append(word)
        else:
            claims[word]
            ids.append(word)
    if pack is not None or not words:
        pack = pack or "poggio2020"
        if pack != ALL and pack not in known:
            guess = nearest(pack, list(known))
            raise LanguageError(
                f"`--pack {pack}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known:"
                f" {', '.join(known)}, {ALL}."
            )
        ids += [name for each in (known if pack == ALL else [pack]) for name in known[each]]
    ids = list(dict.fromkeys(ids))
    slow = tuple(name for name in ids if not claims[name].quick) if quick else ()
    return Selection(tuple(name for name in ids if name not in slow), slow, tuple(files))


def verify(
    selection: Selection,
    *,
    seed: int = 0,
    jobs: int | None = None,
    out: Path | None = None,
    seen: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Check claims on their own instances; every verdict is written as soon as it is there.

    Args:
        selection: which.
        seed: of the instances.
        jobs: how many processes; by default one for up to three claims, and one per core for more.
        out: folder for `verdicts/ID.json` and the trajectories behind them, `records/ID/*.nc`; it is made if need be.
        seen: called with every verdict, in the order in which they come.

    Returns:
        The verdicts in the order of the selection.

    Raises:
        OutputError: if the folder cannot be written; LanguageError: for a number of jobs that is none.
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise must_be("jobs", jobs, "an integer from 1 on", "for example 2")
    if out is not None:
        open_folder(out, "--out ")
        with writing(out, "--out "):
            (out / "verdicts").mkdir(parents=True, exist_ok=True)
    if jobs is None:
        jobs = 1 if len(selection.ids) < 4 else min(os.cpu_count() or 1, 4)
    told: dict[str, Verdict] = {}
    work = _here(selection, seed, out) if jobs == 1 else _elsewhere(selection, seed, out, jobs)
    for verdict in work:
        told[verdict.id] = verdict
        if seen is not None:
            seen(verdict)
    return [told[name] for name in selection.ids]


def _here(selection: Selection, seed: int, out: Path | None) -> Iterator[Verdict]:
    case = Case(seed=seed)
    for name in selection.ids:
        yield _one(name, case, out)


def _elsewhere(selection: Selection, seed: int, out: Path | None, jobs: int) -> Iterator[Verdict]:
    # Fresh interpreters: a fork of a process whose jax has started its threads may hang.
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, fresh, initializer=_begin, initargs=(loaded(), selection.files, seed))
    # Long ones first, so that no process is left alone with one at the end; neighbours share instances.
    order = sorted(selection.ids, key=lambda name: claims[name].quick)
    with pool:
        waiting = [pool.submit(_remote, name, out) for name in order]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            for each in waiting:
                each.cancel()


_CASE: list[Case] = []


def _begin(words: tuple[Path, ...], files: tuple[str, ...], seed: int) -> None:
    """What a process does first: float64, the user's words and files."""
    import jax

    from flowlab.app.compile_cache import keep_compiled

    jax.config.update("jax_enable_x64", True)
    keep_compiled()
    for file in words:
        load_words(file)
    for file in files:
        load_file(file)
    _CASE[:] = [Case(seed=seed)]


def _remote(name: str, out: Path | None) -> Verdict:
    return _one(name, _CASE[0], out)


def _one(name: str, case: Case, out: Path | None) -> Verdict:
    """A verdict, written down with the trajectories that were integrated for it."""
    before = set(case.memo)
    verdict = checked(name, case)
    if out is not None:
        verdict.save(out / "verdicts" / f"{file_name(name)}.json")
        for key, path in case.records.items():
            if key not in before:
                folder = out / "records" / file_name(name)
                folder.mkdir(parents=True, exist_ok=True)
                path.save(folder / f"{file_name(key)}.nc")
    return verdict


def summary(verdicts: Sequence[Verdict], selection: Selection, seed: int) -> Record:
    """What is written as summary.json: counts, the table of refuted statements, and what was left out."""
    counts = {answer: sum(v.answer == answer for v in verdicts) for answer in ("holds", "refuted", "undecided")}
    rows = [
        {name: told[name] for name in ("id", "answer", "code", "measured", "bound", "error", "rung")}
        for told in (v.to_dict() for v in verdicts)
    ]
    return {
        "counts": counts,
        "left_out": list(selection.left_out),
        "seed": seed,
        "verdicts": rows,
        "refutations": refutations(verdicts),
    }


def refutations(verdicts: Sequence[Verdict]) -> list[Record]:
    """Statements as they are usually made that a verdict decides against, each with the numbers that do so."""
    from flowlab.claims.claim import USUAL

    table = []
    for v in verdicts:
        word = claims[v.id]
        if not word.usual:
            continue
        trial = v.evidence.get("mutants", {}).get(USUAL)
        answer = "refuted" if v.answer == "holds" and trial is not None and trial["refuted"] else "undecided"
        table.append(
            {
                "id": v.id,
                "usual": word.usual,
                "answer": answer,
                "decisive": word.decisive,
                "instead": word.statement,
                "against": _against(trial),
                "numbers": {q["name"]: q["measured"] for q in v.quantities},
            }
        )
    return table


def _against(trial: Record | None) -> list[str]:
    """The numbers that decide against a usual statement: of the quantities it gets wrong, or of an identity it takes
    for one.
    """
    if trial is None:
        return []
    return trial.get("telling") or [
        f"as usually stated it is off by {trial['measured']:.3g}, where {trial['bound']:.3g} is allowed"
    ]


def write(out: Path, verdicts: Sequence[Verdict], selection: Selection, seed: int) -> Path:
    """Write summary.json and report.html; returns the page.

    Raises:
        OutputError: if they cannot be written.
    """
    from flowlab.app.report import pack_report
    from flowlab.app.verdict_figure import bounds_figure, run_figures

    told = summary(verdicts, selection, seed)
    page = out / "report.html"
    with writing(out, "--out "):
        (out / "summary.json").write_text(json.dumps(told, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")
        runs = {v.id: run_figures(out / "records" / file_name(v.id)) for v in verdicts}
        page.write_text(pack_report(verdicts, told, bounds_figure(verdicts), runs), encoding="utf-8")
    return page
