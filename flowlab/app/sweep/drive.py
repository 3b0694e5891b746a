"""`sweep`: from a specification and values of its keys to one result."""

import importlib.util
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from flowlab.app.asked import ready, wanted_words
from flowlab.app.spec import read_spec
from flowlab.app.sweep.collect import FAILED, MISSING, ROWS, collected
from flowlab.app.sweep.executors import EXTRA, Executor, by_dask, by_map, require_dask, require_workers
from flowlab.app.sweep.grid import Grid, Point, batches, grid
from flowlab.app.sweep.records import RESULT, Folder
from flowlab.app.words import loaded
from flowlab.core.arguments import count, guarded
from flowlab.core.errors import MissingExtra
from flowlab.core.files import open_folder, writing
from flowlab.core.precision import require_x64
from flowlab.core.telling import chosen, telling
from flowlab.core.typing import Json, Record
from flowlab.language.problem import Problem
from flowlab.language.result import Result

PAGE = "report.html"
"""The page of a sweep, inside its folder."""
BATCH = 16
"""Points of a batch."""
_LOG = logging.getLogger(__name__)


@guarded
def sweep(
    spec: str | os.PathLike[str] | Mapping[str, Json],
    over: Mapping[str, Sequence[Json]],
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    executor: Executor | None = None,
    retry: bool = False,
    batch: int = BATCH,
    rows: int = ROWS,
    progress: bool | str = False,
) -> Result:
    """Run a specification at all combinations of values of its keys.

    A point is one merged specification: its flow is integrated; its witness and claims follow where the specification
    names them. What `out` holds already is not run again, whichever sweep made it, so that the same call goes on after
    a kill and one with more values runs the new ones alone. A run that was cut is taken up where it stopped, and every
    point has the bytes that it has undisturbed.

    Args:
        spec: a specification, as a TOML file or a dict.
        over: values by dotted key; the last key is the fastest.
        out: folder for the points, `sweep.zarr` and the page `report.html`; without it, a temporary one. Workers on
            other machines must see it under the same path.
        jobs: processes, by default one per core and batch; 1 runs all here. Scripts that ask for more keep the call
            under `if __name__ == "__main__":`.
        scheduler: address of a Dask scheduler, such as `cluster.scheduler_address` of dask-jobqueue.
        executor: what has `map` as in `concurrent.futures`, in place of Dask: for example a pool of Ray or mpi4py.
        retry: whether points that failed before are tried again.
        batch: the most points that a worker is given at once; numbers of short flows depend on it within rounding.
        rows: values of log t in the result.
        progress: as `integrate` has it, but always in lines.

    Returns:
        A result of the kind `"sweep"`: dimensions are the last parts of the swept keys, and `log_t`. Variables are
        `log_loss`, `min_margin`, `log_R`, `rho` and what is observed, NaN beyond the end of a point; without `log_t`,
        `outcome` (`"failed"` for a point that broke), `ended`, `steps` and `point`; over `claim`, `answer` and
        `measured`.

    Raises:
        SpecError: for a key or a value that a specification cannot have, before anything runs.
        MissingExtra: without Dask where it is needed; OutputError: if `out` cannot be written.
        RunFailed: if the scheduler is lost; all that is recorded stays.

    Examples:
        >>> spec = {
        ...     "network": {"expression": "W @ x"},
        ...     "data": {"source": "gaussian?n=8&d=2&margin=0.2"},
        ...     "start": {"seed": 0},
        ...     "integrate": {"until": {"log_time": 2.0}},
        ... }
        >>> found = fl.sweep(spec, {"start.seed": [0, 1]}, jobs=1, rows=5)
        >>> dict(found.dataset.log_loss.sizes)
        {'seed': 2, 'log_t': 5}
    """
    require_x64("sweep")
    plan = Asked.of(spec, over)
    problem = plan.ready()
    require_workers(scheduler, executor)
    size, rows = count("batch", batch, 1, BATCH), count("rows", rows, 1, ROWS)
    jobs = jobs if jobs is None else count("jobs", jobs, 1, 2)
    with telling(chosen(progress)), ExitStack() as stack:
        if out is None:
            folder = Folder(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowlab-sweep-"))))
        else:
            folder = Folder(Path(out).resolve())
            open_folder(folder.root, "--out ")
            _require_zarr()
        folder.open(plan.record)
        keys = [p.key for p in plan.grid.points]
        if retry:
            folder.forget_failures(keys)
        _run(_tasks(plan, folder, size), folder, keys, jobs, scheduler, executor)
        folder.clear()
        result = collected(plan.grid, folder, problem, plan.base, rows)
        if out is not None:
            result.save(folder.root / RESULT)
            _report(result, plan, folder, keys)
    return result


@dataclass(frozen=True)
class Asked:
    """What is to be run.

    Attributes:
        base: the specification.
        origin: where paths in it begin.
        grid: its points.
    """

    base: Record
    origin: Path
    grid: Grid

    @classmethod
    def of(cls, spec: str | os.PathLike[str] | Mapping[str, Json], over: Mapping[str, Sequence[Json]]) -> "Asked":
        """The points of a sweep, held against the schema.

        Raises:
            SpecError: for a key or a value that a specification cannot have.
        """
        if isinstance(spec, Mapping):
            base, origin = dict(spec), Path.cwd()
        else:
            base, origin = read_spec(Path(spec)), Path(spec).resolve().parent
        return cls(base, origin, grid(base, over, origin))

    @property
    def record(self) -> Record:
        """The same as JSON, for who goes on."""
        return {"spec": self.base, "over": {axis.key: list(axis.values) for axis in self.grid.axes}}

    def ready(self) -> Problem:
        """Make one point of every shape ready as for its run; the problem of the first.

        Raises:
            FlowlabError: for anything that a run would refuse: names, shapes, data.
        """
        first: dict[str, Point] = {}
        for point in self.grid.points:
            first.setdefault(point.shape, point)
        problems = []
        for point in first.values():
            problem, *_ = ready(point.spec, self.origin / "spec.toml")
            wanted_words(point.spec, problem)
            problems.append(problem)
        return problems[0]


@dataclass(frozen=True)
class Status:
    """How far a sweep is.

    Attributes:
        counts: points by outcome, with `"failed"`, `"begun"` and `"missing"`.
        failures: why points broke, by their values.
        short: why runs ended before they should, by their values.
    """

    counts: dict[str, int]
    failures: dict[str, str]
    short: dict[str, str]


def status(points: Grid, folder: Folder) -> Status:
    """What has become of the points of a sweep."""
    done, failures = folder.done(), folder.failures()
    counts: Counter[str] = Counter()
    broken, short = {}, {}
    for point in points.points:
        if point.key in done:
            outcome = folder.told(point.key)["outcome"]
            counts[outcome["kind"]] += 1
            if outcome["kind"] not in ("done", "event"):
                short[points.called(point)] = f"{outcome['kind']}: {outcome['message']}"
        elif point.key in failures:
            counts[FAILED] += 1
            broken[points.called(point)] = folder.failure(point.key)["message"]
        else:
            counts["begun" if folder.unfinished(point.key).is_dir() else MISSING] += 1
    return Status(dict(counts), broken, short)


def _tasks(plan: Asked, folder: Folder, size: int) -> list[Record]:
    """Batches of which something is left, with all of their points: bits are those of whole batches."""
    over = folder.done() | folder.failures()
    shared = {"out": str(folder.root), "folder": str(plan.origin), "words": [str(path) for path in loaded()]}
    tasks = []
    for part in batches(plan.grid.points, size):
        left = [p.key for p in part if p.key not in over]
        points = [{"key": p.key, "spec": p.spec} for p in part]
        if left:
            tasks.append(shared | {"points": points, "left": left, "alone": False})
    return tasks


def _run(
    tasks: list[Record],
    folder: Folder,
    keys: list[str],
    jobs: int | None,
    scheduler: str | None,
    executor: Executor | None,
) -> None:
    """Run tasks, and tell of every one."""
    jobs = min(os.cpu_count() or 1, len(tasks)) if jobs is None else jobs
    alone = executor is None and scheduler is None and jobs <= 1
    if not alone and executor is None:
        require_dask()
    if not tasks:
        return
    work: Iterator[None] = by_map(executor, tasks) if alone or executor else by_dask(tasks, jobs, scheduler)
    wanted = set(keys)
    for _ in work:
        done, failed = len(folder.done() & wanted), len(folder.failures() & wanted)
        told = {"done": done, "failed": failed, "total": len(wanted)}
        _LOG.info("%d of %d points done, %d failed", done, len(wanted), failed, extra={"flowlab": told})


def _report(result: Result, plan: Asked, folder: Folder, keys: list[str]) -> None:
    """Write the page of a sweep."""
    from flowlab.app.sweep.page import sweep_report

    failures = {key: folder.failure(key) for key in keys if key in folder.failures()}
    text = sweep_report(result, plan.grid, plan.base, failures)
    with writing(folder.root, "--out "):
        (folder.root / PAGE).write_text(text, encoding="utf-8")


def _require_zarr() -> None:
    if importlib.util.find_spec("zarr") is None:
        raise MissingExtra(f"a sweep that is written to a folder must have the package zarr, got none; {EXTRA}.")
