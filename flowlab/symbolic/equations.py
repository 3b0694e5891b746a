"""The result of a derivation: equations at three depths, the steps behind them, and a file format that reads back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import sympy as sp

from flowlab.core import html
from flowlab.core.arguments import guarded, shown
from flowlab.core.display import clipped, displayed
from flowlab.core.errors import LanguageError
from flowlab.core.hashing import sha256_json
from flowlab.core.html import Markup
from flowlab.core.typing import ArrayLike
from flowlab.language.expr import Expr
from flowlab.language.optax_rule import GradientTransformation
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.symbolic import printing, scalars
from flowlab.symbolic.assemble import Equation, assemble
from flowlab.symbolic.book import Step
from flowlab.symbolic.component import Component, expand
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.curl import Curl
from flowlab.symbolic.derivation import derive_equations
from flowlab.symbolic.derivation_record import DerivationRecord
from flowlab.symbolic.induced.flow import InducedFlow
from flowlab.symbolic.induced.push_forward import induced
from flowlab.symbolic.laws.divergence import DivergenceLaw
from flowlab.symbolic.laws.law import Law
from flowlab.symbolic.modified import ModifiedFlow, modified
from flowlab.symbolic.source import to_source
from flowlab.symbolic.sympy_flow import to_sympy
from flowlab.symbolic.trial_shapes import Sizes

DEPTHS = ("structural", "matrix", "component")
FORMAT = 1


@dataclass(frozen=True)
@displayed
class FlowEquations(DerivationRecord):
    """The flow of a problem, which can be printed at three depths and stored;
    see `DerivationRecord` for its attributes.

    Examples:
        >>> flow = fl.derive(fl.Problem("W2 @ W1 @ x"))
        >>> [law.text for law in flow.laws]
        ['rho_W1^2 - rho_W2^2', 'W1 W1^T - W2^T W2']
        >>> flow.residual < 1e-12
        True
    """

    def component(self, d: Sizes, samples: int, widths: Mapping[str, int] | None = None, outputs: int = 1) -> Component:
        """The equations at component depth, every scalar written out, for at most 24 weights.

        Args:
            d: input dimension.
            samples: number of samples.
            widths: rows per block, 2 where not given.
            outputs: number of outputs.

        Raises:
            LanguageError: above 24 weights, or 500 weights times samples; for an opaque network.
        """
        _depth("component", self.problem)
        return expand(self, d, samples, widths, outputs)

    @guarded
    def to_sympy(
        self, d: Sizes = 2, samples: int = 2, widths: Mapping[str, int] | None = None, outputs: int = 1
    ) -> dict[sp.Symbol, sp.Expr]:
        """The flow as expressions of SymPy, entry by entry, whose symbols are identifiers in every language.

        Entries count from 1, as in print: `W1_1_2` is the first row's second entry of `W1`.

        Args:
            d: input dimension.
            samples: number of samples.
            widths: rows per block, 2 where not given.
            outputs: number of outputs.

        Returns:
            For the symbol of every entry of the state its rate in flow time (dimensionless); the other symbols of a
            rate are data and parameters.

        Raises:
            LanguageError: as `component`.

        Example:
            >>> rates = fl.derive(fl.Problem("W @ x", "square", coordinates="weights")).to_sympy(d=1, samples=1)
            >>> rates
            {W_1: -x_1_1*(W_1*x_1_1 - y_1)}
        """
        _depth("component", self.problem)
        return to_sympy(self, d, samples, widths, outputs)

    @guarded
    def to_source(
        self, language: str, d: Sizes = 2, samples: int = 2, widths: Mapping[str, int] | None = None, outputs: int = 1
    ) -> str:
        """The flow as source text: a function `rate` from state, data and parameters to the rates of the state.

        It is printed from the straight-line program that is lowered, so that it needs no flowlab to run. Numbers are
        arguments; sizes are those that it is printed for.

        Args:
            language: `"numpy"`, `"jax"`, `"julia"` or `"c"`; `flowlab list languages` has all.
            d: input dimension.
            samples: number of samples.
            widths: rows per block, 2 where not given.
            outputs: number of outputs.

        Returns:
            Text. The arguments of `rate` are the arrays of the state, then data and parameters, named and with their
            shapes in its first comment; it gives the rates in flow time (dimensionless) in the order of the state.

        Raises:
            UnknownName: for a language that is not known.
            UnloweredNode: for an operation that the language has no rule for, by name.

        Example:
            >>> flow = fl.derive(fl.Problem("W2 @ relu(W1 @ x)", "logistic", coordinates="weights"))
            >>> print(flow.to_source("numpy", d=4, samples=150, widths={"W1": 8}))
        """
        return to_source(self, language, d, samples, widths, outputs)

    def curl(self) -> Curl:
        """The curl of the flow in weight coordinates: the pairs of blocks in which it is no gradient flow.

        Raises:
            LanguageError: for a scheme other than gradient flow, an opaque network, and blocks in another metric.

        Example:
            >>> flow.curl().pairs
            (('v', 'w'),)
        """
        problem = self.problem
        if not problem.scheme.is_gradient_flow or problem.network.is_opaque:
            what = f'scheme "{problem.scheme.name}"' if not problem.network.is_opaque else "an opaque network"
            raise LanguageError(f'`curl` must be of a gradient flow in the language, got {what}; use "gradient_flow".')
        # In another metric a velocity is a gradient where its forces are one, whatever its own Jacobian is.
        for w, space in problem.geometry.items():
            raise LanguageError(
                f'`curl` must be of blocks in plain arrays, got the geometry "{space.name}" for `{w}`; derive the'
                " problem without `geometry`, for the curl of its forces."
            )
        if problem.coordinates == "weights":
            return Curl(problem, self.program)
        told: Any = problem.describe()
        plain = Problem.from_description(told | {"coordinates": "weights", "per": "layer"})
        return Curl(plain, assemble(plain, derive_equations(plain)[1]))

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
        """The equations as plain text.

        Raises:
            LanguageError: for an unknown depth, and below structural depth for an opaque network.
        """
        return printing.document(self, _depth(depth, self.problem), tex=False, steps=steps)

    def latex(self, depth: str = "structural", *, steps: bool = True, standalone: bool = False) -> str:
        """The equations as LaTeX that needs amsmath alone; `standalone` adds a document around them."""
        body = printing.document(self, _depth(depth, self.problem), tex=True, steps=steps)
        return printing.standalone(body) if standalone else body

    def __str__(self) -> str:
        return self.text("structural")

    def __repr__(self) -> str:
        return clipped(self.text(steps=False))

    def _html_parts(self) -> list[str]:
        """The equations as formulas, with the steps behind them and the laws that are known in parts that unfold."""
        kept = [html.math(law.latex, display=True) for law in self.matched]
        laws = [html.unfolding(f"{len(kept)} conservation laws found by matching", Markup().join(kept))] if kept else []
        return [
            html.tex(self.latex(steps=False)),
            html.unfolding(f"derivation, {len(self.steps)} steps", html.tex(self.latex())),
            *laws,
            html.soft("not checked" if self.residual is None else f"held against autodiff: {self.residual:.1e}"),
        ]

    def _repr_latex_(self) -> str:
        return self.latex(steps=False)

    def modified(
        self,
        rule: str | GradientTransformation = "gradient",
        *,
        step: float,
        momentum: float = 0.0,
        nesterov: bool = False,
    ) -> ModifiedFlow:
        """The modified equation of a descent rule on this field; see `flowlab.symbolic.modified.modified`."""
        return modified(self, rule, step=step, momentum=momentum, nesterov=nesterov)

    @guarded
    def induced(
        self,
        node: str | Expr,
        start: State | Mapping[str, ArrayLike] | None = None,
        *,
        constants: Mapping[str, ArrayLike] | None = None,
    ) -> InducedFlow:
        """The flow that a node of weights inherits from this flow, β' = -K ∂L/∂β; `print` it for its derivation.

        Args:
            node: a part of the network, made of weights and constants, through which all weights act.
            start: a state of the problem; without it there are no numbers.
            constants: numbers of the node's constants, by name; with a start they are needed.

        Raises:
            LanguageError: for another scheme or coordinates than gradient flow of weights, weight decay, several
                learning rates, or a node that is none.
            ShapeMismatch: for a start that does not fit, or from which some entry cannot move.
            UnknownName: for unknown names.

        Example:
            >>> flow.induced("w*w - u*u + 0.5*v", start).conjugate
            alpha**2*cosh(4*z)/2 - alpha**2/2 + z**2/8
        """
        return induced(self.problem, node, start, constants)

    def to_json(self) -> str:
        """The equations as JSON that `from_json` reads back."""
        stored = {
            "format": FORMAT,
            "problem": self.problem.describe(),
            "equations": self._stored_equations(),
            "steps": [s.to_json() for s in self.steps],
            "conserved": [c.to_json() for c in self.laws],
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
            OutputError: if it needs an opaque network that this process has not made.
        """
        try:
            stored = json.loads(text)
            if stored["format"] != FORMAT:
                raise LanguageError(
                    f"stored equations have format {stored['format']}; this version reads format {FORMAT}."
                )
            equations = tuple(_read_equation(e) for e in stored["equations"])
            steps = tuple(Step(**s) for s in stored["steps"])
            kinds: dict[str, type[Law]] = {word.kind: word for word in (Law, DivergenceLaw)}
            matched = tuple(Conserved.from_json(c) for c in stored["conserved"] if c["kind"] not in kinds)
            laws = tuple(kinds[c["kind"]].from_json(c) for c in stored["conserved"] if c["kind"] in kinds)
            problem = Problem.from_description(stored["problem"])
            flow = cls(problem, equations, steps, matched, stored["omit"], stored["residual"], laws)
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
        return replace(self, equations=tuple(equations), omit=omit, residual=None, steps=(), matched=(), stored=None)


def _depth(depth: str, problem: Problem) -> str:
    if depth not in DEPTHS:
        raise LanguageError(f"`depth={depth!r}` is not known; use one of {', '.join(DEPTHS)}.")
    if problem.network.is_opaque and depth != DEPTHS[0]:
        raise LanguageError(
            f"`depth` must be {DEPTHS[0]!r} for the opaque network `{shown(problem.network.text, 80)}`, got {depth!r}: "
            "its gradient is one call of jax.vjp, which has no lines to print; use the language for more."
        )
    return depth


def _read_equation(stored: Mapping[str, Any]) -> Equation:
    def expr(obj: Any) -> Any:
        return None if obj is None else scalars.from_tree(scalars.from_json(obj))

    kappa = None if stored["kappa"] is None else Fraction(stored["kappa"])
    return Equation(
        stored["block"], kappa, expr(stored["rho"]), expr(stored["G"]), expr(stored["V"]), stored["norm_of"]
    )
