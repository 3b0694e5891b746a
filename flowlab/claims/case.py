"""What a claim is checked on, what it has computed so far, and how both are written into a verdict so that it can be replayed."""

import base64
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flowlab.core.arguments import short
from flowlab.core.errors import ClaimError

GIVEN = ("problem", "data", "path", "walk", "flow", "best")
"""What a case may hold from outside; reading one of these is noted down."""
NAMES = {"problem": "problem", "data": "data", "path": "flow", "walk": "descent", "flow": "equations", "best": "largest margin"}
"""What they are called in sentences."""


@dataclass(frozen=True)
class Case:
    """What a claim is checked on; what is missing is made by the claim from its own seeded instances.

    A check that answers on instances of its own where it was given some would mislead, so a case knows what was read of it.

    Attributes:
        problem, data: what the statement is about.
        path, walk: a flow and a descent.
        flow: derived equations.
        best: the result of `max_margin`.
        seed: of everything a claim draws.
        memo: what has been computed once for all wrong variants, and for other claims of the same call.
        told: which of `GIVEN` were handed over, as against those that come with a trajectory or equations.
        read: which of `GIVEN` have been read since this was last emptied.
    """

    problem: Any = None
    data: Any = None
    path: Any = None
    walk: Any = None
    flow: Any = None
    best: Any = None
    seed: int = 0
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    told: tuple[str, ...] = ()
    read: set[str] = field(default_factory=set, compare=False, repr=False)
    _reads: dict[str, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def __getattribute__(self, name: str) -> Any:
        if name in GIVEN:
            object.__getattribute__(self, "read").add(name)
        return object.__getattribute__(self, name)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` computes, computed once under this name; trajectories are kept as records of the check."""
        if name not in self.memo:
            before = set(self.read)
            self.read.clear()
            try:
                self.memo[name] = make()
                self._reads[name] = frozenset(self.read)
            finally:
                self.read.update(before)
        # What was computed for another claim was read for this one too.
        self.read.update(self._reads.get(name, ()))
        return self.memo[name]

    @property
    def held(self) -> tuple[str, ...]:
        """Which of `GIVEN` there are; asking is no reading."""
        return tuple(name for name in GIVEN if object.__getattribute__(self, name) is not None)

    @property
    def records(self) -> dict[str, Any]:
        """Trajectories that were integrated for the check, by name."""
        return {name: value for name, value in self.memo.items() if getattr(value, "kind", None) in ("flow", "descent")}

    def without_rows(self, name: str) -> "Case":
        """The case with a run whose later half holds no numbers, and with nothing computed yet: what stands on it does not rest on that run."""
        run = object.__getattribute__(self, name)
        first = len(run) // 2
        rows = run.dataset.copy(deep=True)
        for variable in rows.data_vars.values():
            if variable.dims[:1] == ("step",) and variable.dtype.kind == "f":
                variable.values[first:] = np.nan
        blank = replace(run, dataset=rows)
        return replace(self, **{name: replace(blank, last=blank.state(-1))}, memo={}, read=set(), _reads={})

    def inputs(self) -> dict[str, Any]:
        """What was given from outside, JSON-able and whole: it rebuilds the case. Empty where the claim made its own instances."""
        told: dict[str, Any] = {}
        asked = set(self.read)
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
        if self.best is not None and ("best" in asked or self.told == ("best",)):
            told["best"] = {"margin": float(self.best.margin)}
        self.read.intersection_update(asked)
        return told


def case_of(evidence: Sequence[Any], seed: int) -> Case:
    """The case of what was given, in any order.

    Raises:
        ClaimError: for evidence of no known kind, two of one kind, or evidence that contradicts itself (see `agree`).
    """
    from flowlab.claims.evidence_consistency import contradiction
    from flowlab.discrete.margin.max_margin import MaxMargin
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.trajectory import Trajectory
    from flowlab.symbolic.equations import FlowEquations

    kinds = {Problem: "problem", Data: "data", FlowEquations: "flow", MaxMargin: "best"}
    found: dict[str, Any] = {}
    for item in evidence:
        if item is None:
            continue
        if isinstance(item, Trajectory):
            name = "path" if item.kind == "flow" else "walk"
        else:
            name = next((name for kind, name in kinds.items() if isinstance(item, kind)), "")
        if not name:
            raise ClaimError(f"`{short(item)}` is no evidence; give trajectories, equations, a maximum margin, a problem or data.")
        if found.get(name, item) is not item:
            raise ClaimError(f"two of one kind were given ({NAMES[name]}); check them one after the other.")
        found[name] = item
    wrong = contradiction(found)
    if wrong is not None:
        raise ClaimError(wrong)
    runs = {"path", "walk"} & set(found)
    # A trajectory brings its problem and data along, whether they are given besides or not.
    told = tuple(name for name in GIVEN if name in found and not (runs and name in ("problem", "data")))
    for run in (found.get("path"), found.get("walk")):
        if run is not None:
            found.setdefault("problem", run.problem)
            if run.data is not None:
                found.setdefault("data", run.data)
    for name in runs:
        if found[name].data is None and "data" in found:
            found[name] = replace(found[name], data=found["data"])
    if "flow" in found:
        found.setdefault("problem", found["flow"].problem)
    return Case(**found, told=told, seed=seed)


def case_from(inputs: Mapping[str, Any], seed: int) -> Case:
    """The case that `Case.inputs` told of.

    Raises:
        ClaimError: if it cannot be rebuilt.
    """
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.symbolic.equations import FlowEquations

    if "best" in inputs:
        raise ClaimError("this verdict looked at a largest margin, which is not stored with it; check again from the originals.")
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
