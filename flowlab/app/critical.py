"""`flowlab critical` and `flowlab compare`: critical points of the constrained problem, and the ends of stored runs
held against them.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flowlab.app.asked import beside_its_specification, read_as, ready
from flowlab.app.spec import read_spec
from flowlab.core.errors import DataError, OutputError
from flowlab.core.files import open_folder, writing
from flowlab.core.hashing import sealed, unsealed
from flowlab.core.provenance import versions
from flowlab.core.typing import Record
from flowlab.discrete.critical.critical_points import CriticalPoints, critical_points
from flowlab.discrete.critical.flow_limits import approach, flow_limits
from flowlab.figures import draw
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.studies.storage import points_record, save
from flowlab.symbolic.derive import derive

Progress = Callable[[int, int], None]


def critical(
    spec_path: Path,
    out: Path,
    *,
    norm: float,
    starts: int,
    seed: int,
    progress: Progress | None = None,
    changes: Sequence[str] = (),
) -> CriticalPoints:
    """Critical points of what a specification describes; writes `critical.json` and the figures `critical` and
    `spectrum` into a folder.

    Args:
        spec_path: a TOML specification, of which network, problem and data are used.
        out: folder for the results.
        norm: R, see `critical_points`; `starts` and `seed` as there.
        starts: number of random starts.
        seed: of the starts.
        progress: called with the number of searches done and to do.
        changes: of keys of the specification, such as `"start.seed=3"`.

    Raises:
        FlowlabError: for bad input, with nothing written.
    """
    spec = read_spec(spec_path, changes)
    open_folder(out, "--out ")
    problem, data, _, _ = ready(spec, spec_path)
    points = critical_points(
        problem, data, norm=norm, widths=spec["network"].get("widths"), starts=starts, seed=seed, progress=progress
    )
    record = points_record(points, seed=seed, norm=norm)
    _write(
        out,
        "critical.json",
        sealed(record),
        {"critical": draw("critical", points), "spectrum": draw("spectrum", points)},
    )
    return points


def compare(folder: Path, *, source: str | None, starts: int, seed: int, progress: Progress | None = None) -> Any:
    """Where the flow of a stored run ended, against the critical points at its last norms; writes `compare.json`,
    `approach.nc` and its figure beside it.

    Args:
        folder: of a run.
        source: data of the run, where its specification names a file.
        starts: number of random starts of the search for critical points.
        seed: of the starts.
        progress: called with the number of searches done and to do.

    Raises:
        OutputError: if the folder holds no run; DataError: for other data than those of the run; others as for
            `critical_points`.
    """
    try:
        spec = dict(unsealed((folder / "summary.json").read_text(encoding="utf-8"))["spec"]["data"])
        named = source or str(spec["source"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"`{folder}` holds no run ({type(error).__name__}: {reason}); make one by `flowlab run SPEC.toml --out"
            f" {folder}`."
        ) from None
    open_folder(folder)
    path = Trajectory.load(folder / "trajectory.nc")
    if source is None and beside_its_specification(named):
        raise DataError(
            f"the samples of the run must be at `{named}`, beside its specification; pass their place by `--data`."
        )
    data = read_as(spec, named)
    if data.sha256() != path.provenance["data"]["sha256"]:
        raise DataError(
            f"`{named}` must hold the samples of the run, got other samples; pass the right file by `--data`."
        )
    ends = [path, *([Trajectory.load(folder / "witness.nc")] if (folder / "witness.nc").exists() else [])]
    widths = {name: int(v.shape[0]) for name, v in path.last.V.items() if v.ndim == 2}
    points = critical_points(
        path.problem,
        data,
        norm=dict(path.last.rho),
        widths=widths,
        starts=starts,
        seed=seed,
        near=[path.last],
        progress=progress,
    )
    found = flow_limits(ends, points, field=lower(derive(path.problem)))
    record = {
        "points": [p.to_dict() for p in points],
        "ends": found.to_dict(),
        "flows": [e.kind for e in ends],
        "starts": points.starts,
        "seed": seed,
        "data": {"name": data.name, "sha256": data.sha256()},
        "versions": versions(),
    }
    along = approach(path, points)
    save(along, folder / "approach.nc")
    _write(folder, "compare.json", record, {"approach": draw("approach", along)})
    return found


def _write(out: Path, name: str, record: Record, pictures: Record) -> None:
    """Figures, then the record, which is put in place in one move."""
    with writing(out, "--out "):
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for label, drawn in pictures.items():
            for kind in ("pdf", "png"):
                drawn.save(out / "figures" / f"{label}.{kind}")
        part = out / f".{name}.unfinished"
        part.write_text(json.dumps(record, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")
        os.replace(part, out / name)
