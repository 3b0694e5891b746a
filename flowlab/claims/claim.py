"""The harness of a claim: hypotheses, measurement, wrong variants, counter-example; and `check`."""

import math
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypedDict, TypeVar, Unpack, overload, runtime_checkable

import numpy as np

from flowlab.claims import manifest, reasons
from flowlab.claims.case import GIVEN, NAMES, RUNS, Case, Evidence, case_of
from flowlab.claims.hypotheses import Hypothesis
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import RUNGS, Measurement, Verdict, Verdicts
from flowlab.core.arguments import guarded
from flowlab.core.errors import ClaimError, FlowlabError
from flowlab.core.provenance import versions
from flowlab.core.registry import Registry
from flowlab.core.seeds import checked_seed
from flowlab.core.telling import about
from flowlab.core.typing import Record
from flowlab.core.user_modules import source_of

claims: Registry[type["Claim"]] = Registry("claim")
claims.expect({name: entry.home for name, entry in manifest.entries().items()})

USUAL = "as usually stated"
"""The wrong variant of a claim that corrects a statement of the literature."""


class Claim(ABC):
    """A statement of the theory with its check.

    Attributes:
        title, statement, latex, source: what is claimed, and where.
        hypotheses: what a case must satisfy; the harness checks them in order before it measures.
        stated: what `measure` gets for the statement itself, mostly a `Variant`.
        mutants: what `measure` gets for wrong variants; the check must refute every one, or it has no power. Values,
            limits and rates of `Measurement.of` are altered by 1 % up and down besides, without a new measurement.
        counter_example: what one mutant stands for: an instance outside the hypotheses, on which the statement fails.
        rung: how the statement is shown where it holds, one of `RUNGS`.
        quick: whether it takes seconds, and belongs to the quick tier of its pack.
        usual: the statement as it is usually made where that is wrong; then one mutant is `USUAL`, and its numbers
            decide against it.
        decisive: of `usual`: which quantities tell the difference, in words.

    Examples:
        >>> from flowlab.claims import claims
        >>> claims["P4"].title
        'equal growth of squared norms along a path'
        >>> issubclass(claims["P4"], fl.Claim)
        True
    """

    name: ClassVar[str]
    title: ClassVar[str]
    statement: ClassVar[str]
    latex: ClassVar[str]
    source: ClassVar[str]
    hypotheses: ClassVar[tuple[Hypothesis, ...]] = ()
    takes_rates: ClassVar[bool] = False
    """Whether the statement is made for blocks with different learning rates as well."""
    stated: ClassVar[Variant | None] = None
    mutants: ClassVar[tuple[Variant | str, ...]]
    counter_example: ClassVar[str]
    rung: ClassVar[str] = "numerical"
    quick: ClassVar[bool] = True
    usual: ClassVar[str] = ""
    decisive: ClassVar[str] = ""

    @abstractmethod
    def measure(self, case: Case, variant: Variant | str | None) -> Measurement:
        """Measure the statement, or a wrong variant of it; `case.once` computes what both need.

        Args:
            case: what the claim is checked on.
            variant: `stated` or one of `mutants`.
        """

    def check(self, case: Case) -> Verdict:
        """Measure, then make sure that the same check refutes every wrong variant."""
        case.read.clear()
        unmet = self.unmet(case)
        if unmet is not None:
            return self._undecided("does not apply", f"does not apply: {unmet}", case)
        # Hypotheses read the network where the statement is about one; samples count only where something is measured
        # on them.
        inputs = {"problem"} & case.read
        case.read.clear()
        measured = self.measure(case, self.stated)
        inputs = (inputs | case.read) & set(case.present)
        missed = reasons.unused(case, inputs)
        if missed is not None:
            return self._undecided("not tested", f"not tested on what was given: {missed}", case)
        evidence = self._evidence(case) | {"quantities": [q.to_dict() for q in measured.quantities], **measured.details}
        numbers: Record = {
            "measured": measured.value,
            "bound": measured.bound,
            "evidence": evidence,
            "error": measured.error,
            "rung": self.rung,
            "inputs": case.stored()[1],
        }
        because = "; ".join(
            [measured.because, *(str(q) for q in reasons.decisive(measured)), *reasons.ignored(case, inputs)]
        )
        flaw = reasons.altered_run(case) or reasons.disagreement(measured)
        if flaw is None and measured.fails:
            return Verdict(self.name, "refuted", reason=because, **numbers)
        flaw = flaw or reasons.imprecision(measured, because) or self._weakness(case, measured, inputs, evidence)
        if flaw is not None:
            code, reason = flaw
            return Verdict(self.name, "undecided", reason=reason, code=code, **numbers)
        return Verdict(self.name, "holds", reason=because, **numbers)

    def unmet(self, case: Case) -> str | None:
        """Why a case does not meet a hypothesis, or None."""
        problem = case.unread("problem")
        if problem is not None and problem.is_rated and not self.takes_rates:
            return "it is about flows with one learning rate"
        return next((reason for each in self.hypotheses if (reason := each(case)) is not None), None)

    def _weakness(
        self, case: Case, measured: Measurement, inputs: set[str], evidence: Record
    ) -> tuple[str, str] | None:
        """Code and reason where the check refutes too few wrong variants, or stands without the given run; the trials
        go into `evidence`.
        """
        trials = {str(each): self.measure(case, each) for each in self.mutants} | measured.alterations()
        evidence["mutants"] = {
            name: {"measured": m.value, "bound": m.bound, "error": m.error, "refuted": m.fails}
            for name, m in trials.items()
        }
        if USUAL in trials:
            # The numbers that decide against the usual statement.
            evidence["mutants"][USUAL]["telling"] = [str(q) for q in trials[USUAL].quantities if q.fails][:3]
        weakness = reasons.powerless(measured, trials)
        if weakness is not None:
            return "no power", f"no power: {weakness}"
        blindness = self._blind(case, inputs)
        return None if blindness is None else ("not tested", f"not tested on what was given: {blindness}")

    def _blind(self, case: Case, inputs: set[str]) -> str | None:
        """Which run was read without effect: the statement still stands where all rows of its later half are NaN."""
        for name in RUNS:
            if name not in inputs:
                continue
            try:
                with np.errstate(all="ignore"):
                    measured = self.measure(case.without_rows(name), self.stated)
            except Exception:
                # A check that breaks on NaN has read these rows.
                continue
            if measured.stands:
                return f"the same numbers stand where the later half of the given {NAMES[name]} holds no numbers"
        return None

    def _evidence(self, case: Case) -> Record:
        own = self.origin()
        return {
            "statement": self.statement,
            "source": self.source,
            "seed": case.seed,
            "versions": versions(),
            "counter_example": self.counter_example,
            "mutants": {},
            "inputs": case.stored()[0],
            **({"origin": own} if own else {}),
        }

    @classmethod
    def origin(cls) -> Record | None:
        """The user's file that the claim comes from, with its hash; None for claims of the library."""
        return None

    def _undecided(self, code: str, reason: str, case: Case) -> Verdict:
        return Verdict(
            self.name,
            "undecided",
            math.nan,
            math.nan,
            reason,
            self._evidence(case),
            code,
            rung=self.rung,
            inputs=case.stored()[1],
        )


