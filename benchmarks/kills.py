"""A sweep whose workers are killed: one of two every 20 s with SIGKILL, 16 times, and the scheduler once.

    python benchmarks/kills.py [--small] [--points N]

The sweep runs on an external scheduler and two workers of Dask, first undisturbed, then with kills, the same command
again after that of the scheduler. Told are seconds on the wall, kills, and what became of the points: how many are
there, how many files were written twice, and whether all bytes are those of the undisturbed sweep.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from flowlab.core.provenance import versions

SPEC = """
[network]
expression = "W2 @ tanh(W1 @ x)"
widths = { W1 = 16 }
[data]
source = "gaussian?n=20&d=4&margin=0.2"
[integrate]
until = { log_time = 30.0 }
"""
POINTS, EVERY, KILLS = 16_000, 20.0, 16
"""Points that last five minutes, seconds between kills, and how many there are in that time."""


class Cluster:
    """A scheduler and two workers, each kept alive by its nanny; ended with the block."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.file = folder / f"scheduler-{time.monotonic_ns()}.json"
        place = ["--scheduler-file", str(self.file)]
        self.scheduler = self._started(stack, "scheduler", "--port", "0", "--no-dashboard", *place)
        while not self.file.exists():
            time.sleep(0.1)
        own = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
        self.nannies = [self._started(stack, "worker", *place, *own) for _ in range(2)]
        self.address = str(json.loads(self.file.read_text())["address"])

    def _started(self, stack: ExitStack, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *words]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(_ended, process)
        return process

    def kill(self, turn: int) -> bool:
        """Kill a worker; whether there was one."""
        try:
            found = psutil.Process(self.nannies[turn % 2].pid).children(recursive=True)
            victims = [p for p in found if "spawn_main" in " ".join(p.cmdline())]
            for victim in victims:
                victim.send_signal(signal.SIGKILL)
        except psutil.Error:
            return False
        return bool(victims)


def _ended(process: subprocess.Popen[Any]) -> None:
    try:
        several = [*psutil.Process(process.pid).children(recursive=True), process]
    except psutil.NoSuchProcess:
        several = [process]
    for each in several:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def swept(folder: Path, points: int, cluster: Cluster) -> subprocess.Popen[str]:
    """The sweep, under way."""
    words = ["sweep", "spec.toml", "--out", str(folder), "--over", f"start.seed=0:{points}"]
    command = [sys.executable, "-m", "flowlab.cli", *words, "--scheduler", cluster.address, "--quiet"]
    return subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def files(folder: Path) -> dict[str, int]:
    """Files of all recorded points, and which ones they are to the system: a file written anew is another one."""
    found = {}
    for point in (folder / "points").glob("[!.]*"):
        found |= {f"{point.name}/{entry.name}": entry.inode() for entry in os.scandir(point)}
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all recorded points."""
    return {name: (folder / "points" / name).read_bytes() for name in files(folder)}


def undisturbed(home: Path, points: int) -> float:
    """Seconds of the sweep without kills."""
    with ExitStack() as stack:
        cluster, began = Cluster(stack, home), time.monotonic()
        process = swept(home / "alone", points, cluster)
        _, told = process.communicate()
        if process.returncode:
            raise RuntimeError(told)
        return time.monotonic() - began


def killed(home: Path, points: int, every: float, kills: int) -> dict[str, Any]:
    """The sweep with kills, of the scheduler in the middle of them."""
    out, seen, landed, lost, began = home / "killed", dict[str, int](), 0, False, time.monotonic()
    twice, commands = set[str](), 0
    while True:
        with ExitStack() as stack:
            cluster = Cluster(stack, home)
            process, commands = swept(out, points, cluster), commands + 1
            stack.callback(_ended, process)
            while process.poll() is None:
                try:
                    process.wait(every)
                except subprocess.TimeoutExpired:
                    now = files(out)
                    twice |= {name for name, which in seen.items() if now.get(name) != which}
                    seen = now
                    if not lost and landed >= kills // 2:
                        lost = True
                        cluster.scheduler.kill()
                    elif landed < kills:
                        landed += cluster.kill(landed)
            told = process.communicate()
            if process.returncode == 0:
                now = files(out)
                twice |= {name for name, which in seen.items() if now.get(name) != which}
                found = {"worker_kills": landed, "scheduler_killed": lost, "commands": commands}
                return found | {"seconds": time.monotonic() - began, "written_twice": len(twice)}
            if not lost or commands > 2:
                raise RuntimeError(told)


def main(small: bool = False, points: int | None = None) -> dict[str, Any]:
    """Both sweeps; `small` is a rehearsal."""
    count = points or (400 if small else POINTS)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        (home / "spec.toml").write_text(SPEC)
        alone = undisturbed(home, count)
        told = killed(home, count, 5.0 if small else EVERY, 2 if small else KILLS)
        same = contents(home / "alone") == contents(home / "killed")
        done = len(list((home / "killed" / "points").glob("[!.]*")))
    found = {"points": count, "done": done, "undisturbed_seconds": alone, **told, "same_bytes": same}
    return found | {"versions": versions()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--points", type=int)
    asked = parser.parse_args()
    result = main(asked.small, asked.points)
    print(
        f"{result['done']} of {result['points']} points, undisturbed in {result['undisturbed_seconds']:.0f} s; with"
        f" {result['worker_kills']} workers killed and the scheduler once in {result['seconds']:.0f} s; written twice:"
        f" {result['written_twice']}, same bytes: {result['same_bytes']}"
    )
    print(json.dumps(result))
