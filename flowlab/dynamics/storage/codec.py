"""Bytes of an archive: sealed lines of JSON, arrays as .npz with one encoding per value, files that appear whole or not
at all.
"""

import errno
import io
import json
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from flowlab.core.arguments import must_be
from flowlab.core.errors import OutputError
from flowlab.core.hashing import canonical_json, sha256_json
from flowlab.core.typing import ArrayLike, Record

try:
    import fcntl
except ImportError:
    # Windows has other locks; everything but stored runs works there.
    fcntl = None

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_TEMP = re.compile(r"\..+\.\d+\.[0-9a-f]{16}\.tmp")
_DTYPES = frozenset(("|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16"))
_DIMENSIONS = 32
_DAMAGE = {
    errno.ENOENT: "is missing",
    errno.ENOTDIR: "is missing",
    errno.ELOOP: "is a link",
    errno.EIO: "cannot be read from the disk",
}
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip file can tell: equal arrays are equal bytes, whenever they are written."""


class Unsound(ValueError):
    """Bytes that are not what was written, told by their reason; the archive says in which file."""


class BeingWritten(OutputError):
    """An archive that another process holds."""


def plain(what: str, value: object) -> Any:
    """A dict as JSON gives it back; an OutputError if JSON has no form for it."""
    try:
        back = json.loads(canonical_json(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(
            f"the {what} cannot be kept as JSON ({error}); use text, finite numbers, truth values, None, lists and"
            " dicts of them."
        ) from None
    if not isinstance(back, dict):
        raise OutputError(f"the {what} must be a dict, got a value of type {type(value).__name__}; pass a dict.")
    return back


def sealed(kind: str, body: object) -> bytes:
    """One line that carries its own hash."""
    return canonical_json({kind: body, "sha256": sha256_json(body)}).encode() + b"\n"


def unsealed(kind: str, line: bytes) -> Record:
    """The body of a sealed line; Unsound if any bit of it is not as `sealed` writes it."""
    try:
        body = json.loads(line.decode("ascii"))[kind]
        whole = isinstance(body, dict) and sealed(kind, body) == line
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unsound("is not in its one form") from None
    if not whole:
        raise Unsound("does not match its SHA-256")
    return body


def _head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Magic and header of an .npy file, written here because numpy's own padding is not the same in every version."""
    told = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    room = -(10 + len(told) + 1) % 64
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(told) + room + 1) + f"{told}{' ' * room}\n".encode()


def pack(arrays: Mapping[str, ArrayLike]) -> tuple[bytes, Record]:
    """The bytes of an .npz file, equal for equal arrays, and the dtype and shape of each array."""
    told: Record = {}
    for name in arrays:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise must_be(
                "name",
                name,
                "at most 128 of A-Z a-z 0-9 _ . - that begin with a letter or _",
                "another name of the array",
                OutputError,
            )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as box:
        for name in sorted(arrays):
            array = _numbers(name, arrays[name])
            told[name] = {"dtype": array.dtype.str, "shape": list(array.shape)}
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            box.writestr(info, _head(array.dtype.str, array.shape) + array.tobytes())
    return buffer.getvalue(), told


def _numbers(name: str, value: object) -> np.ndarray:
    """Little-endian, so that the machine does not show in the bytes; `tobytes` sees to the order of axes."""
    try:
        if isinstance(value, np.ma.MaskedArray):
            raise ValueError("it is masked, and the mask would be lost")
        array = np.asarray(value)
        dtype = array.dtype.newbyteorder("<")
        if dtype.str not in _DTYPES or dtype.fields is not None:
            raise ValueError(f"its dtype is {array.dtype}")
        if array.ndim > _DIMENSIONS:
            raise ValueError(f"it has {array.ndim} axes")
    except (ValueError, TypeError) as error:
        raise OutputError(
            f"the array `{name}` cannot be stored ({error}); use plain numbers or truth values, such as float64."
        ) from None
    return np.asarray(array, dtype=dtype)


def declared(arrays: object) -> int:
    """How many bytes the arrays that a manifest describes take; Unsound unless every name, dtype and shape is one that
    `pack` writes.
    """
    if not isinstance(arrays, dict):
        raise Unsound("describes no arrays")
    total = 0
    for name, told in arrays.items():
        if not _NAME.fullmatch(name):
            raise Unsound(f"names an array {name[:40]!r}")
        if (
            not isinstance(told, dict)
            or told.keys() != {"dtype", "shape"}
            or not isinstance(told["dtype"], str)
            or told["dtype"] not in _DTYPES
        ):
            raise Unsound(f"gives `{name}` no dtype of numbers")
        shape = told["shape"]
        if not isinstance(shape, list) or len(shape) > _DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
            raise Unsound(f"gives `{name}` no shape")
        total += _weight(told)
    return total


def _weight(told: Record) -> int:
    return len(_head(told["dtype"], tuple(told["shape"]))) + math.prod(told["shape"]) * np.dtype(told["dtype"]).itemsize


def unpack(data: bytes, told: Record) -> dict[str, np.ndarray]:
    """The arrays in an .npz file; Unsound unless they are those that the manifest describes, which is settled before
    any is loaded.
    """
    names = sorted(told)
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as box:
            members = box.infolist()
            if [member.filename for member in members] != [f"{name}.npy" for name in names]:
                raise Unsound("has other arrays than the manifest says")
            for name, member in zip(names, members, strict=True):
                sizes = {member.file_size, member.compress_size}
                if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or sizes != {_weight(told[name])}:
                    raise Unsound(f"has `{name}` in another size or packing than the manifest says")
            for name, member in zip(names, members, strict=True):
                dtype, shape = told[name]["dtype"], tuple(told[name]["shape"])
                head, raw = _head(dtype, shape), box.read(member)
                if not raw.startswith(head):
                    raise Unsound(f"has `{name}` in another dtype or shape than the manifest says")
                arrays[name] = np.ndarray(shape, dtype, buffer=raw, offset=len(head)).copy()
    except Unsound:
        raise
    except (
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        KeyError,
        TypeError,
        OverflowError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise Unsound(f"cannot be unpacked ({error})") from None
    return arrays


def read_whole(path: Path, size: int | None = None) -> bytes:
    """All bytes of a regular file, which is no link and has the size told; Unsound if there is no such file."""
    try:
        # Without O_NONBLOCK a pipe in the place of a file would wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                raise Unsound("is not a regular file")
            if size is not None and about.st_size != size:
                raise Unsound(f"has {about.st_size} bytes instead of {size}")
            parts = []
            while part := os.read(fd, 1 << 24):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _DAMAGE:
            raise Unsound(_DAMAGE[error.errno]) from None
        raise OutputError(f"`{path}` cannot be read ({error.strerror}); see who may read it.") from None


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in its place at once: whoever looks, or comes after a kill, finds all of the old bytes or all of the
    new.
    """
    temp = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(8).hex()}.tmp")
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temp, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temp)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder last through a power cut, where the file system knows how."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left half-written; only for who holds the lock."""
    for name in os.listdir(folder):
        if _TEMP.fullmatch(name):
            os.unlink(folder / name)


def take_lock(path: Path) -> int:
    """A descriptor that holds the lock until it is closed, which the system does for a process that dies."""
    if fcntl is None:
        raise OutputError(
            "`store` must be on a system with POSIX file locks, got Windows; leave `store` out, or use WSL."
        )
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise BeingWritten(
            f"`{path.parent}` is being written by another process; wait until that ends, or choose another folder."
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return fd