C = TypeVar("C", bound=Claim)


class Attributes(TypedDict, total=False):
    """What `claim` may say of a function; see the attributes of `Claim`."""

    title: str
    statement: str
    latex: str
    source: str
    hypotheses: tuple[Hypothesis, ...]
    stated: Variant | None
    mutants: Sequence[Variant | str] | str
    counter_example: str
    rung: str
    quick: bool
    usual: str
    decisive: str


@runtime_checkable
class Enter(Protocol):
    """A decorator that enters a class as it is, and makes one of a function."""

    @overload
    def __call__(self, word: type[C]) -> type[C]: ...

    @overload
    def __call__(self, word: Callable[..., object]) -> type[Claim]: ...


def claim(name: str, **attributes: Unpack[Attributes]) -> Enter:
    """Enter a claim: decorates a subclass of `Claim`, or a function.

    A function takes `(case, variant)` (or `case` alone, where it has no wrong variants of its own) and returns a
    `Quantity`, several, or a `Measurement`. `attributes` are those of a class: `statement` and `source` at least,
    `mutants=(...)` where it has some; `variant` is one of them, a name or a `Variant`, and `stated` (None by default)
    for the statement itself.

    Raises:
        ClaimError: for a function without statement or source, a word that is not known, or an id that is taken.

    Examples:
        >>> @fl.claim("doc.grows", statement="The norm grows.", source="an example")
        ... def grows(case):
        ...     rho = case.flow.dataset.rho.values
        ...     return fl.Quantity("growth of the norm", rho[-1, 0] / rho[0, 0], 1.0, 1e-6, relation=">=")
        >>> grows.statement
        'The norm grows.'
    """
    if not isinstance(name, str) or not name.strip():
        raise ClaimError(
            f"a claim id must be text, got `{getattr(name, '__name__', name)}`; decorate with "
            '`claim("mine.growth", ...)`.'
        )

    def enter(word: Any) -> Any:
        word = (
            _from_function(name, word, attributes) if not isinstance(word, type) else _completed(name, word, attributes)
        )
        if (own := source_of(word.__module__)) is not None:
            word.origin = staticmethod(lambda: own)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return claims.register(name)(word)
        except ValueError:
            raise ClaimError(f"the claim id `{name}` is taken by {claims.home(name)}; choose another.") from None

    return enter


