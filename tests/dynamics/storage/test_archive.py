"""What was appended is read back bit for bit, also after kills, interrupts, full disks and races."""

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from flowlab.core.errors import OutputError
from flowlab.dynamics.storage import codec
from flowlab.dynamics.storage.archive import Archive
from flowlab.dynamics.storage.codec import pack
from tests.dynamics.storage.archives import HEADER, chunk, made, same, tree

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.usefixtures("unsynced")
HOSTILE = [
    "",
    " ",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "C:x",
    "a b",
    "a\n",
    "\na",
    "a\0",
    "a\0.npy",
    "é",
    "ρ",
    "W₁",
    "a\u202eb",
    "\ud800",
    "💥",
    "-a",
    "0a",
    "1",
    "a" * 129,
    "a" * 70_000,
    "a;b",
    "a$b",
    "`a`",
    "'a'",
    '"a"',
    "a'b",
    "{a}",
    "[a]",
    "a*",
    "?",
    "~",
    "%2e%2e",
    "a:b",
    "a|b",
    "<a>",
    "a\r",
    "\t",
    "a,",
    "#a",
    ".a",
]


def run(folder: Path, mode: str, *args: str) -> dict:
    env = {"PYTHONPATH": str(HERE.parents[2]), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "archive_run.py"), mode, str(folder), *args],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_what_goes_in_comes_out(tmp_path):
    kept = Archive.create(tmp_path / "a" / "b", HEADER | {"tuple": (1, 2)})
    with pytest.raises(OutputError, match="no chunk yet"):
        kept.last()
    for i in range(5):
        kept.append(*chunk(i))
    for seen in (kept, Archive.open(kept.folder)):
        assert (seen.header, seen.count, len(seen), seen.damage) == (HEADER | {"tuple": [1, 2]}, 5, 5, None)
        assert all(same(seen.read(i), chunk(i)) for i in range(5))
        assert all(same(read, chunk(i)) for i, read in enumerate(seen.chunks()))
        assert same(seen.last(), chunk(4))
        for i in (-1, 5, 1.0, None, "0"):
            with pytest.raises(OutputError, match="`i` must be the number of one of 5 chunks"):
                seen.read(i)  # type: ignore[arg-type]
    seen.read(0)[1]["i"] = "changed"
    assert seen.read(0)[1]["i"] == 0


@pytest.mark.parametrize(
    "dtype", ["bool", "i1", "u1", "i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", ">f8", ">i4"]
)
def test_every_dtype_and_shape_is_kept_and_numpy_reads_it_too(tmp_path, dtype):
    rng, shapes = np.random.default_rng(0), [(), (0,), (3,), (2, 0, 3), (2, 3), (1,) * 32]
    arrays = {f"a{'.npy' * i}": (10 * rng.normal(size=shape)).clip(0).astype(dtype) for i, shape in enumerate(shapes)}
    with Archive.create(tmp_path / "k", {}) as kept:
        kept.append(arrays, {})
    got = Archive.open(tmp_path / "k").read(0)[0]
    with zipfile.ZipFile(tmp_path / "k" / "chunks" / "000000.npz") as box:
        read = {
            name: np.lib.format.read_array(io.BytesIO(box.read(f"{name}.npy")), allow_pickle=False) for name in arrays
        }
    with np.load(tmp_path / "k" / "chunks" / "000000.npz", allow_pickle=False) as stored:
        assert np.array_equal(stored["a"], arrays["a"])
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype.newbyteorder("<")
        assert got[name].shape == read[name].shape == array.shape
        assert np.array_equal(got[name], array)
        assert np.array_equal(read[name], array)
        assert got[name].flags.writeable


def test_values_that_no_one_compares_equal_keep_their_bits(tmp_path):
    odd = np.array([0x7FF8000000000001, 0xFFF0000000000000, 1 << 63, 1], dtype=np.uint64)
    with Archive.create(tmp_path / "k", {}) as kept:
        kept.append({"a": odd.view(np.float64)}, {})
    assert (Archive.open(tmp_path / "k").read(0)[0]["a"].view(np.uint64) == odd).all()


