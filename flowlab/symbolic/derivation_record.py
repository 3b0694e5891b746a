"""The record of a derivation, which printing and expansion read: problem, equations, steps and conservation laws.

Laws that a look at the network finds at once are there from the start. All others are searched for when they are first
asked for, so that a derivation costs no more than its own check.
"""

from dataclasses import dataclass
from functools import cached_property

from flowlab.core.display import displayed
from flowlab.language.problem import Problem
from flowlab.symbolic.assemble import Equation, assemble
from flowlab.symbolic.book import Step
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.laws.count import LawCount, law_count
from flowlab.symbolic.laws.divergence import divergence_laws
from flowlab.symbolic.laws.find import Search, search
from flowlab.symbolic.laws.law import Law
from flowlab.symbolic.program import Program


@dataclass(frozen=True)
@displayed
class DerivationRecord:
    """The equations of a problem and how they were found.

    Attributes:
        problem: what was derived.
        equations: rates per norm, with coefficients in ρ_k, κ_k, R, s.
        steps: the derivation, each step with its rule and reason.
        matched: conservation laws found by matching.
        omit: a sample left out (mutants only).
        residual: largest relative disagreement with autodiff when the equations were checked; None if they were not.
        stored: laws found by an earlier search; None where there was none.
    """

    problem: Problem
    equations: tuple[Equation, ...]
    steps: tuple[Step, ...]
    matched: tuple[Conserved, ...]
    omit: int | None = None
    residual: float | None = None
    stored: tuple[Law, ...] | None = None

    @property
    def is_gradient(self) -> bool:
        """Whether the flow descends along the gradient of its objective, and not along a coarse one."""
        return self.problem.is_gradient

    @property
    def structural(self) -> tuple[Equation, ...]:
        """The equations at structural depth: ρ̇_k, V̇_k in terms of f_n and ∂f_n/∂V_k."""
        return self.equations

    @cached_property
    def program(self) -> Program:
        """The equations at matrix depth: a straight-line program; this is what is lowered."""
        return assemble(self.problem, self.equations, self.omit)

    @cached_property
    def _search(self) -> Search:
        if self.residual is None:
            return Search(why="the equations are not checked")
        if self.problem.geometry:
            why = "a block moves in a geometry of its own, where laws need not be quadratic"
            return Search(divergence_laws(self.problem), why=why)
        return search(self.problem, self.matched)

    @property
    def laws(self) -> tuple[Conserved | Law, ...]:
        """Conservation laws: those found by matching, and every quadratic one that does not follow from them; of games
        in dual charts the sum of divergences from an equilibrium.

        Their rates are zero at random states by autodiff; of equations that are not checked, only matched ones are
        given. Laws that weight decay shrinks come with their factor e^{ct}. `law_count` says whether there are others.
        """
        return (*self.matched, *(self._search.laws if self.stored is None else self.stored))

    conserved = laws

    @cached_property
    def law_count(self) -> LawCount:
        """How many independent laws there are, of any kind, at small sizes: `print` it for a sentence.

        It is the dimension of the weights less that of the Lie algebra of the samples' pulls (Marcotte, Gribonval and
        Peyré 2023).
        """
        return law_count(self._search)
