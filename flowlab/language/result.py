"""A result that is no trajectory, as it is stored: labelled numbers, and where they are from."""

import json
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from flowlab.core.arguments import guarded
from flowlab.core.display import dataset_rows, displayed, heading
from flowlab.core.provenance import provenance
from flowlab.core.typing import Json, Record
from flowlab.language import netcdf
from flowlab.language.data import Data
from flowlab.language.problem import Problem


@dataclass(frozen=True)
@displayed
class Result:
    """Labelled numbers of one kind, which figures of that kind draw.

    Attributes:
        kind: such as `"portrait"`; figures say of which kind they are.
        dataset: the numbers.
        problem: what they belong to.
        provenance: versions, seeds, settings, hash of the data.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> found = fl.kernel_along(path, rows=3)
        >>> type(found).__name__, found.kind
        ('Result', 'kernel')
        >>> found.dataset.change.dims
        ('row',)
    """

    kind: str
    dataset: xr.Dataset
    problem: Problem
    provenance: Record

    @classmethod
    @guarded
    def of(cls, kind: str, dataset: xr.Dataset, problem: Problem, data: Data | None, **settings: Json) -> "Result":
        """A new result, with a record of versions, data and settings."""
        record = provenance(kind=kind, problem=problem.describe(), settings=settings)
        if data is not None:
            record["data"] = {"name": data.name, "n": data.n, "d": data.d, "sha256": data.sha256()}
        return cls(kind, dataset, problem, json.loads(json.dumps(record, default=str)))

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} {size}" for name, size in self.dataset.sizes.items())
        return f"Result({self.kind!r} of {self.problem.network.text!r}, {sizes or 'scalars'})"

    def _html_parts(self) -> list[str]:
        return [heading(str(self)), dataset_rows(self.dataset)]

    @guarded
    def save(self, path: str | Path) -> Path:
        """Write as NetCDF, or as Zarr where the name ends in `.zarr`; all or nothing, with a checksum over all it
        holds.

        Raises:
            OutputError: if it cannot be written, or Zarr is not installed.
        """
        attrs = self.dataset.attrs | {"flowlab": json.dumps(self.provenance, sort_keys=True), "kind": self.kind}
        return netcdf.write(self.dataset.assign_attrs(attrs), path, (".nc", ".zarr"))

    @classmethod
    @guarded
    def load(cls, path: str | Path) -> "Result":
        """Read a saved result.

        Raises:
            OutputError: if the file is missing, damaged, or was not written by `save`.
        """
        dataset = netcdf.read(path, "result")
        try:
            record, kind = json.loads(dataset.attrs.pop("flowlab")), dataset.attrs.pop("kind")
            return cls(str(kind), dataset, Problem.from_description(record["problem"]), record)
        except Exception as error:
            raise netcdf.not_one(path, "result", error) from None
