"""How a run is written down on the way, and taken up again: rows and the whole carry, chunk by chunk, into an archive.

Chunks are cut at numbers of attempted steps that depend on nothing else, so a run that was killed and taken up again
writes the same bytes as one that was not. The first chunks hold 32 attempts, later ones a part of all attempts so far,
and none more rows than the store keeps.
"""

import math
import os
import platform
from collections.abc import Sequence

import jax
import numpy as np

from flowlab.core.errors import OutputError
from flowlab.core.hashing import sha256_arrays
from flowlab.core.provenance import versions
from flowlab.core.typing import PyTree, Record
from flowlab.dynamics.conditions import Condition
from flowlab.dynamics.storage.archive import Archive
from flowlab.dynamics.storage.row_buffer import Rows, Store
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField

FORMAT = 3
_ATTEMPTS, _PART = 32, 64
_BITWISE = ("flowlab", "jax", "jaxlib", "diffrax", "equinox", "numpy")
"""Packages on which the bits of a run depend."""


def described(condition: Condition) -> Record:
    """A condition as JSON: its class and the numbers it was made with."""
    values = {name: np.asarray(value).tolist() for name, value in sorted(vars(condition).items())}
    return {"name": condition.name, "type": type(condition).__qualname__, "values": values}


def header(field: VectorField, data: Data, start: State, conditions: Sequence[Condition], settings: Record) -> Record:
    """Everything that the bits of a run depend on. Limits on steps and seconds are not among it: a run may be taken up
    with others.
    """
    arrays = {f"rho {k}": np.asarray(v) for k, v in start.rho.items()} | {
        f"V {k}": np.asarray(v) for k, v in start.V.items()
    }
    found = versions()
    return {
        "format": FORMAT,
        "kind": "flow",
        "problem": field.problem.describe(),
        "equations": field.signature,
        "data": data.sha256(),
        "data_name": data.name,
        "start": sha256_arrays(arrays),
        "until": [described(c) for c in conditions],
        "settings": settings,
        "versions": {name: found[name] for name in _BITWISE if name in found},
        "machine": platform.machine(),
    }


def ended(folder: str | os.PathLike[str]) -> bool | None:
    """Whether the run that a folder holds has come to its end; None where it holds none.

    Raises:
        ArchiveDamaged: if what is there is not as it was written.
    """
    if not Archive.exists(folder):
        return None
    archive = Archive.open(folder)
    return bool(archive.count) and archive.last()[1]["outcome"] is not None


class Ledger:
    """The archive of one run.

    Attributes:
        resumed: meta and carry of the last chunk of an earlier session, or None.
        kinks: what the chunks of earlier sessions say of kinks, in order.
        reached: log t of the last row of earlier sessions.
    """

    def __init__(self, folder: str | os.PathLike[str], told: Record) -> None:
        self.resumed: tuple[Record, list[np.ndarray]] | None = None
        self.kinks: list[Record] = []
        self.reached = -math.inf
        if not Archive.exists(folder):
            self.archive = Archive.create(folder, told)
            return
        self.archive = Archive.open(folder, write=True)
        other = _difference(told, self.archive.header)
        if other is not None:
            self.archive.close()
            raise OutputError(
                f"`{folder}` holds another run: {other}; choose another folder, or resume that run with its own"
                " arguments."
            )

    def replay(self, store: Store) -> None:
        """Bring back the rows of earlier sessions, and what the last chunk says."""
        last = None
        for arrays, meta in self.archive.chunks():
            rows = sorted((name for name in arrays if name.startswith("row_")), key=lambda name: int(name[4:]))
            store.offer([arrays[name] for name in rows], arrays["index"])
            self.reached = float(arrays[rows[0]][-1]) if rows and len(arrays[rows[0]]) else self.reached
            self.kinks += [meta["kinks"]] if "kinks" in meta else []
            last = arrays, meta
        if last is not None:
            store.fresh()
            arrays, meta = last
            carry = sorted((name for name in arrays if name.startswith("carry_")), key=lambda name: int(name[6:]))
            self.resumed = meta, [arrays[name] for name in carry]

    @staticmethod
    def cut(attempts: int) -> int:
        """The number of attempted steps at which the next chunk is cut."""
        at = 0
        while at <= attempts:
            at += max(_ATTEMPTS, at // _PART)
        return at

    def write(self, rows: Rows, carry: PyTree, meta: Record) -> None:
        """Append a chunk; it is on the disk when this returns."""
        arrays = {"index": rows.index} | {f"row_{i}": leaf for i, leaf in enumerate(rows.leaves)}
        if carry is not None:
            arrays |= {f"carry_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(carry))}
        self.archive.append(arrays, meta)

    def close(self) -> None:
        """Let the next writer in."""
        self.archive.close()


def _difference(told: object, found: object, path: str = "") -> str | None:
    """The first place where two descriptions differ, in words."""
    if isinstance(told, dict) and isinstance(found, dict):
        for key in sorted({*told, *found}):
            inner = _difference(told.get(key), found.get(key), f"{path}.{key}" if path else key)
            if inner:
                return inner
        return None
    if isinstance(told, list) and isinstance(found, list) and len(told) == len(found):
        return next(
            (
                inner
                for i, pair in enumerate(zip(told, found, strict=True))
                if (inner := _difference(*pair, f"{path}[{i}]"))
            ),
            None,
        )
    return None if told == found else f"{path} was {_short(found)} there and is {_short(told)} here"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
