"""The record of a derivation, which printing and expansion read: problem, equations, steps and conservation laws."""

from dataclasses import dataclass
from functools import cached_property

from flowlab.language.problem import Problem
from flowlab.symbolic.assemble import Equation, assemble
from flowlab.symbolic.book import Step
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.program import Program


@dataclass(frozen=True)
class DerivationRecord:
    """The equations of a problem and how they were found.

    Attributes:
        problem: what was derived.
        equations: rates per norm, with coefficients in ρ_k, κ_k, R, s.
        steps: the derivation, each step with its rule and reason.
        conserved: quantities the flow keeps.
        omit: a sample left out (mutants only).
        residual: largest relative disagreement with autodiff when the equations were checked; None if they were not.
    """

    problem: Problem
    equations: tuple[Equation, ...]
    steps: tuple[Step, ...]
    conserved: tuple[Conserved, ...]
    omit: int | None = None
    residual: float | None = None

    @property
    def structural(self) -> tuple[Equation, ...]:
        """The equations at structural depth: ρ̇_k, V̇_k in terms of f_n and ∂f_n/∂V_k."""
        return self.equations

    @cached_property
    def program(self) -> Program:
        """The equations at matrix depth: a straight-line program; this is what is lowered."""
        return assemble(self.problem, self.equations, self.omit)
