"""Who runs the batches of a sweep: this process, Dask, or any executor that has `map`."""

import importlib.util
import json
import logging
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from flowlab.app.sweep.records import Folder
from flowlab.app.sweep.work import run_batch
from flowlab.core.arguments import must_be
from flowlab.core.errors import MissingExtra, RunFailed
from flowlab.core.provenance import versions
from flowlab.core.typing import Record

EXTRA = 'install it by `pip install "flowlab[sweep]"`'


@runtime_checkable
class Executor(Protocol):
    """What has `map` as the executors of `concurrent.futures` have it: pools of Ray, mpi4py, joblib, loky."""

    def map(self, function: Callable[[Mapping[str, Any]], int], tasks: Iterable[Record], /) -> Iterable[int]: ...


def by_map(executor: Executor | None, tasks: Sequence[Record]) -> Iterator[None]:
    """Run batches here, or by an executor; yields after each."""
    for _ in map(run_batch, tasks) if executor is None else executor.map(run_batch, tasks):
        yield


def by_dask(tasks: Sequence[Record], jobs: int, scheduler: str | None) -> Iterator[None]:
    """Run batches by Dask, on a pool of processes of its own or on a cluster; yields after each.

    A worker that dies is replaced by its nanny, and what it ran is given to others. A batch whose workers die again and
    again without a step between is run point by point, and points that still kill them are given up.

    Args:
        tasks: for `run_batch`.
        jobs: processes of the pool; with a scheduler there is none.
        scheduler: its address, such as `"tcp://node:8786"`.

    Raises:
        MissingExtra: without Dask; RunFailed: if the scheduler is lost.
    """
    require_dask()
    from dask.distributed import as_completed

    try:
        with _client(jobs, scheduler) as client:
            waiting: Any = as_completed(loop=client.loop)
            running: dict[str, _Batch] = {}

            def submit(batch: "_Batch") -> None:
                future = client.submit(run_batch, batch.task, key=f"flowlab-sweep-{uuid.uuid4().hex}", pure=False)
                running[future.key] = batch
                waiting.add(future)

            for task in tasks:
                submit(_Batch(task))
            for future in waiting:
                batch = running.pop(future.key)
                if batch.ended(future):
                    yield
                else:
                    submit(batch)
    except (OSError, TimeoutError) as error:
        where = scheduler or "of the pool"
        raise RunFailed(
            f"the scheduler `{where}` must be reachable, got {type(error).__name__}; start it and run the same command"
            " again."
        ) from None


def require_workers(scheduler: str | None, executor: Executor | None) -> None:
    """Raise LanguageError for a scheduler beside an executor, and for what is no address of one."""
    if scheduler is None:
        return
    if executor is not None:
        raise must_be("executor", executor, "None where `scheduler` is given", "one of the two")
    parts = urlsplit(scheduler if "://" in scheduler else f"//{scheduler}")
    try:
        complete = bool(parts.hostname) and parts.port is not None
    except ValueError:  # the port is no number from 0 to 65535
        complete = False
    if not complete:
        raise must_be("scheduler", scheduler, "a host and its port", "tcp://node:8786")


class _Batch:
    """A batch, and how far it was when its workers died last."""

    def __init__(self, task: Record) -> None:
        self.task, self.mark = task, ""

    def ended(self, future: Any) -> bool:
        """Whether there is nothing more to run.

        Raises:
            RunFailed: if the scheduler is lost; else what a batch raised.
        """
        from dask.distributed import CancelledError
        from distributed.scheduler import KilledWorker

        try:
            future.result()
        except KilledWorker:
            return self._died()
        except CancelledError:
            raise RunFailed(
                "the scheduler must live as long as the sweep, got it lost; run the same command again."
            ) from None
        return True

    def _died(self) -> bool:
        folder = Folder(Path(self.task["out"]))
        left = [key for key in self.task["left"] if not folder.has(key)]
        mark = json.dumps([(key, _written(folder.unfinished(key))) for key in left])
        alone = self.task["alone"] or mark == self.mark
        if self.task["alone"] and mark == self.mark and left:
            spec = next(p["spec"] for p in self.task["points"] if p["key"] == left[0])
            told = {"key": left[0], "spec": spec, "error": "KilledWorker", "on_purpose": False, "versions": versions()}
            folder.fail(left[0], told | {"message": "the processes that ran it died, perhaps for memory."})
            left = left[1:]
        self.task, self.mark = self.task | {"left": left, "alone": alone}, mark
        return not left


def _written(folder: Path) -> int:
    """How much is written of a run that is under way."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0


@contextmanager
def _client(jobs: int, scheduler: str | None) -> Generator[Any]:
    """A client of a scheduler, with a pool of processes where none is given."""
    from dask.distributed import Client, LocalCluster

    with ExitStack() as stack:
        pool: Any = scheduler
        if scheduler is None:
            # Without a page of its own: a pool that a command owns is watched by the command.
            settings: Any = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
            pool = LocalCluster(n_workers=jobs, threads_per_worker=1, processes=True, **settings)
            stack.enter_context(pool)
        yield stack.enter_context(Client(pool, set_as_default=False))


def require_dask() -> None:
    """Ask for Dask before anything runs.

    Raises:
        MissingExtra: if it is not installed.
    """
    if importlib.util.find_spec("distributed") is None:
        raise MissingExtra(
            f"a sweep on several processes must have the package distributed, got none; {EXTRA}, or pass jobs=1."
        )
