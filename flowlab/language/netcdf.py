"""Labelled data sets on disk, under a SHA-256 of all they hold: reading gives what was written, or one sentence."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.arguments import short, tail
from flowlab.core.errors import FlowlabError, OutputError
from flowlab.core.files import cause
from flowlab.core.memory import require_memory

_RECORD, _SUM = "flowlab", "contents_sha256"
"""The attribute that holds the record of a result, and the entry of that record which holds the hash."""
_SEAL = b"\nflowlab sha256 %s\n"
"""The end of a file, which HDF5 does not read: the hash of all bytes before it.

Damage is seen by it before HDF5, which it can send around in circles.
"""
_FILES = "files_sha256"
"""The attribute of a Zarr store that holds the hash of all its other files, which is compared before any is decoded."""
_SEALED = re.compile(re.escape(_SEAL % b"*").replace(rb"\*", rb"([0-9a-f]{64})"))


def write(dataset: xr.Dataset, path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """Write a data set with its hash, all or nothing.

    Args:
        dataset: with a record as JSON in the attribute `flowlab`.
        path: to write.
        suffixes: which of `.nc` (NetCDF) and `.zarr` it may end in.

    Raises:
        OutputError: if it cannot be written, or Zarr is not installed.
    """
    path = Path(path)
    if path.suffix not in suffixes:
        kinds = " or ".join({".nc": ".nc (NetCDF)", ".zarr": ".zarr"}[s] for s in suffixes)
        raise OutputError(f"`{tail(path.name)}` has no known format; use a name that ends in {kinds}.")
    plain = _plain(dataset)
    record = json.loads(plain.attrs[_RECORD]) | {_SUM: contents(plain)}
    sealed = plain.assign_attrs({_RECORD: json.dumps(record, sort_keys=True)})
    # Beside the target, so that the last move is one step on one disk.
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.suffix == ".zarr":
            _need_zarr(path)
            sealed.to_zarr(part, mode="w", consolidated=False, zarr_format=2)
            attributes = part / ".zattrs"
            told = json.loads(attributes.read_text(encoding="utf-8")) | {_FILES: _hashed_files(part)}
            attributes.write_text(json.dumps(told), encoding="utf-8")
            if path.is_dir():
                shutil.rmtree(path)
        else:
            sealed.to_netcdf(part, engine="h5netcdf")
            with part.open("ab") as end:
                end.write(_SEAL % _hashed(part, part.stat().st_size))
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"`{tail(path)}` cannot be written ({error.strerror or short(str(error))}); choose another folder."
        ) from None
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)
    return path


def _plain(dataset: xr.Dataset) -> xr.Dataset:
    """A data set without a hash, whose record has the one text that is hashed."""
    record = json.loads(dataset.attrs[_RECORD])
    record.pop(_SUM, None)
    return dataset.assign_attrs({_RECORD: json.dumps(record, sort_keys=True)})


def fingerprint(dataset: xr.Dataset) -> str:
    """The hash that the file of a data set carries when it is written."""
    return contents(_plain(dataset))


def fingerprint_of(path: str | Path) -> str | None:
    """The hash that a file carries, without a look at its numbers; None where there is no file or no hash.

    Raises:
        OutputError: if the file is damaged or holds something else.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        with _opened(path) as opened:
            return json.loads(opened.attrs[_RECORD]).get(_SUM)
    except Exception as error:
        raise not_one(path, "trajectory", error) from None


def kind_of(path: str | Path, what: str) -> str:
    """The kind of a stored result, without its numbers; errors as of `read`."""
    try:
        with _opened(Path(path)) as opened:
            return str(opened.attrs["kind"])
    except FlowlabError:
        raise
    except Exception as error:
        raise not_one(path, what, error) from None


def read(path: str | Path, what: str) -> xr.Dataset:
    """The data set that `write` wrote, checked against its hash; one from before there were hashes comes with a
    warning.

    Raises:
        OutputError: if the file is missing, damaged, or holds something else.
        TooLarge: if it does not fit into memory.
    """
    path = Path(path)
    try:
        with _opened(path) as opened:
            # Damage can make a file claim any shape.
            require_memory(opened.nbytes, f"`{tail(path)}`", "read it on a larger machine")
            if path.suffix != ".zarr" and opened.nbytes > path.stat().st_size:
                raise ValueError(f"it declares {opened.nbytes} bytes of numbers, more than the file has")
            dataset = opened.load()
        dataset.attrs.pop(_FILES, None)
        record = json.loads(dataset.attrs[_RECORD])
        found = record.pop(_SUM, None)
        dataset.attrs[_RECORD] = json.dumps(record, sort_keys=True)
        if found is None:
            warnings.warn(
                f"`{tail(path)}` was stored before results had checksums, so damage to it would not be seen; save it"
                " again.",
                stacklevel=3,
            )
        elif found != contents(dataset):
            raise _damaged(path)
        return dataset
    except FlowlabError:
        raise
    except Exception as error:
        # Damage can make the libraries below raise anything.
        raise not_one(path, what, error) from None


