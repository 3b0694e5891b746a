"""What a claim is checked on, what it has computed so far, and how both are written into a verdict so that it can be
replayed.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from flowlab.claims.inputs import Inputs, modern, references, referred
from flowlab.core.arguments import short
from flowlab.core.display import displayed
from flowlab.core.errors import ClaimError
from flowlab.core.typing import Kind, Record

if TYPE_CHECKING:
    from flowlab.discrete.margin.max_margin import MaxMargin
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.trajectory import Trajectory
    from flowlab.symbolic.equations import FlowEquations

    Evidence: TypeAlias = Trajectory | FlowEquations | MaxMargin | Problem | Data
else:

    class Evidence(metaclass=Kind):
        """What a claim is checked on; `case_of` refuses the rest, and its classes would load jax."""


GIVEN = ("problem", "data", "flow", "descent", "equations", "max_margin")
"""What a case may hold from outside; it notes which of these a claim reads."""
RUNS = ("flow", "descent")
NAMES = {name: name for name in GIVEN} | {"max_margin": "largest margin"}
"""What they are called in sentences."""
_STORED = {"flow": "path", "descent": "walk", "equations": "flow", "data": "data", "max_margin": "best"}
"""Words of stored verdicts, which replays of earlier ones need."""
_BY_HASH = (*RUNS, "equations", "data")
"""What verdicts refer to by its hash; see `claims.inputs`."""


def _noted(name: str) -> Any:
    """A property that notes that the input of this name was read."""

    def read(case: "Case") -> Any:
        case.read.add(name)
        return case.unread(name)

    return property(read, doc=f"The {NAMES[name]} that was passed, or None.")


def _renamed(old: str, new: str) -> Any:
    """A property under its former name, which warns."""

    def read(case: "Case") -> Any:
        warnings.warn(f"`case.{old}` is deprecated; use `case.{new}`.", DeprecationWarning, stacklevel=2)
        return getattr(case, new)

    return property(read, doc=f"Deprecated: `{new}`.")


Made = TypeVar("Made")


@displayed
class Case:
    """What a claim is checked on; what is missing is made by the claim from its own seeded instances.

    A case records which inputs a claim reads, so that a verdict can report a claim that ignored them.

    Args:
        problem, data: what the statement is about.
        flow, descent: trajectories.
        equations: derived equations.
        max_margin: the result of `max_margin`.
        seed: of everything a claim draws.
        passed: which of `GIVEN` the user passed, as against those that come with a trajectory or equations.

    Attributes:
        memo: what has been computed once for all wrong variants, and for other claims of the same call.
        read: which of `GIVEN` have been read since this was last emptied.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> @fl.claim("doc.case", statement="The loss falls.", source="an example")
        ... def falls(case):
        ...     last, first = case.flow.dataset.log_loss.values[[-1, 0]]
        ...     return fl.Quantity("log loss", last, first, 1e-6, relation="<=")
        >>> (verdict,) = fl.check("doc.case", path)
        >>> verdict.answer, verdict.code
        ('undecided', 'no power')
    """

    def __init__(self, *, seed: int = 0, passed: tuple[str, ...] = (), **inputs: Evidence | None) -> None:
        unknown = sorted(inputs.keys() - set(GIVEN))
        if unknown:
            raise ClaimError(f"a case must be made of {', '.join(GIVEN)}, got `{unknown[0]}`.")
        self.seed, self.passed = seed, passed
        self._inputs: dict[str, Any] = {name: inputs[name] for name in GIVEN if inputs.get(name) is not None}
        self.memo: dict[str, Any] = {}
        self.read: set[str] = set()
        self._reads: dict[str, frozenset[str]] = {}
        self._referred: tuple[Record, Inputs] | None = None

    problem, data, flow, descent, equations, max_margin = (_noted(name) for name in GIVEN)
    path, walk, best = (_renamed(*names) for names in (("path", "flow"), ("walk", "descent"), ("best", "max_margin")))

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` computes, computed once under this name; trajectories are kept as records of the check."""
        if name not in self.memo:
            before = set(self.read)
            self.read.clear()
            try:
                self.memo[name] = make()
                self._reads[name] = frozenset(self.read)
            finally:
                self.read.update(before)
        # A value that another claim computed counts as read by this one too.
        self.read.update(self._reads.get(name, ()))
        return self.memo[name]

    @property
    def present(self) -> tuple[str, ...]:
        """Which of `GIVEN` the case holds; asking does not count as reading."""
        return tuple(self._inputs)

    def unread(self, name: str) -> Any:
        """The input of this name, without a note that it was read; None where there is none."""
        return self._inputs.get(name)

    @property
    def records(self) -> "dict[str, Trajectory]":
        """Trajectories that were integrated for the check, by name."""
        return {name: value for name, value in self.memo.items() if getattr(value, "kind", None) in RUNS}

    def without_rows(self, name: str) -> "Case":
        """The case with NaN in the later half of a run, and nothing computed yet: what stands on it does not rest on
        that run.
        """
        run = self._inputs[name]
        first = len(run) // 2
        rows = run.dataset.copy(deep=True)
        for variable in rows.variables.values():
            if variable.dims[:1] == ("step",) and variable.dtype.kind == "f":
                variable.values[first:] = np.nan
        blank = replace(run, dataset=rows)
        return Case(seed=self.seed, passed=self.passed, **(self._inputs | {name: replace(blank, last=blank.state(-1))}))

    def stored(self) -> tuple[Record, Inputs]:
        """What was given from outside, JSON-able, with large inputs by their hashes, and where these are found; it
        rebuilds the case. Empty where the claim made its own instances.
        """
        inputs = self._inputs
        if self._referred is None:
            # Once for all claims of a call: an input that one of them changes is refused when it is looked for.
            self._referred = referred({_STORED[name]: inputs[name] for name in _BY_HASH if name in inputs})
        record = dict(self._referred[0])
        # A problem that came with a trajectory is in it; data are not.
        if "problem" in inputs and not any(name in inputs for name in RUNS):
            record["problem"] = inputs["problem"].describe()
        if "max_margin" in inputs and ("max_margin" in self.read or self.passed == ("max_margin",)):
            record[_STORED["max_margin"]] = {"margin": float(inputs["max_margin"].margin)}
        return record, self._referred[1]