def test_equal_arrays_are_equal_bytes():
    a = np.arange(12.0).reshape(3, 4)
    bytes_ = {
        pack(arrays)[0]
        for arrays in (
            {"a": a, "b": a},
            {"b": np.asfortranarray(a), "a": a.astype(">f8")},
            {"b": a, "a": np.repeat(a, 2, 0)[::2]},
        )
    }
    assert len(bytes_) == 1
    with zipfile.ZipFile(io.BytesIO(bytes_.pop())) as box:
        assert {member.date_time for member in box.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert pack({"a": a})[0] != pack({"a": a.reshape(4, 3)})[0]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_refused(tmp_path, name):
    with Archive.create(tmp_path / "k", {}) as kept:
        before = tree(tmp_path)
        with pytest.raises(OutputError, match="`name` must be at most 128"):
            kept.append({name: np.zeros(1)}, {})
        assert tree(tmp_path) == before


def test_what_cannot_be_kept_is_refused_and_leaves_nothing(tmp_path):
    with Archive.create(tmp_path / "k", HEADER) as kept:
        kept.append(*chunk(0))
        before = tree(tmp_path)
        for bad in (
            np.array([{}]),
            np.array(["x"]),
            np.zeros(2, "f8,i4"),
            np.zeros(1, "M8[s]"),
            np.zeros(1, np.longdouble),
            [[1.0], [1.0, 2.0]],
            None,
            np.ma.masked_array([1.0], [True]),
            np.zeros(2, "V8"),
        ):
            with pytest.raises(OutputError, match=r"array `a` cannot be stored .*; use plain numbers"):
                kept.append({"a": bad}, {})  # type: ignore[dict-item]
        deep: dict = {}
        for _ in range(100_000):
            deep = {"a": deep}
        nan, inf = float("nan"), float("inf")
        for meta in (
            {"t": nan},
            {"t": [-inf]},
            {"t": np.float32(1)},
            {"t": {1, 2}},
            {1: 0, "1": 0},
            {1: 0, "a": 0},
            {"t": b"x"},
            [1],
            3,
            None,
            deep,
        ):
            with pytest.raises(OutputError, match=r"the meta of chunk 1 (cannot be kept as JSON|must be a dict)"):
                kept.append({}, meta)  # type: ignore[arg-type]
        assert tree(tmp_path) == before
        kept.append(*chunk(1))
    for header in ({"t": float("nan")}, [1]):
        with pytest.raises(OutputError, match="the header"):
            Archive.create(tmp_path / "other", header)  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()
    assert tree(made(tmp_path / "again", 2)) == tree(tmp_path / "k")


def test_who_may_write(tmp_path):
    folder = tmp_path / "k"
    with pytest.raises(OutputError, match="holds no archive"):
        Archive.open(folder)
    writer = Archive.create(folder, HEADER)
    reader = Archive.open(folder)
    with pytest.raises(OutputError, match="being written by another"):
        Archive.open(folder, write=True)
    with pytest.raises(OutputError, match="being written by another"):
        Archive.create(folder, HEADER)
    writer.append(*chunk(0))
    assert (reader.count, Archive.open(folder).count) == (0, 1)
    with pytest.raises(OutputError, match="open for reading"):
        reader.append(*chunk(1))
    writer.close()
    writer.close()
    with pytest.raises(OutputError, match="is closed"):
        writer.append(*chunk(1))
    with pytest.raises(OutputError, match=r"Archive\.open, or choose another folder"):
        Archive.create(folder, HEADER)
    with pytest.raises(OutputError, match="for reading"):
        Archive.open(folder, write=True, intact_only=True)
    with Archive.open(folder, write=True) as writer:
        writer.append(*chunk(1))
        os.unlink(folder / "writer.lock")
        with pytest.raises(OutputError, match="lost the lock"):
            writer.append(*chunk(2))
    del writer
    held = Archive.open(folder, write=True)
    del held
    Archive.open(folder, write=True).close()
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "file", "a\0b"):
        with pytest.raises(OutputError):
            Archive.create(bad, HEADER)


def test_leftovers_of_a_kill_are_ignored_and_swept(tmp_path):
    folder = made(tmp_path / "k", 2)
    leftover = [
        folder / ".manifest.jsonl.12.0123456789abcdef.tmp",
        folder / "chunks" / ".000002.npz.12.0123456789abcdef.tmp",
    ]
    for path in (*leftover, folder / "chunks" / "000002.npz", folder / "chunks" / "notes.txt"):
        path.write_bytes(b"half")
    assert Archive.open(folder).count == 2
    assert all(path.exists() for path in leftover)
    with Archive.open(folder, write=True) as writer:
        assert not any(path.exists() for path in leftover)
        writer.append(*chunk(2))
    (folder / "chunks" / "notes.txt").unlink()
    assert tree(folder) == tree(made(tmp_path / "same", 3))


# --- kills, interrupts, full disks, races
# --------------------------------------------------------------------------------


