"""The harness of a claim: hypotheses, measurement, wrong variants, counter-example; and `check`."""

import math
import pkgutil
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flowlab.claims import genuine
from flowlab.claims.case import GIVEN, NAMES, Case, case_of
from flowlab.claims.quantity import Quantity
from flowlab.claims.verdict import RUNGS, Measurement, Verdict
from flowlab.core.arguments import guarded
from flowlab.core.errors import ClaimError, FlowlabError
from flowlab.core.provenance import versions
from flowlab.core.registry import Registry
from flowlab.core.seeds import checked_seed

claims: Registry[type["Claim"]] = Registry("claim")

FEWEST = 3
"""Wrong variants that a check has to refute before it is believed."""
USUAL = "as usually stated"
"""The wrong variant of a claim that corrects a statement of the literature."""


class Claim(ABC):
    """A statement of the theory with its check.

    Attributes:
        title, statement, latex, source: what is claimed, and where.
        mutants: names of wrong variants; `measure` must fail on every one, or the answer is undecided: no power. Values, limits and rates
            that `Measurement.of` is given are altered by 1 % up and down besides, without being measured again.
        counter_example: what one mutant stands for: an instance outside the hypotheses, on which the statement fails.
        rung: how the statement is shown where it holds, one of `RUNGS`.
        quick: whether it takes seconds, and belongs to the quick tier of its pack.
        usual: the statement as it is usually made where that is wrong; then one mutant is `USUAL`, and its numbers are what decides against it.
        decisive: of `usual`: which quantities tell the difference, in words.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    statement: ClassVar[str]
    latex: ClassVar[str]
    source: ClassVar[str]
    mutants: ClassVar[tuple[str, ...]]
    counter_example: ClassVar[str]
    rung: ClassVar[str] = "numerical"
    quick: ClassVar[bool] = True
    usual: ClassVar[str] = ""
    decisive: ClassVar[str] = ""

    def hypotheses(self, case: Case) -> str | None:
        """Why the claim does not apply to the case, or None if it does."""
        return None

    @abstractmethod
    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        """Measure the statement, or a wrong variant of it; what both need is computed by `case.once`."""

    def check(self, case: Case) -> Verdict:
        """Measure, then make sure that every wrong variant is refuted by the same check."""
        case.read.clear()
        reason = self.hypotheses(case)
        if reason is not None:
            return self._undecided("does not apply", f"does not apply: {reason}", case)
        # The network is met in hypotheses too, where the statement is about one; samples are only used where something is measured on them.
        looked = {"problem"} & case.read
        case.read.clear()
        found = self.measure(case)
        looked = (looked | case.read) & set(case.held)
        missed = _not_looked_at(case, looked)
        if missed is not None:
            return self._undecided("not tested", f"not tested on what was given: {missed}", case)
        evidence = self._evidence(case) | {"quantities": [q.to_dict() for q in found.quantities], **found.details}
        numbers: dict[str, Any] = {"measured": found.value, "bound": found.bound, "evidence": evidence, "error": found.error, "rung": self.rung}
        because = "; ".join([found.because, *(str(q) for q in _telling(found)), *_aside(case, looked)])
        # Rows that are not those of their run support nothing and refute nothing.
        for name in sorted({"path", "walk"} & set(case.held)):
            told = case.once(f"genuine {name}", lambda name=name: genuine.altered(getattr(case, name), case.data))
            if told is not None:
                reason = f"could not be checked: the given {NAMES[name]} is not as it came: {told}"
                return Verdict(self.name, "undecided", reason=reason, code="could not be checked", **numbers)
        strays = [q for q in found.quantities if not q.routes_agree]
        if strays:
            q = strays[0]
            told = f"{q.name}: {q.measured:.8g} by {q.route or 'one route'}, {q.second:.8g} by {q.second_route or 'another'}"
            return Verdict(self.name, "undecided", reason=f"two routes disagree: {told}", code="routes disagree", **numbers)
        if found.fails:
            return Verdict(self.name, "refuted", reason=because, **numbers)
        if not found.stands:
            code = "imprecise" if found.value == found.value and found.error == found.error and found.bound == found.bound else "not a number"
            told = "the error bar reaches across the bound" if code == "imprecise" else "the measurement is not a number"
            return Verdict(self.name, "undecided", reason=f"{told}: {because}", code=code, **numbers)
        trials = {name: self.measure(case, name) for name in self.mutants} | found.alterations()
        evidence["mutants"] = {name: {"measured": m.value, "bound": m.bound, "error": m.error, "refuted": m.fails} for name, m in trials.items()}
        if USUAL in trials:
            # The numbers that decide against the usual statement, beside what it would have them be.
            evidence["mutants"][USUAL]["telling"] = [str(q) for q in trials[USUAL].quantities if q.fails][:3]
        told = _powerless(found, trials)
        if told is not None:
            return Verdict(self.name, "undecided", reason=f"no power: {told}", code="no power", **numbers)
        told = self._blind(case, looked)
        if told is not None:
            return Verdict(self.name, "undecided", reason=f"not tested on what was given: {told}", code="not tested", **numbers)
        return Verdict(self.name, "holds", reason=because, **numbers)

    def _blind(self, case: Case, looked: set[str]) -> str | None:
        """Which run was read without effect: the statement still stands where all rows of its later half are no numbers."""
        for name in sorted({"path", "walk"} & looked):
            try:
                with np.errstate(all="ignore"):
                    found = self.measure(case.without_rows(name))
            except Exception:
                # What breaks on rows that are no numbers has looked at them.
                continue
            if found.stands:
                return f"the same numbers stand where the later half of the given {NAMES[name]} holds no numbers"
        return None

    def _evidence(self, case: Case) -> dict[str, Any]:
        own = self.origin()
        return {
            "statement": self.statement, "source": self.source, "seed": case.seed, "versions": versions(), "counter_example": self.counter_example,
            "mutants": {}, "inputs": case.inputs(), **({"origin": own} if own else {}),
        }  # fmt: skip

    @classmethod
    def origin(cls) -> dict[str, Any] | None:
        """The user's file that the claim comes from, with its hash; None for claims of the library."""
        return None

    def _undecided(self, code: str, reason: str, case: Case) -> Verdict:
        return Verdict(self.name, "undecided", float("nan"), float("nan"), reason, self._evidence(case), code, rung=self.rung)


