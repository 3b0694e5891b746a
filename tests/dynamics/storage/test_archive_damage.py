"""Damage is reported with the file and what is intact; a forged archive is refused before it is loaded."""

import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from flowlab.core.errors import OutputError
from flowlab.core.hashing import sha256_json
from flowlab.dynamics.storage.archive import Archive, ArchiveDamaged
from flowlab.dynamics.storage.codec import pack, sealed
from tests.dynamics.storage.archives import HEADER, chunk, made, same, tree

pytestmark = pytest.mark.usefixtures("unsynced")


def files(folder: Path) -> list[str]:
    return [name for name in tree(folder) if name != "writer.lock"]


def prefix(name: str, count: int) -> int | None:
    """How many chunks are before the damage; for the manifest that depends on the line."""
    return None if name == "manifest.jsonl" else count if name == "header.json" else int(Path(name).stem)


def assert_told(folder: Path, name: str, count: int = 4) -> None:
    with pytest.raises(ArchiveDamaged) as found:
        Archive.open(folder)
    assert found.value.file == name
    assert name in str(found.value)
    with pytest.raises(ArchiveDamaged):
        Archive.open(folder, write=True)
    rest = Archive.open(folder, intact_only=True)
    assert rest.damage is not None
    assert rest.header == ({} if name == "header.json" else HEADER)
    assert found.value.last_intact == (rest.count - 1 if rest.count else None)
    assert rest.count == prefix(name, count) or (prefix(name, count) is None and rest.count <= count)
    assert all(same(rest.read(i), chunk(i)) for i in range(rest.count))


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def naive_read(folder: Path) -> object:
    """What one sees who trusts the files: numbers and text, without the hashes."""
    told = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    arrays = []
    for path in sorted((folder / "chunks").glob("*.npz")):
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays.append({name: stored[name].tolist() for name in stored.files})
    return told, json.loads((folder / "header.json").read_text()), arrays


def flips(where: Path, count: int, seed: int) -> int:
    """Flip bits all over an archive, each is reported; how many of them a naive reader does not notice."""
    folder, rng, unnoticed = made(where / "k"), random.Random(seed), 0
    for n in range(count):
        name = files(folder)[n % len(files(folder))]
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(flipped(whole, rng.randrange(8 * len(whole))))
        assert_told(folder, name)
        try:
            naive_read(folder)
            unnoticed += 1
        except Exception:
            pass
        (folder / name).write_bytes(whole)
    assert Archive.open(folder).count == 4
    return unnoticed


def test_a_flipped_bit_is_told(tmp_path):
    assert flips(tmp_path, 30, 0) > 0


@pytest.mark.slow
def test_many_flipped_bits_are_told(tmp_path):
    assert flips(tmp_path, 500, 1) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["header.json", "manifest.jsonl"])
def test_every_bit_of_the_text_is_told(tmp_path, name):
    folder = made(tmp_path / "k", 2)
    whole = (folder / name).read_bytes()
    for bit in range(8 * len(whole)):
        (folder / name).write_bytes(flipped(whole, bit))
        with pytest.raises(ArchiveDamaged, match=name.replace(".", r"\.")):
            Archive.open(folder)


def test_a_flip_after_opening_is_told_when_the_chunk_is_read(tmp_path):
    folder = made(tmp_path / "k")
    seen, path = Archive.open(folder), folder / "chunks" / "000002.npz"
    path.write_bytes(flipped(path.read_bytes(), 1000))
    assert same(seen.read(1), chunk(1))
    with pytest.raises(ArchiveDamaged, match="chunks 0 to 1 are intact") as found:
        list(seen.chunks())
    assert (found.value.file, found.value.last_intact) == ("chunks/000002.npz", 1)


