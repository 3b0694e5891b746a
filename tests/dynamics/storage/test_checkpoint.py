"""A run that was stopped, in any way, and taken up again ends bit for bit as if it had never been stopped."""

import errno
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import OutputError
from flowlab.dynamics.storage.archive import Archive, ArchiveDamaged
from flowlab.dynamics.storage.checkpoint import Ledger, ended

HERE = Path(__file__).parent
archive = import_module("flowlab.dynamics.storage.archive")
host = import_module("flowlab.dynamics.run.loop")
recorder = import_module("flowlab.dynamics.run.recorder")


def samples(n=12, d=3, seed=11):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y)


def made(text="W1 @ x", seed=5, widths=None, **settings):
    data = samples()
    return (
        fl.lower(fl.derive(fl.Problem(text, **settings))),
        fl.initial_state(text, data, seed=seed, widths=widths),
        data,
    )


RUNS = {
    "late": ({"coordinates": "weights"}, {"until": fl.log_time(1e5)}),
    "polar": ({"loss": "logistic"}, {"until": fl.log_time(1e4)}),
    "event": ({"coordinates": "weights"}, {"until": fl.log_loss(-500.0)}),
    "gap": ({"coordinates": "weights"}, {"until": fl.margin_gap(1e-3)}),
    "ordinary": ({"scheme": "lagrange", "seed": 6}, {"until": fl.time(50.0), "solver": "dopri8"}),
    "one clock": ({"coordinates": "weights"}, {"until": fl.log_time(1e3), "clock": "loss"}),
    "rosenbrock": ({"coordinates": "weights"}, {"until": fl.time(1e6), "solver": "rodas5p"}),
}


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def same_run(a, b):
    """Equal in every bit of every variable, in how it ended, and in what was counted and watched."""
    assert a.dataset.equals(b.dataset)
    assert a.outcome == b.outcome
    for key in ("steps", "rejected", "evaluations"):
        assert a.stats[key] == b.stats[key], key
    assert a.monitors == b.monitors
    assert a.provenance["switches"] == b.provenance["switches"]


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [name if name in ("late", "ordinary") else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_stopped_again_and_again_is_not_stopped(tmp_path, name):
    settings, wanted = RUNS[name]
    field, start, data = made(**settings)
    plain = fl.integrate(field, start, data, **wanted)
    assert plain.outcome.ok, plain.outcome
    whole = fl.integrate(field, start, data, store=tmp_path / "whole", **wanted)
    assert whole.dataset.equals(plain.dataset)
    total = plain.stats["steps"] + plain.stats["rejected"]
    for limit in (1, 7, total // 3, total // 2, total // 2 + 1, total - 1):
        part = fl.integrate(field, start, data, store=tmp_path / "parts", max_steps=limit, **wanted)
        assert part.outcome.kind == "budget"
        assert part.stats["steps"] + part.stats["rejected"] == limit
    last = fl.integrate(field, start, data, store=tmp_path / "parts", **wanted)
    same_run(last, plain)
    assert files(tmp_path / "whole") == files(tmp_path / "parts")
    # One that has ended is read back, and not run.
    again = fl.integrate(field, start, data, store=tmp_path / "parts", **wanted)
    same_run(again, plain)
    assert files(tmp_path / "whole") == files(tmp_path / "parts")


@pytest.mark.long
def test_an_interrupt_keeps_everything_and_is_taken_up(tmp_path, monkeypatch):
    field, start, data = made(coordinates="weights")
    plain = fl.integrate(field, start, data, until=fl.log_time(1e4))
    real, count = host.compiled_steps.advance, []

    def interrupted(*args):
        count.append(1)
        if len(count) == 6:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(host.compiled_steps, "advance", interrupted)
    cut = fl.integrate(field, start, data, until=fl.log_time(1e4), store=tmp_path / "run")
    monkeypatch.undo()
    assert (cut.outcome.kind, len(cut) > 10) == ("budget", True)
    assert "interrupted" in cut.outcome.message
    assert ended(tmp_path / "run") is False
    same_run(fl.integrate(field, start, data, until=fl.log_time(1e4), store=tmp_path / "run"), plain)
    assert ended(tmp_path / "run") is True


OTHERS = {
    "settings.rtol": lambda f, s, d: (f, s, d, {"rtol": 1e-7}),
    "settings.solver": lambda f, s, d: (f, s, d, {"solver": "kvaerno5"}),
    "settings.clock": lambda f, s, d: (f, s, d, {"clock": "loss"}),
    "settings.seed": lambda f, s, d: (f, s, d, {"seed": 4}),
    "until": lambda f, s, d: (f, s, d, {"until": fl.log_time(2e3)}),
    "start": lambda f, s, d: (f, made(seed=6, coordinates="weights")[1], d, {}),
    "data": lambda f, s, d: (f, s, fl.Data(np.asarray(d.x) * (1 + 1e-15), np.asarray(d.y)), {}),
    "problem": lambda f, s, d: (made(coordinates="weights", loss="logistic")[0], s, d, {}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_run_is_refused_and_nothing_is_lost(tmp_path, what):
    field, start, data = made(coordinates="weights")
    fl.integrate(field, start, data, until=fl.log_time(1e3), store=tmp_path, max_steps=40)
    before = files(tmp_path)
    f, s, d, changed = OTHERS[what](field, start, data)
    with pytest.raises(OutputError, match="another run") as refused:
        fl.integrate(f, s, d, store=tmp_path, **({"until": fl.log_time(1e3)} | changed))
    assert what in str(refused.value) or (what == "problem" and "equations" in str(refused.value))
    assert files(tmp_path) == before


def test_limits_are_no_part_of_a_run(tmp_path):
    field, start, data = made(coordinates="weights")
    fl.integrate(field, start, data, until=fl.log_time(1e3), store=tmp_path, max_steps=40)
    assert fl.integrate(
        field, start, data, until=[fl.log_time(1e3), fl.wall(600.0)], store=tmp_path, wall_seconds=500.0
    ).outcome.ok


def test_a_full_disk_is_told_and_keeps_what_was_written(tmp_path, monkeypatch):
    field, start, data = made(coordinates="weights")
    plain = fl.integrate(field, start, data, until=fl.log_time(1e5), store=tmp_path / "whole")
    real = archive.write_whole

    def full(path, bytes_):
        if path.name == "000002.npz":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, bytes_)

    monkeypatch.setattr(archive, "write_whole", full)
    with pytest.raises(OutputError, match="the disk is full"):
        fl.integrate(field, start, data, until=fl.log_time(1e5), store=tmp_path / "run")
    monkeypatch.undo()
    with Archive.open(tmp_path / "run") as left:
        assert left.count == 2
    same_run(fl.integrate(field, start, data, until=fl.log_time(1e5), store=tmp_path / "run"), plain)
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_a_damaged_store_is_no_start(tmp_path):
    field, start, data = made(coordinates="weights")
    fl.integrate(field, start, data, until=fl.log_time(1e3), store=tmp_path, max_steps=70)
    chunk = tmp_path / "chunks" / "000000.npz"
    bits = bytearray(chunk.read_bytes())
    bits[len(bits) // 2] ^= 16
    chunk.write_bytes(bytes(bits))
    with pytest.raises(ArchiveDamaged, match="000000"):
        fl.integrate(field, start, data, until=fl.log_time(1e3), store=tmp_path)
    Archive.remove(tmp_path)
    assert ended(tmp_path) is None


def test_removal_takes_only_what_an_archive_wrote(tmp_path):
    field, start, data = made(coordinates="weights")
    fl.integrate(field, start, data, until=fl.log_time(10.0), store=tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "chunks" / "mine.npz").write_text("mine")
    Archive.remove(tmp_path / "run")
    assert sorted(files(tmp_path / "run")) == ["chunks/mine.npz", "notes.txt"]
    held = Archive.create(tmp_path / "held", {"by": "another"})
    with pytest.raises(OutputError, match="written by another process"):
        Archive.remove(tmp_path / "held")
    held.close()


def test_chunks_are_cut_at_numbers_of_attempts_alone():
    cuts, at = [], 0
    while at < 10_000:
        at = Ledger.cut(at)
        cuts.append(at)
    assert all(Ledger.cut(i) == next(c for c in cuts if c > i) for i in range(0, 9_000, 7))
    assert cuts[0] == 32
    # A kill loses at most the part of a run that lies in one chunk.
    assert max(b - a for a, b in pairwise(cuts) if b > 2_048) <= 10_000 // 64 + 1


def kills(folder, count, seed):
    """Kill a run at random moments until it is through; how many chunks were on the disk and lost, and how often it was
    killed.
    """
    chance, lost, killed = random.Random(seed), [], 0
    for _ in range(count):
        child = subprocess.Popen(
            [sys.executable, str(HERE / "resume_run.py"), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        told: list[str] = []
        reader = threading.Thread(target=lambda out=child.stdout, told=told: told.extend(out))
        reader.start()
        while not told and child.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.25))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            killed += 1
        child.wait()
        reader.join()
        child.stdout.close()
        numbers = [int(line) for line in told if line.strip().isdigit() and line.endswith("\n")]
        if numbers and Archive.exists(folder):
            with Archive.open(folder) as left:
                lost.append(max(0, numbers[-1] - left.count))
        if ended(folder):
            break
    return lost, killed


def load_run():
    found = importlib.util.spec_from_file_location("resume_run", HERE / "resume_run.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def check_kills(tmp_path, count):
    run = load_run()
    whole = run.go(tmp_path / "whole")
    lost, killed, rounds = [], 0, 0
    while killed < count:
        folder = tmp_path / f"run{rounds}"
        more, times = kills(folder, count - killed, rounds)
        lost, killed, rounds = lost + more, killed + times, rounds + 1
        same_run(run.go(folder), whole)
        assert files(folder) == files(tmp_path / "whole")
    assert killed == count
    assert max(lost, default=0) == 0
    return killed, rounds


@pytest.mark.long
def test_killed_runs_end_in_the_same_bytes(tmp_path):
    check_kills(tmp_path, 2)


@pytest.mark.slow
def test_two_hundred_killed_runs_end_in_the_same_bytes(tmp_path):
    killed, rounds = check_kills(tmp_path, 200)
    assert (killed, rounds > 1) == (200, True)


def test_a_result_that_was_not_carried_over_is_seen(tmp_path):
    """Control: with the last digits of the carry lost, the continued run is another one."""
    field, start, data = made(coordinates="weights")
    plain = fl.integrate(field, start, data, until=fl.log_time(1e5))
    fl.integrate(field, start, data, until=fl.log_time(1e5), store=tmp_path, max_steps=100)
    real = Ledger.replay

    def forgetful(self, store):
        real(self, store)
        _, carry = self.resumed
        carry[:] = [leaf * (1 + 1e-9) if leaf.dtype == np.float64 else leaf for leaf in carry]

    Ledger.replay, kept = forgetful, Ledger.replay
    try:
        other = fl.integrate(field, start, data, until=fl.log_time(1e5), store=tmp_path)
    finally:
        Ledger.replay = kept
    assert not other.dataset.equals(plain.dataset)


def test_the_manifest_is_plain_text_that_tells_of_the_run(tmp_path):
    field, start, data = made(coordinates="weights")
    fl.integrate(field, start, data, until=fl.log_time(1e3), store=tmp_path)
    header = json.loads((tmp_path / "header.json").read_text())["header"]
    assert header["problem"]["loss"] == "exponential"
    assert header["data"] == data.sha256()
    assert header["settings"]["rtol"] == 1e-8
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert lines[-2]["chunk"]["meta"]["outcome"]["kind"] == "done"


def test_clocks_of_a_stored_run_are_named_by_its_own_table(tmp_path, monkeypatch):
    """Clocks registered since do not rename rows; a store without a table is read by the order of clocks."""
    field, start, data = made(coordinates="weights")
    told = {"until": fl.log_time(1e3), "rtol": 1e-6, "atol": 1e-8}
    known = dict(recorder.CLOCKS)
    path = fl.integrate(field, start, data, store=tmp_path / "run", **told)
    names = path.dataset.clock.values.tolist()
    assert set(names) == {"time", "norm"}

    def again(clocks):
        monkeypatch.setattr(recorder, "CLOCKS", clocks)
        return fl.integrate(field, start, data, store=tmp_path / "run", **told).dataset.clock.values.tolist()

    assert again({"new": None, **known}) == names
    replay = Ledger.replay

    def without(self, store):
        replay(self, store)
        self.resumed[0].pop("clocks")

    monkeypatch.setattr(Ledger, "replay", without)
    assert again(known) == names
    assert again({"new": None, **known}) != names
