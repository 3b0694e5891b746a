"""`flowlab run`: from a specification to equations, a trajectory, a witness, verdicts and figures in one folder."""

import json
import os
import shutil
import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowlab.app.report import run_report
from flowlab.app.spec import read_spec
from flowlab.claims import check, claims
from flowlab.claims import load_library as load_claims
from flowlab.core.errors import OutputError, SpecError
from flowlab.core.files import open_folder, writing
from flowlab.core.hashing import sealed
from flowlab.core.provenance import versions
from flowlab.core.typing import Record
from flowlab.discrete import descend
from flowlab.discrete.descent.rules import rules
from flowlab.dynamics import conditions, integrate
from flowlab.dynamics.conditions import Condition
from flowlab.dynamics.integrate import named_clock, named_kinks, named_solver
from flowlab.dynamics.storage.archive import Archive
from flowlab.dynamics.storage.checkpoint import ended
from flowlab.figures import draw, figures
from flowlab.figures import load_library as load_figures
from flowlab.language.data import Data
from flowlab.language.datasets import load
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.tables import SUFFIXES
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.vector_field import lower
from flowlab.symbolic.derive import derive
from flowlab.symbolic.equations import FlowEquations

if TYPE_CHECKING:
    from flowlab.claims.verdict import Verdict

CLAIMS, KINKED = ("P2", "P4", "E1.8"), "T3"
SETTINGS = ("solver", "clock", "kinks", "rtol", "atol", "max_steps", "wall_seconds")
FIGURES = ("margin", "loss", "norms", "balance")
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