def test_truncations_are_told(tmp_path):
    folder, rng = made(tmp_path / "k"), random.Random(0)
    for name in files(folder):
        whole = (folder / name).read_bytes()
        for keep in (0, 1, len(whole) - 1, rng.randrange(len(whole)), rng.randrange(len(whole))):
            (folder / name).write_bytes(whole[:keep])
            assert_told(folder, name)
        (folder / name).write_bytes(whole + b"\n")
        assert_told(folder, name)
        (folder / name).write_bytes(whole)


def test_a_manifest_cut_between_lines_is_told_and_costs_nothing(tmp_path):
    folder = made(tmp_path / "k")
    lines = (folder / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    for keep in range(5):
        (folder / "manifest.jsonl").write_bytes(b"".join(lines[:keep]))
        assert_told(folder, "manifest.jsonl")
        assert Archive.open(folder, intact_only=True).count == keep
    for some in (
        lines[:3] + lines[4:],
        lines[:2] + lines[3:],
        lines[1:],
        [lines[1], lines[0], *lines[2:]],
        [*lines, lines[-1]],
        lines[:2] + lines[1:],
    ):
        (folder / "manifest.jsonl").write_bytes(b"".join(some))
        assert_told(folder, "manifest.jsonl")


def test_an_older_manifest_is_told(tmp_path):
    folder, older = made(tmp_path / "k", 4), made(tmp_path / "older", 2)
    shutil.copy(older / "manifest.jsonl", folder / "manifest.jsonl")
    assert_told(folder, "manifest.jsonl")


def test_missing_and_swapped_files_are_told(tmp_path):
    folder = made(tmp_path / "k")
    for name in files(folder):
        (folder / name).rename(tmp_path / "aside")
        assert_told(folder, name)
        (folder / name).mkdir()
        assert_told(folder, name)
        (folder / name).rmdir()
        (tmp_path / "aside").rename(folder / name)
    a, b, aside = folder / "chunks" / "000001.npz", folder / "chunks" / "000003.npz", tmp_path / "aside"
    for _ in range(2):
        a.rename(aside), b.rename(a), aside.rename(b)
        if _ == 0:
            assert_told(folder, "chunks/000001.npz")
    Archive.open(folder)
    with Archive.create(tmp_path / "other", {"network": "another"}) as other:
        other.append(*chunk(0))
    shutil.copy(tmp_path / "other" / "header.json", folder)
    assert_told(folder, "header.json")
    shutil.rmtree(folder / "chunks")
    with pytest.raises(ArchiveDamaged, match="no chunk is known"):
        Archive.open(folder)


def test_nothing_is_read_through_a_link_or_waits_for_a_pipe(tmp_path):
    folder = made(tmp_path / "k")
    for name in files(folder):
        (folder / name).rename(tmp_path / "aside")
        (folder / name).symlink_to(tmp_path / "aside")
        assert_told(folder, name)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert_told(folder, name)
        (folder / name).unlink()
        (tmp_path / "aside").rename(folder / name)
    (folder / "chunks").rename(tmp_path / "aside")
    (folder / "chunks").symlink_to(tmp_path / "aside")
    assert Archive.open(folder, intact_only=True).count == 0
    with pytest.raises(ArchiveDamaged, match="is not a folder"):
        Archive.open(folder)
    (tmp_path / "away").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "chunks").symlink_to(tmp_path / "away")
    with pytest.raises(OutputError, match="is not a folder"):
        Archive.create(tmp_path / "new", HEADER)
    assert list((tmp_path / "away").iterdir()) == []
    (tmp_path / "link").symlink_to(made(tmp_path / "real"))
    assert Archive.open(tmp_path / "link").count == 4


def forged(folder: Path, data: bytes, arrays: object, **other: object) -> None:
    """An archive whose hashes are right, whatever it holds."""
    (folder / "chunks").mkdir(parents=True, exist_ok=True)
    (folder / "chunks" / "000000.npz").write_bytes(data)
    (folder / "header.json").write_bytes(sealed("header", HEADER))
    digest, first = hashlib.sha256(data).hexdigest(), sha256_json(HEADER)
    body = {
        "arrays": arrays,
        "bytes": len(data),
        "file_sha256": digest,
        "index": 0,
        "meta": {},
        "previous": first,
    } | other
    (folder / "manifest.jsonl").write_bytes(
        sealed("chunk", body) + sealed("end", {"count": 1, "previous": sha256_json(body)})
    )