def _telling(found: Measurement) -> list[Quantity]:
    """The quantities to be told in the reason: those that fail, or the one nearest to its bound."""
    failing = [q for q in found.quantities if q.fails]
    lost = [q for q in found.quantities if not (q.stands or q.fails) and not math.isfinite(q.excess + q.error)]
    return failing[:3] or lost[:3] or [q for q in found.quantities if (q.excess, q.tolerance) == (found.value, found.bound)][:1]


def _powerless(found: Measurement, trials: dict[str, Measurement]) -> str | None:
    """Why a check that lets no error show is not believed: a wrong variant passes, or too few differ from the statement and from one another."""
    surviving = [name for name, m in trials.items() if not m.fails]
    if surviving:
        return f"the check lets {', '.join(surviving)} pass on this case"
    kinds = {m.numbers for m in trials.values()} - {found.numbers}
    if len(kinds) >= FEWEST:
        return None
    same = f" ({len(trials)} of them, with {len(kinds)} different numbers)" if len(kinds) < len(trials) else ""
    return f"only {len(kinds)} wrong variants were tried{same}, of at least {FEWEST}"


def _not_looked_at(case: Case, looked: set[str]) -> str | None:
    """Why a measurement says nothing of what was given: it never looked at the samples, at the network, or at any of it."""
    lacks = [name for name in ("problem", "data") if name in case.held and name not in looked]
    # Equations and trajectories carry both.
    if lacks and not looked & {"path", "walk", "flow"}:
        return f"the check takes {' and '.join(NAMES[name] for name in lacks)} of its own"
    if case.told and not looked & set(case.told):
        return f"the check does not read it ({', '.join(NAMES[name] for name in case.told)})"
    return None


def _aside(case: Case, looked: set[str]) -> list[str]:
    """What was handed over and played no part, told so that nobody takes the answer for one about it."""
    idle = [name for name in case.told if name not in looked]
    if not idle:
        return []
    used = [name for name in ("problem", "data", *case.told) if name in looked]
    return [f"checked on the given {' and '.join(NAMES[name] for name in dict.fromkeys(used))}, not on the rest of what was given "
            f"({', '.join(NAMES[name] for name in idle)})"]  # fmt: skip


def claim(name: str, **told: Any) -> Callable[[Any], Any]:
    """Enter a claim: decorates a subclass of `Claim`, or a function.

    A function takes `(case, mutant)` (or `case` alone, where it has no wrong variants of its own) and returns a `Quantity`, several, or a
    `Measurement`. `told` gives what a class would have as attributes: `statement` and `source` at least, `mutants=(...)` where it has some.

    Raises:
        ClaimError: for a function without statement or source, a word that is not known, or an id that is taken.
    """
    if not isinstance(name, str) or not name.strip():
        raise ClaimError(f"`{getattr(name, '__name__', name)}` is no claim id; decorate with `claim(\"mine.growth\", statement=..., source=...)`.")

    def enter(word: Any) -> Any:
        word = _from_function(name, word, told) if not isinstance(word, type) else _completed(name, word, told)
        if name in claims:
            raise ClaimError(f"the claim id `{name}` is taken by {claims[name].__module__}; choose another.")
        return claims.register(name)(word)

    return enter


