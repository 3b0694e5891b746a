"""The manifest of an archive and the chunks it tells of: how they are written down, and read against every hash."""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from flowlab.core.errors import OutputError
from flowlab.core.hashing import sha256_json
from flowlab.core.typing import Record
from flowlab.dynamics.storage.codec import Unsound, declared, read_whole, sealed, unsealed

HEADER, MANIFEST = "header.json", "manifest.jsonl"
CHUNK = re.compile(r"\d{6,}\.npz")


class ArchiveDamaged(OutputError):
    """An archive that is not as it was written.

    Attributes:
        file: the first file that is damaged, relative to the folder.
        last_intact: index of the last chunk before any damage, or None.
    """

    def __init__(self, folder: Path, file: str, reason: str, intact: int) -> None:
        saved = f"chunks 0 to {intact - 1} are intact and can be read with `Archive.open(folder, intact_only=True)`"
        rest = saved if intact else "no chunk is known to be intact, restore a copy"
        super().__init__(f"`{folder / file}` {reason}; {rest}.")
        self.file = file
        self.last_intact = intact - 1 if intact else None


class Row(NamedTuple):
    """A chunk as the manifest tells it: its line, the body of that, and the hash that the next line repeats."""

    line: bytes
    body: Record
    tip: str


def chunk_file(index: int) -> str:
    """The name of a chunk, relative to the folder."""
    return f"chunks/{index:06d}.npz"


def manifest_bytes(rows: tuple[Row, ...], tip: str) -> bytes:
    """A line per chunk and the closing line, without which a manifest that lost its end would look like an
    older one.
    """
    return b"".join(row.line for row in rows) + sealed("end", {"count": len(rows), "previous": tip})


def chunk_names(root: Path) -> list[str]:
    """Names of chunk files, whether or not the manifest tells of them."""
    try:
        if not stat.S_ISDIR(os.lstat(root / "chunks").st_mode):
            raise Unsound("is not a folder")
        return sorted(name for name in os.listdir(root / "chunks") if CHUNK.fullmatch(name))
    except FileNotFoundError:
        raise Unsound("is missing") from None


def chunk_bytes(root: Path, body: Record) -> bytes:
    """What a chunk holds; Unsound where it is not as the manifest has it."""
    data = read_whole(root / chunk_file(body["index"]), body["bytes"])
    if hashlib.sha256(data).hexdigest() != body["file_sha256"]:
        raise Unsound("does not match its SHA-256")
    return data


def _row(line: bytes, index: int) -> Row:
    """A line of the manifest whose form is beyond doubt, whoever wrote it."""
    body = unsealed("chunk", line)
    if body.keys() != {"arrays", "bytes", "file_sha256", "index", "meta", "previous"}:
        raise Unsound(f"has other keys in line {index + 1}")
    if (
        body["index"] != index
        or type(body["index"]) is not int
        or type(body["bytes"]) is not int
        or not isinstance(body["meta"], dict)
    ):
        raise Unsound(f"does not tell of chunk {index} in line {index + 1}")
    if declared(body["arrays"]) > body["bytes"]:
        raise Unsound(f"gives chunk {index} larger arrays than its file")
    return Row(line, body, sha256_json(body))


def validated(root: Path) -> tuple[Record, tuple[Row, ...], ArchiveDamaged | None]:
    """Header, rows before any damage, and the first damage found."""
    faults: list[tuple[str, str]] = []
    rows: list[Row] = []
    header: Record = {}
    tip: str | None = None
    # Before the manifest, so that a chunk which is added meanwhile is not one the manifest has lost.
    try:
        names = chunk_names(root)
    except Unsound as error:
        # Nothing is read through a link, whatever lies behind it.
        return {}, (), ArchiveDamaged(root, "chunks", str(error), 0)
    try:
        header = unsealed("header", read_whole(root / HEADER))
        tip = sha256_json(header)
    except Unsound as error:
        faults.append((HEADER, str(error)))
    file = MANIFEST
    try:
        # What follows the last line break is damage, not a line.
        *lines, rest = read_whole(root / MANIFEST).split(b"\n")
        lines = [line + b"\n" for line in lines] + ([rest] if rest else [])
        for index, line in enumerate(lines):
            file = MANIFEST
            if line.startswith(b'{"end":'):
                break
            row = _row(line, index)
            if tip is not None and row.body["previous"] != tip:
                if index:
                    raise Unsound(f"has a line {index + 1} that does not follow the one before it")
                faults.append((HEADER, f"does not belong to {MANIFEST}"))
                header = {}
            file = chunk_file(index)
            chunk_bytes(root, row.body)
            rows.append(row)
            tip = row.tip
        file = MANIFEST
        end = unsealed("end", b"".join(lines[len(rows) :]))
        if end != {"count": len(rows), "previous": tip or end.get("previous")}:
            raise Unsound("does not end where its last line says")
        late = [name for name in names if int(name.split(".")[0]) > len(rows)]
        if late:
            raise Unsound(f"is older than chunks/{late[-1]}")
    except Unsound as error:
        faults.append((file, str(error)))
    damage = ArchiveDamaged(root, *faults[0], len(rows)) if faults else None
    return header, tuple(rows), damage
