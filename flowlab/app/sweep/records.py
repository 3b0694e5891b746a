"""The folder of a sweep: every point is there as a whole or not at all, once, whoever computed it.

`points/KEY/` holds a point: `rows.npz`, its numbers over time and its last weights, and `point.json`, its specification
and how it ended, under a SHA-256 of both. `failed/KEY.json` says why a point broke. `unfinished/KEY/` is a run that is
under way, which whoever comes next takes up. `sweep.json` says what is swept, and `sweep.zarr` is the result.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowlab.core.errors import OutputError
from flowlab.core.files import writing
from flowlab.core.hashing import sealed, unsealed
from flowlab.core.typing import Record
from flowlab.dynamics.storage.codec import Unsound, pack, read_whole, sync_folder, unpack, write_whole

PLAN, RESULT = "sweep.json", "sweep.zarr"
_POINT, _ROWS = "point.json", "rows.npz"


@dataclass(frozen=True)
class Folder:
    """Where a sweep is written; nothing in it depends on how many processes write there."""

    root: Path

    @property
    def points(self) -> Path:
        """Where finished points are."""
        return self.root / "points"

    @property
    def failed(self) -> Path:
        """Where points that broke are told of."""
        return self.root / "failed"

    def unfinished(self, key: str) -> Path:
        """Where a point is written on the way."""
        return self.root / "unfinished" / key

    def open(self, plan: Record) -> None:
        """Make the folder, and say in it what is swept.

        Raises:
            OutputError: if it cannot be written.
        """
        with writing(self.root, "--out "):
            for part in (self.points, self.failed, self.root / "unfinished"):
                part.mkdir(parents=True, exist_ok=True)
            write_whole(self.root / PLAN, _json(plan))

    def plan(self) -> Record | None:
        """What was said to be swept; None where nothing was.

        Raises:
            OutputError: if it is damaged.
        """
        return _read(self.root / PLAN) if (self.root / PLAN).is_file() else None

    def has(self, key: str) -> bool:
        """Whether a point is done."""
        return (self.points / key).is_dir()

    def done(self) -> set[str]:
        """Keys of all points that are done, of this sweep or another one that shares the folder."""
        return {name for name in _names(self.points) if not name.startswith(".")}

    def failures(self) -> set[str]:
        """Keys of all points that broke."""
        return {name.removesuffix(".json") for name in _names(self.failed) if not name.startswith(".")}

    def record(self, key: str, told: Record, arrays: Mapping[str, np.ndarray]) -> None:
        """Put a finished point in its place, in one step; where it is there already, nothing changes."""
        data, described = pack(arrays)
        about = told | {"arrays": described, "rows_sha256": hashlib.sha256(data).hexdigest()}
        part = self.points / f".{key}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            part.mkdir()
            write_whole(part / _ROWS, data)
            write_whole(part / _POINT, _json(about))
            # A folder that holds something is never replaced.
            os.rename(part, self.points / key)
            sync_folder(self.points)
        except OSError:
            if not self.has(key):
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        (self.failed / f"{key}.json").unlink(missing_ok=True)

    def fail(self, key: str, told: Record) -> None:
        """Say why a point broke."""
        write_whole(self.failed / f"{key}.json", _json(told))

    def failure(self, key: str) -> Record:
        """Why a point broke."""
        return _read(self.failed / f"{key}.json")

    def forget_failures(self, keys: Iterable[str]) -> None:
        """Have points tried again."""
        for key in keys:
            (self.failed / f"{key}.json").unlink(missing_ok=True)

    def told(self, key: str) -> Record:
        """What is told of a point.

        Raises:
            OutputError: if it is damaged.
        """
        return _read(self.points / key / _POINT)

    def read(self, key: str) -> tuple[Record, dict[str, np.ndarray]]:
        """What is told of a point and its arrays, read against their hashes.

        Raises:
            OutputError: if it is damaged.
        """
        home, told = self.points / key, self.told(key)
        try:
            data = read_whole(home / _ROWS)
            if hashlib.sha256(data).hexdigest() != told["rows_sha256"]:
                raise Unsound("does not match its SHA-256")
            return told, unpack(data, told["arrays"])
        except (Unsound, KeyError) as error:
            raise _damaged(home / _ROWS, error) from None

    def discard(self, key: str) -> None:
        """Remove what is written of a point on the way."""
        shutil.rmtree(self.unfinished(key), ignore_errors=True)

    def clear(self) -> None:
        """Remove what processes that were killed left of points that are done."""
        done = self.done()
        for key in done.intersection(_names(self.root / "unfinished")):
            self.discard(key)
        for name in _names(self.points):
            # The name of a part is a dot, the key, and who wrote it.
            if name.startswith(".") and name.split(".")[1] in done:
                shutil.rmtree(self.points / name, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _json(record: Record) -> bytes:
    return json.dumps(sealed(record), indent=1, sort_keys=True, allow_nan=False).encode()


def _read(path: Path) -> Record:
    try:
        return unsealed(read_whole(path).decode())
    except (Unsound, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> OutputError:
    return OutputError(f"`{path}` {error}; remove it, or the point's folder, and run the sweep again.")
