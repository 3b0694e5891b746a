"""What a claim is checked on, what it has computed so far, and how both are written into a verdict so that it can be replayed."""

import base64
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowlab.core.errors import ClaimError


@dataclass(frozen=True)
class Case:
    """What a claim is checked on; what is missing is made by the claim from its own seeded instances.

    Attributes:
        problem, data: what the statement is about.
        path, walk: a flow and a descent.
        flow: derived equations.
        best: the result of `max_margin`.
        seed: of everything a claim draws.
        memo: what has been computed once for all wrong variants, and for other claims of the same call.
    """

    problem: Any = None
    data: Any = None
    path: Any = None
    walk: Any = None
    flow: Any = None
    best: Any = None
    seed: int = 0
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` computes, computed once under this name; trajectories are kept as records of the check."""
        if name not in self.memo:
            self.memo[name] = make()
        return self.memo[name]

    @property
    def records(self) -> dict[str, Any]:
        """Trajectories that were integrated for the check, by name."""
        return {name: value for name, value in self.memo.items() if getattr(value, "kind", None) in ("flow", "descent")}

    def inputs(self) -> dict[str, Any]:
        """What was given from outside, JSON-able and whole: it rebuilds the case. Empty where the claim made its own instances."""
        told: dict[str, Any] = {}
        for name in ("path", "walk"):
            run = getattr(self, name)
            if run is not None:
                told[name] = _packed(run)
        # A problem that came with a trajectory is in it; data are not.
        if self.problem is not None and not told:
            told["problem"] = self.problem.describe()
        if self.flow is not None:
            told["flow"] = self.flow.to_json()
        if self.data is not None:
            told["data"] = {"x": self.data.x.tolist(), "y": self.data.y.tolist(), "name": self.data.name, "kind": self.data.kind, "sha256": self.data.sha256()}
        return told


def case_of(evidence: Sequence[Any], seed: int) -> Case:
    """The case of what was given, in any order.

    Raises:
        ClaimError: for evidence of no known kind.
    """
    from flowlab.discrete.max_margin import MaxMargin
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.trajectory import Trajectory
    from flowlab.symbolic.equations import FlowEquations

    found: dict[str, Any] = {"seed": seed}
    for item in evidence:
        if isinstance(item, Trajectory):
            found["path" if item.kind == "flow" else "walk"] = item
        elif isinstance(item, Problem):
            found["problem"] = item
        elif isinstance(item, Data):
            found["data"] = item
        elif isinstance(item, FlowEquations):
            found["flow"] = item
        elif isinstance(item, MaxMargin):
            found["best"] = item
        elif item is not None:
            raise ClaimError(f"`{item!r}` is no evidence; give trajectories, equations, a maximum margin, a problem or data.")
    for run in (found.get("walk"), found.get("path")):
        if run is not None:
            found.setdefault("problem", run.problem)
            found.setdefault("data", run.data)
    if "flow" in found:
        found.setdefault("problem", found["flow"].problem)
    return Case(**found)


def case_from(inputs: Mapping[str, Any], seed: int) -> Case:
    """The case that `Case.inputs` told of.

    Raises:
        ClaimError: if it cannot be rebuilt.
    """
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.symbolic.equations import FlowEquations

    data = None
    try:
        if "data" in inputs:
            samples = inputs["data"]
            data = Data(samples["x"], samples["y"], name=samples["name"], kind=samples["kind"])
        runs = [_unpacked(inputs[name], data) for name in ("path", "walk") if name in inputs]
        told = [Problem.from_description(inputs["problem"])] if "problem" in inputs else []
        told += [FlowEquations.from_json(inputs["flow"])] if "flow" in inputs else []
    except (KeyError, TypeError, ValueError) as error:
        raise ClaimError(f"the inputs of this verdict cannot be read ({type(error).__name__}: {error}); check again from the originals.") from None
    return case_of([*told, *runs, *([] if data is None else [data])], seed)


def _packed(run: Any) -> dict[str, Any]:
    """A trajectory as text; unlike a file of NetCDF it has the same bytes whenever it is written."""
    told = {}
    for name, variable in sorted(run.dataset.variables.items()):
        values = np.ascontiguousarray(variable.values)
        plain = values.tolist() if values.dtype.kind not in "fiub" else None
        code = None if plain is not None else base64.b64encode(zlib.compress(values.tobytes(), 6)).decode("ascii")
        told[str(name)] = {"dims": list(variable.dims), "shape": list(values.shape), "dtype": values.dtype.str, "plain": plain, "code": code}
    return {"variables": told, "attrs": dict(run.dataset.attrs)}


def _unpacked(told: Mapping[str, Any], data: Any) -> Any:
    import xarray as xr

    from flowlab.language.trajectory import Trajectory

    found = {}
    for name, v in told["variables"].items():
        raw = None if v["code"] is None else zlib.decompress(base64.b64decode(v["code"].encode("ascii"), validate=True))
        values = np.array(v["plain"]) if raw is None else np.frombuffer(raw, dtype=np.dtype(v["dtype"])).reshape(v["shape"])
        found[name] = (tuple(v["dims"]), values.copy())
    return Trajectory.restored(xr.Dataset(found, attrs=told["attrs"]), data)