def _opened(path: Path) -> xr.Dataset:
    """A stored data set, whose bytes are those that were written, before its numbers are read."""
    if path.suffix != ".zarr":
        _check_seal(path)
        return xr.open_dataset(path, engine="h5netcdf")
    _need_zarr(path)
    seal = json.loads((path / ".zattrs").read_text(encoding="utf-8")).get(_FILES)
    if seal is not None and seal != _hashed_files(path):
        raise _damaged(path)
    return xr.open_dataset(path, engine="zarr", consolidated=False)


def _check_seal(path: Path) -> None:
    """Refuse a file whose bytes are not those before its seal.

    One without a seal is from before there were seals, or was changed by another program; it ends where HDF5 says. Else
    it was cut, or its seal damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        file.seek(max(size - len(_SEAL % bytes(64)), 0))
        seal = _SEALED.fullmatch(file.read())
    if seal is not None:
        whole = seal[1] == _hashed(path, size - len(seal[0]))
    elif not head.startswith(b"\x89HDF\r\n\x1a\n") or len(head) < 64:
        raise ValueError("it is not NetCDF of version 4")
    else:
        # The address of the end of a file, by the version of its superblock (HDF5 file format specification,
        # section II.A).
        whole = size == int.from_bytes(head[(at := {0: 40, 1: 44}.get(head[8], 28)) : at + 8], "little")
    if not whole:
        raise _damaged(path)


def _hashed(path: Path, size: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (part := file.read(min(size, 1 << 20))):
            digest.update(part)
            size -= len(part)
    return digest.hexdigest().encode()


def _hashed_files(store: Path) -> str:
    """SHA-256 over all files of a Zarr store but the attributes of its root and hidden ones that are not Zarr's."""
    digest = hashlib.sha256()
    files = (
        file
        for file in store.rglob("*")
        if file.is_file() and file != store / ".zattrs" and not re.match(r"\.[^z]", file.name)
    )
    for name, file in sorted((file.relative_to(store).as_posix(), file) for file in files):
        digest.update(f"{json.dumps(name)}{_hashed(file, size := file.stat().st_size).decode()}{size};".encode())
    return digest.hexdigest()


def _damaged(path: Path) -> OutputError:
    return OutputError(
        f"`{tail(path)}` is damaged: what it holds does not match its SHA-256; restore a copy, or run it again."
    )


def not_one(path: str | Path, what: str, error: Exception) -> OutputError:
    """The error for a file that holds no such result, or is damaged."""
    if isinstance(error, OutputError):
        # It says already what the file needs.
        return error
    return OutputError(f"`{tail(path)}` must be a stored {what}, got {cause(error)}; write one with `save`.")


def contents(dataset: xr.Dataset) -> str:
    """SHA-256 over names, dimensions, types, attributes and values of all variables,
    and over the attributes of the data set.
    """
    digest = hashlib.sha256(_told(dataset.attrs).encode())
    for name in sorted(dataset.variables, key=str):
        variable = dataset.variables[name]
        values = np.asarray(variable.values)
        if values.dtype.kind not in "biuf":
            kind, raw = "text", json.dumps(values.astype(str).tolist()).encode()
        else:
            # Not a number has many patterns of bits, of which a reader keeps one.
            whole = np.where(np.isnan(values), np.nan, values) if values.dtype.kind == "f" else values
            kind, raw = (
                values.dtype.newbyteorder("<").str,
                np.ascontiguousarray(whole, dtype=values.dtype.newbyteorder("<")).tobytes(),
            )
        head = json.dumps([str(name), *map(str, variable.dims)])
        digest.update(f"{head}{values.shape}{kind}{_told(variable.attrs)}{len(raw)};".encode())
        digest.update(raw)
    return digest.hexdigest()


def _told(attrs: Mapping[Any, Any]) -> str:
    """Attributes as text that does not depend on whether they have been on disk, where numbers become numpy's."""
    plain = {str(k): v if isinstance(v, str) else np.asarray(v).tolist() for k, v in attrs.items()}
    return json.dumps(plain, sort_keys=True, default=str)


def _need_zarr(path: Path) -> None:
    if importlib.util.find_spec("zarr") is None:
        raise OutputError(
            f'`{tail(path)}` needs the package zarr; install it by `pip install "flowlab[zarr]"`, or use a name that'
            " ends in .nc."
        )
