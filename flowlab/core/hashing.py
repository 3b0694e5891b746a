"""Canonical text and hashes, equal on every machine and under every hash seed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowlab.core.typing import Record


def canonical_json(obj: Any) -> str:
    """The one JSON text of an object: sorted keys, no white space, floats in shortest form."""
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256_json(obj: Any) -> str:
    """SHA-256 of the canonical text."""
    return hashlib.sha256(canonical_json(obj).encode()).hexdigest()


_SEAL = "sha256"


def sealed(record: Mapping[str, Any]) -> Record:
    """A record that JSON holds, with the hash of the rest of it under `sha256`."""
    rest = {key: value for key, value in record.items() if key != _SEAL}
    return rest | {_SEAL: sha256_json(rest)}


def unsealed(text: str) -> Record:
    """The record of a JSON text, without its seal; one that has none is from before there were seals.

    Raises:
        ValueError: if the text is not JSON, no record, or not what was sealed.
    """
    try:
        record = json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("it is no table of names")
    seal = record.pop(_SEAL, None)
    if seal is not None and seal != sha256_json(record):
        raise ValueError("it is damaged: what it holds does not match its SHA-256")
    return record


def sha256_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