def _completed(name: str, word: type, attributes: Attributes) -> type[Claim]:
    """A class with all that a report asks of it."""
    if not issubclass(word, Claim):
        raise ClaimError(
            f"`{word.__name__}` of the claim `{name}` must be a subclass of `Claim`, got another class; derive it from "
            "`flowlab.Claim`, or decorate a function."
        )
    for key, value in attributes.items():
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


def _from_function(name: str, function: Callable[..., Any], attributes: Attributes) -> type[Claim]:
    known = tuple(Attributes.__annotations__)
    unknown = sorted(set(attributes) - set(known))
    if unknown:
        raise ClaimError(f"`{unknown[0]}` of the claim `{name}` is not known; use {', '.join(known)}.")

    def measure(_: Claim, case: Case, variant: Any) -> Measurement:
        result = function(case, variant) if attributes.get("mutants") else function(case)
        if isinstance(result, Measurement):
            return result
        many = [result] if isinstance(result, Quantity) else result
        if not isinstance(many, Sequence) or not many or not all(isinstance(q, Quantity) for q in many):
            raise ClaimError(
                f"the claim `{name}` returned `{result!r}`; return a Quantity, a list of them, or a Measurement."
            )
        return Measurement.of(many, "by the function of the claim")

    word = type(
        function.__name__,
        (Claim,),
        {"measure": measure, "__doc__": function.__doc__, "__module__": function.__module__},
    )
    return _completed(name, word, attributes)


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
        return Verdict(
            name,
            "undecided",
            math.nan,
            math.nan,
            f"could not be checked: {error}",
            {"seed": case.seed},
            "could not be checked",
        )
    try:
        with about(name):
            return one.check(case)
    except FlowlabError as error:
        return one._undecided("could not be checked", f"could not be checked: {error}", case)
    except Exception as error:
        # A defect in one claim must not cost the verdicts of all others.
        at = traceback.extract_tb(error.__traceback__)[-1]
        own = word.origin()
        lines = [
            f.lineno
            for f in traceback.extract_tb(error.__traceback__)
            if own is not None and Path(f.filename).resolve() == Path(own["file"])
        ]
        where = (
            f"line {lines[-1]} of {Path((own or {})['file']).name}"
            if lines
            else f"line {at.lineno} of {Path(at.filename).name}"
        )
        needs = [NAMES[each] for each in GIVEN if each in case.read and each not in case.present]
        hint = (
            f"; it looks for {' and '.join(needs)}, and none was given"
            if needs and isinstance(error, AttributeError | TypeError)
            else ""
        )
        reason = f"could not be checked: {type(error).__name__}: {' '.join(str(error).split())[:300]} ({where}){hint}"
        return one._undecided("could not be checked", reason, case)


@guarded
def check(ids: str | Sequence[str], *evidence: Evidence, seed: int = 0) -> Verdicts:
    """Check claims on what is given.

    Args:
        ids: claim ids such as `"P4"`, or one.
        evidence: trajectories (flows and descents), equations, a maximum margin, a Problem, Data, in any order; what a
            claim needs and does not find, it makes.
        seed: of the instances and states that claims draw.

    Returns:
        One verdict per id. A check that breaks down numerically answers "undecided" with the reason.

    Raises:
        UnknownName: for an unknown id; ClaimError: for evidence of no known kind;
        LanguageError: for a seed that is not an integer from 0 on.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> [(verdict.id, verdict.answer) for verdict in fl.check(["P1", "P2"], path)]
        [('P1', 'holds'), ('P2', 'holds')]
    """
    seed = checked_seed(seed)
    if isinstance(ids, str):
        ids = [ids]
    for name in ids:
        claims[name]
    case = case_of(evidence, seed)
    return Verdicts(checked(name, case) for name in ids)
