"""Writers that are killed, raced and starved; writes what was found as JSON. Started by `test_archive.py` in a process
that can fork.
"""

import fcntl
import json
import mmap
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# The package imports jax, which takes seconds and must not be forked; archives themselves need numpy alone.
ROOT = Path(__file__).resolve().parents[3]
package = types.ModuleType("flowlab.dynamics")
package.__path__ = [str(ROOT / "flowlab" / "dynamics")]
sys.modules["flowlab.dynamics"] = package

from flowlab.core.errors import OutputError
from flowlab.dynamics.storage.archive import Archive, ArchiveDamaged

HEADER = {"network": "W2 @ relu(W1 @ x)", "rtol": 1e-6}


def chunk(i: int, rows: int = 2000) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    rng = np.random.default_rng(i)
    return {"rho": rng.normal(size=rows), "V_W1": rng.normal(size=(rows, 8)), "steps": np.arange(i)}, {
        "t": float(rng.normal()),
        "i": i,
    }


def resumed(folder: Path) -> Archive:
    return Archive.open(folder, write=True) if Archive.exists(folder) else Archive.create(folder, HEADER)


class Naive:
    """What one would write without thinking of kills: one .npz, rewritten in place."""

    def __init__(self, folder: Path) -> None:
        self.file, self.all = folder / "all.npz", {}
        folder.mkdir(exist_ok=True)
        if self.file.exists():
            with np.load(self.file, allow_pickle=False) as stored:
                self.all = {name: stored[name] for name in stored.files}

    @property
    def count(self) -> int:
        return len(self.all) // 3

    def append(self, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        self.all |= {f"{name}_{meta['i']}": array for name, array in arrays.items()}
        np.savez(self.file, **self.all)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def to_the_end(store: Callable[[Path], Any], folder: Path, chunks: int, rows: int, told: int | None = None) -> None:
    writer = store(folder)
    for i in range(writer.count, chunks):
        writer.append(*chunk(i, rows))
        if told is not None:
            os.write(told, b".")


def forked(job: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        job()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def killed(job: Callable[[int], None], delay: float | None) -> tuple[bool, int]:
    """Run a job and kill it; whether it was, and how many chunks it had said were in."""
    ours, theirs = os.pipe()
    pid = forked(lambda: job(theirs))
    os.close(theirs)
    if delay is not None:
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    with os.fdopen(ours, "rb") as pipe:
        done = len(pipe.read())
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status), done


def kills(
    where: Path,
    store: Callable[[Path], Any],
    look: Callable[[Path], int],
    count: int,
    seed: int,
    chunks: int,
    rows: int,
) -> dict[str, int]:
    """Kill at random times and go on, run after run, until there were `count` kills."""
    rng = random.Random(seed)
    start = time.perf_counter()
    killed(lambda told: to_the_end(store, where / "undisturbed", chunks, rows, told), None)
    whole = time.perf_counter() - start
    expected = tree(where / "undisturbed")
    found = {"kills": 0, "runs": 0, "lost": 0, "torn": 0, "unequal": 0, "midway": 0}
    while found["kills"] < count:
        folder = where / str(found["runs"])
        found["runs"] += 1
        there, hit, torn = 0, True, False
        while hit and not torn:
            hit, done = killed(
                lambda told, folder=folder: to_the_end(store, folder, chunks, rows, told), rng.uniform(0.0, 0.7 * whole)
            )
            found["kills"] += hit
            names = [p.name for p in folder.rglob("*")] if folder.exists() else []
            try:
                now = look(folder)
                found["lost"] += not there + done <= now <= there + done + 1
                # Something half done is what the kills are after: a run that leaves none tests nothing.
                found["midway"] += hit and any(name.endswith(".tmp") or name == f"{now:06d}.npz" for name in names)
                there = now
            except Exception:
                torn = True
        found["torn"] += torn
        found["unequal"] += not torn and tree(folder) != expected
    return found


def count_kept(folder: Path) -> int:
    if not Archive.exists(folder):
        return 0
    seen = Archive.open(folder)
    for i, (arrays, meta) in enumerate(seen.chunks()):
        assert meta["i"] == i
        assert arrays.keys() == {"rho", "V_W1", "steps"}
    return seen.count


STEPS = [(os, name) for name in ("open", "write", "fsync", "replace", "unlink", "mkdir", "close")] + [(fcntl, "flock")]


def deadly(step: int) -> None:
    """From now on the process kills itself before its n-th call of the system; in the middle of it, if that writes."""
    left = [step]

    def watch(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for home, name in STEPS:
        setattr(home, name, watch(name, getattr(home, name)))


def every_step(where: Path, chunks: int = 3) -> dict[str, int]:
    """A kill before each call of the system that a run makes, one after the other; then one somewhere in what resumes
    it.
    """
    to_the_end(resumed, where / "undisturbed", chunks, 20)
    expected, rng = tree(where / "undisturbed"), random.Random(0)
    found = {"kills": 0, "twice": 0, "lost": 0, "unequal": 0}
    os.fsync = lambda fd: None  # still a step, but no waiting for the disk
    done = mmap.mmap(-1, 1)  # shared with the forks, and told without a call that would count as a step

    def run(folder: Path, step: int) -> bool:
        def job(told: int) -> None:
            deadly(step)
            writer = resumed(folder)
            for i in range(writer.count, chunks):
                writer.append(*chunk(i, 20))
                done[0] = i + 1

        hit = killed(job, None)[0]
        found["lost"] += not done[0] <= count_kept(folder) <= done[0] + 1
        done[0] = count_kept(folder)
        return hit

    hit = True
    while hit:
        folder, done[0] = where / str(found["kills"]), 0
        hit = run(folder, found["kills"] + 1)
        found["kills"] += hit
        found["twice"] += hit and run(folder, rng.randint(1, 40))
        to_the_end(resumed, folder, chunks, 20)
        found["unequal"] += tree(folder) != expected
    return found


def races(where: Path, count: int) -> dict[str, int]:
    """Two writers begin at once; the one that wins holds on until both have an answer."""
    found = {"races": 0, "one": 0, "whole": 0}
    for n in range(count):
        folder, begins = where / str(n), n % 2 == 0
        if not begins:
            Archive.create(folder, HEADER).close()
        go, told, hold = os.pipe(), os.pipe(), os.pipe()

        def job(folder: Path = folder, begins: bool = begins, go: Any = go, told: Any = told, hold: Any = hold) -> None:
            os.close(hold[1])
            os.read(go[0], 1)
            try:
                writer = Archive.create(folder, HEADER) if begins else Archive.open(folder, write=True)
            except OutputError as error:
                os.write(told[1], b"L" if "written by another" in str(error) else b"?")
                return
            os.write(told[1], b"W")
            os.read(hold[0], 1)
            writer.append(*chunk(0, 20))

        pids = [forked(job) for _ in range(2)]
        os.write(go[1], b"xx")
        answers = os.read(told[0], 1) + os.read(told[0], 1)
        os.close(hold[1])
        for pid in pids:
            os.waitpid(pid, 0)
        for end in (*go, *told, hold[0]):
            os.close(end)
        found["races"] += 1
        found["one"] += sorted(answers) == sorted(b"WL")
        found["whole"] += Archive.open(folder).count == 1
    return found


def refused(job: Callable[[], Any]) -> str:
    try:
        job()
    except ArchiveDamaged:
        return ""
    except OutputError as error:
        return str(error)
    return ""


def full(where: Path) -> dict[str, Any]:
    """The system refuses to make files larger than 100 kB: first a chunk, then a manifest."""
    folder, big = where / "kept", {"t": np.zeros(50_000)}
    writer = Archive.create(folder, HEADER)
    writer.append(*chunk(0, 20))
    before, (_, hard) = tree(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    messages = [refused(lambda: writer.append(big, {})), refused(lambda: writer.append({}, {"long": "x" * 200_000}))]
    same = tree(folder) == before
    writer.append(*chunk(1, 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    writer.append(big, {})
    return {"messages": messages, "same": same, "count": Archive.open(folder).count}


def read_only() -> dict[str, Any]:
    """A folder that may not be written to; root may everywhere, and becomes nobody first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Archive.create(folder / "kept", HEADER) as writer:
            writer.append(*chunk(0, 20))
        for path in (folder / "kept" / "chunks", folder / "kept", folder):
            path.chmod(0o555)
        before = tree(folder)
        pid = forked(lambda: _as_nobody(folder))
        status = os.waitpid(pid, 0)[1]
        same = tree(folder) == before
        for path in (folder, folder / "kept", folder / "kept" / "chunks"):
            path.chmod(0o755)
        return {"ok": os.WEXITSTATUS(status) == 0, "same": same}


def _as_nobody(folder: Path) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setuid(65534)
    assert refused(lambda: Archive.create(folder / "new", HEADER))
    assert refused(lambda: Archive.open(folder / "kept", write=True))
    # Where even the way to the folder is closed to others, there is nothing for a reader to see.
    assert not os.access(folder, os.X_OK) or Archive.open(folder / "kept").count == 1


def main() -> dict[str, Any]:
    mode, where = sys.argv[1], Path(sys.argv[2])
    count, seed = (int(arg) for arg in sys.argv[3:5]) if len(sys.argv) > 3 else (0, 0)
    if mode == "kills":
        return kills(where, resumed, count_kept, count, seed, 12, 2000)
    if mode == "naive":
        return kills(where, Naive, lambda folder: Naive(folder).count, count, seed, 12, 2000)
    return {
        "steps": lambda: every_step(where),
        "races": lambda: races(where, count),
        "full": lambda: full(where),
        "read_only": read_only,
    }[mode]()


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
