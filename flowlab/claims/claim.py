"""The harness of a claim: hypotheses, measurement, mutants, counter-example; and `check`."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from flowlab.claims.verdict import Measurement, Verdict
from flowlab.core.errors import ClaimError, FlowlabError
from flowlab.core.provenance import versions
from flowlab.core.registry import Registry
from flowlab.core.seeds import checked_seed

claims: Registry[type["Claim"]] = Registry("claim")
claim = claims.register


@dataclass(frozen=True)
class Case:
    """What a claim is checked on; what is missing is made by the claim from its own seeded instances."""

    problem: Any = None
    data: Any = None
    path: Any = None
    walk: Any = None
    seed: int = 0


class Claim(ABC):
    """A statement of the theory with its check.

    Attributes:
        title, statement, latex, source: what is claimed, and where.
        mutants: names of wrong variants; `measure` must fail on every one, or the answer is "undecided: no power".
        counter_example: what the last mutant stands for: an instance outside the hypotheses, on which the statement fails.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    statement: ClassVar[str]
    latex: ClassVar[str]
    source: ClassVar[str]
    mutants: ClassVar[tuple[str, ...]]
    counter_example: ClassVar[str]

    def hypotheses(self, case: Case) -> str | None:
        """Why the claim does not apply to the case, or None if it does."""
        return None

    @abstractmethod
    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        """Measure the statement, or a wrong variant of it."""

    def check(self, case: Case) -> Verdict:
        """Measure, then make sure that every mutant is refuted by the same check."""
        reason = self.hypotheses(case)
        if reason is not None:
            return Verdict(self.name, "undecided", float("nan"), float("nan"), f"does not apply: {reason}", {"source": self.source})
        found = self.measure(case)
        trials = {name: self.measure(case, name) for name in self.mutants}
        evidence = {
            "statement": self.statement, "source": self.source, "seed": case.seed, "versions": versions(), "counter_example": self.counter_example,
            "mutants": {name: {"measured": m.value, "bound": m.bound, "refuted": m.fails} for name, m in trials.items()}, **found.details,
        }  # fmt: skip
        surviving = [name for name, m in trials.items() if not m.fails]
        if not found.stands and not found.fails:
            return Verdict(self.name, "undecided", found.value, found.bound, "the measurement is not a number", evidence)
        if found.fails:
            return Verdict(self.name, "refuted", found.value, found.bound, found.because, evidence)
        if surviving:
            return Verdict(self.name, "undecided", found.value, found.bound, f"no power: the check lets {', '.join(surviving)} pass on this case", evidence)
        return Verdict(self.name, "holds", found.value, found.bound, found.because, evidence)


def load_library() -> None:
    """Import every claim; importing registers it, and imports no jax."""
    package = import_module("flowlab.claims.library")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def check(ids: Sequence[str], *evidence: Any, seed: int = 0) -> list[Verdict]:
    """Check claims on what is given.

    Args:
        ids: claim ids such as `"P4"`.
        evidence: trajectories (flows and descents), a Problem, Data, in any order; what a claim needs and does not find, it makes.
        seed: of the instances and states that claims draw.

    Returns:
        One verdict per id. A check that breaks down numerically answers "undecided" with the reason.

    Raises:
        UnknownName: for an unknown id; ClaimError: for evidence of no known kind;
        LanguageError: for a seed that is not an integer from 0 on.
    """
    seed = checked_seed(seed)
    load_library()
    if isinstance(ids, str):
        ids = [ids]
    chosen = [claims[name]() for name in ids]
    case = _case(evidence, seed)
    verdicts = []
    for one in chosen:
        try:
            verdicts.append(one.check(case))
        except FlowlabError as error:
            verdicts.append(Verdict(one.name, "undecided", float("nan"), float("nan"), f"could not be checked: {error}", {"source": one.source}))
    return verdicts


def _case(evidence: Sequence[Any], seed: int) -> Case:
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.trajectory import Trajectory

    found: dict[str, Any] = {"seed": seed}
    for item in evidence:
        if isinstance(item, Trajectory):
            found["path" if item.kind == "flow" else "walk"] = item
        elif isinstance(item, Problem):
            found["problem"] = item
        elif isinstance(item, Data):
            found["data"] = item
        elif item is not None:
            raise ClaimError(f"`{item!r}` is no evidence; give trajectories, a problem or data.")
    for run in (found.get("walk"), found.get("path")):
        if run is not None:
            found.setdefault("problem", run.problem)
            found.setdefault("data", run.data)
    return Case(**found)
