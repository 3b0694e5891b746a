"""`flowlab run`: from a specification to equations, a trajectory, a witness, verdicts and figures in one folder."""

import json
import logging
import os
import shutil
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowlab.app.asked import accuracy, horizons, observables, ready, wanted_words
from flowlab.app.html import Shown
from flowlab.app.report import run_report
from flowlab.app.spec import read_spec
from flowlab.claims import check, claims
from flowlab.claims.inputs import FOLDER as INPUTS
from flowlab.claims.inputs import is_stored
from flowlab.core.errors import FlowlabError, OutputError
from flowlab.core.files import file_name, open_folder, writing
from flowlab.core.hashing import sealed
from flowlab.core.provenance import versions
from flowlab.core.typing import Record
from flowlab.discrete import descend
from flowlab.dynamics import integrate
from flowlab.dynamics.storage.archive import Archive
from flowlab.dynamics.storage.checkpoint import ended
from flowlab.figures import draw, figures
from flowlab.figures.record import Drawn
from flowlab.language.diagram import architecture
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive
from flowlab.symbolic.equations import FlowEquations

if TYPE_CHECKING:
    from flowlab.claims.verdict import Verdict

_LOG = logging.getLogger(__name__)
DIAGRAM = "architecture"
"""The figure that every run has: its network, with shapes, degrees and conservation laws."""
VERDICTS = "verdicts"
"""Where the evidence behind the verdicts lies, inside the folder of a run."""
STORE = "store"
"""Where a run is written down on the way, inside its folder."""
OUTPUTS = (
    "summary.json",
    "report.html",
    "equations.txt",
    "equations.tex",
    "equations.json",
    "trajectory.nc",
    "witness.nc",
)


def open_store(out: Path, spec: Record, *, resume: bool, restart: bool) -> bool:
    """Settle what becomes of a stored run that is in the folder; whether it is to be removed before a new one begins.

    Raises:
        OutputError: if it has not ended, or has another specification, and neither `resume` nor `restart` says what
            to do with it.
    """
    if resume and restart:
        raise OutputError("`--resume` and `--restart` must not be used together; pass one of them.")
    if resume or restart:
        return restart
    found = ended(out / STORE)
    if found is False:
        raise OutputError(
            f"`{out / STORE}` holds a run that has not come to its end; go on with it by `--resume`, or discard it by"
            " `--restart`."
        )
    if found and (other := _other(out, spec)) is not None:
        raise OutputError(
            f"`{out}` holds a run of another specification, in `{other}`; choose another folder, or replace it by"
            " `--restart`."
        )
    return found is True