def case_of(evidence: Sequence[object], seed: int) -> Case:
    """The case of the evidence passed, in any order.

    Raises:
        ClaimError: for evidence of no known kind, two of one kind, or evidence that contradicts itself (see
            `evidence_consistency`).
    """
    from flowlab.claims.evidence_consistency import contradiction
    from flowlab.discrete.margin.max_margin import MaxMargin
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.trajectory import Trajectory
    from flowlab.symbolic.equations import FlowEquations

    kinds = {Problem: "problem", Data: "data", FlowEquations: "equations", MaxMargin: "max_margin"}
    inputs: dict[str, Any] = {}
    for item in evidence:
        if item is None:
            continue
        if isinstance(item, Trajectory):
            # Statements about flows are held against a training of the user's own.
            name = "descent" if item.kind == "descent" else "flow"
        else:
            name = next((name for kind, name in kinds.items() if isinstance(item, kind)), "")
        if not name:
            raise ClaimError(
                f"evidence must be trajectories, equations, a maximum margin, a problem or data, got `{short(item)}`; "
                "leave it out: claims find points, equilibria and minimisers themselves."
            )
        if inputs.get(name, item) is not item:
            raise ClaimError(
                f"evidence must have one item of a kind, got two of the kind {NAMES[name]}; check them "
                "one after the other."
            )
        inputs[name] = item
    wrong = contradiction(inputs)
    if wrong is not None:
        raise ClaimError(wrong)
    runs = [name for name in RUNS if name in inputs]
    # A trajectory brings its problem and data along, whether they are passed besides or not.
    passed = tuple(name for name in GIVEN if name in inputs and not (runs and name in ("problem", "data")))
    for name in runs:
        inputs.setdefault("problem", inputs[name].problem)
        if inputs[name].data is not None:
            inputs.setdefault("data", inputs[name].data)
    for name in runs:
        if inputs[name].data is None and "data" in inputs:
            inputs[name] = replace(inputs[name], data=inputs["data"])
    if "equations" in inputs:
        inputs.setdefault("problem", inputs["equations"].problem)
    return Case(**inputs, passed=passed, seed=seed)


def case_from(told: Record, inputs: Inputs, seed: int) -> Case:
    """The case that `Case.stored` wrote down.

    Args:
        told: what a verdict tells of its inputs.
        inputs: where they are found.
        seed: of everything a claim draws.

    Raises:
        ClaimError: if it cannot be rebuilt; OutputError: if the file of an input is damaged.
    """
    from flowlab.language.problem import Problem

    if _STORED["max_margin"] in told:
        raise ClaimError("this verdict read a largest margin, which it does not store; check again from the originals.")
    try:
        told, inputs = modern(told, inputs)
        problem = Problem.from_description(told["problem"]) if "problem" in told else None
    except (KeyError, TypeError, ValueError) as error:
        raise ClaimError(
            f"the inputs of this verdict cannot be read ({type(error).__name__}: {error}); check again "
            "from the originals."
        ) from None
    return case_of([problem, *(inputs.find(role, sha) for role, sha in references(told).items())], seed)
