"""The result of a derivation: equations at three depths, the steps behind them, and a file format that reads back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from flowlab.core.errors import LanguageError
from flowlab.core.hashing import sha256_json
from flowlab.language.problem import Problem
from flowlab.symbolic import printing, scalars
from flowlab.symbolic.assemble import Equation
from flowlab.symbolic.book import Step
from flowlab.symbolic.component import Component, expand
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.derivation_record import DerivationRecord

DEPTHS = ("structural", "matrix", "component")
FORMAT = 1


@dataclass(frozen=True)
class FlowEquations(DerivationRecord):
    """The flow of a problem, which can be printed at three depths and stored;
    see `DerivationRecord` for its attributes.
    """

    def component(self, d: int, samples: int, widths: Mapping[str, int] | None = None, outputs: int = 1) -> Component:
        """The equations at component depth, every scalar written out, for at most 24 weights.

        Args:
            d: input dimension.
            samples: number of samples.
            widths: rows per block, 2 where not given.
            outputs: number of outputs.

        Raises:
            LanguageError: above 24 weights, or 500 weights times samples.
        """
        return expand(self, d, samples, widths, outputs)

    @cached_property
    def signature(self) -> str:
        """SHA-256 of the problem and its equations; two runs with one signature follow the same flow."""
        return sha256_json(
            {"problem": self.problem.describe(), "equations": self._stored_equations(), "omit": self.omit}
        )

    def _stored_equations(self) -> list[dict[str, Any]]:
        def tree(expr: Any) -> Any:
            return None if expr is None else scalars.to_json(scalars.to_tree(expr))

        return [
            {
                "block": e.block,
                "kappa": None if e.kappa is None else str(e.kappa),
                "rho": tree(e.rho),
                "G": tree(e.G),
                "V": tree(e.V),
                "norm_of": e.norm_of,
            }
            for e in self.equations
        ]

    def text(self, depth: str = "structural", *, steps: bool = True) -> str:
        """The equations as plain text."""
        return printing.document(self, _depth(depth), tex=False, steps=steps)

    def latex(self, depth: str = "structural", *, steps: bool = True, standalone: bool = False) -> str:
        """The equations as LaTeX that needs amsmath alone; `standalone` adds a document around them."""
        body = printing.document(self, _depth(depth), tex=True, steps=steps)
        return printing.standalone(body) if standalone else body

    def __str__(self) -> str:
        return self.text("structural")

    def to_json(self) -> str:
        """The equations as JSON that `from_json` reads back."""
        stored = {
            "format": FORMAT,
            "problem": self.problem.describe(),
            "equations": self._stored_equations(),
            "steps": [s.to_json() for s in self.steps],
            "conserved": [c.to_json() for c in self.conserved],
            "omit": self.omit,
            "residual": self.residual,
            "signature": self.signature,
        }
        return json.dumps(stored, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "FlowEquations":
        """Read stored equations.

        Raises:
            LanguageError: if the text is not of this format or its signature does not fit its content.
        """
        try:
            stored = json.loads(text)
            if stored["format"] != FORMAT:
                raise LanguageError(
                    f"stored equations have format {stored['format']}; this version reads format {FORMAT}."
                )
            equations = tuple(_read_equation(e) for e in stored["equations"])
            steps = tuple(Step(**s) for s in stored["steps"])
            laws = tuple(Conserved.from_json(c) for c in stored["conserved"])
            flow = cls(
                Problem.from_description(stored["problem"]), equations, steps, laws, stored["omit"], stored["residual"]
            )
            claimed = stored["signature"]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise LanguageError(
                f"the text is no stored flow equations ({type(error).__name__}: {error}); write it with `to_json()`."
            ) from None
        if flow.signature != claimed:
            raise LanguageError(
                f"the stored equations have signature {flow.signature[:12]} but claim {str(claimed)[:12]}; the file was"
                " altered."
            )
        return flow

    def with_equations(self, equations: Sequence[Equation], omit: int | None = None) -> "FlowEquations":
        """The same problem with other equations (a mutant); nothing about it is checked."""
        return replace(self, equations=tuple(equations), omit=omit, residual=None, steps=(), conserved=())


def _depth(depth: str) -> str:
    if depth not in DEPTHS:
        raise LanguageError(f"`depth={depth!r}` is not known; use one of {', '.join(DEPTHS)}.")
    return depth


def _read_equation(stored: Mapping[str, Any]) -> Equation:
    def expr(obj: Any) -> Any:
        return None if obj is None else scalars.from_tree(scalars.from_json(obj))

    kappa = None if stored["kappa"] is None else Fraction(stored["kappa"])
    return Equation(
        stored["block"], kappa, expr(stored["rho"]), expr(stored["G"]), expr(stored["V"]), stored["norm_of"]
    )
