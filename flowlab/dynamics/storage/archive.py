"""An archive: chunks of arrays that are only ever added, safe from kills, full disks and bits that flip.

A folder holds `header.json`, `chunks/000000.npz`, … and `manifest.jsonl`: one line per chunk with its SHA-256, arrays
and meta, then a closing line. Every line carries its own hash and that of the line before it, the first that of the
header. The manifest is replaced as a whole, after the chunk that it adds is on the disk. So a kill leaves the archive
before an append or after it and never in between, and whatever does not fit together is damage, not a kill.
"""

import copy
import errno
import hashlib
import operator
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from flowlab.core.arguments import must_be
from flowlab.core.errors import OutputError
from flowlab.core.hashing import sha256_json
from flowlab.core.typing import Json, Record
from flowlab.dynamics.storage.codec import (
    Unsound,
    pack,
    plain,
    read_whole,
    sealed,
    sweep,
    sync_folder,
    take_lock,
    unpack,
    write_whole,
)
from flowlab.dynamics.storage.manifest import (
    CHUNK,
    HEADER,
    MANIFEST,
    ArchiveDamaged,
    Row,
    chunk_bytes,
    chunk_file,
    chunk_names,
    manifest_bytes,
    validated,
)

_LOCK = "writer.lock"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the limit on the size of files is reached",
}


