"""What verdicts were checked on: each input is stored once, under a hash of all it holds, which verdicts tell."""

import base64
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flowlab.core.arguments import tail
from flowlab.core.errors import ClaimError, FlowlabError
from flowlab.core.files import writing
from flowlab.core.hashing import canonical_json, sha256_json
from flowlab.core.typing import Json, Kind, Record

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory
    from flowlab.symbolic.equations import FlowEquations

    Input: TypeAlias = Trajectory | Data | FlowEquations
else:

    class Input(metaclass=Kind):
        """A trajectory, data or equations; their classes would load jax."""


ROLES = ("path", "walk", "flow", "data")
"""Words of stored verdicts for a flow, a descent, equations and samples."""
FOLDER = "inputs"
"""Where inputs lie beside verdicts, each under its hash."""
OF_A_RUN = ("trajectory.nc", "witness.nc")
"""Files of a run, one folder up from its verdicts, that hold inputs already."""
_HASH = re.compile("[0-9a-f]{64}")


def reference(item: Input) -> str:
    """SHA-256 of all that an input holds; of a trajectory the one that its NetCDF file carries."""
    from flowlab.language import netcdf
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory

    if isinstance(item, Trajectory):
        return netcdf.fingerprint(item.dataset)
    if isinstance(item, Data):
        return sha256_json([item.sha256(), item.name, item.kind, sorted(item.constant_names)])
    return sha256(item.to_json().encode()).hexdigest()


def is_stored(name: str) -> bool:
    """Whether a file of this name holds an input."""
    stem, _, suffix = name.partition(".")
    return bool(_HASH.fullmatch(stem)) and suffix in ("nc", "json")


@dataclass(frozen=True)
class Inputs:
    """Inputs by hash: in memory, or beside a stored verdict, where they are read when they are asked for.

    Attributes:
        held: inputs in memory, by hash.
        place: folder of a stored verdict, or None.
    """

    held: Mapping[str, Input] = field(default_factory=dict)
    place: Path | None = None

    def find(self, role: str, told: str) -> Input:
        """The input of a hash, which is compared with what it holds now.

        Args:
            role: one of `ROLES`.
            told: its hash.

        Raises:
            ClaimError: if it is not there, or not what was hashed; OutputError: if its file is damaged.
        """
        item = self.held.get(told)
        if item is None:
            file = None if self.place is None else _file(told, self.place)
            if file is None:
                where = "" if self.place is None else f", in `{tail(self.place / FOLDER)}` or the folder of its run"
                raise ClaimError(
                    f"this verdict needs its input {told[:12]}… beside it{where}; store both together, or check again"
                    " from the originals."
                )
            item = _read(role, file)
        if reference(item) != told:
            raise ClaimError(
                f"the input {told[:12]}… of this verdict must be as it was when it was checked, got another;"
                " check again."
            )
        return item

    def write(self, told: Mapping[str, Json], place: Path) -> None:
        """Store what a verdict refers to beside it, as far as it is not there.

        Args:
            told: the inputs of a verdict.
            place: folder of the verdict.

        Raises:
            OutputError: if it cannot be written; others as for `find`.
        """
        for role, sha in references(told).items():
            if _file(sha, place) is not None:
                continue
            item = self.find(role, sha)
            with writing(place):
                (place / FOLDER).mkdir(exist_ok=True)
                _write(item, place / FOLDER / sha)


def referred(items: Mapping[str, Input]) -> tuple[Record, Inputs]:
    """What a verdict tells of inputs by role, and where they are found by that."""
    told = {role: reference(item) for role, item in items.items()}
    return {role: {"sha256": sha} for role, sha in told.items()}, Inputs({told[role]: items[role] for role in items})


def references(told: Mapping[str, Json]) -> dict[str, str]:
    """Hashes by role.

    Raises:
        ClaimError: for what is none.
    """
    found = {}
    for role in ROLES:
        if role in told:
            record = told[role]
            sha = record.get("sha256") if isinstance(record, dict) else None
            if not isinstance(sha, str) or not _HASH.fullmatch(sha):
                raise ClaimError(f"the input `{role}` of a verdict must be told by its SHA-256; check again.")
            found[role] = sha
    return found


def modern(told: Record, inputs: Inputs) -> tuple[Record, Inputs]:
    """Inputs by their hashes, also where a verdict from before there were references holds them whole.

    Raises:
        KeyError, TypeError, ValueError: if they cannot be read.
    """
    whole = {role: told[role] for role in ROLES if role in told and not _is_reference(told[role])}
    if not whole:
        return told, inputs
    from flowlab.language.data import Data
    from flowlab.symbolic.equations import FlowEquations

    data = Data.from_json(whole["data"]) if "data" in whole else None
    items: dict[str, Input] = {role: _unpacked(whole[role], data) for role in ("path", "walk") if role in whole}
    items |= {} if data is None else {"data": data}
    items |= {"flow": FlowEquations.from_json(whole["flow"])} if "flow" in whole else {}
    record, found = referred(items)
    return {**told, **record}, Inputs({**inputs.held, **found.held}, inputs.place)


def _is_reference(record: Json) -> bool:
    return isinstance(record, dict) and record.keys() == {"sha256"}


def _file(sha: str, place: Path) -> Path | None:
    """Where an input is stored that a verdict in a folder refers to."""
    for file in (place / FOLDER / f"{sha}{suffix}" for suffix in (".nc", ".json")):
        if file.is_file():
            return file
    from flowlab.language import netcdf

    return next((file for name in OF_A_RUN if netcdf.fingerprint_of(file := place.parent / name) == sha), None)


def _read(role: str, file: Path) -> Input:
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory
    from flowlab.symbolic.equations import FlowEquations

    if file.suffix == ".nc":
        return Trajectory.load(file)
    try:
        text = file.read_text(encoding="utf-8")
        return Data.from_json(json.loads(text)) if role == "data" else FlowEquations.from_json(text)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, FlowlabError) as error:
        raise ClaimError(
            f"`{tail(file)}` must hold an input of a verdict, got {type(error).__name__}; check again from the"
            " originals."
        ) from None


def _write(item: Input, stem: Path) -> None:
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory

    if isinstance(item, Trajectory):
        item.save(stem.with_suffix(".nc"))
        return
    text = canonical_json(item.to_json()) if isinstance(item, Data) else item.to_json()
    stem.with_suffix(".json").write_text(text, encoding="utf-8")


def _unpacked(packed: Record, data: "Data | None") -> "Trajectory":
    """A trajectory as verdicts held it before there were references: arrays compressed, as text."""
    import xarray as xr

    from flowlab.language.trajectory import Trajectory

    variables = {}
    for name, v in packed["variables"].items():
        raw = None if v["code"] is None else zlib.decompress(base64.b64decode(v["code"].encode("ascii"), validate=True))
        values = (
            np.array(v["plain"]) if raw is None else np.frombuffer(raw, dtype=np.dtype(v["dtype"])).reshape(v["shape"])
        )
        variables[name] = (tuple(v["dims"]), values.copy())
    return Trajectory.restored(xr.Dataset(variables, attrs=packed["attrs"]), data)