def open_store(out: Path, *, resume: bool, restart: bool) -> bool:
    """Settle what becomes of a stored run that is in the folder; whether it is to be removed before a new one begins.

    Raises:
        OutputError: if it has not ended and neither `resume` nor `restart` says what to do with it.
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
    return found is True


def run(
    spec_path: Path,
    out: Path,
    *,
    progress: bool,
    say: Callable[[str], None],
    resume: bool = False,
    restart: bool = False,
) -> Record:
    """Do everything a specification asks for; returns the summary that is also written.

    The flow is written down on the way in `out/store`, so that a run that was killed, interrupted or ran into a limit
    can be taken up.

    Args:
        spec_path: a TOML specification.
        out: folder for the results.
        progress: whether to show a progress bar.
        say: what to do with a line of progress.
        resume: go on with the run that is stored in the folder; with none there, begin.
        restart: discard the run that is stored in the folder.

    Raises:
        FlowlabError: for bad input, with nothing written.
    """
    began = clock.monotonic()
    spec = read_spec(spec_path)
    open_folder(out, "--out ")
    discard = open_store(out, resume=resume, restart=restart)
    problem, data, start, seed = ready(spec, spec_path)
    ends, wanted = horizons(spec), spec.get("integrate", {})
    names, pictures = wanted_words(spec, problem)
    say(f"deriving the flow of {problem.network.text}")
    flow = derive(problem)
    say(f"integrating on {data.name} ({data.n} samples, {data.d} features)")
    settings: Record = {"rtol": 1e-6, "atol": 1e-8} | {k: wanted[k] for k in SETTINGS if k in wanted}
    if discard:
        Archive.remove(out / STORE)
    path = integrate(lower(flow), start, data, until=ends, progress=progress, seed=seed, store=out / STORE, **settings)
    say(f"flow: {path.outcome}")
    walk = None
    if "witness" in spec:
        walk = descend(problem, start, data, seed=seed, **spec["witness"])
        say(f"witness: {walk.outcome}")
    if names:
        say(f"checking {', '.join(names)}")
    verdicts = check(names, problem, data, path, *([walk] if walk is not None else []), seed=seed)
    summary = _summary(spec, flow, path, walk, verdicts, seed)
    say("drawing")
    _write(out, flow, path, walk, summary, pictures, verdicts, began)
    return summary


def ready(spec: Record, spec_path: Path) -> tuple[Problem, Data, State, int]:
    """Problem, data, start and seed of a specification."""
    net, told = spec["network"], spec.get("problem", {})
    network = Network(net["expression"], shapes={k: tuple(v) for k, v in net.get("shapes", {}).items()})
    problem = Problem(network, **told)
    source = spec["data"]["source"]
    if beside_its_specification(source):
        source = str(spec_path.parent / source)
    data = read_as(spec["data"], source)
    problem.loss.check_labels(data)
    begin = spec.get("start", {})
    seed = begin.get("seed", 0)
    return (
        problem,
        data,
        initial_state(
            network, data, widths=net.get("widths"), scale=begin.get("scale", 1.0), seed=seed, per=problem.per
        ),
        seed,
    )


def beside_its_specification(source: str) -> bool:
    """Whether the data are a file whose path begins at the folder of the specification."""
    return source.lower().endswith(SUFFIXES) and not Path(source).is_absolute()


def read_as(told: Record, source: str) -> Data:
    """Data of a source, read as the table `[data]` of a specification says."""
    return load(source, **{key: told[key] for key in ("standardize", "seed", "label") if key in told})


def horizons(spec: Record) -> list[Condition]:
    """What ends the run of a specification."""
    told = spec.get("integrate", {}).get("until", {"log_time": 5.0})
    return [
        conditions[name](*([] if name == "separated" else [value]))
        for name, value in told.items()
        if value is not False
    ]


def wanted_words(spec: Record, problem: Problem) -> tuple[list[str], list[str]]:
    """Claims and figures of a specification, looked up before the long part begins, as are its rule, solver, clock and
    kinks.
    """
    follows = spec.get("integrate", {}).get("kinks") != "ignore" and any(slot.tracked for slot in problem.network.slots)
    load_claims()
    load_figures()
    names = spec.get("verify", {}).get("claims", [*CLAIMS, *([KINKED] if follows else [])])
    pictures = spec.get("figures", {}).get("names", list(FIGURES))
    for name in names:
        claims[name]
    for name in pictures:
        if figures[name].of != "trajectory":
            raise SpecError(
                f'the figure "{name}" is of a {figures[name].of}, not of a run; leave it out of `figures.names`.'
            )
    if "witness" in spec:
        rules[spec["witness"].get("rule", "gradient")]
    wanted = spec.get("integrate", {})
    named_solver(wanted.get("solver", "auto"))
    named_clock(wanted.get("clock", "auto"))
    named_kinks(wanted.get("kinks", "auto"))
    return names, pictures


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
        "witness": (
            None
            if walk is None
            else {
                "outcome": walk.outcome.kind,
                "message": walk.outcome.message,
                "distance": witness_distance(path, walk),
            }
        ),
        "verdicts": [v.to_dict() for v in verdicts],
        "monitors": path.monitors,
        "switches": path.provenance["switches"],
        "stats": path.stats,
        "versions": versions(),
        "seed": seed,
        "spec": spec,
    }


def known_outputs(out: Path) -> list[Path]:
    """What a run may have written into a folder, the summary first: without it the rest counts as incomplete.

    Everything else in the folder is the user's.
    """
    drawn = [out / "figures" / f"{name}.{kind}" for name in figures for kind in ("pdf", "png", "csv", "json")]
    return [out / name for name in OUTPUTS] + drawn


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
            for name in pictures:
                drawn = draw(name, path, *([walk] if walk is not None else []))
                for kind in ("pdf", "png"):
                    drawn.save(made / "figures" / f"{name}.{kind}")
            drawn_files = [made / "figures" / f"{name}.png" for name in pictures]
            (made / "report.html").write_text(
                run_report(summary, flow.latex("structural"), drawn_files, verdicts), encoding="utf-8"
            )
            summary["wall_seconds"] = round(clock.monotonic() - began, 2)
            (made / "summary.json").write_text(
                json.dumps(sealed(summary), indent=1, sort_keys=True, allow_nan=False), encoding="utf-8"
            )
            (out / "figures").mkdir(parents=True, exist_ok=True)
            for old in known_outputs(out):
                old.unlink(missing_ok=True)
            for file in sorted((p for p in made.rglob("*") if p.is_file()), key=lambda p: p.name == "summary.json"):
                os.replace(file, out / file.relative_to(made))
    finally:
        shutil.rmtree(made, ignore_errors=True)