def _completed(name: str, word: type, told: dict[str, Any]) -> type[Claim]:
    """A class with all that a report asks of it."""
    if not issubclass(word, Claim):
        raise ClaimError(f"`{word.__name__}` of the claim `{name}` is no subclass of `Claim`; derive it from `flowlab.Claim`, or decorate a function.")
    for key, value in told.items():
        setattr(word, key, value)
    for needed in ("statement", "source"):
        if not getattr(word, needed, None):
            raise ClaimError(f"the claim `{name}` has no `{needed}`; say what is claimed, and where it comes from.")
    for key, value in (("title", word.statement), ("latex", ""), ("counter_example", ""), ("mutants", ())):
        if not hasattr(word, key):
            setattr(word, key, value)
    word.mutants = (word.mutants,) if isinstance(word.mutants, str) else tuple(word.mutants)
    if word.rung not in RUNGS:
        raise ClaimError(f"`rung={word.rung!r}` of the claim `{name}` is not known; use one of {', '.join(RUNGS)}.")
    return word


def _from_function(name: str, function: Callable[..., Any], told: dict[str, Any]) -> type[Claim]:
    known = ("title", "statement", "latex", "source", "mutants", "counter_example", "rung", "quick", "usual", "decisive")
    unknown = sorted(set(told) - set(known))
    if unknown:
        raise ClaimError(f"`{unknown[0]}` of the claim `{name}` is not known; use {', '.join(known)}.")
    def measure(_: Claim, case: Case, mutant: str | None = None) -> Measurement:
        found = function(case, mutant) if told.get("mutants") else function(case)
        if isinstance(found, Measurement):
            return found
        many = [found] if isinstance(found, Quantity) else found
        if not isinstance(many, Sequence) or not many or not all(isinstance(q, Quantity) for q in many):
            raise ClaimError(f"the claim `{name}` returned `{found!r}`; return a Quantity, a list of them, or a Measurement.")
        return Measurement.of(many, "as the claim says")

    word = type(function.__name__, (Claim,), {"measure": measure, "__doc__": function.__doc__, "__module__": function.__module__})
    return _completed(name, word, told)


def load_library() -> None:
    """Import every claim; importing registers it, and imports no jax."""
    package = import_module("flowlab.claims.library")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def checked(name: str, case: Case) -> Verdict:
    """One claim on one case; numerics that give up, and a check that breaks, make it undecided.

    Raises:
        UnknownName: for an unknown id.
    """
    word = claims[name]
    try:
        one = word()
    except TypeError as error:
        # An abstract class: nothing to measure with.
        return Verdict(name, "undecided", math.nan, math.nan, f"could not be checked: {error}", {"seed": case.seed}, "could not be checked")
    try:
        return one.check(case)
    except FlowlabError as error:
        return one._undecided("could not be checked", f"could not be checked: {error}", case)
    except Exception as error:
        # A defect in one claim must not cost the verdicts of all others.
        at = traceback.extract_tb(error.__traceback__)[-1]
        own = word.origin()
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if own is not None and Path(f.filename).resolve() == Path(own["file"])]
        where = f"line {lines[-1]} of {Path((own or {})['file']).name}" if lines else f"line {at.lineno} of {Path(at.filename).name}"
        needs = [NAMES[each] for each in GIVEN if each in case.read and each not in case.held]
        hint = f"; it looks for {' and '.join(needs)}, and none was given" if needs and isinstance(error, AttributeError | TypeError) else ""
        reason = f"could not be checked: {type(error).__name__}: {' '.join(str(error).split())[:300]} ({where}){hint}"
        return one._undecided("could not be checked", reason, case)


@guarded
def check(ids: str | Sequence[str], *evidence: Any, seed: int = 0) -> list[Verdict]:
    """Check claims on what is given.

    Args:
        ids: claim ids such as `"P4"`, or one.
        evidence: trajectories (flows and descents), equations, a maximum margin, a Problem, Data, in any order; what a claim needs and does
            not find, it makes.
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
    for name in ids:
        claims[name]
    case = case_of(evidence, seed)
    return [checked(name, case) for name in ids]