class Bomb:
    """Its pickle makes a file when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("pwned",)


def npz(compressed: bool = False, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # type: ignore[operator]
    return buffer.getvalue()


def packed(data: bytes) -> bytes:
    """The same members, compressed, and with a comment as long as what that saves."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as box, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as small:
        for member in box.infolist():
            small.writestr(member.filename, box.read(member))
        small.comment = b"x" * 300
    return buffer.getvalue()


F8 = {"dtype": "<f8", "shape": [2, 3]}
SIX = np.arange(6.0).reshape(2, 3)
CHUNKS = {
    "pickled": npz(a=np.array([Bomb()])),
    "bomb": npz(True, a=np.zeros((2, 3)), b=np.zeros(10**7)),
    "packed": packed(pack({"a": SIX})[0]),
    "more": npz(a=SIX, b=SIX),
    "fewer": npz() + b" " * 300,
    "renamed": npz(b=SIX),
    "other dtype": npz(a=SIX.astype("i8")),
    "other shape": npz(a=SIX.T.copy()),
    "fortran": npz(a=np.asfortranarray(SIX)),
    "longer": npz(a=np.zeros((20, 3))),
    "no zip": b"x" * 500,
    "empty": b"",
}


@pytest.mark.parametrize("case", CHUNKS)
def test_forged_chunks_are_refused(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    forged(tmp_path / "k", CHUNKS[case], {"a": F8})
    with pytest.raises(ArchiveDamaged):
        Archive.open(tmp_path / "k").read(0)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "told",
    [
        *({"a": F8 | {"dtype": dtype}} for dtype in ("|O", ["<f8"], "<f16", ">f8", "|V8", "", None)),
        *(
            {"a": F8 | {"shape": shape}}
            for shape in ([-1], [True], [1.0], 1, None, [10**9], [10**30, 10**30], [1] * 33, [[1]])
        ),
        {"a": F8 | {"more": 1}},
        {"a": []},
        {"a": {}},
        [],
        None,
        {"../a": F8},
    ],
)
def test_forged_manifests_are_refused(tmp_path, told):
    forged(tmp_path / "k", npz(a=SIX), told)
    with pytest.raises(ArchiveDamaged, match="manifest"):
        Archive.open(tmp_path / "k")


@pytest.mark.parametrize(
    "other",
    [{"index": 1}, {"index": False}, {"bytes": -1}, {"bytes": 1e3}, {"meta": []}, {"previous": None}, {"file": "../x"}],
)
def test_forged_lines_are_refused(tmp_path, other):
    forged(tmp_path / "k", npz(a=SIX), {"a": F8}, **other)
    with pytest.raises(ArchiveDamaged):
        Archive.open(tmp_path / "k")


def test_forged_chunks_are_refused_or_read_as_declared(tmp_path):
    rng, data = random.Random(0), pack({"a": SIX})[0]
    for _ in range(150):
        bad = data
        for _ in range(rng.randint(1, 3)):
            bad = flipped(bad, rng.randrange(8 * len(bad)))
        forged(tmp_path / "k", bad, {"a": F8})
        try:
            array = Archive.open(tmp_path / "k").read(0)[0]["a"]
        except ArchiveDamaged:
            continue
        assert (array.shape, array.dtype) == ((2, 3), np.float64)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "a\n", "a\0", "é", "\ud800", "-a", "0a", "a" * 129, "a" * 70_000],
    ids=range(14),
)
def test_forged_names_are_refused(tmp_path, name):
    forged(tmp_path / "k", npz(a=SIX), {name: F8})
    with pytest.raises(ArchiveDamaged, match="names an array"):
        Archive.open(tmp_path / "k")