class Archive:
    """A folder of chunks, from `create` or `open`. Close it, or use it in a `with`, to let the next writer in.

    Attributes:
        folder: where it is.
        header: what `create` was given, as JSON gives it back; empty if the header is damaged.
        damage: what `open(…, intact_only=True)` found, or None.
    """

    def __init__(
        self,
        folder: Path,
        header: Record,
        rows: tuple[Row, ...],
        lock: int | None = None,
        damage: ArchiveDamaged | None = None,
    ) -> None:
        self.folder, self.header, self.damage = folder, header, damage
        self._rows, self._root, self._lock, self._pid = rows, sha256_json(header), lock, os.getpid()
        self._release = weakref.finalize(self, os.close, lock) if lock is not None else None

    @classmethod
    def exists(cls, folder: str | os.PathLike[str]) -> bool:
        """Whether a folder holds an archive, or what is left of one; a `create` that was killed leaves none."""
        root = _absolute(folder)
        try:
            return os.path.lexists(root / HEADER) or any(CHUNK.fullmatch(name) for name in os.listdir(root / "chunks"))
        except OSError:
            return False

    @classmethod
    def create(cls, folder: str | os.PathLike[str], header: Mapping[str, Json]) -> "Archive":
        """Begin an empty archive and hold its lock.

        Args:
            folder: made if it is not there; other files in it are left alone.
            header: what the chunks belong to; text, finite numbers, lists and dicts.
        """
        root, told = _absolute(folder), plain("header", header)
        lock = None
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = take_lock(root / _LOCK)
            if cls.exists(root):
                raise OutputError(
                    f"`{root}` holds an archive already; resume that with Archive.open, or choose another folder."
                )
            (root / "chunks").mkdir(exist_ok=True)
            chunk_names(root)
            sweep(root)
            # The header comes last: with it, the archive is there as a whole.
            write_whole(root / MANIFEST, manifest_bytes((), sha256_json(told)))
            write_whole(root / HEADER, sealed("header", told))
            # A parent that cannot be opened, such as a shared folder of homes, does no harm.
            with suppress(OSError):
                sync_folder(root.parent)
            return cls(root, told, (), lock)
        except BaseException as error:
            if lock is not None:
                os.close(lock)
            if isinstance(error, OSError):
                raise OutputError(
                    f"no archive can be created in `{root}` because {_reason(error)}; choose another folder."
                ) from None
            if isinstance(error, Unsound):
                raise OutputError(f"`{root / 'chunks'}` {error}; choose another folder.") from None
            raise

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, write: bool = False, intact_only: bool = False) -> "Archive":
        """Read every byte of an archive against its hashes and give access to it.

        Args:
            folder: where the archive is.
            write: whether to append; at most one writer holds an archive, readers may be many.
            intact_only: if it is damaged, give the chunks before the damage instead of raising, for reading only.

        Raises:
            ArchiveDamaged: a file is missing, or differs in any bit from what was written.
        """
        root = _absolute(folder)
        if not cls.exists(root):
            raise OutputError(f"`{root}` holds no archive; begin one with Archive.create, or give the folder of one.")
        if write and intact_only:
            raise OutputError(
                "intact_only=True opens an archive for reading; leave out write=True, and append to a new archive."
            )
        lock = None
        try:
            if write:
                lock = take_lock(root / _LOCK)
            header, rows, damage = validated(root)
            if damage is not None and not intact_only:
                raise damage
            if write:
                sweep(root)
                sweep(root / "chunks")
            return cls(root, header, rows, lock, damage)
        except BaseException as error:
            if lock is not None:
                os.close(lock)
            if isinstance(error, OSError):
                raise OutputError(
                    f"`{root}` cannot be opened because {_reason(error)}; see who may {'write' if write else 'read'}"
                    " there."
                ) from None
            raise

    @classmethod
    def remove(cls, folder: str | os.PathLike[str]) -> None:
        """Remove an archive, damaged or not, and nothing else that its folder holds.

        Raises:
            OutputError: if another process writes it, or something cannot be removed.
        """
        root = _absolute(folder)
        if not cls.exists(root):
            return
        try:
            lock = take_lock(root / _LOCK)
            try:
                # The chunks come first: a removal that is cut short leaves what `exists` still tells of.
                for name in chunk_names(root):
                    os.unlink(root / "chunks" / name)
                sweep(root / "chunks")
                sweep(root)
                for name in (MANIFEST, HEADER, _LOCK):
                    (root / name).unlink(missing_ok=True)
                for emptied in (root / "chunks", root):
                    with suppress(OSError):
                        emptied.rmdir()
            finally:
                os.close(lock)
        except Unsound as error:
            raise OutputError(f"`{root / 'chunks'}` {error}; remove it by hand.") from None
        except OSError as error:
            raise OutputError(
                f"the archive `{root}` cannot be removed because {_reason(error)}; see who may write there."
            ) from None

    @property
    def count(self) -> int:
        """How many chunks there are; for a reader, were when it opened the archive."""
        return len(self._rows)

    def __len__(self) -> int:
        return self.count

    def append(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Json]) -> None:
        """Add a chunk. It is on the disk when this returns; if this raises, everything before it still is, and it may
        be tried again.

        Args:
            arrays: numbers or truth values by name; kept little-endian and in C order.
            meta: text, finite numbers, lists and dicts.
        """
        self._check_writer()
        index = self.count
        data, described = pack(arrays)
        body = {
            "arrays": described,
            "bytes": len(data),
            "file_sha256": hashlib.sha256(data).hexdigest(),
            "index": index,
            "meta": plain(f"meta of chunk {index}", meta),
            "previous": self._tip,
        }
        rows = (*self._rows, Row(sealed("chunk", body), body, sha256_json(body)))
        before, after = manifest_bytes(self._rows, self._tip), manifest_bytes(rows, rows[-1].tip)
        chunk = self.folder / chunk_file(index)
        try:
            write_whole(chunk, data)
            write_whole(self.folder / MANIFEST, after)
            self._rows = rows
        except BaseException as error:
            # An interrupt may come right after the manifest was replaced: then the chunk is in.
            landed = _holds(self.folder / MANIFEST, after)
            if landed:
                self._rows = rows
            elif _holds(self.folder / MANIFEST, before):
                with suppress(OSError):
                    os.unlink(chunk)
            if isinstance(error, OSError):
                state = "is written but may not last" if landed else "is not written, those before it are safe"
                raise OutputError(
                    f"chunk {index} {state} because {_reason(error)} in `{self.folder}`; see to that and go on from"
                    f" chunk {self.count}."
                ) from None
            raise

    def read(self, i: int) -> tuple[dict[str, np.ndarray], Record]:
        """Arrays and meta of chunk i, from 0; checked once more against their hash."""
        try:
            index = operator.index(i)
        except TypeError:
            index = -1
        if not 0 <= index < self.count:
            raise must_be("i", i, f"the number of one of {self.count} chunks, from 0 on", "such a number", OutputError)
        body = self._rows[index].body
        try:
            return unpack(chunk_bytes(self.folder, body), body["arrays"]), copy.deepcopy(body["meta"])
        except Unsound as error:
            raise ArchiveDamaged(self.folder, chunk_file(index), str(error), index) from None

    def chunks(self) -> Iterator[tuple[dict[str, np.ndarray], Record]]:
        """All chunks in order, one in memory at a time."""
        return (self.read(i) for i in range(self.count))

    def last(self) -> tuple[dict[str, np.ndarray], Record]:
        """Arrays and meta of the latest chunk."""
        if not self.count:
            raise OutputError(f"`{self.folder}` has no chunk yet; append one first.")
        return self.read(self.count - 1)

    def close(self) -> None:
        """Let go of the lock; reading goes on to work."""
        if self._release is not None:
            self._release()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _tip(self) -> str:
        return self._rows[-1].tip if self._rows else self._root

    def _check_writer(self) -> None:
        if self._release is None or self._lock is None:
            raise OutputError(f"`{self.folder}` is open for reading; open it with write=True to append.")
        if not self._release.alive:
            raise OutputError(f"`{self.folder}` is closed; open it with write=True to append.")
        # A fork shares its parent's lock, and a lock file that was removed locks nobody out.
        try:
            same = self._pid == os.getpid() and os.path.samestat(os.fstat(self._lock), os.lstat(self.folder / _LOCK))
        except OSError:
            same = False
        if not same:
            raise OutputError(
                f"this process has lost the lock `{self.folder / _LOCK}`; open the archive again to append."
            )


def _absolute(folder: str | os.PathLike[str]) -> Path:
    if "\0" in os.fspath(folder):
        raise must_be("folder", os.fspath(folder), "a path without zero characters", "another one", OutputError)
    return Path(os.path.abspath(folder))


def _reason(error: OSError) -> str:
    return _FULL.get(error.errno or 0) or f"the system says {error.strerror or error}"


def _holds(path: Path, data: bytes) -> bool:
    try:
        return read_whole(path, len(data)) == data
    except (Unsound, OutputError):
        return False