class Once:
    """Raises at the n-th call of the system from now on, and never again; in the middle of it, if that writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int, error: BaseException) -> None:
        self.left, self.error = n, error
        for name in ("open", "write", "fsync", "replace"):
            monkeypatch.setattr(os, name, self.watch(name, getattr(os, name)))

    def watch(self, name, real):
        def call(*args, **options):
            self.left -= 1
            if self.left == 0:
                if name == "write":
                    real(args[0], bytes(args[1])[:40])
                raise self.error
            return real(*args, **options)

        return call


ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EROFS, "Read-only file system"),
    KeyboardInterrupt(),
]


def attempted(monkeypatch, n, error, job) -> bool:
    """Do a job whose n-th call of the system fails; whether there were as many."""
    with monkeypatch.context() as patched:
        once = Once(patched, n, error)
        with contextlib.suppress(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
            job()
        return once.left <= 0


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_an_append_that_fails_anywhere_leaves_all_or_nothing(tmp_path, monkeypatch, error):
    without, whole = tree(made(tmp_path / "2", 2)), tree(made(tmp_path / "3", 3))
    outcomes, n, failed = [], 0, True
    while failed:
        n += 1
        folder = made(tmp_path / f"at {n}", 2)
        with Archive.open(folder, write=True) as kept:
            failed = attempted(monkeypatch, n, error, lambda kept=kept: kept.append(*chunk(2)))
            assert tree(folder) == (without if kept.count == 2 else whole)
            assert Archive.open(folder).count == kept.count
            outcomes.append(kept.count)
            if kept.count == 2:
                kept.append(*chunk(2))
        assert tree(folder) == whole
    assert outcomes == sorted(outcomes)
    assert outcomes.count(2) > 8
    assert outcomes.count(3) > 2


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_beginning_that_fails_anywhere_can_be_made_again(tmp_path, monkeypatch, error):
    expected, n, failed = tree(made(tmp_path / "whole", 0)), 0, True
    while failed:
        n += 1
        folder = tmp_path / f"at {n}"
        failed = attempted(monkeypatch, n, error, lambda folder=folder: Archive.create(folder, HEADER).close())
        assert not list(folder.rglob("*.tmp"))
        if not Archive.exists(folder):
            Archive.create(folder, HEADER).close()
        assert tree(folder) == expected
        Archive.open(folder, write=True).close()
    assert n > 8


def test_what_a_failed_append_says(tmp_path, monkeypatch):
    kept = Archive.create(tmp_path / "k", HEADER)
    with monkeypatch.context() as patched:
        Once(patched, 2, ERRORS[0])
        with pytest.raises(
            OutputError, match="chunk 0 is not written, those before it are safe because the disk is full"
        ):
            kept.append(*chunk(0))


def test_kills_at_every_step_lose_nothing_that_was_in(tmp_path):
    found = run(tmp_path, "steps")
    assert found["kills"] > 60
    assert found["twice"] > 20
    assert (found["lost"], found["unequal"]) == (0, 0)


def assert_survived(found: dict, count: int) -> None:
    assert found["kills"] >= count
    assert found["midway"] > 0
    assert (found["lost"], found["torn"], found["unequal"]) == (0, 0, 0)


def test_kills_at_random_lose_nothing_that_was_in(tmp_path):
    assert_survived(run(tmp_path, "kills", "25", "0"), 25)


@pytest.mark.slow
def test_many_kills_at_random_lose_nothing_that_was_in(tmp_path):
    assert_survived(run(tmp_path, "kills", "300", "1"), 300)


def test_the_same_kills_tear_a_file_that_is_written_in_place(tmp_path):
    assert run(tmp_path, "naive", "20", "0")["torn"] > 0


def test_a_full_disk_costs_nothing_that_was_in(tmp_path):
    found = run(tmp_path, "full")
    assert all(
        "those before it are safe because the limit on the size of files is reached" in message
        for message in found["messages"]
    )
    assert (found["same"], found["count"]) == (True, 3)


def test_a_folder_that_may_not_be_written_is_told_and_still_read(tmp_path):
    assert run(tmp_path, "read_only") == {"ok": True, "same": True}


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_of_two_writers_one_wins(tmp_path, count):
    assert run(tmp_path, "races", str(count), "0") == {"races": count, "one": count, "whole": count}


def test_a_fork_does_not_write(tmp_path, monkeypatch):
    with Archive.create(tmp_path / "k", HEADER) as kept:
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: -1)
            with pytest.raises(OutputError, match="lost the lock"):
                kept.append(*chunk(0))
        kept.append(*chunk(0))


def test_a_system_without_file_locks_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(codec, "fcntl", None)
    with pytest.raises(OutputError, match="POSIX file locks"):
        codec.take_lock(tmp_path / "lock")
    assert not list(tmp_path.iterdir())