def _other(out: Path, spec: Record) -> str | None:
    """A part of a specification in which that of a folder's run differs, beside the claims and figures of a run; None
    where there is none, or no summary that says.
    """
    try:
        stored = json.loads((out / "summary.json").read_text(encoding="utf-8"))["spec"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    parts = sorted({*spec, *stored} - {"verify", "figures"})
    return next((part for part in parts if spec.get(part) != stored.get(part)), None)


def run(
    spec_path: Path,
    out: Path,
    *,
    progress: bool = False,
    resume: bool = False,
    restart: bool = False,
    changes: Sequence[str] = (),
) -> Record:
    """Do everything a specification asks for; returns the summary that is also written.

    The flow is written down on the way in `out/store`, so that a run that was killed, interrupted or ran into a limit
    can be taken up.

    Args:
        spec_path: a TOML specification.
        out: folder for the results.
        progress: whether to show a progress bar; what is done is logged besides, under `flowlab`.
        resume: go on with the run that is stored in the folder; with none there, begin.
        restart: discard the run that is stored in the folder, whatever its specification.
        changes: of keys of the specification, such as `"start.seed=3"`.

    Raises:
        FlowlabError: for bad input, with nothing written.
    """
    began = clock.monotonic()
    spec = read_spec(spec_path, changes)
    open_folder(out, "--out ")
    problem, data, start, seed = ready(spec, spec_path)
    ends = horizons(spec)
    names, pictures = wanted_words(spec, problem)
    seen = observables(spec, spec_path, problem)
    discard = open_store(out, spec, resume=resume, restart=restart)
    _LOG.info("deriving the flow of %s", problem.network.text)
    flow = derive(problem)
    held = (
        f"{data.n} samples, {data.d} features" if data.kind != "none" else f"constants {', '.join(data.constant_names)}"
    )
    _LOG.info("integrating on %s (%s)", data.name, held)
    if discard:
        Archive.remove(out / STORE)
    field, store = lower(flow), out / STORE
    path = integrate(
        field,
        start,
        data,
        until=ends,
        progress=progress,
        seed=seed,
        store=store,
        observe=seen or None,
        **accuracy(spec),
    )
    _LOG.info("flow: %s", path.outcome)
    walk = None
    if "witness" in spec:
        walk = descend(problem, start, data, seed=seed, **spec["witness"])
        _LOG.info("witness: %s", walk.outcome)
    if names:
        _LOG.info("checking %s", ", ".join(names))
    verdicts = check(names, problem, data, path, *([walk] if walk is not None else []), seed=seed)
    summary = _summary(spec, flow, path, walk, verdicts, seed)
    _LOG.info("drawing")
    _write(out, flow, path, walk, summary, pictures, verdicts, began)
    return summary


def witness_distance(path: Trajectory, walk: Trajectory) -> dict[str, float] | None:
    """Largest distance between the directions of flow and descent at equal times, where both ran; None
    without overlap.
    """
    ours, theirs = path.dataset["log_t"].values, walk.dataset["log_t"].values
    # The first row is t = 0, which has no place on log t: a flow of one row overlaps nothing.
    inside = np.isfinite(theirs) & (theirs <= ours[-1]) & (theirs >= ours[min(1, len(ours) - 1)])
    if len(ours) < 2 or not inside.any():
        return None
    worst = 0.0
    t, times = np.exp(ours), np.exp(theirs[inside])
    for name in path.problem.network.weights:
        flow, descent = path.dataset[f"V_{name}"].values, walk.dataset[f"V_{name}"].values[inside]
        flat = flow.reshape(len(flow), -1)
        between = np.stack([np.interp(times, t, column) for column in flat.T], axis=1)
        worst = max(worst, float(np.sqrt(((between - descent.reshape(len(descent), -1)) ** 2).sum(axis=1)).max()))
    return {"directions": worst, "until_log_t": float(theirs[inside][-1])}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _summary(
    spec: Record, flow: FlowEquations, path: Trajectory, walk: Trajectory | None, verdicts: "list[Verdict]", seed: int
) -> Record:
    end = path.dataset.isel(step=-1)
    margins, log_t = path.dataset["min_margin"].values, path.dataset["log_t"].values
    apart = np.flatnonzero(margins > 0)
    separated = None if not len(apart) or not path.problem.loss.classifies else _number(float(log_t[apart[0]]))
    return {
        "equations_signature": flow.signature,
        "derivation_residual": flow.residual,
        "outcome": {"kind": path.outcome.kind, "message": path.outcome.message, "event": path.outcome.event},
        "log_t": _number(float(end["log_t"])),
        "log_loss": _number(float(end["log_loss"])),
        "rho": {
            name: float(value)
            for name, value in zip(path.dataset["block"].values.tolist(), end["rho"].values, strict=True)
        },
        "min_margin": _number(float(end["min_margin"])),
        "separated_at_log_t": separated,
        "observed": {name: _number(float(values[-1])) for name, values in path.observed.items()},
        "witness": (
            None
            if walk is None
            else {
                "outcome": walk.outcome.kind,
                "message": walk.outcome.message,
                "distance": witness_distance(path, walk),
            }
        ),
        "verdicts": [v.summary() for v in verdicts],
        "monitors": path.monitors,
        "switches": path.provenance["switches"],
        "stats": path.stats,
        "versions": versions(),
        "seed": seed,
        "spec": spec,
    }


def _drawn(pictures: Sequence[str], path: Trajectory, walk: Trajectory | None) -> tuple[list[Drawn], dict[str, str]]:
    """Figures of a run, and by name why others cannot be drawn of it: that costs no more than the figure."""
    made, left = [], {}
    for name in pictures:
        try:
            made.append(draw(name, path, *([walk] if walk is not None else [])))
        except FlowlabError as error:
            left[name] = str(error)
            _LOG.warning("left out a figure: %s", error)
    return made, left


def known_outputs(out: Path) -> list[Path]:
    """What a run may have written into a folder, the summary first: without it the rest counts as incomplete.

    Everything else in the folder is the user's.
    """
    drawn = [out / "figures" / f"{name}.{kind}" for name in figures for kind in ("pdf", "png", "csv", "json")]
    told = [out / VERDICTS / f"{file_name(name)}.json" for name in claims]
    read = [file for file in (out / VERDICTS / INPUTS).glob("*") if is_stored(file.name)]
    return [out / name for name in OUTPUTS] + drawn + told + read


def _write(
    out: Path,
    flow: FlowEquations,
    path: Trajectory,
    walk: Trajectory | None,
    summary: Record,
    pictures: list[str],
    verdicts: "list[Verdict]",
    began: float,
) -> None:
    """Write everything into a folder inside `out`, then move it in place of an earlier run's, file by file, the summary
    last.
    """
    # One name, so that the next run clears what a killed one left there.
    made = out / ".unfinished"
    with writing(out, "--out "):
        shutil.rmtree(made, ignore_errors=True)
        (made / "figures").mkdir(parents=True)
    try:
        with writing(out, "--out "):
            (made / "equations.txt").write_text(
                flow.text("structural") + "\n" + flow.text("matrix", steps=False), encoding="utf-8"
            )
            (made / "equations.tex").write_text(flow.latex("structural", standalone=True), encoding="utf-8")
            (made / "equations.json").write_text(flow.to_json(), encoding="utf-8")
            path.save(made / "trajectory.nc")
            if walk is not None:
                walk.save(made / "witness.nc")
            diagram = draw(DIAGRAM, architecture(flow, state=path.state(0)))
            some, summary["figures_left_out"] = _drawn(pictures, path, walk)
            figures_drawn = [diagram, *some]
            for drawn in figures_drawn:
                for kind in ("pdf", "png"):
                    drawn.save(made / "figures" / f"{drawn.name}.{kind}")
            if verdicts:
                (made / VERDICTS).mkdir()
            for verdict in verdicts:
                verdict.save(made / VERDICTS / f"{file_name(verdict.id)}.json")
            (made / "report.html").write_text(
                run_report(summary, flow.latex("structural"), list(map(Shown.of, figures_drawn)), verdicts),
                encoding="utf-8",
            )
            summary["wall_seconds"] = round(clock.monotonic() - began, 2)
            (made / "summary.json").write_text(
                json.dumps(sealed(summary), indent=1, sort_keys=True, allow_nan=False), encoding="utf-8"
            )
            for old in known_outputs(out):
                old.unlink(missing_ok=True)
            for file in sorted((p for p in made.rglob("*") if p.is_file()), key=lambda p: p.name == "summary.json"):
                placed = out / file.relative_to(made)
                placed.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, placed)
    finally:
        shutil.rmtree(made, ignore_errors=True)
