"""A result that is no trajectory, as it is stored: labelled numbers, and where they are from."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from flowlab.core.errors import OutputError
from flowlab.core.provenance import provenance
from flowlab.language.data import Data
from flowlab.language.problem import Problem


@dataclass(frozen=True)
class Result:
    """Labelled numbers of one kind, which figures of that kind draw.

    Attributes:
        kind: such as `"portrait"`; figures say of which kind they are.
        dataset: the numbers.
        problem: what they belong to.
        provenance: versions, seeds, settings, hash of the data.
    """

    kind: str
    dataset: xr.Dataset
    problem: Problem
    provenance: dict[str, Any]

    @classmethod
    def of(cls, kind: str, dataset: xr.Dataset, problem: Problem, data: Data | None, **settings: Any) -> "Result":
        """A new result, with a record of versions, data and settings."""
        record = provenance(kind=kind, problem=problem.describe(), settings=settings)
        if data is not None:
            record["data"] = {"name": data.name, "n": data.n, "d": data.d, "sha256": data.sha256()}
        return cls(kind, dataset, problem, json.loads(json.dumps(record, default=str)))

    def save(self, path: str | Path) -> Path:
        """Write as NetCDF, all or nothing.

        Raises:
            OutputError: if it cannot be written.
        """
        path = Path(path)
        if path.suffix != ".nc":
            raise OutputError(f"`{path.name}` has no known format; use a name that ends in .nc (NetCDF).")
        part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        attrs = self.dataset.attrs | {"flowlab": json.dumps(self.provenance, sort_keys=True), "kind": self.kind}
        try:
            self.dataset.assign_attrs(attrs).to_netcdf(part, engine="h5netcdf")
            os.replace(part, path)
        except OSError as error:
            raise OutputError(f"`{path}` cannot be written ({error.strerror or error}); choose another folder.") from None
        finally:
            part.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Result":
        """Read a saved result.

        Raises:
            OutputError: if the file is missing or was not written by `save`.
        """
        try:
            with xr.open_dataset(path, engine="h5netcdf") as opened:
                dataset = opened.load()
            record, kind = json.loads(dataset.attrs.pop("flowlab")), dataset.attrs.pop("kind")
            return cls(str(kind), dataset, Problem.from_description(record["problem"]), record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"`{path}` is no stored result ({type(error).__name__}: {error}); write one with `save`.") from None
